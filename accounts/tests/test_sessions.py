"""The logins of a member: listed, ended, swept (contract section 2; security-cases.md, row 53)."""

from datetime import timedelta
from io import StringIO
from uuid import uuid4

import pytest
import time_machine
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from accounts.models import Session, User
from accounts.tests.factories import UserFactory
from accounts.tests.steps import (
    access_token,
    at_once,
    begin,
    log_in,
    me,
    present,
    refresh_token,
)
from movieshelf.api import sweeping
from movieshelf.tests.client import ApiClient

# A constant: every worker of a parallel run must collect the same names.
NO_SUCH_ID = "5f0b6f5e-6a52-4d0c-8d43-0d9a7f0f3c11"

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(user) -> Session:
    return begin(user)


def as_login(session: Session) -> ApiClient:
    return ApiClient(raise_request_exception=False).with_token(access_token(session))


def test_the_live_logins_are_listed_with_what_is_known_of_them(user):
    log_in(user, HTTP_USER_AGENT="Phone/2.0", REMOTE_ADDR="2001:db8::1")
    session = begin(user)

    response = as_login(session).get("/users/me/sessions")

    items = response.json()["items"]
    phone = next(item for item in items if not item["current"])
    assert response.status_code == 200
    assert list(response.json()) == ["items"]
    assert set(phone) == {"id", "createdAt", "lastUsedAt", "userAgent", "ip", "current"}
    assert (phone["userAgent"], phone["ip"]) == ("Phone/2.0", "2001:db8::1")
    assert phone["createdAt"].endswith("Z")
    assert [item["id"] for item in items if item["current"]] == [str(session.pk)]
    assert response["Cache-Control"] == "no-store"


def test_the_login_that_was_used_last_stands_first(user):
    early, late = begin(user), begin(user)
    with time_machine.travel(timezone.now() + timedelta(minutes=1), tick=False):
        present(refresh_token(early))

    items = as_login(late).get("/users/me/sessions").json()["items"]

    assert [item["id"] for item in items] == [str(early.pk), str(late.pk)]
    assert items[0]["lastUsedAt"] > items[0]["createdAt"]


def test_ended_logins_expired_ones_and_those_of_others_are_not_listed(user, session):
    ended, expired, _ = begin(user), begin(user), begin(UserFactory())
    Session.objects.filter(pk=ended.pk).revoke("logout")
    Session.objects.filter(pk=expired.pk).update(expires_at=timezone.now())

    items = as_login(session).get("/users/me/sessions").json()["items"]

    assert [item["id"] for item in items] == [str(session.pk)]


@pytest.mark.parametrize("number", [1, 20])
def test_listing_logins_takes_two_queries_however_many(
    user, session, django_assert_num_queries, number
):
    for _ in range(number - 1):
        begin(user)
    client = as_login(session)

    # Who asks, and the logins.
    with django_assert_num_queries(2):
        response = client.get("/users/me/sessions")

    assert len(response.json()["items"]) == number


def test_ending_a_login_ends_its_tokens_and_no_others(user, session):
    other = begin(user)
    refresh, access = refresh_token(other), access_token(other)

    response = as_login(session).delete(f"/users/me/sessions/{other.pk}")

    assert response.status_code == 204
    assert me(access).status_code == 401
    assert present(refresh).status_code == 401
    assert me(access_token(session)).status_code == 200


def test_one_may_end_the_login_one_is_using(session):
    response = as_login(session).delete(f"/users/me/sessions/{session.pk}")

    assert response.status_code == 204
    assert me(access_token(session)).status_code == 401


def test_the_login_of_somebody_else_is_not_there(session, admin):
    theirs = begin(UserFactory())

    by_member = as_login(session).delete(f"/users/me/sessions/{theirs.pk}")
    by_admin = as_login(begin(admin)).delete(f"/users/me/sessions/{theirs.pk}")

    assert (by_member.status_code, by_admin.status_code) == (404, 404)
    assert me(access_token(theirs)).status_code == 200


def test_a_login_that_has_ended_is_not_there(user, session):
    ended = begin(user)
    path = f"/users/me/sessions/{ended.pk}"

    answers = [as_login(session).delete(path), as_login(session).delete(path)]

    assert [answer.status_code for answer in answers] == [204, 404]


@pytest.mark.parametrize("pk", [uuid4(), 0, 1, "x", "%00", "current", 10**30])
def test_a_login_that_cannot_be_is_404(session, pk):
    response = as_login(session).delete(f"/users/me/sessions/{pk}")

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path"),
    [("get", "/users/me/sessions"), ("delete", f"/users/me/sessions/{NO_SUCH_ID}")],
)
def test_the_anonymous_have_no_logins(api, method, path):
    assert getattr(api, method)(path).status_code == 401


def test_sweeping_deletes_what_is_over_and_nothing_else(user, session):
    over, revoked = begin(user), begin(user)
    Session.objects.filter(pk=over.pk).update(expires_at=timezone.now())
    Session.objects.filter(pk=revoked.pk).revoke("logout")

    swept = Session.objects.sweep()

    assert swept == 1
    assert set(Session.objects.values_list("pk", flat=True)) == {session.pk, revoked.pk}
    assert Session.objects.sweep() == 0


def many_logins_that_are_over(user: User, number: int) -> None:
    now = timezone.now()
    Session.objects.bulk_create(
        Session(
            user=user,
            created_at=now,
            last_used_at=now,
            rotated_at=now,
            expires_at=now - timedelta(days=1),
            ends_at=now,
        )
        for _ in range(number)
    )


def test_row_53_sweeping_goes_batch_by_batch(user, django_assert_num_queries):
    """Row 53: 2,500 are three batches, each a short transaction, and a last look."""
    many_logins_that_are_over(user, 2_500)

    # For a batch: savepoint, the ids under their locks, the rows, savepoint.
    with django_assert_num_queries(3 * 4 + 3):
        swept = Session.objects.sweep()

    assert swept == 2_500
    assert not Session.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_row_53_two_sweeps_at_once_share_the_work(user, monkeypatch):
    """Row 53."""
    monkeypatch.setattr(sweeping, "SWEEP_BATCH", 50)
    many_logins_that_are_over(user, 1_000)

    swept = at_once(Session.objects.sweep, Session.objects.sweep)

    assert sum(swept) == 1_000
    assert not Session.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_row_53_a_sweep_waits_for_nobody(user):
    """Row 53: a login that is locked is left for the next sweep."""
    many_logins_that_are_over(user, 2)
    held = Session.objects.first()
    with transaction.atomic():
        Session.objects.lock(held.pk)
        (swept,) = at_once(Session.objects.sweep)

    assert swept == 1
    assert Session.objects.get().pk == held.pk


def test_the_command_sweeps_and_says_so(user):
    many_logins_that_are_over(user, 3)
    said = StringIO()

    call_command("sweep_sessions", "--dry-run", stdout=said)
    call_command("sweep_sessions", stdout=said)
    call_command("sweep_sessions", stdout=said)

    assert said.getvalue().splitlines() == [
        "3 logins are over.",
        "Deleted 3 logins that were over.",
        "Deleted 0 logins that were over.",
    ]
