"""What the log and the numbers say of a request, whoever answered it."""

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import RequestFactory
from prometheus_client import REGISTRY

from accounts.models import Session
from accounts.tests.factories import AdminFactory
from accounts.tokens import AccessToken
from movies.tests.factories import MovieFactory
from movieshelf import observing
from movieshelf.logs import without_secrets
from movieshelf.observing import observed
from movieshelf.wsgi import application

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> Lines:
    """What was written to the log of requests since last asked."""

    def read() -> list[dict[str, Any]]:
        written = capfd.readouterr().err.splitlines()
        return [json.loads(line) for line in written if '"movieshelf.requests"' in line]

    return read


@pytest.fixture(autouse=True)
def _the_transaction_of_the_test_goes_on() -> Iterator[None]:
    """As Django's test client does: the end of a request must not give the connection back."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def send(path: str, application: Any = application, **environ: Any) -> dict[str, str]:
    """Have the server's application answer; give the headers."""
    told: dict[str, str] = {}

    def start_response(status: str, headers: Iterable[tuple[str, str]], *exc_info: Any) -> None:
        told.update(headers, status=status[:3])
        assert [name for name, _ in headers].count("X-Request-Id") == 1

    answer = application(RequestFactory().get(path, **environ).environ, start_response)
    b"".join(answer)
    getattr(answer, "close", lambda: None)()
    return told


def hot(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Stands for what answers before Django runs."""
    observing.current.get().route = "/movies"
    start_response("200 OK", HOT_HEADERS)
    return [b"{}"]


HOT_HEADERS = [("Content-Type", "application/json")]


def counted(**labels: str) -> float:
    return REGISTRY.get_sample_value("movieshelf_request_seconds_count", labels) or 0.0


@pytest.mark.django_db
def test_a_line_says_who_asked_for_what_and_what_it_took(lines, user):
    movie = MovieFactory()
    session = Session.objects.start(user, user_agent="", ip=None)
    token = str(AccessToken.of(session, session.created_at))

    send(
        f"/movies/{movie.pk}?q=private",
        HTTP_AUTHORIZATION=f"Bearer {token}",
        HTTP_X_REQUEST_ID="caller-7",
    )

    [line] = lines()
    assert line.pop("duration_ms") > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", line.pop("timestamp"))
    assert line.pop("queries") > 0
    assert line == {
        "level": "info",
        "logger": "movieshelf.requests",
        "event": "request",
        "request_id": "caller-7",
        "user_id": user.pk,
        "method": "GET",
        "route": "/movies/:id",
        "path": f"/movies/{movie.pk}",
        "status": 200,
    }


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/nope", "none", 404),
        ("/nope\n{}", "none", 404),
        ("/movies/7/", "none", 404),
        ("/users/me/sessions/00000000-0000-7000-8000-000000000000", "/users/me/sessions/:id", 405),
        ("/admin/login/", "/admin/", 200),
    ],
)
@pytest.mark.django_db
def test_a_route_has_one_name_whatever_the_ids(lines, path, route, status):
    send(path)

    [line] = lines()
    assert (line["route"], line["status"]) == (route, status)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.django_db
def test_what_machines_ask_all_the_time_is_not_logged(lines, path):
    send(path)

    assert lines() == []


def test_an_answer_that_never_reached_django_is_seen_as_well(lines):
    before = counted(method="GET", route="/movies", status="200")

    first = send("/movies", observed(hot), HTTP_X_REQUEST_ID="caller-7")
    second = send("/movies", observed(hot))

    assert first["X-Request-Id"] == "caller-7"
    assert re.fullmatch(r"[0-9a-f]{32}", second["X-Request-Id"])
    assert HOT_HEADERS == [("Content-Type", "application/json")]
    assert [line["request_id"] for line in lines()] == ["caller-7", second["X-Request-Id"]]
    assert counted(method="GET", route="/movies", status="200") == before + 2


def test_a_made_up_method_is_no_label_of_its_own():
    before = counted(method="other", route="/movies", status="200")

    send("/movies", observed(hot), REQUEST_METHOD="BREW")

    assert counted(method="other", route="/movies", status="200") == before + 1
    assert counted(method="BREW", route="/movies", status="200") == 0


def test_a_crash_outside_of_django_is_a_500_in_the_log(lines):
    def crash(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        send("/movies", observed(crash))

    [line] = lines()
    assert line["status"] == 500
    assert observing.current.get() is None


@pytest.mark.django_db
def test_a_member_of_the_admin_is_told_and_an_earlier_one_forgotten(lines, client):
    staff = AdminFactory()
    client.force_login(staff, backend="accounts.backends.EmailBackend")
    cookie = client.cookies.output(header="", attrs=[]).strip()

    send("/admin/", HTTP_COOKIE=cookie, secure=True)
    send("/movies")

    assert [line["user_id"] for line in lines()] == [staff.pk, None]


@pytest.mark.django_db
def test_a_slow_statement_is_told_without_what_it_was_given(settings, caplog):
    settings.SLOW_QUERY_MS = 0
    caplog.set_level(logging.WARNING, "movieshelf.queries")

    send("/movies?q=private")

    [told, *_] = [one.getMessage() for one in caplog.records]
    assert "slow query" in told
    assert "SELECT" in told
    assert "private" not in caplog.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "Key (email_key)=(ada@example.com) already exists",
            "Key (email_key)=(<address>) already exists",
        ),
        ("redis://me:hush@cache:6379/0", "redis://me:<password>@cache:6379/0"),
        ("host=db password=hush user=me", "host=db password=<hidden> user=me"),
        ("{'password': 'hush'}", "{'password': <hidden>}"),
        ("Authorization: Bearer eyJhbGciOi.eyJzdWIi.c2ln", "Authorization: Bearer <token>"),
        ("argon2$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA", "<hash>"),
        ("film 7: rating_1 is 3, should be 4", "film 7: rating_1 is 3, should be 4"),
    ],
)
def test_secrets_and_addresses_stay_out_of_the_log(text, shown):
    assert without_secrets(text) == shown
