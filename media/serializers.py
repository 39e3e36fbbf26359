"""How other apps name an image in JSON."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from media.models import Media


class OwnImageField(serializers.PrimaryKeyRelatedField[Media]):
    """The id of an image that the caller uploaded; with `any_for_admin`, an admin may name any."""

    default_error_messages = {  # noqa: RUF012  # DRF's way
        "does_not_exist": "This is not an image that you uploaded.",
        "incorrect_type": "The id of an image (a UUID) is needed.",
    }

    def __init__(self, *, any_for_admin: bool = False, **kwargs: Any) -> None:
        self.any_for_admin = any_for_admin
        super().__init__(queryset=Media.objects.all(), pk_field=serializers.UUIDField(), **kwargs)

    def get_queryset(self) -> QuerySet[Media]:
        user = self.context["request"].user
        images = Media.objects.all()
        return images if self.any_for_admin and user.is_admin else images.usable_by(user)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if data == "":  # DRF would take it for null.
            self.fail("incorrect_type")
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> Media:
        if not isinstance(data, str):
            self.fail("incorrect_type")
        return super().to_internal_value(data)  # type: ignore[arg-type]  # the stubs expect a Media

    def to_representation(self, value: Any) -> str:
        return str(value.pk)

    def use_pk_only_optimization(self) -> bool:
        return True
