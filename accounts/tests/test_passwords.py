"""Changing a password, and having forgotten it (contract section 2)."""

from datetime import timedelta
from functools import partial

import pytest
import time_machine
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.mail.backends.base import BaseEmailBackend
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from accounts.models import Session, User
from accounts.tests.factories import PASSWORD, UserFactory
from accounts.tests.steps import (
    access_token,
    at_once,
    begin,
    errors_of,
    log_in,
    me,
    no_hashing_slot,
    present,
    refresh_token,
    waiting,
)
from movieshelf.tests.client import ApiClient

pytestmark = pytest.mark.django_db

NEW = "an even longer phrase"


@pytest.fixture
def session(user) -> Session:
    return begin(user)


def change(session: Session, **body: object):
    client = ApiClient(raise_request_exception=False).with_token(access_token(session))
    return client.post(
        "/users/me/password", {"currentPassword": PASSWORD, "newPassword": NEW, **body}
    )


def confirm(token: str, password: str = NEW):
    return ApiClient(raise_request_exception=False).post(
        "/auth/password-reset/confirm", {"token": token, "password": password}
    )


def test_a_changed_password_is_the_one_that_counts(user, session):
    response = change(session)

    assert response.status_code == 204
    assert log_in(user, NEW).status_code == 200
    assert log_in(user, PASSWORD).status_code == 401


def test_a_change_of_password_keeps_this_login_and_ends_every_other(user, session):
    refresh, access = refresh_token(session), access_token(session)
    elsewhere = begin(user)
    stranger = begin(UserFactory())

    change(session)

    assert me(access).status_code == 200
    assert present(refresh).status_code == 200
    assert me(access_token(elsewhere)).status_code == 401
    assert present(refresh_token(elsewhere)).status_code == 401
    assert me(access_token(stranger)).status_code == 200


def test_a_wrong_current_password_changes_nothing(user, session):
    elsewhere = begin(user)

    response = change(session, currentPassword="not my password")

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "validation_error"
    assert list(errors_of(response)) == ["currentPassword"]
    assert log_in(user, PASSWORD).status_code == 200
    assert me(access_token(elsewhere)).status_code == 200


@pytest.mark.parametrize("weak", ["short", "x" * 129, "password123", "member-0@shelf", None, 5])
def test_a_new_password_must_be_a_good_one(session, weak):
    session.user.email = "member-0@shelf.example"
    session.user.save()

    response = change(session, newPassword=weak)

    assert response.status_code == 400
    assert list(errors_of(response)) == ["newPassword"]


def test_a_password_is_changed_by_a_member_only(api):
    response = api.post("/users/me/password", {"currentPassword": PASSWORD, "newPassword": NEW})

    assert response.status_code == 401


@pytest.mark.django_db(transaction=True)
def test_of_two_changes_from_one_password_one_happens(user):
    first, second = begin(user), begin(user)

    answers = at_once(
        lambda: change(first, newPassword="the first new phrase"),
        lambda: change(second, newPassword="the second new phrase"),
    )

    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) in ([204, 400], [204, 401])
    assert Session.objects.live().count() == 1
    kept = ["the first new phrase", "the second new phrase"][statuses.index(204)]
    assert log_in(user, kept).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_an_edit_of_the_profile_does_not_bring_an_old_password_back(user):
    """The member of a request is read before the change, and written after it."""
    session = begin(user)
    stale = User.objects.get(pk=user.pk)
    change(session)

    stale.edit(name="Ada")

    assert log_in(user, NEW).status_code == 200


def test_asking_for_a_reset_sends_a_mail_with_a_link(api, user, mails):
    answers = []

    sent = mails(lambda: answers.append(api.post("/auth/password-reset", {"email": user.email})))

    assert answers[0].status_code == 202
    assert answers[0].content == b""
    assert [message.to for message in sent] == [[user.email]]
    assert "http://localhost:3000/reset-password?token=" in sent[0].body
    assert user.name not in sent[0].body


