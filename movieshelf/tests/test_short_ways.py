"""The short ways: the same answers as Django's, to the letter, and every refusal Django's own."""

import json
import re
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from accounts.models import Session, User
from accounts.tests.factories import UserFactory
from accounts.tokens import AccessToken
from moderation.models import MergedFilm
from movies.models import MovieStats
from movies.tests.factories import MovieFactory
from movieshelf.postgresql.base import connect
from movieshelf.tests.client import ApiClient
from movieshelf.tests.numbers import numbers_are_right
from movieshelf.tests.short_ways import WRITES_OF, Answer, Server, taught
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.models import Review

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def film() -> int:
    return MovieFactory().pk


@pytest.fixture
def login(user: User) -> dict[str, Any]:
    return dict(ApiClient().as_(user).defaults)


def without_what_differs(answer: Answer) -> Answer:
    """An answer without what no two have the same."""
    own = {"X-Request-Id", "RateLimit"}
    headers = {name: value for name, value in answer.headers.items() if name not in own}
    text = re.sub(r"20\d\d-\d\d-\d\dT[\d:.]+Z", "now", json.dumps(answer.body))
    body = json.loads(text)
    if answer.status.startswith("201"):
        headers = headers | {"Location": re.sub(r"\d+", ":id", headers["Location"]), "ETag": "…"}
        body["id"] = ":id"
    headers["Content-Length"] = str(len(json.dumps(body)))
    return Answer(answer.status, headers, body)


@pytest.mark.parametrize(("method", "path", "body"), WRITES_OF)
@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HTTP_ORIGIN": "https://app.example"},
        {"HTTP_ORIGIN": "https://evil.example"},
        {"HTTP_ACCEPT": "application/json"},
        {"wsgi.url_scheme": "https"},
        {"CONTENT_TYPE": "application/json; charset=utf-8"},
    ],
)
def test_the_second_answer_of_a_kind_is_the_first_one_without_django(
    server, film, login, settings, method, path, body, environ
):
    settings.RATELIMIT_ENABLE = True
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example"]
    path = path.format(film=film)
    server.send(method, path, body, **login, **environ)
    Review.objects.all().delete()

    by_django = Server().send(method, path, body, **login, **environ)
    Review.objects.all().delete()
    short = server.send(method, path, body, **login, **environ)

    assert server.asked_django == 1
    assert without_what_differs(short) == without_what_differs(by_django)


def test_a_rating_is_stored_and_counted(server, film, login, user):
    taught(server, film, login)

    answer = server.send("PUT", f"/movies/{film}/rating", {"value": 2}, **login)

    assert server.asked_django == 0
    assert answer.body["value"] == Rating.objects.get().value == 2
    assert answer.body["averageRating"] == 2
    assert numbers_are_right()


def test_a_review_is_sanitised_stored_and_counted(server, film, login, user):
    taught(server, film, login)
    RatingFactory(movie_id=film, user=UserFactory(), value=1)

    body = {"content": " <script>x</script>I <3 this "}
    answer = server.send("POST", f"/movies/{film}/reviews", body, **login)

    assert server.asked_django == 0
    assert answer.body["content"] == "I <3 this"
    assert answer.body["rating"] == 4
    assert answer.headers["Location"] == f"/reviews/{answer.body['id']}"
    read = ApiClient().as_(user).get(answer.headers["Location"])
    assert read.headers["ETag"] == answer.headers["ETag"]
    assert MovieStats.objects.get(pk=film).review_count == 2
    assert numbers_are_right()


