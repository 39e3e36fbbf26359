"""The JSON of a film, in and out."""

from decimal import Decimal
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
    MovieStats,
    shown_average,
)
from movies.ranking import ranks_for
from movieshelf.api.fields import ISODateField, StringField, TextField
from movieshelf.api.serializers import CamelCaseModelSerializer, CamelCaseSerializer

DISTRIBUTION_SCHEMA = {
    "type": "object",
    "required": [str(value) for value in STARS],
    "properties": {str(value): {"type": "integer", "minimum": 0} for value in STARS},
}


@extend_schema_field(DISTRIBUTION_SCHEMA)
class DistributionField(serializers.ReadOnlyField):
    """How many ratings of each value; reads the film's numbers."""

    def to_representation(self, value: MovieStats) -> dict[str, int]:
        return value.distribution


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
