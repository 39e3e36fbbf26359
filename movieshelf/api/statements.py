"""Statements of the hottest paths, in SQL, whose plan PostgreSQL remembers."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections


def fetch_one(
    sql: str, parameters: Sequence[Any] | Mapping[str, Any], *, using: str = DEFAULT_DB_ALIAS
) -> tuple[Any, ...] | None:
    """Run one statement and give its first row, None where it has none.

    Django writes the parameters into the text, so PostgreSQL would plan it anew each time. Here
    they go beside it, and each connection prepares it once. It counts and is logged like any other
    of Django's, and raises Django's database errors.
    """
    connection = connections[using]
    connection.ensure_connection()
    raw = psycopg.Cursor(connection.connection)
    wrapped = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    with wrapped(raw) as cursor:  # type: ignore[arg-type]  # the stubs want it wrapped already
        cursor.execute(sql, parameters)
        row: tuple[Any, ...] | None = cursor.fetchone()
    return row
