"""Whether it lives and whether it can serve (contract section 9; row 160)."""

import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import override_settings

from movieshelf import draining
from movieshelf.api.cache import CONNECT_SECONDS
from movieshelf.health import PATIENCE_SECONDS, Probe, database_probe

QUEUE = {"waiting": 0, "oldestSeconds": 0}


@pytest.fixture(autouse=True)
def _nothing_is_known() -> Iterator[None]:
    """What one test found out is not another's."""
    database_probe.forget()
    yield
    database_probe.forget()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.django_db
def test_anybody_may_ask_and_nobody_keeps_the_answer(api, path, settings):
    settings.RATELIMIT_ENABLE = True

    answers = [api.get(path, HTTP_AUTHORIZATION="Bearer nonsense") for _ in range(70)]

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}
    assert {answer.headers["Content-Type"] for answer in answers} == {"application/json"}


def test_living_touches_nothing(api):
    """pytest-django would refuse a query here, since this test asks for no database."""
    response = api.get("/healthz")

    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


@pytest.mark.django_db
def test_ready_is_a_database_that_is_reachable_and_migrated(api):
    response = api.get("/readyz")

    assert response.status_code == 200
    assert response.json() == {"status": "ok", "database": "ok", "cache": "ok", "queue": QUEUE}


@pytest.mark.django_db(transaction=True)
def test_a_migration_to_come_is_not_ready(api):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_migrations SET app = 'later' WHERE app = 'reviews'")

    response = api.get("/readyz")

    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_migrations SET app = 'reviews' WHERE app = 'later'")

    assert response.status_code == 503
    assert response.json()["database"] == "not migrated"
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.django_db
def test_the_cache_is_told_of_and_not_required(api):
    away = {
        "BACKEND": "movieshelf.api.cache.ResilientRedisCache",
        "LOCATION": "unix:///tmp/no-such-valkey.sock?db=0",
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": CONNECT_SECONDS},
    }
    own = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    for backend, state in ((away, "unreachable"), (own, "own")):
        with override_settings(CACHES={"default": backend}):
            response = api.get("/readyz")

        assert response.status_code == 200
        assert response.json()["status"] == "ok"
        assert response.json()["cache"] == state


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "FOO"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_they_are_only_read(api, method, path):
    response = api.generic(method, path)

    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"


@pytest.mark.django_db
def test_who_is_about_to_leave_is_not_ready_and_goes_on(api, monkeypatch, tmp_path):
    monkeypatch.setenv(draining.RUN_FOLDER, str(tmp_path))
    assert api.get("/readyz").status_code == 200

    draining.announce_end()

    ready = api.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["status"] == "draining"
    assert ready.json()["database"] == "ok"
    assert api.get("/healthz").status_code == 200
    assert api.get("/movies").status_code == 200


def test_a_question_that_hangs_is_waited_for_once():
    """Row 152: a database that was stopped answers nothing and refuses nothing."""
    goes_on, asked = threading.Event(), []

    def hang() -> str:
        asked.append(1)
        goes_on.wait(10)
        return "ok"

    probe = Probe(hang, "unreachable")
    started = time.monotonic()

    first = probe.answer()
    took = time.monotonic() - started
    others = [probe.answer() for _ in range(50)]

    assert [first, *others] == ["unreachable"] * 51
    # The fifty came for nothing: each would have waited for itself.
    assert time.monotonic() - started < 2 * took
    assert took >= PATIENCE_SECONDS
    assert asked == [1]

    goes_on.set()
    while probe.answer() != "ok":
        assert time.monotonic() - started < 10


def test_a_question_is_not_asked_again_at_once():
    asked: list[int] = []
    probe = Probe(lambda: asked.append(1) or "ok", "unreachable")

    assert [probe.answer() for _ in range(50)] == ["ok"] * 50
    assert asked == [1]
