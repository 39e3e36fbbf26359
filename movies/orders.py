"""The orders of the shelf: what each sorts by, and walking its index from anywhere."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import models
from django.db.models import F, Q
from django.db.models.fields.tuple_lookups import (
    Tuple,
    TupleGreaterThan,
    TupleLessThanOrEqual,
)
from django.db.models.functions import Coalesce

from movies.marks import THOUSANDTHS, Key, Place
from movies.models import (
    AVERAGE_DECIMALS,
    EARLIEST_RELEASE,
    LATEST_RELEASE,
    UNRATED_LAST,
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
    return Coalesce(f"{on}score", UNRATED_LAST)


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

    def walk(self, place: Place, limit: int, only: Q) -> list[int]:
        """Give the ids of a page's films, found from its place on; `only` is of the model."""
        ids: list[int] = []
        skip = place.skip
        for start, end in place.spans:
            here = self._between(start, end).filter(only)
            ids += here.values_list("pk", flat=True)[skip : skip + limit - len(ids)]
            if len(ids) >= limit:
                break
            skip = 0
        return ids

    def _between(self, start: Key, end: Key | None) -> Any:
        rows = self.model._default_manager.order_by(*self._downwards())
        key = Tuple(*self._columns())
        if start:
            rows = rows.filter(TupleLessThanOrEqual(key, self._values(start)))
        if end:
            rows = rows.filter(TupleGreaterThan(key, self._values(end)))
        return rows

    def _columns(self) -> list[Any]:
        return [*(part.expression for part in self.parts), F("created_at"), F("pk")]

    def _downwards(self) -> list[Any]:
        return [column.desc() for column in self._columns()]

    def _values(self, key: Key) -> tuple[Any, ...]:
        """Give the values of the columns that a key of movies.marks stands for."""
        *heads, created_at, pk = key
        values = [part.value(-head) for part, head in zip(self.parts, heads, strict=True)]
        return (*values, EPOCH + timedelta(microseconds=-created_at), -pk)


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
