"""Looking into the database for somebody who waits."""

import time

from django.db import connection


def until_somebody_waits() -> None:
    """Return once another connection to the test database is held up by a lock."""
    for _ in range(500):
        with connection.cursor() as cursor:
            # Within a transaction the view would stay as it was first seen.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.rowcount:
                return
        time.sleep(0.01)
    raise AssertionError("Nobody waits.")
