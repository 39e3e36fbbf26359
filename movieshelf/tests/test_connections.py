"""What waits in the pool, and what PostgreSQL does to it meanwhile."""

import psycopg
import pytest
from django.db import connection, connections

from movieshelf.postgresql.base import connect, is_closed
from movieshelf.tests.client import ApiClient
from movieshelf.tests.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def end_all_others() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def ask() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return int(cursor.fetchone()[0])


def test_a_pool_whose_connections_were_ended_goes_on_at_once(api: ApiClient) -> None:
    """Each request of a restart would wait seconds for the pool, and then be told 503."""
    pool = connection.pool
    assert at_once(*[ask] * pool.max_size) == [1] * pool.max_size
    end_all_others()
    connections.close_all()

    answers = at_once(*[ask] * pool.max_size)

    assert answers == [1] * pool.max_size
    assert pool.get_stats()["returns_bad"] > 0


def test_a_pool_does_not_pause_for_longer_than_somebody_waits_for_it() -> None:
    """Else an outage of 40 seconds is one of 55: benchmarks/faults.py has it for real."""
    pool = connection.pool

    assert pool.reconnect_timeout == pool.timeout == 5


def test_a_connection_that_was_ended_is_known_without_asking() -> None:
    with connection.pool.connection() as one:
        assert not is_closed(one)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [one.info.backend_pid])
        assert is_closed(one)


def test_a_connection_of_one_s_own_prepares_nothing_however_often_it_asks_the_same() -> None:
    """What looks at the replica would take one behind PgBouncer for gone, now and then."""
    with connect(psycopg.Connection, "default") as own:
        for _ in range(7):
            own.execute("SELECT 1")

        assert own.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
