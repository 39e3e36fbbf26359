"""Whether it lives and whether it can serve (contract section 9; row 160)."""

import pytest
from django.db import connection
from django.test import override_settings

from movieshelf.api.cache import CONNECT_SECONDS


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
    assert response.json() == {"status": "ok", "database": "ok", "cache": "ok"}


@pytest.mark.django_db
def test_a_migration_to_come_is_not_ready(api):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'reviews'")

    response = api.get("/readyz")

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
        assert response.json() == {"status": "ok", "database": "ok", "cache": state}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "FOO"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_they_are_only_read(api, method, path):
    response = api.generic(method, path)

    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"
