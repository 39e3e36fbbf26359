"""Looking into the database for somebody who waits."""

import time

from django.db import connection

SOMEBODY = "wait_event_type = 'Lock' OR wait_event = 'PgSleep'"
FOR_THIS_CONNECTION = "pg_backend_pid() = ANY (pg_blocking_pids(pid))"


def until_somebody_waits(*, at_least: int = 1) -> None:
    """Return once another connection, or more, is held up by a lock or waits to try again."""
    _until(SOMEBODY, at_least)


def until_somebody_waits_for_us() -> None:
    """Return once another connection is held up by a lock of this one's transaction."""
    _until(FOR_THIS_CONNECTION, 1)


def _until(condition: str, at_least: int) -> None:
    for _ in range(500):
        with connection.cursor() as cursor:
            # Within a transaction the view would stay as it was first seen.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                f"SELECT FROM pg_stat_activity WHERE datname = current_database() AND ({condition})"
            )
            if cursor.rowcount >= at_least:
                return
        time.sleep(0.01)
    raise AssertionError("Nobody waits.")