def test_the_link_leads_to_where_the_setting_says(api, user, mails, settings):
    settings.PASSWORD_RESET_URL = "https://app.example/new-password/{token}/"

    sent = mails(lambda: api.post("/auth/password-reset", {"email": user.email}))

    link = next(line for line in sent[0].body.splitlines() if line.startswith("https://"))
    token = link.removeprefix("https://app.example/new-password/").removesuffix("/")
    assert confirm(token).status_code == 204


def test_any_spelling_of_the_address_gets_the_mail(api, mails):
    UserFactory(email="Ada@shelf.example")

    sent = mails(lambda: api.post("/auth/password-reset", {"email": "ada@SHELF.example"}))

    assert [message.to for message in sent] == [["Ada@shelf.example"]]


@pytest.mark.parametrize("email", ["nobody@shelf.example", "no address", "x" * 254])
def test_asking_for_an_unknown_address_answers_the_same_and_sends_nothing(api, user, mails, email):
    answers = []

    def ask() -> None:
        answers.append(api.post("/auth/password-reset", {"email": email}))

    sent = mails(ask)

    known = api.post("/auth/password-reset", {"email": user.email})
    assert answers[0].status_code == 202
    assert answers[0].content == known.content
    assert _headers(answers[0]) == _headers(known)
    assert sent == []


def _headers(response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name != "X-Request-Id"}


def test_a_deactivated_member_gets_no_mail(api, mails):
    user = UserFactory(is_active=False)

    sent = mails(lambda: api.post("/auth/password-reset", {"email": user.email}))

    assert sent == []


def test_asking_for_a_reset_changes_nothing(api, user, session):
    api.post("/auth/password-reset", {"email": user.email})

    assert log_in(user).status_code == 200
    assert me(access_token(session)).status_code == 200


@pytest.mark.parametrize("body", [{}, {"email": None}, {"email": 5}, {"email": "x" * 255}])
def test_a_malformed_request_for_a_reset_is_400(api, body):
    response = api.post("/auth/password-reset", body)

    assert response.status_code == 400
    assert list(errors_of(response)) == ["email"]


class DeadMailServer(BaseEmailBackend):
    def send_messages(self, email_messages):
        raise ConnectionRefusedError("no mail server here")


@pytest.mark.django_db(transaction=True)
def test_a_mail_outlives_a_dead_mail_server(api, user, settings, caplog, mails):
    alive, settings.EMAIL_BACKEND = settings.EMAIL_BACKEND, f"{__name__}.DeadMailServer"
    ask = partial(api.post, "/auth/password-reset", {"email": user.email})

    assert ask().status_code == 202
    call_command("worker", "--until-idle")

    job = ProcrastinateJob.objects.get(task_name="accounts.send_reset_mail")
    assert job.status == "todo"
    assert job.scheduled_at > timezone.now()
    assert user.reset_token not in caplog.text
    assert user.email not in caplog.text
    settings.EMAIL_BACKEND = alive
    assert [message.to for message in mails(lambda: None)] == [[user.email]]


@pytest.mark.parametrize("known", [True, False])
def test_what_waits_in_the_queue_names_no_address_and_no_token(api, user, known):
    email = user.email if known else "nobody@example.com"

    api.post("/auth/password-reset", {"email": email})

    # A job either way: an unknown address takes no less time.
    job = ProcrastinateJob.objects.get(task_name="accounts.send_reset_mail")
    assert job.args == {"user_id": user.pk if known else None}


def test_without_a_mail_server_the_log_says_so_and_tells_no_token(
    api, user, settings, caplog, mails
):
    settings.EMAIL_BACKEND = "accounts.mails.NowhereBackend"

    sent = mails(lambda: api.post("/auth/password-reset", {"email": user.email}))

    assert "EMAIL_URL is not set" in caplog.text
    assert user.reset_token not in caplog.text
    assert sent == []


def test_a_reset_sets_the_password_and_ends_every_login(user, session):
    refresh, access = refresh_token(session), access_token(session)

    response = confirm(user.reset_token)

    assert response.status_code == 204
    assert not response.cookies
    assert log_in(user, NEW).status_code == 200
    assert log_in(user, PASSWORD).status_code == 401
    assert me(access).status_code == 401
    assert present(refresh).status_code == 401


