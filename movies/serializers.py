"""The JSON of a film, in and out."""

from collections.abc import Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any, cast

from django.core.validators import URLValidator
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from media.serializers import OwnImageField
from movies.models import (
    MAX_SYNOPSIS_LENGTH,
    MAX_TITLE_LENGTH,
    MAX_URL_LENGTH,
    STARS,
    Movie,
    shown_average,
)
from movies.ranking import Ranks, ranks_for
from movieshelf.api.fields import ISODateField, StringField, TextField
from movieshelf.api.serializers import CamelCaseModelSerializer, CamelCaseSerializer

DISTRIBUTION_KEYS = tuple(str(value) for value in STARS)
DISTRIBUTION_SCHEMA = {
    "type": "object",
    "required": list(DISTRIBUTION_KEYS),
    "properties": {key: {"type": "integer", "minimum": 0} for key in DISTRIBUTION_KEYS},
}


@extend_schema_field(DISTRIBUTION_SCHEMA)
class DistributionField(serializers.ReadOnlyField):
    """How many ratings of each value, as it is described; `movie_json` shows it."""


class AverageField(serializers.FloatField):
    """A mean, shown rounded half up to two decimals."""

    def to_representation(self, value: Any) -> float:  # type: ignore[override]  # a number in JSON
        return shown_average(value)


class RankField(serializers.IntegerField):
    """A rank, looked up by a score; the ranks are taken once for all films of an answer."""

    def get_attribute(self, instance: Any) -> int | None:
        score = cast("Decimal | None", super().get_attribute(instance))
        return ranks_for(self.context).of(score)


class NeighbourSerializer(CamelCaseSerializer):
    """A film next to another in the order of `rank`; reads its numbers."""

    id = serializers.IntegerField(source="movie_id")
    title = serializers.CharField(source="movie.title")
    score = serializers.FloatField()


class PriorSerializer(CamelCaseSerializer):
    """The imagined ratings that every film's score starts from."""

    mean = serializers.FloatField()
    weight = serializers.IntegerField()


class StandingSerializer(CamelCaseSerializer):
    """Why a film stands where it stands; reads its numbers."""

    rank = RankField(source="score", allow_null=True)
    score = serializers.FloatField(allow_null=True)
    average_rating = AverageField()
    rating_count = serializers.IntegerField()
    prior = PriorSerializer()
    above = NeighbourSerializer(allow_null=True)
    below = NeighbourSerializer(allow_null=True)


class TrailerURLField(StringField):
    """An http(s) address; kept, never fetched."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_URL_LENGTH, **kwargs)
        self.validators.append(
            URLValidator(schemes=["http", "https"], message="An http or https address is needed.")
        )


# What `movie_json` is made of: columns of a film and of its numbers.
SHOWN_COLUMNS = (
    "id",
    "title",
    "release_date",
    "synopsis",
    "trailer_url",
    "poster_id",
    "created_by_id",
    "created_at",
    "updated_at",
    "stats__average_rating",
    "stats__rating_count",
    "stats__review_count",
    "stats__score",
    *(f"stats__rating_{value}" for value in STARS),
)
shown_columns = attrgetter(*(column.replace("__", ".") for column in SHOWN_COLUMNS))


def movie_json(row: Sequence[Any], ranks: Ranks) -> dict[str, Any]:
    """Give the JSON of a film from its SHOWN_COLUMNS.

    A list makes up to a hundred of these. Made by a model and a serializer, each would take twenty
    times as long.
    """
    poster_id, score = row[5], row[12]
    return {
        "id": row[0],
        "title": row[1],
        "releaseDate": row[2],
        "synopsis": row[3],
        "trailerUrl": row[4],
        "posterMediaId": poster_id,
        "posterUrl": f"/media/{poster_id}" if poster_id else None,
        "createdBy": row[6],
        "createdAt": row[7],
        "updatedAt": row[8],
        "averageRating": shown_average(row[9]),
        "ratingCount": row[10],
        "reviewCount": row[11],
        "rank": ranks.of(score),
        "ratingDistribution": dict(zip(DISTRIBUTION_KEYS, row[13:], strict=True)),
    }


class MovieSerializer(CamelCaseModelSerializer[Movie]):
    """A film, with its numbers."""

    title = TextField(max_length=MAX_TITLE_LENGTH)
    release_date = ISODateField(allow_null=True, required=False)
    synopsis = TextField(max_length=MAX_SYNOPSIS_LENGTH, allow_blank=True, required=False)
    trailer_url = TrailerURLField(allow_null=True, required=False)
    poster_media_id = OwnImageField(
        source="poster", any_for_admin=True, allow_null=True, required=False
    )
    created_by = serializers.IntegerField(source="created_by_id", read_only=True, allow_null=True)
    average_rating = AverageField(source="stats.average_rating", read_only=True)
    rating_count = serializers.IntegerField(source="stats.rating_count", read_only=True)
    review_count = serializers.IntegerField(source="stats.review_count", read_only=True)
    rank = RankField(source="stats.score", read_only=True, allow_null=True)
    rating_distribution = DistributionField(source="stats")

    class Meta:
        model = Movie
        fields = (
            "id",
            "title",
            "release_date",
            "synopsis",
            "trailer_url",
            "poster_media_id",
            "poster_url",
            "created_by",
            "created_at",
            "updated_at",
            "average_rating",
            "rating_count",
            "review_count",
            "rank",
            "rating_distribution",
        )
        read_only_fields = ("id", "poster_url", "created_at", "updated_at")

    def to_representation(self, instance: Movie) -> dict[str, Any]:
        return movie_json(shown_columns(instance), ranks_for(self.context))
