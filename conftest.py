"""What every test may use: a client that logs in, members, and clean shared state."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from hypothesis import settings

from accounts.models import User
from accounts.tests.factories import AdminFactory, UserFactory
from movieshelf.hot_answers import let_go
from movieshelf.tests.client import ApiClient
from movieshelf.tests.numbers import numbers_are_right

# Hypothesis would call a test flaky that a busy machine made slow; nothing here asserts a time.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
# Of movieshelf.tests.races.
RACES = frozenset({"at_once", "while_held"})


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each race, which is a test that calls one of RACES, RACE_ROUNDS times.

    `RACE_ROUNDS=200 pytest -m race` runs these alone.
    """
    rounds = int(os.environ.get("RACE_ROUNDS", "1"))
    if rounds > 1 and RACES & set(metafunc.function.__code__.co_names):
        metafunc.fixturenames.append("race_round")
        each = [pytest.param(number, marks=pytest.mark.race) for number in range(rounds)]
        metafunc.parametrize("race_round", each)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Wait for no disk, which may take longer than a lock is waited for; leave in the end."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        cursor.execute("SET synchronous_commit = off")
    yield
    let_go()


@pytest.fixture
def api() -> ApiClient:
    """A client that is nobody yet."""
    return ApiClient(raise_request_exception=False)


@pytest.fixture
def user(db: None) -> User:
    return UserFactory()


@pytest.fixture
def admin(db: None) -> User:
    return AdminFactory()


@pytest.fixture
def numbers_stay_right(db: None) -> Iterator[None]:
    """After the test, whatever it did, `recompute --check` has nothing to say."""
    yield
    assert numbers_are_right()


@pytest.fixture
def empty_queue(transactional_db: None) -> Iterator[None]:
    """No jobs of other tests, and none left: the flush after a test leaves the queue as it is."""
    forget_jobs()
    yield
    forget_jobs()


def forget_jobs() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs CASCADE")


@pytest.fixture(autouse=True)
def _clean_cache() -> Iterator[None]:
    """What one test cached is not another's."""
    yield
    cache.clear()
