"""What every test may use: a client that logs in, members, and clean shared state."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from hypothesis import settings

from accounts.models import User
from accounts.tests.factories import AdminFactory, UserFactory
from movieshelf.tests.client import ApiClient

# Hypothesis would call a test flaky that a busy machine made slow; nothing here asserts a time.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


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


@pytest.fixture(autouse=True)
def _clean_cache() -> Iterator[None]:
    """What one test cached is not another's."""
    yield
    cache.clear()
