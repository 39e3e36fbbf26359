"""Every failure, whoever raised it, is the envelope (contract section 1; rows 3, 4, 5, 15, 16)."""

import errno
import json
import logging
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.db import (
    IntegrityError,
    OperationalError,
    close_old_connections,
    connection,
    transaction,
)
from django.http import HttpResponse
from rest_framework import exceptions as drf
from rest_framework import serializers

from accounts.models import User
from accounts.tests.factories import UserFactory
from movies.models import Movie
from movies.tests.factories import MovieFactory
from movieshelf.api.errors import (
    BY_STATUS,
    ApiError,
    Conflict,
    InvalidInput,
    NotFound,
    Unavailable,
    constraint_raises,
    error_for_status,
    translate,
)
from movieshelf.postgresql.base import connect
from movieshelf.tests.failing import SECRET

pytestmark = [pytest.mark.django_db, pytest.mark.urls("movieshelf.tests.failing")]

# The table of contract section 1.
CODES = {
    400: "validation_error",
    401: "auth_failed",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    412: "precondition_failed",
    413: "payload_too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    422: "idempotency_mismatch",
    429: "rate_limited",
    500: "internal_error",
    503: "unavailable",
}


def assert_enveloped(response: HttpResponse, status: int) -> dict[str, Any]:
    """Check the whole form of a failure, and give its `error`."""
    body = response.json()
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert set(body) == {"success", "error"}
    assert body["success"] is False
    assert {"code", "message"} <= set(body["error"]) <= {"code", "message", "details"}
    assert body["error"]["code"] == CODES[status]
    assert re.fullmatch(r"[^\n]+\.", body["error"]["message"])
    return body["error"]


@pytest.mark.parametrize("debug", [False, True], ids=["production", "DEBUG"])
@pytest.mark.parametrize(
    ("method", "path", "status", "headers"),
    [
        ("get", "/nope", 404, {}),
        ("get", "/movies/", 404, {}),
        ("post", "/movies/", 404, {}),
        ("get", "//movies", 404, {}),
        ("get", "/docs/nope", 404, {}),
        ("get", "/static/nope.js", 404, {}),
        ("get", "/movies", 400, {"HTTP_HOST": "evil.example"}),
        ("get", "/movies?page=0", 400, {}),
        ("get", "/movies/404", 404, {}),
        ("get", "/media/00000000-0000-0000-0000-000000000000", 404, {}),
        ("put", "/movies", 405, {}),
        ("post", "/media/00000000-0000-0000-0000-000000000000", 405, {}),
        ("post", "/healthz", 405, {}),
        ("post", "/docs", 405, {}),
        ("get", "/movies", 406, {"HTTP_ACCEPT": "application/xml"}),
        ("get", "/movies", 401, {"HTTP_AUTHORIZATION": "Bearer nonsense"}),
        ("get", "/users/me", 401, {}),
        ("post", "/auth/login", 415, {"content_type": "text/plain"}),
        ("post", "/auth/login", 413, {"data": "x" * (1024 * 1024 + 1)}),
        ("get", "/crash", 500, {}),
        ("get", "/crash-api", 500, {}),
        ("get", "/middleware", 500, {}),
        ("get", f"/disk?errno={errno.ENOSPC}", 503, {}),
        ("get", f"/disk?errno={errno.EDQUOT}", 503, {}),
        ("get", f"/disk?errno={errno.EIO}", 500, {}),
        ("get", "/gone", 404, {}),
        ("get", "/denied", 403, {}),
        ("get", "/suspicious", 400, {}),
        ("get", "/plain?status=405", 405, {}),
        ("get", "/plain?status=418", 400, {}),
        ("get", "/plain?status=502", 500, {}),
        ("get", "/streamed", 500, {}),
    ],
)
def test_a_failure_is_the_envelope_of_its_status(
    api, settings, debug, method, path, status, headers
):
    settings.DEBUG = debug
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "movieshelf.tests.failing.FailingMiddleware"]

    response = getattr(api, method)(path, **headers)

    assert_enveloped(response, status)
    text = response.content.decode() + str(response.headers)
    for leak in (SECRET, "Traceback", ".py", "SELECT", "evil.example", "Django"):
        assert leak not in text


@pytest.fixture
def log() -> Iterator[StringIO]:
    """What our own handler writes, in the form in which it is written."""
    [console] = [one for one in logging.getLogger().handlers if type(one) is logging.StreamHandler]
    written = StringIO()
    before = console.setStream(written)
    yield written
    console.setStream(before)