REFUSED: dict[str, tuple[dict[str, Any], bytes, int]] = {
    "no credentials": ({"HTTP_AUTHORIZATION": None}, b"", 401),
    "another scheme": ({"HTTP_AUTHORIZATION": "Basic YTpi"}, b"", 401),
    "garbage for a token": ({"HTTP_AUTHORIZATION": "Bearer a.b.c"}, b"", 401),
    "no body": ({}, b"", 400),
    "not JSON": ({}, b"{", 400),
    "a list": ({}, b"[4]", 400),
    "an empty object": ({}, b"{}", 400),
    "a key twice": ({}, b'{"value": 4, "value": 4, "content": "x", "content": "x"}', 400),
    "a lone surrogate": ({}, b'{"value": 4, "content": "\\ud800"}', 400),
    "NUL": ({}, b'{"value": 4, "content": "a\\u0000"}', 400),
    "not UTF-8": ({}, b'{"value": 4, "content": "\xff"}', 400),
    "text for a number, a number for text": ({}, b'{"value": "4", "content": 4}', 400),
    "a fraction, and nothing but markup": ({}, b'{"value": 4.0, "content": "<b></b>"}', 400),
    "too much": ({}, b'{"value": 6, "content": "' + b"a" * 5001 + b'"}', 400),
    "a form": ({"CONTENT_TYPE": "application/x-www-form-urlencoded"}, b"value=4", 415),
    "another charset": ({"CONTENT_TYPE": "application/json; charset=utf-16"}, b"{}", 415),
    "compressed": ({"HTTP_CONTENT_ENCODING": "gzip"}, b"{}", 415),
    "another answer": ({"HTTP_ACCEPT": "text/html"}, b"{}", 406),
    "another host": ({"HTTP_HOST": "evil.example"}, b"{}", 400),
    "too large": ({"CONTENT_LENGTH": "1048577"}, b"{}", 413),
    "a broken query": ({"QUERY_STRING": "q=%ff"}, b"{}", 400),
    "a body that ends early": ({"CONTENT_LENGTH": "20"}, b'{"value": 4}', 400),
}


@pytest.mark.parametrize(("method", "path", "good"), WRITES_OF)
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_right_is_refused_as_django_does(server, film, login, method, path, good, case):
    environ, body, status = REFUSED[case]
    taught(server, film, login)
    asked = {k: v for k, v in {**login, **environ}.items() if v is not None}
    before = (Rating.objects.get().updated_at, Review.objects.count())

    refused = server.send(method, path.format(film=film), body, **asked)

    assert refused.status.startswith(str(status))
    by_django = Server().send(method, path.format(film=film), body, **asked)
    assert without_what_differs(refused) == without_what_differs(by_django)
    assert server.asked_django == 1
    assert (Rating.objects.get().updated_at, Review.objects.count()) == before


@pytest.mark.parametrize(("method", "path", "body"), WRITES_OF)
@pytest.mark.parametrize("end", ["logout", "suspension", "expiry", "deletion"])
def test_a_login_that_has_ended_is_over_at_once(server, film, login, user, method, path, body, end):
    taught(server, film, login)
    match end:
        case "logout":
            Session.objects.update(revoked_at=timezone.now())
        case "suspension":
            user.is_active = False
            user.save()
        case "expiry":
            Session.objects.update(expires_at=timezone.now())
        case "deletion":
            user.delete()

    answer = server.send(method, path.format(film=film), body, **login)

    assert answer.status.startswith("401")
    assert server.asked_django == 1


@pytest.mark.parametrize(("method", "path", "body"), WRITES_OF)
def test_a_token_of_somebody_else_s_login_is_refused(server, film, login, user, method, path, body):
    taught(server, film, login)
    session = Session.objects.start(UserFactory(), user_agent="", ip=None)
    session.user_id = user.pk
    token = AccessToken.of(session, timezone.now())

    answer = server.send(method, path.format(film=film), body, HTTP_AUTHORIZATION=f"Bearer {token}")

    assert answer.status.startswith("401")


@pytest.mark.parametrize(("method", "path", "body"), WRITES_OF)
def test_each_way_counts_once_towards_the_ceiling(
    server, film, login, settings, method, path, body
):
    settings.RATELIMIT_ENABLE = True
    settings.RATELIMIT_WRITES_USER = "6/m"
    taught(server, film, login)  # two
    path = path.format(film=film)

    left = [
        server.send(method, path, asked, **login).headers["RateLimit"].split(";")[1]
        # Done, refused by Django after it was counted, done.
        for asked in (body, {}, body)
    ]
    missing = server.send(method, path.replace(str(film), "999999"), body, **login)
    over = server.send(method, path, body, **login)

    assert left == ["r=3", "r=2", "r=1"]
    assert missing.headers["RateLimit"].split(";")[1] == "r=0"
    assert missing.status.startswith("404")
    assert over.status.startswith("429")
    assert int(over.headers["Retry-After"]) >= 1
    assert over.body["error"]["code"] == "rate_limited"


