"""Another database than the test's own."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def pointed_at(name: str) -> Iterator[None]:
    """Let Django use another database of the same server."""
    before = connection.settings_dict["NAME"]

    def point(name: str) -> None:
        connection.close()
        connection.close_pool()
        connection.settings_dict["NAME"] = name

    point(name)
    try:
        yield
    finally:
        point(before)