@pytest.mark.parametrize("path", ["/crash", "/crash-api", "/middleware"])
def test_a_crash_is_logged_with_its_traceback_and_the_id_of_the_request(api, settings, log, path):
    """Row 15."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "movieshelf.tests.failing.FailingMiddleware"]

    response = api.get(path, HTTP_X_REQUEST_ID="caller-7")

    assert response.headers["X-Request-Id"] == "caller-7"
    [line] = [json.loads(line) for line in log.getvalue().splitlines()]
    assert line["level"] == "error"
    assert line["request_id"] == "caller-7"
    assert line["event"] == f"Internal Server Error: {path}"
    assert line["exception"].startswith("Traceback (most recent call last)")
    assert line["exception"].endswith(f"RuntimeError: {SECRET}")


def test_a_4xx_is_the_business_of_the_caller_and_not_logged(api, log):
    api.get("/nope")
    api.get("/movies?page=0")
    api.get("/movies", HTTP_HOST="evil.example")

    assert log.getvalue() == ""


def test_a_failure_for_a_page_of_the_admin_is_a_page(api, admin, client):
    client.force_login(admin)

    response = client.get("/admin/movies/nope/")

    assert response.status_code == 404
    assert response.headers["Content-Type"].startswith("text/html")


def subclasses(kind: type) -> set[type]:
    return {kind}.union(*(subclasses(sub) for sub in kind.__subclasses__()))


def test_the_list_of_codes_is_closed():
    """Every error class of every app has a status of the contract and the code of that."""
    for kind in subclasses(ApiError):
        assert kind.default_code == CODES[kind.status_code], kind
        assert kind.default_detail.endswith("."), kind
    assert {status: kind.default_code for status, kind in BY_STATUS.items()} | {
        500: "internal_error"
    } == CODES


def test_any_status_has_one_of_the_codes():
    codes = {error_for_status(status).default_code for status in range(400, 600)}

    assert codes == set(CODES.values())


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (drf.ParseError(), 400),
        (drf.NotAuthenticated(), 401),
        (drf.AuthenticationFailed(), 401),
        (drf.PermissionDenied(), 403),
        (drf.NotFound(), 404),
        (drf.MethodNotAllowed("FOO"), 405),
        (drf.NotAcceptable(), 406),
        (drf.UnsupportedMediaType("text/plain"), 415),
        (drf.Throttled(), 429),
        (serializers.ValidationError("No."), 400),
    ],
)
def test_what_drf_raises_has_its_code(raised, status):
    error = translate(raised)

    assert error is not None
    assert (error.status_code, error.default_code) == (status, CODES[status])


def test_the_401_answers_are_alike_and_name_the_scheme(api):
    """Row 16."""
    answers = [
        api.get("/users/me"),
        api.get("/users/me", HTTP_AUTHORIZATION="Bearer x.y.z"),
        api.get("/users/me", HTTP_AUTHORIZATION="Basic YTpi"),
        api.get("/movies?scope=mine"),
    ]

    for answer in answers:
        assert_enveloped(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "FOO", "TRACE", "PATCH"])
@pytest.mark.parametrize("logged_in", [False, True])
def test_a_method_that_is_not_answered_is_405_with_allow(api, user, method, logged_in):
    """Row 5: before anybody is asked who they are, and nothing is echoed."""
    client = api.as_(user) if logged_in else api

    response = client.generic(method, "/movies", HTTP_X_SECRET="hush")

    assert_enveloped(response, 405)
    assert set(response.headers["Allow"].split(", ")) == {"GET", "POST", "HEAD", "OPTIONS"}
    assert b"hush" not in response.content


def test_the_path_of_a_field_is_written_as_the_client_wrote_it():
    class Inner(serializers.Serializer):
        number = serializers.IntegerField()

    class Outer(serializers.Serializer):
        items = Inner(many=True)
        tags = serializers.ListField(child=serializers.IntegerField())

        def validate(self, attrs: Any) -> Any:
            raise serializers.ValidationError("Together they are wrong.", code="together")

    asked = Outer(data={"items": [{"number": 1}, {"number": "x"}], "tags": [1, "x"]})
    asked.is_valid()
    error = translate(serializers.ValidationError(asked.errors))
    asked = Outer(data={"items": [], "tags": []})
    asked.is_valid()
    whole = translate(serializers.ValidationError(asked.errors))

    assert error is not None
    assert set(error.details or ()) == {"items.1.number", "tags.1"}
    assert error.details["items.1.number"][0]["code"] == "invalid"
    assert whole.details == {"body": [{"code": "together", "message": "Together they are wrong."}]}


# --- What the database raises -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sqlstate", "status"),
    [
        ("55P03", 503),
        ("57014", 503),
        ("40001", 503),
        ("40P01", 503),
        ("25006", 503),
        ("53100", 503),
        ("53300", 503),
        ("57P01", 503),
        ("57P03", 503),
        ("08006", 503),
        ("22021", 400),
        ("22P05", 400),
        ("23503", 404),
        ("42P01", 500),
        ("22012", 500),
        ("P0001", 500),
    ],
)
def test_an_error_of_the_database_is_told_by_its_sqlstate(api, sqlstate, status):
    sql = f"DO $$ BEGIN RAISE EXCEPTION 'hidden words' USING ERRCODE = '{sqlstate}'; END $$"

    with transaction.atomic():
        response = api.get("/sql", QUERY_STRING=f"sql={sql}")
        transaction.set_rollback(True)

    assert_enveloped(response, status)
    assert b"hidden" not in response.content
    assert ("Retry-After" in response.headers) == (status == 503)


@pytest.mark.django_db(transaction=True)
def test_a_lock_that_takes_too_long_is_503_and_the_rest_of_the_site_serves(api, user):
    """Row 139."""
    movie = MovieFactory()
    with (
        connect(psycopg.Connection, "default", autocommit=False) as holder,
        connection.cursor() as cursor,
    ):
        holder.execute("SELECT * FROM movies_moviestats WHERE movie_id = %s FOR UPDATE", [movie.pk])
        cursor.execute("SET lock_timeout = '30ms'")
        member = api.as_(user)

        refused = member.put(f"/movies/{movie.pk}/rating", {"value": 5})
        read = api.get(f"/movies/{movie.pk}")

    connection.cursor().execute("RESET lock_timeout")
    assert_enveloped(refused, 503)
    assert int(refused.headers["Retry-After"]) >= 1
    assert read.status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_takes_too_long_is_503(api, caplog):
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '30ms'")

    response = api.get("/sql", QUERY_STRING="sql=SELECT pg_sleep(9)")

    connection.cursor().execute("RESET statement_timeout")
    assert_enveloped(response, 503)
    assert "canceling statement due to statement timeout" in caplog.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/sql", "/middleware-sql"])
def test_a_connection_that_was_cut_is_503_and_the_next_request_is_served(api, settings, path):
    """Row 150, wherever in the request it happens."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "movieshelf.tests.failing.FailingMiddleware"]

    response = api.get(path, QUERY_STRING="sql=SELECT pg_terminate_backend(pg_backend_pid())")

    close_old_connections()  # as the end of a request does outside of the test client
    assert_enveloped(response, 503)
    assert response.headers["Retry-After"]
    assert api.get("/movies").status_code == 200


