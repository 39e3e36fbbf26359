"""All of one's own ratings, latest change first, or those of the films on a page."""

from typing import Any, cast

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from movies.models import STARS, Movie
from movieshelf.api.fields import StringField
from movieshelf.api.pagination import MAX_PAGE_SIZE, PageParams, page_body
from movieshelf.api.serializers import CamelCaseModelSerializer
from movieshelf.api.views import ApiView
from movieshelf.converters import MAX_BIGINT
from ratings.models import Rating, RatingQuerySet

ONE_ID = "[0-9]{1,19}"
SHOWN_COLUMNS = ("movie_id", "value", "created_at", "updated_at")


class MovieIdsField(StringField):
    """Up to a hundred ids of films, separated by commas."""

    default_error_messages = {  # noqa: RUF012  # DRF's way
        "ids": "Whole numbers separated by commas are needed.",
        "too_many": "At most {limit} ids are taken at once.",
    }

    def to_internal_value(self, data: Any) -> set[int]:  # type: ignore[override]  # from text to ids
        given = super().to_internal_value(data).split(",")
        if len(given) > MAX_PAGE_SIZE:
            self.fail("too_many", limit=MAX_PAGE_SIZE)
        if not all(digits.isascii() and digits.isdigit() and len(digits) < 20 for digits in given):
            self.fail("ids")
        # Beyond 64 bits there is no film, and nothing that the database could be asked.
        return {int(digits) for digits in given if int(digits) <= MAX_BIGINT}


class OwnRatingsParams(PageParams):
    movie_ids = MovieIdsField(required=False)


class RatedMovieSerializer(CamelCaseModelSerializer[Movie]):
    """As much of a film as a list of ratings shows."""

    class Meta:
        model = Movie
        fields = ("id", "title", "poster_url")


class OwnRatingSerializer(CamelCaseModelSerializer[Rating]):
    """One's own rating, with as much of the film as a list shows."""

    value = serializers.IntegerField(min_value=min(STARS), max_value=max(STARS), read_only=True)
    movie_id = serializers.IntegerField(read_only=True)
    movie = RatedMovieSerializer(read_only=True)

    class Meta:
        model = Rating
        fields = ("id", "movie_id", "value", "created_at", "updated_at", "movie")


class OwnRatingsView(ApiView):
    """One's own ratings."""

    serializer_class = OwnRatingSerializer
    permission_classes = (IsAuthenticated,)
    personal = True

    def get_queryset(self) -> RatingQuerySet:
        ratings = Rating.objects.of(cast(User, self.request.user)).select_related("movie")
        shown = ratings.only(*SHOWN_COLUMNS, "movie__title", "movie__poster")
        return shown.order_by("-updated_at", "-pk")

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "movieIds",
                {"type": "string", "pattern": f"^{ONE_ID}(,{ONE_ID}){{0,{MAX_PAGE_SIZE - 1}}}$"},
                description="Ids of films, separated by commas: only these, on one page.",
            )
        ],
        responses=OwnRatingSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        """List one's own ratings.

        The latest change stands first.
        """
        asked = OwnRatingsParams.parse(request)
        if "movie_ids" in asked:
            ratings = self.get_queryset().filter(movie__in=asked["movie_ids"])
            items = self.get_serializer(ratings, many=True).data
            return Response(page_body(list(items), 1, MAX_PAGE_SIZE, len(items)))
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)
