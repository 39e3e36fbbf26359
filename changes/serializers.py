"""The JSON of the feed: each thing that changed, as anybody may see it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from changes.feed import MOVIE, REVIEW, TYPES, Entry
from movies.models import Movie
from movies.ranking import Ranks
from movies.serializers import MovieSerializer, movie_json, shown_columns
from movieshelf.api.fields import DigitsField, StringField
from movieshelf.api.serializers import (
    CamelCaseModelSerializer,
    CamelCaseSerializer,
    QuerySerializer,
)
from reviews.models import Review

DEFAULT_LIMIT, MAX_LIMIT = 100, 1_000
MAX_CURSOR_LENGTH = 200
ONE_TYPE = f"({'|'.join(TYPES)})"
CHANGES = ("created", "changed", "hidden", "deleted")


@extend_schema_field({"type": "string", "pattern": f"^{ONE_TYPE}(,{ONE_TYPE})*$"})
class TypesField(StringField):
    """Kinds of things, separated by commas."""

    default_error_messages = {"types": f"Allowed are: {', '.join(TYPES)}."}  # noqa: RUF012  # DRF's way

    def to_internal_value(self, data: Any) -> tuple[str, ...]:  # type: ignore[override]  # from text
        given = super().to_internal_value(data).split(",")
        if not set(given) <= set(TYPES):
            self.fail("types")
        return tuple(kind for kind in TYPES if kind in given)


class ChangesParams(QuerySerializer):
    since = StringField(
        required=False,
        max_length=MAX_CURSOR_LENGTH,
        help_text="The `next` of an earlier answer; without it, the feed begins with all there is.",
    )
    types = TypesField(
        required=False, help_text="`movie,review` by default; the cursor keeps them."
    )
    limit = DigitsField(min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT)


class Unranked:
    """Ranks that are not looked for."""

    @staticmethod
    def of(score: object) -> None:
        return None


class ChangedMovieSerializer(MovieSerializer):
    """A film without its rank, which other films change."""

    class Meta(MovieSerializer.Meta):
        fields = tuple(name for name in MovieSerializer.Meta.fields if name != "rank")  # type: ignore[assignment]  # one less

    rank = None  # type: ignore[assignment]  # DRF's way to take a field away

    def to_representation(self, instance: Movie) -> dict[str, Any]:
        movie = movie_json(shown_columns(instance), cast(Ranks, Unranked))
        del movie["rank"]
        return movie


class ChangedReviewSerializer(CamelCaseModelSerializer[Review]):
    """A review as it was written; its author's name and rating are theirs to change."""

    movie_id = serializers.IntegerField(read_only=True)
    user_id = serializers.IntegerField(read_only=True)

    class Meta:
        model = Review
        fields = ("id", "movie_id", "user_id", "content", "created_at", "updated_at")
        read_only_fields = fields


class ChangeSerializer(CamelCaseSerializer):
    """One thing that changed. What is hidden or deleted is not shown."""

    type = serializers.ChoiceField(choices=TYPES)
    id = serializers.IntegerField()
    change = serializers.ChoiceField(choices=CHANGES)
    movie = ChangedMovieSerializer(allow_null=True)
    review = ChangedReviewSerializer(allow_null=True)


class ChangesSerializer(CamelCaseSerializer):
    """A page of the feed. `next` is where the next one begins, also where there is no more yet."""

    items = ChangeSerializer(many=True)
    next = serializers.CharField()
    more = serializers.BooleanField()


def shown(entries: Sequence[Entry], context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the entries as they are read: two queries, however many they are.

    What was deleted since they were found is left out: its tombstone is still to come.
    """
    movies = Movie.objects.with_stats().filter(pk__in=_ids(entries, MOVIE))
    reviews = Review.objects.filter(pk__in=_ids(entries, REVIEW))
    hidden = {(REVIEW, review.pk) for review in reviews if review.is_hidden}
    # A serializer for each thing would cost ten times as much.
    there = {
        **_by_key(MOVIE, ChangedMovieSerializer(movies, many=True, context=dict(context)).data),
        **_by_key(REVIEW, ChangedReviewSerializer(reviews, many=True).data),
    }
    return [
        _shown(entry, there.get((entry.kind, entry.id)), is_hidden=(entry.kind, entry.id) in hidden)
        for entry in entries
        if entry.is_gone or (entry.kind, entry.id) in there
    ]


def _ids(entries: Iterable[Entry], kind: str) -> list[int]:
    return [entry.id for entry in entries if entry.kind == kind and not entry.is_gone]


def _by_key(kind: str, things: Iterable[Any]) -> dict[tuple[str, int], Any]:
    return {(kind, thing["id"]): thing for thing in things}


def _shown(entry: Entry, data: Any, *, is_hidden: bool) -> dict[str, Any]:
    item = {"type": entry.kind, "id": entry.id, MOVIE: None, REVIEW: None}
    if entry.is_gone:
        return {**item, "change": "deleted"}
    if is_hidden:
        return {**item, "change": "hidden"}
    return {**item, "change": "created" if entry.is_new else "changed", entry.kind: data}
