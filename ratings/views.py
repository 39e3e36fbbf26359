"""One's own rating of a film."""

from typing import cast

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from movies.models import Movie
from movieshelf.api.views import ApiView
from ratings.models import Rating, RatingQuerySet
from ratings.serializers import RatedSerializer, RatingSerializer, rated_json


class MovieRatingView(ApiView):
    serializer_class = RatingSerializer
    permission_classes = (IsAuthenticated,)
    lookup_url_kwarg = "movie_id"
    lookup_field = "movie_id"
    personal = True

    def get_queryset(self) -> RatingQuerySet:
        return Rating.objects.of(cast(User, self.request.user))

    def get(self, request: Request, movie_id: int) -> Response:
        """Get one's own rating of a film.

        404 where one has not rated it.
        """
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(operation_id="rateMovie", responses=RatedSerializer)
    def put(self, request: Request, movie_id: int) -> Response:
        """Rate a film.

        Replaces an earlier rating. The answer has the film's numbers as they are right after it.
        """
        try:
            asked = self.get_serializer(data=request.data)
            asked.is_valid(raise_exception=True)
        except APIException:
            # A film that is not there comes before a body that is not right.
            Movie.objects.require(movie_id)
            raise
        rating = Rating.objects.rate(
            user=cast(User, request.user), movie_id=movie_id, value=asked.validated_data["value"]
        )
        return Response(rated_json(rating))

    @extend_schema(operation_id="unrateMovie")
    def delete(self, request: Request, movie_id: int) -> Response:
        """Take one's rating of a film back.

        404 where there is none.
        """
        Rating.objects.unrate(user=cast(User, request.user), movie_id=movie_id)
        return Response(status=204)