def test_only_the_named_constraint_becomes_the_error():
    taken = UserFactory()
    twin = User(name="Twin", email=taken.email, email_key=taken.email_key, password="x")

    with pytest.raises(Conflict), constraint_raises("user_email_unique", Conflict):
        User.objects.bulk_create([twin])
    with (
        pytest.raises(IntegrityError),
        constraint_raises("another_constraint", Conflict),
        transaction.atomic(),
    ):
        User.objects.bulk_create([twin])


def test_after_a_constraint_spoke_the_transaction_goes_on():
    taken = UserFactory()
    twin = User(name="Twin", email=taken.email, email_key=taken.email_key, password="x")

    with transaction.atomic():
        with pytest.raises(Conflict), constraint_raises("user_email_unique", Conflict("Taken.")):
            User.objects.bulk_create([twin])
        movie = MovieFactory()

    assert Movie.objects.filter(pk=movie.pk).exists()


def test_a_bug_of_ours_has_no_translation():
    assert translate(ValueError("x")) is None
    assert translate(IntegrityError("x")) is None
    assert isinstance(translate(OperationalError("x")), Unavailable)
    assert isinstance(translate(NotFound()), NotFound)


def test_blaming_a_field_names_it_in_the_details():
    error = InvalidInput.on("value", "Too large.", code="max")

    assert json.loads(json.dumps(error.details)) == {
        "value": [{"code": "max", "message": "Too large."}]
    }
