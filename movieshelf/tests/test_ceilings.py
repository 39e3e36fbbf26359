"""Ceilings on how often (contract section 2; security-cases.md, rows 22, 66 to 72, 74 and 80)."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine
from django.core.cache import cache
from django.http import HttpResponse
from django.test import RequestFactory

from accounts.tests.factories import PASSWORD, UserFactory
from media.tests.pictures import png
from movies.tests.factories import MovieFactory
from movieshelf.api.ceilings import LOGIN_BY_IP, WRITES, address_block, parse_rate
from movieshelf.api.errors import RateLimited

pytestmark = pytest.mark.django_db

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
ORIGIN = "https://app.example"


@pytest.fixture(autouse=True)
def clock(settings) -> Iterator[time_machine.Traveller]:
    """The ceilings are on, and the clock moves only when a test moves it."""
    settings.RATELIMIT_ENABLE = True
    with time_machine.travel(START, tick=False) as clock:
        yield clock


def log_in(api, email: str = "", password: str = "wrong", **meta: str) -> HttpResponse:
    """Try to; without an address as somebody new each time."""
    email = email or f"somebody-{uuid4()}@shelf.example"
    return api.post("/auth/login", {"email": email, "password": password}, **meta)


def until_refused(send, most: int = 400) -> tuple[int, HttpResponse]:
    """Send until one is refused; give how many passed, and the refusal."""
    for passed in range(most):
        response = send()
        if response.status_code == 429:
            return passed, response
    raise AssertionError(f"{most} passed")


def test_the_refusal_says_what_was_too_much_and_when_to_come_back(api, user, clock, settings):
    """Row 66."""
    settings.RATELIMIT_LOGIN_ACCOUNT = "5/m"

    passed, refused = until_refused(lambda: log_in(api, user.email))

    wait = int(refused.headers["Retry-After"])
    assert passed == 5
    assert 1 <= wait <= 60
    assert refused.json() == {
        "success": False,
        "error": {
            "code": "rate_limited",
            "message": f"Too many requests; try again in {wait} seconds.",
        },
    }
    assert refused.headers["RateLimit-Policy"] == '"login-ip";q=20;w=60, "login-account";q=5;w=60'
    first, second = refused.headers["RateLimit"].split(", ")
    assert first.startswith('"login-ip";r=14;t=')
    assert second == f'"login-account";r=0;t={wait}'


def test_the_right_password_is_refused_too_and_taken_once_the_window_is_over(api, user, clock):
    """Row 66."""
    _, refused = until_refused(lambda: log_in(api, user.email))
    wait = int(refused.headers["Retry-After"])

    assert log_in(api, user.email, PASSWORD).status_code == 429
    clock.shift(timedelta(seconds=wait - 1))
    assert log_in(api, user.email, PASSWORD).status_code == 429
    clock.shift(timedelta(seconds=1))
    assert log_in(api, user.email, PASSWORD).status_code == 200


def test_a_clock_that_is_set_back_neither_lifts_a_ceiling_nor_makes_it_last(api, user, clock):
    """Row 157: an hour back there are windows as well, and they end as soon."""
    until_refused(lambda: log_in(api, user.email))

    clock.shift(timedelta(hours=-1))

    passed, refused = until_refused(lambda: log_in(api, user.email))
    assert passed == 10
    assert int(refused.headers["Retry-After"]) <= 60
    clock.shift(timedelta(minutes=1))
    assert log_in(api, user.email, PASSWORD).status_code == 200


def test_an_answer_below_the_ceiling_says_how_much_is_left(api, user):
    answer = log_in(api, user.email, PASSWORD)

    assert answer.headers["RateLimit-Policy"] == '"login-ip";q=20;w=60, "login-account";q=10;w=60'
    assert '"login-ip";r=19;t=' in answer.headers["RateLimit"]
    assert '"login-account";r=9;t=' in answer.headers["RateLimit"]
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize(
    ("path", "body", "ceiling"),
    [
        ("/auth/register", {}, 20),
        ("/auth/login", {}, 20),
        ("/auth/password-reset", {}, 20),
        ("/auth/password-reset/confirm", {}, 20),
        ("/auth/refresh", None, 60),
    ],
)
def test_an_address_has_so_many_a_minute(api, path, body, ceiling):
    """Row 74: without a cookie, with a body that is refused: each counts."""
    passed, _ = until_refused(lambda: api.post(path, body))

    assert passed == ceiling


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/auth/register", {"name": "Ada", "email": "ada@shelf.example", "password": PASSWORD}),
        ("/auth/login", {"email": "ada@shelf.example", "password": PASSWORD}),
        ("/auth/password-reset", {"email": "ada@shelf.example"}),
    ],
)
def test_an_account_has_ten_a_minute_from_wherever_and_however_it_is_spelt(api, path, body):
    """Row 74."""
    spellings = ["ada@shelf.example", "ADA@shelf.example", "Ada@SHELF.example"]

    def send() -> HttpResponse:
        send.number += 1
        email = spellings[send.number % 3]
        return api.post(path, {**body, "email": email}, REMOTE_ADDR=f"192.0.2.{send.number}")

    send.number = 0
    passed, refused = until_refused(send)

    assert passed == 10
    assert '-account";r=0' in refused.headers["RateLimit"]


def test_login_register_and_reset_have_budgets_of_their_own(api, user):
    until_refused(lambda: log_in(api, user.email))

    assert api.post("/auth/password-reset", {"email": user.email}).status_code == 202


def test_a_body_is_not_parsed_before_the_address_is_counted(api, user):
    """What is over the ceiling costs no parsing: even garbage is 429."""
    until_refused(lambda: api.post("/auth/login", "{"))

    assert api.post("/auth/login", "{").status_code == 429


def test_five_failures_from_elsewhere_lock_nobody_out(api, user):
    """Row 70."""
    for _ in range(5):
        log_in(api, user.email, REMOTE_ADDR="198.51.100.7")

    assert log_in(api, user.email, PASSWORD, REMOTE_ADDR="192.0.2.1").status_code == 200


def test_failing_for_many_accounts_refuses_that_address_and_no_other(api, user):
    """Row 71."""
    passed, _ = until_refused(lambda: log_in(api, REMOTE_ADDR="198.51.100.7"))

    assert passed == 20
    assert log_in(api, user.email, PASSWORD, REMOTE_ADDR="192.0.2.1").status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "HTTP_X_FORWARDED_FOR",
        "HTTP_X_REAL_IP",
        "HTTP_FORWARDED",
        "HTTP_CF_CONNECTING_IP",
        "HTTP_TRUE_CLIENT_IP",
    ],
)
def test_a_header_of_the_client_gives_no_new_budget(api, header):
    """Row 68."""
    addresses = iter(f"203.0.113.{number}, 10.0.0.1" for number in range(1, 100))

    passed, _ = until_refused(lambda: log_in(api, **{header: next(addresses)}))

    assert passed == 20


def test_behind_a_trusted_proxy_each_client_has_its_own_budget(api, user, settings):
    """Row 69; what stands left of the proxy's own entry is hearsay (row 68)."""
    settings.TRUSTED_PROXIES = 1
    until_refused(lambda: log_in(api, HTTP_X_FORWARDED_FOR="203.0.113.9, 198.51.100.7"))

    same = log_in(api, user.email, HTTP_X_FORWARDED_FOR="203.0.113.77, 198.51.100.7")
    other = log_in(api, user.email, PASSWORD, HTTP_X_FORWARDED_FOR="203.0.113.9, 198.51.100.8")

    assert same.status_code == 429
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        (None, "unknown"),
    ],
)
def test_an_ipv6_client_is_its_64(address, block):
    assert address_block(address) == block


