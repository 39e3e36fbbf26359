"""The JSON of a member, in and out."""

from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers

from accounts.models import MAX_EMAIL_LENGTH, MAX_NAME_LENGTH, Session, User
from media.serializers import OwnImageField
from movieshelf.api.fields import StringField, TextField
from movieshelf.api.serializers import CamelCaseModelSerializer, CamelCaseSerializer

MIN_PASSWORD_LENGTH = 10
MAX_PASSWORD_LENGTH = 128
MAX_RESET_TOKEN_LENGTH = 200


class EmailField(StringField):
    """An e-mail address, kept as given."""

    default_error_messages = {"email": "Enter a valid e-mail address."}  # noqa: RUF012  # DRF's way

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_EMAIL_LENGTH, **kwargs)
        self.validators.append(serializers.EmailField().validators[-1])


class NewPasswordField(StringField):
    """A password to be set: measured before anything is hashed, then Django's own checks."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            min_length=MIN_PASSWORD_LENGTH,
            max_length=MAX_PASSWORD_LENGTH,
            write_only=True,
            **kwargs,
        )


def check_new_password(field: str, password: str, user: User) -> None:
    """Raise DRF's ValidationError on `field` when Django's validators refuse the password."""
    try:
        validate_password(password, user)
    except DjangoValidationError as exc:
        details = [
            serializers.ErrorDetail(error.messages[0], code=error.code or "invalid")
            for error in exc.error_list
        ]
        raise serializers.ValidationError({field: details}) from exc


class RegisterSerializer(CamelCaseSerializer):
    name = TextField(max_length=MAX_NAME_LENGTH)
    email = EmailField()
    password = NewPasswordField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        check_new_password(
            "password", attrs["password"], User(name=attrs["name"], email=attrs["email"])
        )
        return attrs


class LoginSerializer(CamelCaseSerializer):
    email = StringField(max_length=MAX_EMAIL_LENGTH)
    password = StringField(max_length=MAX_PASSWORD_LENGTH, write_only=True)


class PasswordChangeSerializer(CamelCaseSerializer):
    current_password = StringField(max_length=MAX_PASSWORD_LENGTH, write_only=True)
    new_password = NewPasswordField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        check_new_password("newPassword", attrs["new_password"], self.context["request"].user)
        return attrs


class AskResetSerializer(CamelCaseSerializer):
    email = StringField(max_length=MAX_EMAIL_LENGTH)


class ConfirmResetSerializer(CamelCaseSerializer):
    token = StringField(max_length=MAX_RESET_TOKEN_LENGTH, write_only=True)
    password = NewPasswordField()


class DeletionSerializer(CamelCaseSerializer):
    """The password once more, before an account goes for good."""

    password = StringField(max_length=MAX_PASSWORD_LENGTH, write_only=True)


class PublicUserSerializer(CamelCaseModelSerializer[User]):
    """A member as others see them."""

    class Meta:
        model = User
        fields = ("id", "name", "avatar_url")


class UserSerializer(CamelCaseModelSerializer[User]):
    """A member as they see themselves."""

    name = TextField(max_length=MAX_NAME_LENGTH)
    avatar_media_id = OwnImageField(source="avatar", allow_null=True, required=False)

    class Meta:
        model = User
        fields = (
            "id",
            "name",
            "email",
            "role",
            "avatar_media_id",
            "avatar_url",
            "created_at",
        )
        read_only_fields = ("id", "email", "role", "avatar_url", "created_at")


class TokenSerializer(CamelCaseSerializer):
    """A fresh access token and its life in seconds."""

    access_token = serializers.CharField()
    expires_in = serializers.IntegerField()


class LoginAnswerSerializer(TokenSerializer):
    user = UserSerializer()


class ProfileSerializer(CamelCaseModelSerializer[User]):
    """A member's page."""

    movie_count = serializers.IntegerField(read_only=True)
    review_count = serializers.IntegerField(read_only=True)
    rating_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = User
        fields = (
            "id",
            "name",
            "avatar_url",
            "created_at",
            "movie_count",
            "review_count",
            "rating_count",
        )
        read_only_fields = fields


class SessionSerializer(CamelCaseModelSerializer[Session]):
    """One live login; `current` is the one that asks."""

    current = serializers.SerializerMethodField()

    class Meta:
        model = Session
        fields = ("id", "created_at", "last_used_at", "user_agent", "ip", "current")
        read_only_fields = fields

    def get_current(self, session: Session) -> bool:
        return bool(session.pk == self.context["request"].auth.pk)


class SessionListSerializer(CamelCaseSerializer):
    items = SessionSerializer(many=True)


class ExportSerializer(CamelCaseSerializer):
    """All that is held about a member; what is in each row is as the database has it."""

    user = UserSerializer()
    sessions = serializers.ListField(child=serializers.DictField())
    movies = serializers.ListField(child=serializers.DictField())
    ratings = serializers.ListField(child=serializers.DictField())
    reviews = serializers.ListField(child=serializers.DictField())
    reports = serializers.ListField(child=serializers.DictField())
    media = serializers.ListField(child=serializers.DictField())
    imports = serializers.ListField(child=serializers.DictField())
