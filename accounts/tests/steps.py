"""What many tests of logins do: begin one, present a token, do things at once."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.conf import settings
from django.db import connection, connections
from django.http import HttpResponse
from django.utils import timezone

from accounts.hashers import _slots
from accounts.models import Session, User
from accounts.tests.factories import PASSWORD
from accounts.tokens import AccessToken, RefreshToken
from movieshelf.tests import races
from movieshelf.tests.client import ApiClient


def begin(user: User) -> Session:
    """Log a member in, without the cost of a password."""
    return Session.objects.start(user, user_agent="tests", ip="127.0.0.1")


def log_in(user: User, password: str = PASSWORD, **headers: str) -> HttpResponse:
    body = {"email": user.email, "password": password}
    return ApiClient(raise_request_exception=False).post("/auth/login", body, **headers)


def refresh_token(session: Session) -> str:
    """The live refresh token of a login."""
    return str(RefreshToken.of(session))


def access_token(session: Session) -> str:
    return str(AccessToken.of(session, timezone.now()))


def present(token: str, path: str = "/auth/refresh", **headers: str) -> HttpResponse:
    """Send a refresh token in the cookie, from a browser that holds nothing else."""
    browser = ApiClient(raise_request_exception=False)
    browser.cookies[settings.REFRESH_COOKIE_NAME] = token
    return browser.post(path, **headers)


def given_token(response: HttpResponse) -> str:
    """The refresh token that an answer brings."""
    return response.cookies[settings.REFRESH_COOKIE_NAME].value


def jti_of(token: str) -> str:
    return RefreshToken(token)["jti"]


def me(token: str) -> HttpResponse:
    """Ask who one is, by an access token."""
    return ApiClient(raise_request_exception=False).with_token(token).get("/users/me")


def errors_of(response: HttpResponse) -> dict[str, list[dict[str, object]]]:
    return response.json()["error"].get("details", {})


def at_once[T](*calls: Callable[[], T]) -> list[T]:
    """Make calls in as many threads, all released together; give what they return, or raise."""
    outcomes = races.at_once(*calls)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return outcomes


def waiting[T](call: Callable[[], T]) -> Callable[[], T]:
    """Make a call in another thread until it waits for a lock of ours; give its result later."""

    def run() -> T:
        try:
            return call()
        finally:
            connections.close_all()

    pool = ThreadPoolExecutor(1)
    done = pool.submit(run)
    pool.shutdown(wait=False)
    _wait_for_a_waiter()
    return lambda: done.result(timeout=20)


def _wait_for_a_waiter() -> None:
    for _ in range(1_000):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0]:
                return
        time.sleep(0.005)
    raise AssertionError("nobody came to wait for a lock")


@contextmanager
def no_hashing_slot() -> Iterator[None]:
    """Take every slot for hashing: whoever wants to hash a password now is told 503."""
    for _ in range(settings.PASSWORD_HASHES_AT_ONCE):
        _slots.acquire()
    try:
        yield
    finally:
        for _ in range(settings.PASSWORD_HASHES_AT_ONCE):
            _slots.release()
