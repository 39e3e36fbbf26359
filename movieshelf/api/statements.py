"""Statements of the hottest paths, made once: their SQL here, their plan in PostgreSQL.

Django makes the SQL of a queryset anew each time, which takes longer than PostgreSQL needs for the
answer, and writes the parameters into the text, so that PostgreSQL plans it anew. What stands here
is made once, and each connection prepares it once, its parameters beside it.
"""

import functools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections, models, router
from django.db.backends.utils import CursorWrapper
from django.db.models.expressions import RawSQL

Parameters = Sequence[Any] | Mapping[str, Any]
Row = tuple[Any, ...]
# For an id that is not known yet; no sequence comes so far.
STAND_IN = 2**62
MAX_KINDS = 200
# A common table expression: whoever joins it waits for locks no longer than `lock_timeout` says, as
# PostgreSQL writes it, or as long as always where it is None. It holds until the transaction ends.
PATIENCE = """
    patience AS MATERIALIZED (
        SELECT set_config(
            'lock_timeout', coalesce(%(lock_timeout)s, current_setting('lock_timeout')), true
        )
    )
"""


class Given(NamedTuple):
    """Stands in a remembered statement for a value that each call gives by this name."""

    name: str


def given(name: str) -> RawSQL:
    """Give what stands in a queryset for such a value."""
    return RawSQL("%s", [Given(name)])


def reading_cursor(model: type[models.Model]) -> CursorWrapper:
    """Give a cursor to where a query of this model would read from: perhaps a replica."""
    return connections[router.db_for_read(model)].cursor()


def fetch_one(sql: str, parameters: Parameters, *, using: str = DEFAULT_DB_ALIAS) -> Row | None:
    """Run one statement and give its first row, None where it has none.

    It counts and is logged like any other of Django's, and raises Django's database errors.
    """
    with _executed(sql, parameters, using) as cursor:
        row: Row | None = cursor.fetchone()
    return row


def fetch_all(sql: str, parameters: Parameters, *, using: str = DEFAULT_DB_ALIAS) -> list[Row]:
    """Run one statement and give all its rows, as `fetch_one` does."""
    with _executed(sql, parameters, using) as cursor:
        rows: list[Row] = cursor.fetchall()
    return rows


@contextmanager
def _executed(sql: str, parameters: Parameters, using: str) -> Iterator[Any]:
    connection = connections[using]
    connection.ensure_connection()
    raw = psycopg.Cursor(connection.connection)
    wrapped = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    with wrapped(raw) as cursor:  # type: ignore[arg-type]  # the stubs want it wrapped already
        cursor.execute(sql, parameters)
        yield cursor


def remembered(
    build: Callable[..., models.QuerySet[Any, Row]],
) -> Callable[..., list[Row]]:
    """Have the SQL of a queryset made once for each kind, and give the rows.

    Decorates a function that gives a queryset of tuples (`values_list`) about one thing. The first
    argument is the id of the thing (or a list of ids, in SQL an array), and the only value that may
    differ from call to call; the others say which kind of question it is, so there must be few:

        @remembered
        def latest(movie_id: int, limit: int) -> models.QuerySet[Review, Row]:
            return Review.objects.filter(movie=movie_id)[:limit].values_list("id", "content")

        rows = latest(7, 20)

    Where several values differ, the first argument is a mapping of them, and the queryset has a
    `given(name)` for each.

    What a field would convert in Python (`from_db_value`) comes as it is stored.
    """

    @functools.lru_cache(maxsize=MAX_KINDS)
    def made(*kind: Hashable) -> tuple[type[models.Model], str, tuple[Any, ...]]:
        queryset = build(STAND_IN, *kind)
        return queryset.model, *queryset.query.sql_with_params()

    @functools.wraps(build)
    def ask(about: int | Sequence[int] | Mapping[str, Any], *kind: Hashable) -> list[Row]:
        model, sql, parameters = made(*kind)
        values = [_filled(value, about) for value in parameters]
        return fetch_all(sql, values, using=router.db_for_read(model))

    return ask


def _filled(value: Any, about: Any) -> Any:
    if isinstance(value, Given):
        return about[value.name]
    return about if value == STAND_IN else value
