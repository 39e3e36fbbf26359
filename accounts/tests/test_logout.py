"""POST /auth/logout (contract section 2; security-cases.md, rows 27, 38 and 39)."""

from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import Session
from accounts.tests.steps import (
    access_token,
    at_once,
    begin,
    given_token,
    log_in,
    me,
    present,
    refresh_token,
    waiting,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(user) -> Session:
    return begin(user)


def log_out(token: str, **headers: str):
    return present(token, "/auth/logout", **headers)


def test_logging_out_ends_the_login_access_tokens_too(session):
    token, access = refresh_token(session), access_token(session)

    response = log_out(token)

    assert response.status_code == 204
    assert response.content == b""
    assert present(token).status_code == 401
    assert me(access).status_code == 401


def test_logging_out_ends_no_other_login(user, session):
    elsewhere = begin(user)

    log_out(refresh_token(session))

    assert me(access_token(elsewhere)).status_code == 200
    assert present(refresh_token(elsewhere)).status_code == 200


def test_row_38_the_cookie_is_cleared_as_it_was_set(user):
    """Row 38: the same name, path and attributes."""
    given = log_in(user).cookies[settings.REFRESH_COOKIE_NAME]

    response = log_out(given.value)

    cleared = response.cookies[settings.REFRESH_COOKIE_NAME]
    assert list(response.cookies) == [settings.REFRESH_COOKIE_NAME]
    assert (cleared.value, cleared["max-age"]) == ("", 0)
    assert cleared["expires"].startswith("Thu, 01 Jan 1970")
    for attribute in ("path", "secure", "httponly", "samesite", "domain"):
        assert cleared[attribute] == given[attribute]


def test_row_38_logging_out_twice_is_204_twice(session):
    """Row 38."""
    token = refresh_token(session)

    answers = [log_out(token), log_out(token)]

    assert [answer.status_code for answer in answers] == [204, 204]


def test_row_38_logging_out_works_with_an_expired_access_token(session):
    """Row 38."""
    token, access = refresh_token(session), access_token(session)

    with time_machine.travel(timezone.now() + timedelta(hours=1), tick=False):
        response = log_out(token, HTTP_AUTHORIZATION=f"Bearer {access}")

    assert response.status_code == 204
    assert not Session.objects.live().exists()


@pytest.mark.parametrize("garbage", ["", "nonsense", "a.b.c", "x" * 8_000, "é"])
def test_logging_out_with_garbage_or_nothing_is_204_too(api, session, garbage):
    api.cookies[settings.REFRESH_COOKIE_NAME] = garbage

    response = api.post("/auth/logout")

    assert response.status_code == 204
    assert response.cookies[settings.REFRESH_COOKIE_NAME]["max-age"] == 0
    assert Session.objects.live().count() == 1


def test_logging_out_without_a_cookie_is_204_too(api):
    assert api.post("/auth/logout").status_code == 204


def test_the_preceding_token_logs_out_as_well(session):
    old = refresh_token(session)
    successor = given_token(present(old))

    log_out(old)

    assert present(successor).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_ORIGIN": "https://evil.example"},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
    ],
    ids=str,
)
def test_row_27_another_site_logs_nobody_out(session, headers):
    """Row 27."""
    response = log_out(refresh_token(session), **headers)

    assert response.status_code == 403
    assert not response.cookies
    assert Session.objects.live().count() == 1


def test_logging_out_goes_on_while_all_is_read_only(session, settings):
    settings.READ_ONLY = True

    assert log_out(refresh_token(session)).status_code == 204


@pytest.mark.django_db(transaction=True)
def test_row_39_no_token_lives_after_a_logout_that_raced_refreshes(user):
    """Row 39."""
    for _ in range(10):
        session = begin(user)
        token = refresh_token(session)

        answers = at_once(
            lambda token=token: present(token),
            lambda token=token: log_out(token),
            lambda token=token: present(token),
        )

        assert answers[1].status_code == 204
        assert {answers[0].status_code, answers[2].status_code} <= {200, 401}
        assert not Session.objects.live().exists()
        for answer in answers[::2]:
            if answer.status_code == 200:
                assert present(given_token(answer)).status_code == 401
                assert me(answer.json()["accessToken"]).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_row_39_a_logout_that_waits_for_a_refresh_ends_what_it_began(user):
    """Row 39, in the order that loses without the row's lock."""
    session = begin(user)
    token = refresh_token(session)
    with transaction.atomic():
        Session.objects.advance(session.pk, user_id=str(user.pk), jti=session.jti(0))
        racing = waiting(lambda: log_out(token))
    racing()

    assert not Session.objects.live().exists()