def test_a_reset_gives_a_password_to_who_had_none():
    user = UserFactory(password=make_password(None))

    confirm(user.reset_token)

    assert log_in(user, NEW).status_code == 200


def refused(response) -> bool:
    return response.status_code == 400 and list(errors_of(response)) == ["token"]


def test_a_reset_token_works_once(user):
    token = user.reset_token

    assert confirm(token).status_code == 204
    assert refused(confirm(token, "yet another long phrase"))
    assert log_in(user, NEW).status_code == 200


def test_a_reset_token_lives_one_hour(user):
    token = user.reset_token

    with time_machine.travel(timezone.now() + timedelta(hours=1, seconds=2), tick=False):
        assert refused(confirm(token))
    with time_machine.travel(timezone.now() + timedelta(minutes=59), tick=False):
        assert confirm(token).status_code == 204


def test_a_reset_token_dies_with_another_change_of_password(user, session):
    token = user.reset_token

    change(session)

    assert refused(confirm(token, "yet another long phrase"))


def test_a_reset_token_is_for_its_own_member(user):
    other = UserFactory()
    _, _, proof = user.reset_token.partition("-")
    head, _, _ = other.reset_token.partition("-")

    assert refused(confirm(f"{head}-{proof}"))


def test_a_reset_token_of_a_deactivated_member_is_refused(user):
    token = user.reset_token
    User.objects.filter(pk=user.pk).deactivate()

    assert refused(confirm(token))


def test_a_reset_token_of_a_deleted_member_is_refused(user):
    token = user.reset_token
    user.delete()

    assert refused(confirm(token))


@pytest.mark.parametrize(
    "token", ["x", "-", "--", "1-1-1", "zzzzzzzzzzzzz-1-1", "z" * 100, "-1-1-1", "１-1-1", "🎬"]
)
def test_a_made_up_reset_token_is_refused(user, token):
    assert refused(confirm(token))


def test_an_access_token_resets_nothing(session):
    assert confirm(access_token(session)).status_code == 400


@pytest.mark.parametrize("weak", ["short", "password123", "x" * 129])
def test_a_weak_password_is_refused_and_leaves_the_token_good(user, weak):
    token = user.reset_token

    response = confirm(token, weak)

    assert response.status_code == 400
    assert list(errors_of(response)) == ["password"]
    assert confirm(token).status_code == 204


def test_a_bad_token_costs_no_hash(user):
    with no_hashing_slot():
        assert refused(confirm("1-1-1"))


@pytest.mark.django_db(transaction=True)
def test_of_two_who_use_one_token_at_once_one_sets_the_password(user):
    token = user.reset_token
    phrases = ["the first new phrase", "the second new phrase"]

    answers = at_once(*[lambda phrase=phrase: confirm(token, phrase) for phrase in phrases])

    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [204, 400]
    assert log_in(user, phrases[statuses.index(204)]).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_token_that_waits_for_the_one_before_it_is_refused(user):
    token = user.reset_token
    with transaction.atomic():
        User.objects.get(pk=user.pk).reset_password(token=token, new="the first new phrase")
        racing = waiting(lambda: confirm(token))
    response = racing()

    assert refused(response)
    assert log_in(user, "the first new phrase").status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/auth/password-reset", {"email": "a@x.io"}),
        ("/auth/password-reset/confirm", {"token": "x", "password": NEW}),
    ],
)
def test_nobody_resets_while_all_is_read_only(api, settings, path, body):
    settings.READ_ONLY = True

    assert api.post(path, body).status_code == 503


def test_answers_about_passwords_are_not_kept(user, session):
    assert change(session)["Cache-Control"] == "no-store"
    assert confirm(user.reset_token)["Cache-Control"] == "no-store"


def test_the_real_cost_of_a_hash_is_what_the_contract_says():
    """The suite hashes at argon2's floor; without its environment the settings ask for more."""
    declared = settings.BASE_DIR.joinpath("movieshelf/settings.py").read_text()

    assert "ARGON2_MEMORY_KIB=(int, 19_456)" in declared
    assert "ARGON2_TIME_COST=(int, 2)" in declared
    assert "ARGON2_PARALLELISM=(int, 1)" in declared
