"""What was asked of the database, told apart by whether it touched the bytes of an image."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.test.utils import CaptureQueriesContext

BYTES = ('"media_media"."data"', '"media_derivative"."data"')


@contextmanager
def asked() -> Iterator[list[str]]:
    """Collect the statements of the block."""
    statements: list[str] = []
    with CaptureQueriesContext(connection) as queries:
        yield statements
    statements += [query["sql"] for query in queries.captured_queries]


def touching_bytes(statements: list[str]) -> list[str]:
    return [sql for sql in statements if any(column in sql for column in BYTES)]
