"""Reviews of a film, and one review."""

from typing import cast

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from accounts.permissions import IsOwnerOrAdmin
from movies.models import Movie
from movieshelf.api.errors import Forbidden
from movieshelf.api.views import ApiView, ApiViewSet
from reviews.models import Review, ReviewQuerySet
from reviews.serializers import ReviewChangeSerializer, ReviewListParams, ReviewSerializer


class MovieReviewsView(ApiView):
    serializer_class = ReviewSerializer

    def get_queryset(self) -> ReviewQuerySet:
        viewer = cast("User | AnonymousUser", self.request.user)
        return Review.objects.filter(movie=self.kwargs["movie_id"]).visible_to(viewer)

    @extend_schema(parameters=[ReviewListParams])
    def get(self, request: Request, movie_id: int) -> Response:
        asked = ReviewListParams.parse(request)
        Movie.objects.require(movie_id)
        reviews = self.get_queryset().for_reading()
        in_order = reviews.oldest_first() if asked["sort"] == "oldest" else reviews.newest_first()
        page = self.paginate_queryset(in_order)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(responses={201: ReviewSerializer})
    def post(self, request: Request, movie_id: int) -> Response:
        Movie.objects.require(movie_id)
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        written = Review.objects.write(
            user=cast(User, request.user),
            movie_id=movie_id,
            content=asked.validated_data["content"],
        )
        review = Review.objects.for_reading().get(pk=written.pk)
        return Response(
            self.get_serializer(review).data,
            status=201,
            headers={"Location": f"/reviews/{review.pk}"},
        )


class ReviewViewSet(ApiViewSet):
    serializer_class = ReviewSerializer
    permission_classes = (IsOwnerOrAdmin,)
    owner_field = "user_id"

    def get_queryset(self) -> ReviewQuerySet:
        viewer = cast("User | AnonymousUser", self.request.user)
        return Review.objects.visible_to(viewer).for_reading()

    def retrieve(self, request: Request, pk: int) -> Response:
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=ReviewChangeSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        review = self.get_object()
        if "hidden" in request.data and not request.user.is_admin:
            raise Forbidden("Only an admin hides a review.")
        asked = ReviewChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        self.apply(review, asked.validated_data, by=cast(User, request.user))
        return self.retrieve(request, pk)

    def destroy(self, request: Request, pk: int) -> Response:
        self.get_object().delete()
        return Response(status=204)

    @staticmethod
    def apply(review: Review, changes: dict[str, object], *, by: User) -> None:
        """Edit, hide or show, whichever were asked, all or none."""
        with transaction.atomic():
            if "content" in changes:
                review.edit(cast(str, changes["content"]))
            if changes.get("hidden") is True:
                review.hide(by=by, reason=cast(str, changes.get("reason", "")))
            elif changes.get("hidden") is False:
                review.show()
