"""The rows of a list of films: a page of the columns that its JSON is made of.

Most pages are asked for by statements whose SQL is made once (movieshelf.api.statements).
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from movies.listing import MovieList, Scope, films_left
from movies.marks import BLOCK_FILMS, Span
from movies.models import Movie
from movies.orders import ORDERS
from movies.serializers import SHOWN_COLUMNS
from movieshelf.api.pagination import DEFAULT_PAGE_SIZE
from movieshelf.api.statements import Given, Row, given, remembered

# A usual page is about no one thing.
WHOLE_SHELF = 0
# Two blocks of films: what a page far out reads at most of its order, unless blocks have grown.
MIN_REACH = 2 * BLOCK_FILMS


class SpanKind(NamedTuple):
    """What the statement that walks a span depends on.

    How many values say where it starts and ends (one for each column of the order, or none), and
    how many films are read at most.
    """

    start_width: int
    end_width: int
    reach: int


class MovieRows:
    """A list of films as rows of SHOWN_COLUMNS; pages like a queryset."""

    def __init__(self, shelf: MovieList) -> None:
        self.shelf = shelf
        self.total = shelf.total

    def __getitem__(self, page: slice) -> Iterable[Row]:
        if self.shelf.has_usual(page):
            return usual_page(WHOLE_SHELF, self.shelf.sort, self.shelf.stars, page.start)
        if self.shelf.is_far_out(page):
            limit = page.stop - page.start
            return self.shelf.place_of(page).gather(limit, partial(self._rows_in, limit=limit))
        ids = self.shelf.ids(page)
        if ids is not None:
            return films_of(ids, self.shelf.sort)
        return self.shelf[page].values_list(*SHOWN_COLUMNS)

    def _rows_in(self, span: Span, skip: int, *, limit: int) -> list[Row]:
        shelf = self.shelf
        start, end = shelf.order.values(span.start), shelf.order.values(span.end)
        asked = {"skip": skip, "viewer": shelf.viewer.pk}
        asked |= {f"start{n}": value for n, value in enumerate(start)}
        asked |= {f"end{n}": value for n, value in enumerate(end)}
        # Rounded up, so that there are few kinds.
        reach = max(MIN_REACH, 1 << (skip + limit - 1).bit_length())
        span_kind = SpanKind(len(start), len(end), reach)
        return films_in_span(asked, shelf.sort, shelf.stars, shelf.scope, span_kind, limit)


@remembered
def usual_page(shelf: int, sort: str, stars: int, start: int) -> QuerySet[Movie, Row]:
    asked = {"q": "", "sort": sort, "stars": stars, "scope": Scope.ALL}
    films = MovieList(asked, AnonymousUser())[start : start + DEFAULT_PAGE_SIZE]
    return films.values_list(*SHOWN_COLUMNS)


@remembered
def films_of(ids: int, sort: str) -> QuerySet[Movie, Row]:
    """Give the rows of these films in this order."""
    return _shown("SELECT unnest(%s::bigint[])", [ids], sort)


@remembered
def films_in_span(
    asked: Any, sort: str, stars: int, scope: str, kind: SpanKind, limit: int
) -> QuerySet[Movie, Row]:
    """Give the rows of a page that begins after `skip` films of a span of its order.

    They are found on the order's index before any other row is read. PostgreSQL makes one plan for
    whatever is asked, once that seems to cost no more than a plan for each. It takes any OFFSET for
    a tenth of the rows, so it is told how few those are.
    """
    order = ORDERS[sort]
    start = [given(f"start{n}") for n in range(kind.start_width)]
    end = [given(f"end{n}") for n in range(kind.end_width)]
    only = films_left(order.model, sort=sort, stars=stars, scope=scope, viewer=given("viewer"))
    walked = order.between(start, end).filter(only).values("pk")[: kind.reach]
    sql, parameters = walked.query.sql_with_params()
    page = f"SELECT pk FROM ({sql}) walked LIMIT {limit} OFFSET %s"
    return _shown(page, [*parameters, Given("skip")], sort)


def _shown(ids: str, parameters: list[Any], sort: str) -> QuerySet[Movie, Row]:
    films = Movie.objects.with_stats().filter(pk__in=RawSQL(ids, parameters))
    return films.order_by(*ORDERS[sort].of_films()).values_list(*SHOWN_COLUMNS)
