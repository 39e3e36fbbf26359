"""The JSON of a rating, in and out."""

from typing import Any

from rest_framework import serializers

from movies.models import STARS, shown_average
from movies.serializers import AverageField, DistributionField
from movieshelf.api.fields import WholeNumberField
from movieshelf.api.serializers import CamelCaseModelSerializer
from ratings.models import Rating

NUMBERS = ("average_rating", "rating_count", "rating_distribution")


class RatingSerializer(CamelCaseModelSerializer[Rating]):
    """One's own rating of a film."""

    value = WholeNumberField(min_value=min(STARS), max_value=max(STARS))
    movie_id = serializers.IntegerField(read_only=True)
    user_id = serializers.IntegerField(read_only=True)

    class Meta:
        model = Rating
        fields: tuple[str, ...] = ("id", "movie_id", "user_id", "value", "created_at", "updated_at")
        read_only_fields = ("id", "created_at", "updated_at")


class RatedSerializer(RatingSerializer):
    """A rating just given, with the film's numbers right after it."""

    average_rating = AverageField(source="stats.average_rating", read_only=True)
    rating_count = serializers.IntegerField(source="stats.rating_count", read_only=True)
    rating_distribution = DistributionField(source="stats")

    class Meta(RatingSerializer.Meta):
        fields = (*RatingSerializer.Meta.fields, *NUMBERS)

    def to_representation(self, instance: Rating) -> dict[str, Any]:
        return rated_json(instance)


def rated_json(rating: Rating) -> dict[str, Any]:
    """Give the JSON of a rating just given, as RatedSerializer describes it."""
    return {
        "id": rating.pk,
        "movieId": rating.movie_id,
        "userId": rating.user_id,
        "value": rating.value,
        "createdAt": rating.created_at,
        "updatedAt": rating.updated_at,
        "averageRating": shown_average(rating.stats.average_rating),
        "ratingCount": rating.stats.rating_count,
        "ratingDistribution": rating.stats.distribution,
    }
