"""POST /auth/register (contract section 2; security-cases.md, rows 58 to 64)."""

import pytest
from django.conf import settings

from accounts.models import Session, User
from accounts.tests.factories import PASSWORD, UserFactory
from accounts.tests.steps import at_once, errors_of, given_token, log_in, me, no_hashing_slot
from movieshelf.tests.client import ApiClient

pytestmark = pytest.mark.django_db

ADA = {"name": "Ada", "email": "ada@shelf.example", "password": PASSWORD}


def test_registering_answers_with_tokens_and_the_member(api):
    response = api.post("/auth/register", ADA)

    body = response.json()
    user = User.objects.get()
    assert response.status_code == 201
    assert set(body) == {"accessToken", "expiresIn", "user"}
    assert body["expiresIn"] == 15 * 60
    assert body["user"] == {
        "id": user.pk,
        "name": "Ada",
        "email": "ada@shelf.example",
        "role": "user",
        "avatarMediaId": None,
        "avatarUrl": None,
        "createdAt": body["user"]["createdAt"],
    }
    assert body["user"]["createdAt"].endswith("Z")
    assert me(body["accessToken"]).json() == body["user"]


def test_registering_begins_one_login_by_its_cookie_alone(api):
    response = api.post("/auth/register", ADA, HTTP_USER_AGENT="Browser/1.0", REMOTE_ADDR="::1")

    session = Session.objects.get()
    assert list(response.cookies) == [settings.REFRESH_COOKIE_NAME]
    assert given_token(response) not in response.content.decode()
    assert (session.user_agent, session.ip) == ("Browser/1.0", "::1")


def test_the_answer_to_registering_is_not_kept(api):
    response = api.post("/auth/register", ADA)

    assert response["Cache-Control"] == "no-store"


def test_the_password_is_hashed_by_argon2id(api):
    api.post("/auth/register", ADA)

    assert User.objects.get().password.startswith("argon2$argon2id$")


def test_a_name_is_trimmed_and_composed(api):
    response = api.post("/auth/register", {**ADA, "name": "  Ame\u0301lie \n"})

    assert response.json()["user"]["name"] == "Amélie"


def test_an_email_address_is_kept_as_given(api):
    response = api.post("/auth/register", {**ADA, "email": "Ada@Shelf.Example"})

    assert response.json()["user"]["email"] == "Ada@Shelf.Example"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("A@X.io", "a@x.io"),
        ("a@x.io", "a@X.IO"),
        ("a@münchen.de", "a@MÜNCHEN.de"),
        ("a@m\u00fcnchen.de", "a@mu\u0308nchen.de"),
        ("a@münchen.de", "a@xn--mnchen-3ya.de"),
        ("a@ｘ.io", "a@x.io"),
    ],
)
def test_row_59_an_address_in_another_spelling_is_taken(api, first, second):
    """Row 59; contract section 2: compared after NFKC and casefolding."""
    UserFactory(email=first)

    response = api.post("/auth/register", {**ADA, "email": second})

    assert response.status_code == 409
    assert response.json()["error"]["code"] == "conflict"
    assert list(errors_of(response)) == ["email"]
    assert User.objects.count() == 1
    assert Session.objects.count() == 0


def test_row_59_an_address_with_a_space_behind_it_is_none(api):
    """Row 59: kept as given, so a space is not trimmed away."""
    response = api.post("/auth/register", {**ADA, "email": "ada@shelf.example "})

    assert response.status_code == 400
    assert list(errors_of(response)) == ["email"]


@pytest.mark.django_db(transaction=True)
def test_row_60_of_many_who_register_one_address_at_once_one_does():
    """Row 60."""
    spellings = ["ada@shelf.example", "Ada@Shelf.Example", "ADA@SHELF.EXAMPLE", "ada@SHELF.example"]

    answers = at_once(
        *[
            lambda email=spellings[n % 4]: ApiClient(raise_request_exception=False).post(
                "/auth/register", {**ADA, "email": email}
            )
            for n in range(32)
        ]
    )

    assert sorted(answer.status_code for answer in answers) == [201] + 31 * [409]
    assert User.objects.count() == 1
    assert Session.objects.count() == 1


