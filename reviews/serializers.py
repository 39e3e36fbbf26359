"""The JSON of a review, in and out."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from django.contrib.auth.models import AnonymousUser
from rest_framework import serializers

from accounts.models import User
from accounts.serializers import PublicUserSerializer
from movieshelf.api.fields import TextField
from movieshelf.api.serializers import (
    CamelCaseModelSerializer,
    CamelCaseSerializer,
)
from movieshelf.api.text import ControlCharacter
from reviews.models import MAX_CONTENT_LENGTH, Review
from reviews.sanitising import sanitise
from trail.models import MAX_REASON_LENGTH


class ContentField(TextField):
    """Plain text: sanitised first, then measured."""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        try:
            return super().run_validation(sanitise(data) if isinstance(data, str) else data)
        except ControlCharacter:
            self.fail("control")


# What `review_json` is made of: columns of a review and its author, and what they rated the film.
SHOWN_COLUMNS = (
    "id",
    "movie_id",
    "user_id",
    "user__name",
    "user__avatar_id",
    "content",
    "rating",
    "is_hidden",
    "created_at",
    "updated_at",
)
shown_columns = attrgetter(*(column.replace("__", ".") for column in SHOWN_COLUMNS))


def review_json(row: Sequence[Any], viewer: User | AnonymousUser) -> dict[str, Any]:
    """Give the JSON of a review from its SHOWN_COLUMNS, as this viewer may see it."""
    pk, movie_id, user_id, name, avatar_id, content, rating, is_hidden, created_at, updated_at = row
    avatar_url = f"/media/{avatar_id}" if avatar_id else None
    may_know = not viewer.is_anonymous and (viewer.is_admin or viewer.pk == user_id)
    return {
        "id": pk,
        "movieId": movie_id,
        "userId": user_id,
        "user": {"id": user_id, "name": name, "avatarUrl": avatar_url},
        "content": content,
        "rating": rating,
        **({"hidden": is_hidden} if may_know else {}),
        "createdAt": created_at,
        "updatedAt": updated_at,
    }


class ReviewSerializer(CamelCaseModelSerializer[Review]):
    """A review; whether it is hidden is told to its author and admins alone."""

    movie_id = serializers.IntegerField(read_only=True)
    user_id = serializers.IntegerField(read_only=True)
    user = PublicUserSerializer(read_only=True)
    content = ContentField(max_length=MAX_CONTENT_LENGTH)
    rating = serializers.IntegerField(read_only=True, allow_null=True)
    hidden = serializers.BooleanField(source="is_hidden", read_only=True, required=False)

    class Meta:
        model = Review
        fields = (
            "id",
            "movie_id",
            "user_id",
            "user",
            "content",
            "rating",
            "hidden",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("id", "created_at", "updated_at")

    sometimes = ("hidden",)

    def to_representation(self, instance: Review) -> dict[str, Any]:
        return review_json(shown_columns(instance), self.context["request"].user)


class ReviewChangeSerializer(CamelCaseSerializer):
    """What may be changed: the text by its author, being hidden by an admin."""

    content = ContentField(max_length=MAX_CONTENT_LENGTH, required=False)
    hidden = serializers.BooleanField(required=False)
    reason = TextField(max_length=MAX_REASON_LENGTH, required=False, allow_blank=True)

    def validate_hidden(self, hidden: bool) -> bool:
        # DRF's field takes "yes" and 1 as well.
        if not isinstance(self.initial_data["hidden"], bool):
            raise serializers.ValidationError("true or false is needed.", code="invalid")
        return hidden
