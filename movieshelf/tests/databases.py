"""Another database than the test's own."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def empty_database() -> Iterator[str]:
    """Have a new database, for as long as the block lasts; give its name."""
    name = f"{connection.settings_dict['NAME']}_elsewhere"
    with connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    try:
        yield name
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


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
