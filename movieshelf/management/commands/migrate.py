"""`manage.py migrate`: Django's, with the time that an index of a large table takes.

A statement may take as long as it needs, since what it does beside traffic holds up nobody
(`CONCURRENTLY`); but it waits for a lock no longer than a request does (DATABASE_LOCK_TIMEOUT_MS).
Whoever waits for a lock on a table makes all others wait behind them: better to fail, and to run it
again in a quieter moment, than to stop the shelf.
"""

from typing import Any

from django.core.management.commands import migrate
from django.db import connections


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
        super().handle(*args, **options)
        with connection.cursor() as cursor:
            cursor.execute("RESET statement_timeout")
