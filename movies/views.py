"""Films: the shelf, one film, adding, editing and deleting."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, cast

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from accounts.models import User
from accounts.permissions import IsOwnerOrAdmin
from media.models import Media
from media.uploads import UPLOADS_IN_SHORT, UploadView
from movies.listing import MovieList, MovieListParams, MoviePagination
from movies.models import ROW_VERSIONS_OF, Movie, MovieQuerySet
from movies.ranking import current_ranks, ranks_for, still_gives
from movies.rows import MovieRows
from movies.serializers import (
    SHOWN_COLUMNS,
    MovieSerializer,
    StandingSerializer,
    movie_json,
)
from movies.versions import movie_etag
from movieshelf.api.conditional import (
    conditional_write,
    if_match_tags,
    is_known_to_client,
    says_version,
    says_where,
)
from movieshelf.api.errors import PreconditionFailed
from movieshelf.api.hot import Shown, may_be_kept
from movieshelf.api.idempotency import idempotent, takes_idempotency_key
from movieshelf.api.views import ApiView, ApiViewSet

SCORE = SHOWN_COLUMNS.index("stats__score")


class MovieViewSet(ApiViewSet):
    serializer_class = MovieSerializer
    pagination_class = MoviePagination
    permission_classes = (IsOwnerOrAdmin,)
    error_statuses: ClassVar = {"POST": (404, 409), "PATCH": (403, 409), "DELETE": (403,)}

    def get_queryset(self) -> MovieQuerySet:
        return Movie.objects.with_stats()

    @extend_schema(parameters=[MovieListParams])
    def list(self, request: Request) -> Response:
        """List films.

        Filtered by part of a title (`q`), by stars and by who added them, in one of six orders.
        Where no title contains `q`, the closest titles are offered, and `fuzzy` is true.
        """
        shelf = MovieList(MovieListParams.parse(request), request.user)
        page = self.paginate_queryset(MovieRows(shelf))  # type: ignore[arg-type]  # slices like a queryset
        rows, ranks = cast(list[Any], page), current_ranks()
        films = [movie_json(row, ranks) for row in rows]
        answer = self.get_paginated_response(films)
        if shelf.is_fuzzy:
            answer.data["fuzzy"] = True
        shown = {row[SCORE]: film["rank"] for row, film in zip(rows, films, strict=True)}
        return may_be_kept(answer, Shown(is_current=partial(still_gives, shown)))

    def retrieve(self, request: Request, pk: int) -> Response:
        """Get a film.

        With its numbers as they are now; only `rank` may lag by up to five seconds.
        """
        movie = Movie.objects.read(pk)
        answer = self.answer(movie, status=200)
        if answer.status_code == 304:
            return answer
        return may_be_kept(answer, what_shows(movie, rank=answer.data["rank"]))

    @takes_idempotency_key
    @says_where
    @says_version
    def create(self, request: Request) -> Response:
        """Add a film.

        A title that is taken is 409, with the `movieId` that has it: titles are compared without
        case, spaces and how an accent is encoded. Remakes carry their year, `Dune (2021)`.
        """
        asked = self.asked(data=request.data)
        return self.add({**asked.validated_data, "created_by": request.user})

    @idempotent
    def add(self, fields: dict[str, Any]) -> Response:
        movie = Movie.objects.create(**fields)
        return self.answer(movie, status=201, headers={"Location": f"/movies/{movie.pk}"})

    @conditional_write
    @says_version
    def partial_update(self, request: Request, pk: int) -> Response:
        """Edit a film.

        For whoever added it, and admins. With `If-Match`, only where it was not edited since;
        ratings and reviews are no edit.
        """
        movie = self.get_object()
        asked = self.asked(movie, data=request.data, partial=True)
        moderator = cast(User, request.user).as_moderator_of(movie.created_by_id)
        movie = movie.edit(if_match=if_match_tags(request), by=moderator, **asked.validated_data)
        return self.answer(movie, status=200)

    @conditional_write
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a film.

        For whoever added it, and admins. Its ratings and reviews go with it.
        """
        movie = self.get_object()
        moderator = cast(User, request.user).as_moderator_of(movie.created_by_id)
        movie.delete(if_match=if_match_tags(request), by=moderator)
        return Response(status=204)

    def handle_exception(self, exc: Exception) -> Response:
        """Tell whose `If-Match` is out of date which version there is now."""
        if isinstance(exc, PreconditionFailed):
            movie = self.get_queryset().filter(pk=self.kwargs["pk"]).first()
            if movie is not None:
                exc.headers["ETag"] = self.etag(movie, self.get_serializer_context())
        return super().handle_exception(exc)

    def etag(self, movie: Movie, context: Mapping[str, Any]) -> str:
        return movie_etag(movie, ranks_for(context).of(movie.stats.score))

    def asked(self, *args: Any, **kwargs: Any) -> BaseSerializer[Movie]:
        serializer = self.get_serializer(*args, **kwargs)
        serializer.is_valid(raise_exception=True)
        return cast("BaseSerializer[Movie]", serializer)

    def answer(
        self, movie: Movie, *, status: int, headers: dict[str, str] | None = None
    ) -> Response:
        """Show a film with the ETag of exactly what is shown; a 304 to whom it is no news."""
        context = self.get_serializer_context()
        etag = self.etag(movie, context)
        headers = {"ETag": etag, **(headers or {})}
        if self.action == "retrieve" and is_known_to_client(self.request, etag):
            return Response(status=304, headers=headers)
        return Response(MovieSerializer(movie, context=context).data, status, headers=headers)


def what_shows(movie: Movie, *, rank: int | None) -> Shown:
    """Say what an answer shows of a film: its rows as they are, and its rank."""
    return Shown(
        question=ROW_VERSIONS_OF,
        parameters=(movie.pk,),
        answer=(movie.row_versions,),
        is_current=partial(still_gives, {movie.stats.score: rank}),
    )


@extend_schema_view(
    post=extend_schema(
        operation_id="uploadMoviePoster",
        summary="Upload a film's poster",
        description="For whoever added the film, and admins. " + UPLOADS_IN_SHORT,
    )
)
class PosterView(UploadView):
    queryset = Movie.objects.all()
    error_statuses: ClassVar = {"POST": (403,)}
    permission_classes = (IsAuthenticated, IsOwnerOrAdmin)

    def show(self, thing: Movie, media: Media) -> None:
        moderator = cast(User, self.request.user).as_moderator_of(thing.created_by_id)
        thing.edit(poster=media, by=moderator)


class MovieRankView(ApiView):
    """Why a film stands where it stands."""

    queryset = Movie.objects.with_stats()
    serializer_class = StandingSerializer

    def get(self, request: Request, pk: int) -> Response:
        """Get why a film stands where it stands.

        Its score, what scores start from, and the films above and below it.
        """
        return Response(self.get_serializer(self.get_object().stats).data)
