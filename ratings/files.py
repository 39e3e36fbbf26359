"""One's own ratings as a file, which `POST /imports` reads back in."""

from collections.abc import Iterator
from typing import Any, cast

from django.http import FileResponse
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from accounts.models import User
from movies.matching import year_of
from movieshelf.api.spreadsheets import CSV_ANSWER, CSVRenderer, csv_file
from movieshelf.api.views import ApiView
from ratings.models import Rating

HEADER = ("movieId", "title", "year", "value", "createdAt", "updatedAt")
ROWS_AT_ONCE = 1_000


class OwnRatingsFileView(ApiView):
    """One's own ratings, all of them, for a spreadsheet or another shelf."""

    permission_classes = (IsAuthenticated,)
    renderer_classes = (CSVRenderer,)
    is_download = True
    personal = True

    @extend_schema(operation_id="getMyRatingsFile", responses=CSV_ANSWER, tags=["users"])
    def get(self, request: Request) -> FileResponse:
        """Download one's own ratings.

        A CSV file, the latest change first; `POST /imports` reads it back in.
        """
        return csv_file("ratings.csv", HEADER, lines(cast(User, request.user)))


def lines(user: User) -> Iterator[tuple[Any, ...]]:
    """Give a member's ratings, the latest change first."""
    ratings = (
        Rating.objects.of(user)
        .order_by("-updated_at", "-pk")
        .values_list(
            "movie_id", "movie__title", "movie__release_date", "value", "created_at", "updated_at"
        )
    )
    for movie_id, title, released, value, created_at, updated_at in ratings.iterator(ROWS_AT_ONCE):
        yield movie_id, title, year_of(title, released), value, created_at, updated_at