@pytest.mark.parametrize(
    "password",
    ["1", "123456789", "password", "password123", "1234567890", "ada@shelf.example", "x" * 129],
)
def test_row_61_a_weak_password_is_refused_with_details(api, password):
    """Row 61: 10..128 characters, neither common nor like the name or the address."""
    response = api.post("/auth/register", {**ADA, "password": password})

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "validation_error"
    assert list(errors_of(response)) == ["password"]
    assert f'"{password}"' not in response.content.decode().replace('"password":', "")
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "password",
    [
        "correct ho",
        "n" * 63 + "é",
        "w" * 127 + "z",
        "  led by spaces  ",
        "🎬🎞️📽️🍿🎟️🎥 ok",
        "e\u0301clair au chocolat",
    ],
    ids=["10", "64", "128", "spaces", "emoji", "decomposed"],
)
def test_row_62_a_password_is_taken_to_the_letter(api, password):
    """Row 62: neither trimmed nor composed."""
    api.post("/auth/register", {**ADA, "password": password})

    user = User.objects.get()
    assert log_in(user, password).status_code == 200
    for other in (password.strip(), password.replace("e\u0301", "é"), password[:-1]):
        if other != password:
            assert log_in(user, other).status_code == 401


def test_row_62_bytes_beyond_the_72nd_count(api):
    """Row 62: bcrypt would not see the difference."""
    api.post("/auth/register", {**ADA, "password": "k" * 72 + "1"})

    assert log_in(User.objects.get(), "k" * 72 + "2").status_code == 401


@pytest.mark.parametrize("path", ["/auth/register", "/auth/login"])
@pytest.mark.parametrize(
    "long", [{"password": "p" * 900_000}, {"email": "e" * 900_000 + "@shelf.example"}]
)
def test_row_63_what_is_too_long_is_refused_before_it_is_hashed(api, path, long):
    """Row 63: with no slot for hashing, the answer would be 503."""
    with no_hashing_slot():
        response = api.post(path, {**ADA, **long})

    assert response.status_code == 400
    assert list(errors_of(response)) == list(long)


def test_row_63_a_body_over_the_limit_is_not_read(api):
    """Row 63: the contract's limit for any JSON body comes first."""
    response = api.post("/auth/register", {**ADA, "password": "p" * 2_000_000})

    assert response.status_code == 413


FORBIDDEN = {
    "id": 4711,
    "role": "admin",
    "isStaff": True,
    "is_staff": True,
    "isSuperuser": True,
    "is_superuser": True,
    "isActive": False,
    "createdAt": "2001-01-01T00:00:00Z",
    "passwordHash": "argon2$x",
    "email_key": "other",
}


def test_row_64_nobody_registers_as_more_than_a_member(api):
    """Row 64."""
    response = api.post("/auth/register", {**ADA, **FORBIDDEN})

    user = User.objects.get()
    assert response.status_code == 201
    assert user.pk != 4711
    assert (user.role, user.is_superuser, user.is_active) == ("user", False, True)
    assert user.created_at.year > 2001
    assert user.check_password(PASSWORD)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": None}, "name"),
        ({"name": 5}, "name"),
        ({"name": " \u200b "}, "name"),
        ({"name": "n" * 81}, "name"),
        ({"name": "bell\u0007"}, "name"),
        ({"email": "no address"}, "email"),
        ({"email": "e" * 250 + "@shelf.example"}, "email"),
        ({"email": ["ada@shelf.example"]}, "email"),
        ({"password": 1234567890}, "password"),
    ],
)
def test_a_malformed_registration_is_refused_on_its_field(api, wrong, field):
    response = api.post("/auth/register", {**ADA, **wrong})

    assert response.status_code == 400
    assert list(errors_of(response)) == [field]


@pytest.mark.parametrize("missing", ["name", "email", "password"])
def test_each_part_of_a_registration_is_needed(api, missing):
    response = api.post("/auth/register", {key: ADA[key] for key in ADA if key != missing})

    assert response.status_code == 400
    assert list(errors_of(response)) == [missing]


def test_a_name_of_80_code_points_is_taken(api):
    response = api.post("/auth/register", {**ADA, "name": "🎬" * 80})

    assert response.status_code == 201


@pytest.mark.usefixtures("_impatient_hashing")
def test_row_58_a_taken_address_costs_a_hash_like_a_free_one(api, user):
    """Row 58: with no slot for hashing both say so, so both hash."""
    with no_hashing_slot():
        taken = api.post("/auth/register", {**ADA, "email": user.email})
        free = api.post("/auth/register", ADA)

    assert (taken.status_code, free.status_code) == (503, 503)
    assert int(taken["Retry-After"]) >= 1


def test_nobody_registers_while_all_is_read_only(api, settings):
    settings.READ_ONLY = True

    response = api.post("/auth/register", ADA)

    assert response.status_code == 503
    assert not User.objects.exists()