def test_ipv6_neighbours_share_a_budget_and_mapped_ipv4_clients_do_not(api, user):
    numbers = iter(range(1, 100))
    until_refused(lambda: log_in(api, REMOTE_ADDR=f"2001:db8::{next(numbers):x}"))

    assert log_in(api, user.email, REMOTE_ADDR="2001:db8::ffff").status_code == 429
    assert log_in(api, user.email, REMOTE_ADDR="::ffff:192.0.2.1").status_code == 401
    until_refused(lambda: log_in(api, REMOTE_ADDR="::ffff:192.0.2.1"))
    assert log_in(api, user.email, REMOTE_ADDR="::ffff:192.0.2.2").status_code == 401


def test_a_member_has_300_changes_a_minute_over_all_addresses(api, user, settings):
    """Row 74. The default is that of the contract; fewer are sent here."""
    assert settings.RATELIMIT_WRITES_USER == "300/m"
    settings.RATELIMIT_WRITES_USER = "7/m"
    member, movie = api.as_(user), MovieFactory()
    numbers = iter(range(1, 100))

    passed, refused = until_refused(
        lambda: member.put(
            f"/movies/{movie.pk}/rating", {"value": 4}, REMOTE_ADDR=f"192.0.2.{next(numbers)}"
        )
    )

    assert passed == 7
    assert refused.headers["RateLimit-Policy"] == '"writes";q=7;w=60'
    assert member.get("/movies").status_code == 200
    assert "RateLimit" not in member.get("/movies").headers
    other = api.as_(UserFactory())
    assert other.put(f"/movies/{movie.pk}/rating", {"value": 4}).status_code == 200


def test_every_kind_of_change_counts_towards_the_same_ceiling(api, user, settings):
    settings.RATELIMIT_WRITES_USER = "4/m"
    member, movie = api.as_(user), MovieFactory()

    member.post("/movies", {"title": "Ikiru"})
    member.post(f"/movies/{movie.pk}/reviews", {"content": "Slow, and right."})
    member.put(f"/movies/{movie.pk}/rating", {"value": 4})
    member.delete(f"/movies/{movie.pk}/rating")

    assert member.patch("/users/me", {"name": "Ada"}).status_code == 429


