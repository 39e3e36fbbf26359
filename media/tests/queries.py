"""What was asked of the database, told apart by whether it touched the bytes of an image."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from django.db import connection
from django.test.utils import CaptureQueriesContext

from media.models import Picture

BYTES = ('"media_media"."data"', '"media_derivative"."data"', "SELECT data FROM")


@contextmanager
def asked() -> Iterator[list[str]]:
    """Collect the statements of the block, those that go past Django's cursors too."""
    statements: list[str] = []
    read_bytes = Picture.read_bytes

    def noted(picture: Picture) -> bytes:
        if "data" in picture.get_deferred_fields():
            statements.append(f"SELECT data FROM {picture._meta.db_table}")
        return read_bytes(picture)

    with CaptureQueriesContext(connection) as queries, patch.object(Picture, "read_bytes", noted):
        yield statements
    statements += [query["sql"] for query in queries.captured_queries]


def touching_bytes(statements: list[str]) -> list[str]:
    return [sql for sql in statements if any(column in sql for column in BYTES)]
