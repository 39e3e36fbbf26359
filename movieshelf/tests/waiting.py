"""Looking into the database for somebody who waits."""

import time

from django.db import connection


def until_somebody_waits(*, at_least: int = 1) -> None:
    """Return once another connection, or more, is held up by a lock or waits to try again."""
    for _ in range(500):
        with connection.cursor() as cursor:
            # Within a transaction the view would stay as it was first seen.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT FROM pg_stat_activity"
                " WHERE datname = current_database()"
                " AND (wait_event_type = 'Lock' OR wait_event = 'PgSleep')"
            )
            if cursor.rowcount >= at_least:
                return
        time.sleep(0.01)
    raise AssertionError("Nobody waits.")
