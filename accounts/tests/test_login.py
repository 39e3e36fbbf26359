"""POST /auth/login (contract section 2; security-cases.md, row 56)."""

import pytest
from django.conf import settings as conf
from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts.hashers import BoundedArgon2PasswordHasher
from accounts.models import Session, User
from accounts.tests.factories import PASSWORD, UserFactory
from accounts.tests.steps import (
    at_once,
    begin,
    errors_of,
    given_token,
    log_in,
    me,
    no_hashing_slot,
    waiting,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def old_hash(monkeypatch) -> str:
    """A hash of PASSWORD from when hashing was cheaper."""
    old = make_password(PASSWORD)
    monkeypatch.setattr(BoundedArgon2PasswordHasher, "memory_cost", 16 * conf.ARGON2_MEMORY_KIB)
    return old


def test_logging_in_answers_like_registering(api, user):
    response = api.post("/auth/login", {"email": user.email, "password": PASSWORD})

    body = response.json()
    assert response.status_code == 200
    assert set(body) == {"accessToken", "expiresIn", "user"}
    assert body["user"]["id"] == user.pk
    assert list(response.cookies) == [conf.REFRESH_COOKIE_NAME]
    assert given_token(response) not in response.content.decode()
    assert me(body["accessToken"]).status_code == 200


@pytest.mark.parametrize(
    "spelling", ["ADA@shelf.example", "ada@SHELF.EXAMPLE", "ａda@shelf.example"]
)
def test_any_spelling_of_the_address_logs_in(api, spelling):
    UserFactory(email="Ada@shelf.example")

    response = api.post("/auth/login", {"email": spelling, "password": PASSWORD})

    assert response.status_code == 200


def unknown() -> tuple[str, str]:
    return "nobody@shelf.example", PASSWORD


def wrong_password() -> tuple[str, str]:
    return UserFactory().email, "another long phrase"


def deactivated() -> tuple[str, str]:
    return UserFactory(is_active=False).email, PASSWORD


def unusable() -> tuple[str, str]:
    return UserFactory(password=make_password(None)).email, PASSWORD


def no_address_at_all() -> tuple[str, str]:
    return "not an address", PASSWORD


FAILURES = [unknown, wrong_password, deactivated, unusable, no_address_at_all]


@pytest.mark.parametrize("failure", FAILURES)
def test_row_56_every_failed_login_gets_one_and_the_same_answer(api, failure):
    """Row 56: status, body and headers."""
    email, password = failure()
    reference = api.post("/auth/login", dict(zip(("email", "password"), unknown(), strict=True)))

    response = api.post("/auth/login", {"email": email, "password": password})

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response.content == reference.content
    assert not response.cookies
    assert _headers(response) == _headers(reference)


def _headers(response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name != "X-Request-Id"}


@pytest.mark.usefixtures("_impatient_hashing")
@pytest.mark.parametrize("failure", FAILURES)
def test_row_56_every_failed_login_costs_a_hash(api, failure):
    """Rows 56 and 57: with no slot for hashing, each says so."""
    email, password = failure()

    with no_hashing_slot():
        response = api.post("/auth/login", {"email": email, "password": password})

    assert response.status_code == 503
    assert int(response["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"password": PASSWORD}, "email"),
        ({"email": "a@x.io"}, "password"),
        ({"email": 5, "password": PASSWORD}, "email"),
        ({"email": "a@x.io", "password": None}, "password"),
        ({"email": "a@x.io", "password": ["x"]}, "password"),
    ],
)
def test_a_malformed_login_is_400(api, body, field):
    response = api.post("/auth/login", body)

    assert response.status_code == 400
    assert list(errors_of(response)) == [field]


def test_the_answer_to_logging_in_is_not_kept(user):
    assert log_in(user)["Cache-Control"] == "no-store"


def test_each_login_is_one_of_its_own(user):
    first, second = log_in(user), log_in(user)

    assert Session.objects.filter(user=user).count() == 2
    assert given_token(first) != given_token(second)


def test_a_long_user_agent_is_cut(user):
    response = log_in(user, HTTP_USER_AGENT="u" * 5_000)

    assert response.status_code == 200
    assert Session.objects.get().user_agent == "u" * 300


def test_an_old_hash_is_made_anew_by_a_login_and_ends_none(old_hash):
    user = UserFactory(password=old_hash)
    earlier = begin(user)

    response = log_in(user)

    user.refresh_from_db()
    assert response.status_code == 200
    assert user.password != old_hash
    assert user.password.startswith(f"argon2$argon2id$v=19$m={16 * conf.ARGON2_MEMORY_KIB},")
    assert log_in(user).status_code == 200
    assert Session.objects.live().filter(pk=earlier.pk).exists()


def test_a_failed_login_leaves_an_old_hash_alone(old_hash):
    user = UserFactory(password=old_hash)

    response = log_in(user, "another long phrase")

    user.refresh_from_db()
    assert response.status_code == 401
    assert user.password == old_hash


@pytest.mark.django_db(transaction=True)
def test_two_logins_that_renew_one_old_hash_both_succeed(old_hash):
    user = UserFactory(password=old_hash)

    answers = at_once(*[lambda: log_in(user)] * 4)

    assert [answer.status_code for answer in answers] == [200] * 4
    assert Session.objects.live().count() == 4


@pytest.mark.django_db(transaction=True)
def test_renewing_a_hash_does_not_undo_a_new_password(old_hash):
    user = UserFactory(password=old_hash)
    stale = User.objects.get(pk=user.pk)
    user.set_password("another long phrase")
    user.save()

    is_right = stale.check_password(PASSWORD)

    assert not is_right
    assert User.objects.get(pk=user.pk).check_password("another long phrase")


@pytest.mark.django_db(transaction=True)
def test_a_login_that_races_a_change_of_password_does_not_outlive_it(user):
    with transaction.atomic():
        user.set_password("another long phrase")
        user.save()
        racing = waiting(lambda: log_in(user))
    response = racing()

    assert response.status_code == 401
    assert not Session.objects.live().exists()


@pytest.mark.django_db(transaction=True)
def test_a_login_that_races_a_deactivation_does_not_outlive_it(user):
    with transaction.atomic():
        User.objects.filter(pk=user.pk).deactivate()
        racing = waiting(lambda: log_in(user))
    response = racing()

    assert response.status_code == 401
    assert not Session.objects.exists()


def test_logins_go_on_while_all_is_read_only(user, settings):
    settings.READ_ONLY = True

    assert log_in(user).status_code == 200


def test_a_login_asks_the_database_three_things(user, django_assert_num_queries):
    # The member; then savepoint, the member's lock, the login, savepoint.
    with django_assert_num_queries(5):
        log_in(user)