@pytest.mark.parametrize(("method", "path", "body"), WRITES_OF)
def test_a_film_that_was_merged_leads_to_its_survivor(server, film, login, method, path, body):
    taught(server, film, login)
    MergedFilm.objects.create(old_id=film + 1_000, survivor_id=film)

    answer = server.send(method, path.format(film=film + 1_000), body, **login)

    assert answer.status.startswith("307")
    assert answer.headers["Location"] == path.format(film=film)


@pytest.mark.parametrize(("method", "path", "body"), WRITES_OF)
def test_a_film_that_cannot_be_is_404(server, film, login, method, path, body):
    taught(server, film, login)

    for missing in ("0", "007", "9223372036854775808", "9" * 30):
        assert server.send(method, path.format(film=missing), body, **login).status[:3] == "404"


@pytest.mark.parametrize(("method", "path", "body"), WRITES_OF)
def test_a_locked_film_is_waited_for_once(server, film, login, method, path, body):
    """Row 139: a moment here, together with others, and then as long as always, by Django."""
    taught(server, film, login)
    tries = []

    def wait_briefly(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "NO KEY UPDATE" in sql:
            context["cursor"].execute("SET lock_timeout = '60ms'")
            tries.append(params["lock_timeout"])
        return execute(sql, params, many, context)

    with connect(psycopg.Connection, "default", autocommit=False) as other:
        other.execute("SELECT FROM movies_moviestats WHERE movie_id = %s FOR UPDATE", [film])
        with connection.execute_wrapper(wait_briefly):
            answer = server.send(method, path.format(film=film), body, **login)
    connection.cursor().execute("RESET lock_timeout")

    assert answer.status.startswith("503")
    assert answer.headers["Retry-After"]
    assert answer.body["error"]["code"] == "unavailable"
    assert tries == ["50ms", None]


@pytest.mark.parametrize(("method", "path", "body"), WRITES_OF)
def test_a_database_that_is_gone_is_waited_for_once_and_is_503(
    server, film, login, method, path, body
):
    """Rows 148 to 152: the credentials are what is asked for first."""
    taught(server, film, login)
    connection.close()

    with patch.object(connection, "connect", side_effect=OperationalError("It is gone.")) as tries:
        answer = server.send(method, path.format(film=film), body, **login)

    assert answer.status.startswith("503")
    assert answer.headers["Retry-After"]
    assert answer.body["error"]["code"] == "unavailable"
    assert tries.call_count == 1


@pytest.mark.parametrize(("method", "path", "body"), WRITES_OF)
def test_what_goes_wrong_is_a_500_of_django_s_and_is_logged(
    server, film, login, method, path, body, monkeypatch, caplog
):
    taught(server, film, login)

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("movies.models.MovieStats.from_db", fail)
    monkeypatch.setattr("reviews.models.Review.from_db", fail)
    answer = server.send(method, path.format(film=film), body, **login)

    assert answer.status.startswith("500")
    assert answer.body["error"]["code"] == "internal_error"
    assert "a fault of ours" in caplog.text
    assert server.asked_django == 1


@pytest.mark.parametrize(("method", "path", "body"), WRITES_OF)
def test_a_fault_while_counting_is_a_500_of_django_s_as_well(
    server, film, login, settings, method, path, body, monkeypatch, caplog
):
    settings.RATELIMIT_ENABLE = True
    taught(server, film, login)

    def fail(*args: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("movieshelf.api.ceilings.Ceiling.count_all", fail)
    answer = server.send(method, path.format(film=film), body, **login)

    assert answer.status.startswith("500")
    assert answer.body["error"]["code"] == "internal_error"
    assert "a fault of ours" in caplog.text
    assert (Rating.objects.count(), Review.objects.count()) == (1, 1)


@pytest.mark.parametrize(("method", "path", "body"), WRITES_OF)
def test_nothing_is_written_while_read_only_is_on(
    server, film, login, settings, method, path, body
):
    taught(server, film, login)
    settings.READ_ONLY = True

    assert server.send(method, path.format(film=film), body, **login).status.startswith("503")


def test_a_review_with_a_key_is_django_s_to_do_once(server, film, login):
    taught(server, film, login)
    body, key = {"content": "Once."}, {"HTTP_IDEMPOTENCY_KEY": "one"}

    first = server.send("POST", f"/movies/{film}/reviews", body, **login, **key)
    second = server.send("POST", f"/movies/{film}/reviews", body, **login, **key)

    assert first.body == second.body
    assert second.headers["Idempotent-Replayed"] == "true"
    assert Review.objects.filter(content="Once.").count() == 1
