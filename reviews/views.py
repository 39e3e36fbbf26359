"""Reviews of a film, and one review."""

from typing import Any, ClassVar, cast

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from accounts.permissions import IsOwnerOrAdmin
from movies.models import Movie
from movieshelf.api.conditional import (
    conditional_write,
    etag_of,
    require_match,
    says_version,
    says_where,
)
from movieshelf.api.errors import Forbidden
from movieshelf.api.hot import may_be_kept
from movieshelf.api.idempotency import idempotent, takes_idempotency_key
from movieshelf.api.rendering import to_json
from movieshelf.api.views import ApiView, ApiViewSet
from reviews.listing import ReviewList, ReviewListParams
from reviews.models import Review, ReviewQuerySet
from reviews.serializers import ReviewChangeSerializer, ReviewSerializer, review_json


class MovieReviewsView(ApiView):
    queryset = Review.objects.all()
    serializer_class = ReviewSerializer

    @extend_schema(parameters=[ReviewListParams], responses=ReviewSerializer(many=True))
    def get(self, request: Request, movie_id: int) -> Response:
        """List a film's reviews.

        Hidden ones are seen by their authors and admins alone.
        """
        reviews = ReviewList(movie_id, request.user)
        reviews.sorted_by(ReviewListParams.parse(request)["sort"])
        page = self.paginate_queryset(reviews)  # type: ignore[arg-type]  # slices like a queryset
        rows = cast(list[Any], page)
        answer = self.get_paginated_response([review_json(row, request.user) for row in rows])
        return may_be_kept(answer, reviews.shown)

    @takes_idempotency_key
    @says_where
    @says_version
    @extend_schema(responses={201: ReviewSerializer})
    def post(self, request: Request, movie_id: int) -> Response:
        """Review a film.

        Plain text: HTML is removed, text that only looks like it (`I <3 this`) stays to the letter.
        A member may review a film more than once.
        """
        try:
            asked = self.get_serializer(data=request.data)
            asked.is_valid(raise_exception=True)
        except APIException:
            # A film that is not there comes before a body that is not right.
            Movie.objects.require(movie_id)
            raise
        return self.write(movie_id=movie_id, **asked.validated_data)

    @idempotent
    def write(self, *, movie_id: int, content: str) -> Response:
        user = cast(User, self.request.user)
        review = Review.objects.write(user=user, movie_id=movie_id, content=content)
        return shown(self.get_serializer(review).data, 201, Location=f"/reviews/{review.pk}")


class ReviewViewSet(ApiViewSet):
    serializer_class = ReviewSerializer
    permission_classes = (IsOwnerOrAdmin,)
    error_statuses: ClassVar = {"PATCH": (403,), "DELETE": (403,)}
    owner_field = "user_id"

    def get_queryset(self) -> ReviewQuerySet:
        return Review.objects.visible_to(self.request.user).for_reading()

    def retrieve(self, request: Request, pk: int) -> Response:
        """Get a review."""
        return may_be_kept(Response(self.get_serializer(self.get_object()).data))

    @conditional_write
    @says_version
    @extend_schema(request=ReviewChangeSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Edit, hide or show a review.

        `content` by its author or an admin; `hidden` and its `reason` by admins only. With
        `If-Match`, only where it is still shown as it was then.
        """
        review, editor = self.get_object(), cast(User, request.user)
        if "hidden" in request.data and not editor.is_admin:
            raise Forbidden("Only an admin hides a review.")
        asked = ReviewChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        review.change(by=editor, require=self.require_match, **asked.validated_data)
        return shown(self.get_serializer(self.get_object()).data)

    @conditional_write
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a review.

        For its author, and admins. The film counts one less in the same moment.
        """
        review = self.get_object()
        moderator = cast(User, request.user).as_moderator_of(review.user_id)
        review.delete(by=moderator, require=self.require_match)
        return Response(status=204)

    def require_match(self) -> None:
        """Raise PreconditionFailed where the review is not shown any more as If-Match has it."""
        if "If-Match" in self.request.headers:
            now = self.get_serializer(self.get_object()).data
            require_match(self.request, etag_of(to_json(now)))


def shown(review: Any, status: int = 200, **headers: str) -> Response:
    """Answer a change with the review, and with the ETag that reading it gives."""
    return Response(review, status, headers={"ETag": etag_of(to_json(review)), **headers})