def test_a_member_has_30_uploads_an_hour_avatars_and_posters_together(api, user, settings, clock):
    """Row 74."""
    assert settings.RATELIMIT_UPLOADS_USER == "30/h"
    settings.RATELIMIT_UPLOADS_USER = "3/h"
    member, movie = api.as_(user), MovieFactory(created_by=user)
    image = png()

    answers = [
        member.upload("/users/me/avatar", image),
        member.upload(f"/movies/{movie.pk}/poster", image),
        member.upload("/users/me/avatar", b"no image"),
        member.upload(f"/movies/{movie.pk}/poster", image),
    ]

    assert [answer.status_code for answer in answers[::3]] == [201, 429]
    assert '"uploads";q=3;w=3600' in answers[3].headers["RateLimit-Policy"]
    clock.shift(timedelta(hours=1))
    assert api.as_(user).upload("/users/me/avatar", image).status_code == 201


def test_a_refusal_comes_after_the_credentials_and_before_the_thing(api, user, settings):
    settings.RATELIMIT_WRITES_USER = "1/m"
    member = api.as_(user)
    member.delete("/movies/404404")

    assert member.delete("/movies/404404").status_code == 429
    assert api.delete("/movies/404404").status_code == 401


def test_at_most_two_windows_full_pass_around_an_edge(api, user, settings, clock):
    """Row 72: windows are fixed, which the contract says."""
    settings.RATELIMIT_WRITES_USER = "5/m"
    request = RequestFactory().post("/movies")
    request.user = user
    passed = []
    for second in range(180):
        clock.move_to(START + timedelta(seconds=second))
        for _ in range(6):
            try:
                WRITES.check(request)
            except RateLimited:
                break
            passed.append(second)

    most = max(sum(first <= second < first + 60 for second in passed) for first in range(180))

    assert most <= 2 * 5
    assert len(passed) in (15, 20)


def test_of_many_at_once_exactly_as_many_pass_as_may(api, clock):
    """Row 67: the count is one for all threads and processes, in Valkey."""

    def attempt(_: int) -> bool:
        request = RequestFactory().post("/auth/login", REMOTE_ADDR="192.0.2.1")
        try:
            LOGIN_BY_IP.check(request)
        except RateLimited:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        passed = sum(pool.map(attempt, range(60)))

    assert passed == 20


def test_the_cache_holds_no_address_of_anybody(api):
    log_in(api, "ada.lovelace@shelf.example", REMOTE_ADDR="192.0.2.1")

    stored = " ".join(cache.keys("*"))
    assert "rl:" in stored
    assert "ada" not in stored
    assert "192.0.2" not in stored


def test_a_page_elsewhere_may_read_the_refusal(api):
    """Rows 21 and 22."""
    _, refused = until_refused(lambda: log_in(api, HTTP_ORIGIN=ORIGIN))

    assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN
    exposed = refused.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"Retry-After", "RateLimit", "RateLimit-Policy"} <= set(exposed)


def test_the_admin_login_shares_the_ceilings_of_the_login(api, admin, client):
    """Row 80."""
    form = {"username": admin.email, "password": "wrong"}

    passed, refused = until_refused(lambda: client.post("/admin/login/", form))

    assert passed == 10
    assert refused.headers["Content-Type"] == "text/plain"
    assert refused.content.decode().startswith("Too many requests; try again in")
    assert int(refused.headers["Retry-After"]) >= 1
    assert client.post("/admin/login/", {**form, "password": PASSWORD}).status_code == 429
    assert log_in(api, admin.email, PASSWORD).status_code == 429
    assert client.get("/admin/login/").status_code == 200


def test_the_admin_lets_the_right_password_in(admin, client):
    form = {"username": admin.email, "password": PASSWORD, "next": "/admin/"}

    response = client.post("/admin/login/", form)

    assert response.status_code == 302
    assert response.headers["Location"] == "/admin/"


def test_switched_off_nothing_is_counted_and_nothing_is_said(api, user, settings):
    settings.RATELIMIT_ENABLE = False

    answers = [log_in(api, user.email) for _ in range(25)]

    assert {answer.status_code for answer in answers} == {401}
    assert not any("RateLimit" in answer.headers for answer in answers)


@pytest.mark.parametrize("rate", ["", "20", "20/w", "20 / m", "-1/m", "20/5m", "٢٠/m", "20/m\n"])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match="is not a rate"):
        parse_rate(rate)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("post", "/users/me/password", {"currentPassword": "guess", "newPassword": "x" * 12}),
        ("delete", "/users/me", {"password": "guess"}),
    ],
)
def test_a_stolen_access_token_guesses_the_password_no_faster_than_the_login(
    api, user, method, path, body
):
    thief = api.as_(user)

    def guess() -> HttpResponse:
        return thief.generic(method.upper(), path, json.dumps(body), "application/json")

    passed, _ = until_refused(guess)

    assert passed == 10
