"""A database that took the question and does not answer (row 152)."""

import time

import psycopg
import pytest
from django.db import OperationalError, connection

from movieshelf.patience import PatientConnection, patient


def asking(sql: str):
    """A WSGI application that asks the database one thing."""

    def application(environ, start_response):
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return [str(cursor.fetchone()[0]).encode()]

    return application


def ask(sql: str, seconds: float) -> list[bytes]:
    return list(patient(asking(sql), seconds=seconds)({}, lambda *given: None))


@pytest.mark.django_db(transaction=True)
def test_a_request_gives_up_a_question_that_is_not_answered_and_the_next_one_is():
    started = time.monotonic()

    with pytest.raises(OperationalError, match="no answer within"):
        ask("SELECT 1 FROM pg_sleep(1.5)", seconds=0.2)

    assert time.monotonic() - started < 1.4
    connection.close_if_unusable_or_obsolete()
    assert ask("SELECT 2", seconds=0.2) == [b"2"]


@pytest.mark.django_db(transaction=True)
def test_outside_of_requests_nothing_is_given_up():
    ask("SELECT 1", seconds=0.1)

    with connection.cursor() as cursor:
        cursor.execute("SELECT 3 FROM pg_sleep(0.3)")
        assert cursor.fetchone() == (3,)


@pytest.mark.django_db(transaction=True)
def test_django_s_connections_are_of_this_kind():
    connection.ensure_connection()

    assert isinstance(connection.connection, PatientConnection)
    assert isinstance(connection.connection, psycopg.Connection)
