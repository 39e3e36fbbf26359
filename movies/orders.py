"""The orders of the shelf: what each sorts by, and walking its index from anywhere."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import models
from django.db.models import F, Q
from django.db.models.expressions import RawSQL
from django.db.models.fields.tuple_lookups import (
    Tuple,
    TupleGreaterThan,
    TupleLessThanOrEqual,
)
from django.db.models.functions import Coalesce

from movies.marks import THOUSANDTHS, Key, Place, Span
from movies.models import (
    AVERAGE_DECIMALS,
    EARLIEST_RELEASE,
    LATEST_RELEASE,
    Movie,
    MovieStats,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Part(NamedTuple):
    """What an order sorts by before the day of upload, from the greatest down."""

    expression: Any
    # The value of the expression that a whole number of a key stands for.
    value: Callable[[int], Any]


def _score(on: str) -> Any:
    """Give the score with the unrated last, as the index has it (`models.UNRATED_LAST`).

    Written out: as a parameter it would hide the index from a plan that is made for any parameters.
    """
    return Coalesce(f"{on}score", RawSQL("-1", []))


class Order(NamedTuple):
    """One order, which is one index of the films or of their numbers, read downwards."""

    model: type[models.Model]
    parts: Sequence[Part] = ()
    # The same as the films' queryset calls it, where the index is that of the numbers.
    joined: Sequence[Any] = ()

    def of_films(self) -> Sequence[Any]:
        """Give what a queryset of films is ordered by."""
        if self.model is Movie:
            return self._downwards()
        newest = (F("stats__created_at"), F("stats__movie"))
        return [part.desc() for part in (*self.joined, *newest)]

    def ids(self, place: Place, limit: int, only: Q) -> list[int]:
        """Give the ids of a page's films, found from its place on; `only` is of the model."""

        def ids_in(span: Span, skip: int) -> Any:
            films = self.between(self.values(span.start), self.values(span.end)).filter(only)
            return films.values_list("pk", flat=True)[skip : skip + limit]

        return place.gather(limit, ids_in)

    def numbers(self) -> Any:
        """Give all films' numbers in this order: all that any order sorts by is in them."""
        return MovieStats.objects.order_by(*self._downwards())

    def before(self, place: Key) -> Any:
        """Give the films' numbers that stand before a place, in no order."""
        key = Tuple(*self._columns())
        return MovieStats.objects.filter(TupleGreaterThan(key, self.values(place)))

    def between(self, start: Sequence[Any], end: Sequence[Any]) -> Any:
        """Give the rows from one place on up to another, each the values of the columns, or none.

        A place may stand in for what is given later (movieshelf.api.statements).
        """
        rows = self.model._default_manager.order_by(*self._downwards())
        key = Tuple(*self._columns())
        if start:
            rows = rows.filter(TupleLessThanOrEqual(key, tuple(start)))
        if end:
            rows = rows.filter(TupleGreaterThan(key, tuple(end)))
        return rows

    def values(self, key: Key | None) -> tuple[Any, ...]:
        """Give the values of the columns that a key of movies.marks stands for."""
        if not key:
            return ()
        *heads, created_at, pk = key
        values = [part.value(-head) for part, head in zip(self.parts, heads, strict=True)]
        return (*values, EPOCH + timedelta(microseconds=-created_at), -pk)

    def _columns(self) -> list[Any]:
        return [*(part.expression for part in self.parts), F("created_at"), F("pk")]

    def _downwards(self) -> list[Any]:
        return [column.desc() for column in self._columns()]


ORDERS: dict[str, Order] = {
    "uploaded_desc": Order(Movie),
    "reviews_desc": Order(MovieStats, (Part(F("review_count"), int),), (F("stats__review_count"),)),
    "rating_desc": Order(
        MovieStats,
        (
            Part(F("average_rating"), lambda n: Decimal(n).scaleb(-AVERAGE_DECIMALS)),
            Part(F("rating_count"), int),
        ),
        (F("stats__average_rating"), F("stats__rating_count")),
    ),
    "release_desc": Order(Movie, (Part(LATEST_RELEASE, int),)),
    "release_asc": Order(Movie, (Part(EARLIEST_RELEASE, int),)),
    "rank": Order(
        MovieStats,
        (Part(_score(""), lambda n: Decimal(n) / THOUSANDTHS),),
        (_score("stats__"),),
    ),
}
