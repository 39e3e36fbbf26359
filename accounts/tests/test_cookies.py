"""Cookies and other sites (contract section 2; security-cases.md, rows 19 to 23 and 28 to 33)."""

import json
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from django.conf import settings

from accounts.models import Session, User
from accounts.tests.factories import PASSWORD
from accounts.tests.steps import access_token, begin, log_in, present, refresh_token
from movieshelf.tests.client import ApiClient

pytestmark = pytest.mark.django_db

ALLOWED = "https://app.example"
FOREIGN = [
    "https://evil.example",
    "null",
    "https://app.example.evil.test",
    "https://app.example:4430",
    "https://app.exampl",
    "http://app.example",
    "HTTPS://APP.EXAMPLE",
]


@pytest.fixture
def session(user) -> Session:
    return begin(user)


def test_row_19_only_the_exact_origin_is_named(api):
    """Row 19: never `*`, and a cache is told that the answer depends on it."""
    response = api.get("/movies", HTTP_ORIGIN=ALLOWED)

    assert response["Access-Control-Allow-Origin"] == ALLOWED
    assert response["Access-Control-Allow-Credentials"] == "true"
    assert "origin" in response["Vary"].lower()


@pytest.mark.parametrize("origin", [*FOREIGN, None])
def test_row_19_no_other_origin_is_named(api, origin):
    """Row 19."""
    headers = {} if origin is None else {"HTTP_ORIGIN": origin}

    response = api.get("/movies", **headers)

    assert "Access-Control-Allow-Origin" not in response
    assert "origin" in response["Vary"].lower()


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
def test_row_20_a_preflight_from_an_allowed_origin_is_answered(api, method):
    """Row 20."""
    response = api.options(
        "/users/me",
        HTTP_ORIGIN=ALLOWED,
        HTTP_ACCESS_CONTROL_REQUEST_METHOD=method,
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS="authorization, content-type",
    )

    assert response.status_code in (200, 204)
    assert response["Access-Control-Allow-Origin"] == ALLOWED
    assert response["Access-Control-Allow-Credentials"] == "true"
    assert method in response["Access-Control-Allow-Methods"]
    assert {"authorization", "content-type"} <= {
        name.strip() for name in response["Access-Control-Allow-Headers"].split(",")
    }
    assert int(response["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize("origin", FOREIGN)
def test_row_20_a_preflight_from_elsewhere_gets_nothing(api, origin):
    """Row 20."""
    response = api.options(
        "/users/me", HTTP_ORIGIN=origin, HTTP_ACCESS_CONTROL_REQUEST_METHOD="PUT"
    )

    assert not [name for name in response.headers if name.startswith("Access-Control-")]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/users/me", 401),
        ("get", "/nope", 404),
        ("put", "/movies", 405),
        ("post", "/auth/login", 400),
    ],
)
def test_row_21_errors_can_be_read_from_an_allowed_origin(api, method, path, status):
    """Row 21: else the browser hides the envelope."""
    response = getattr(api, method)(path, HTTP_ORIGIN=ALLOWED)

    assert response.status_code == status
    assert response["Access-Control-Allow-Origin"] == ALLOWED


def test_row_21_a_503_can_be_read_from_an_allowed_origin(api, settings):
    """Row 21."""
    settings.READ_ONLY = True

    response = api.post("/auth/register", HTTP_ORIGIN=ALLOWED)

    assert response.status_code == 503
    assert response["Access-Control-Allow-Origin"] == ALLOWED


def test_row_22_what_a_client_must_read_is_exposed(api):
    """Row 22."""
    response = api.get("/movies", HTTP_ORIGIN=ALLOWED)

    exposed = {name.strip() for name in response["Access-Control-Expose-Headers"].split(",")}
    assert exposed >= {"Retry-After", "RateLimit", "RateLimit-Policy", "Location", "ETag"}
    assert exposed >= {"X-Request-Id", "Idempotent-Replayed"}


def test_row_23_a_login_sets_one_cookie_and_every_attribute_of_it(user):
    """Row 23."""
    response = log_in(user)

    (cookie,) = response.cookies.values()
    assert cookie.key == "__Secure-refresh_token"
    assert cookie["httponly"] is True
    assert cookie["secure"] is True
    assert cookie["samesite"] == "Strict"
    assert cookie["path"] == "/auth"
    assert cookie["domain"] == ""
    assert cookie["max-age"] == 14 * 24 * 3600
    assert len(cookie.OutputString()) < 4096
    assert cookie.value not in response.content.decode()


def test_row_23_a_refresh_sets_the_cookie_in_the_same_way(user):
    """Row 23."""
    given = log_in(user).cookies[settings.REFRESH_COOKIE_NAME]

    again = present(given.value).cookies[settings.REFRESH_COOKIE_NAME]

    assert again.value != given.value
    for attribute in ("httponly", "secure", "samesite", "path", "domain", "max-age"):
        assert again[attribute] == given[attribute]


def test_where_cookies_are_not_secure_the_cookie_has_no_prefix(user, settings):
    settings.COOKIE_SECURE, settings.REFRESH_COOKIE_NAME = False, "refresh_token"
    settings.REFRESH_COOKIE_SAMESITE = "Lax"

    (cookie,) = log_in(user).cookies.values()

    assert cookie.key == "refresh_token"
    assert cookie["secure"] == ""
    assert cookie["samesite"] == "Lax"
    assert cookie["httponly"] is True


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""],
)
@pytest.mark.parametrize(
    "path",
    ["/auth/login", "/auth/register", "/auth/password-reset", "/auth/password-reset/confirm"],
)
def test_row_28_a_form_of_another_site_logs_nobody_in(api, user, path, content_type):
    """Row 28: login CSRF."""
    body = json.dumps({"name": "Eve", "email": user.email, "password": PASSWORD})

    response = api.post(path, body, content_type=content_type)

    assert response.status_code == 415
    assert not response.cookies


@pytest.mark.parametrize("order", [1, -1])
def test_row_30_of_two_cookies_of_one_name_the_last_counts(api, session, order):
    """Row 30: deterministic; the prefix __Secure- keeps plain HTTP from planting one."""
    name = settings.REFRESH_COOKIE_NAME
    values = [f"{name}={refresh_token(session)}", f"{name}=planted"][::order]

    response = api.post("/auth/refresh", HTTP_COOKIE="; ".join(values))

    assert response.status_code == (401 if order == 1 else 200)


@pytest.mark.parametrize(
    "cookie",
    [
        "x" * 8_192,
        "a." * 4_000,
        "\u00e9\u00ff",
        "ключ",
        ";;;=;;",
        '"; Path=/; Domain=evil.example',
        "\x00",
        "a\x00.b.c",
        "%00%ff",
        "{}",
    ],
    ids=["8 KB", "dots", "latin-1", "UTF-8", "separators", "attributes", "NUL", "a NUL", "%", "{}"],
)
def test_row_31_garbage_in_the_cookie_is_401(api, cookie):
    """Row 31."""
    header = f"{settings.REFRESH_COOKIE_NAME}={cookie}".encode().decode("latin-1")

    response = api.post("/auth/refresh", HTTP_COOKIE=header)

    assert response.status_code == 401
    assert response.json()["error"]["code"] == "auth_failed"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("get", "/movies", 200), ("get", "/users/me", 401), ("get", "/users/me/sessions", 401)],
)
def test_row_32_the_refresh_cookie_is_no_authentication(session, method, path, status):
    """Row 32."""
    browser = ApiClient(raise_request_exception=False)
    browser.cookies = SimpleCookie({settings.REFRESH_COOKIE_NAME: refresh_token(session)})

    assert getattr(browser, method)(path).status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "/auth/register",
        "/auth/login",
        "/auth/refresh",
        "/auth/logout",
        "/auth/password-reset",
        "/auth/password-reset/confirm",
        "/users/me/password",
        "/users/me/avatar",
    ],
)
def test_row_33_nothing_changes_by_get(session, path):
    """Row 33."""
    browser = ApiClient(raise_request_exception=False).with_token(access_token(session))
    browser.cookies[settings.REFRESH_COOKIE_NAME] = refresh_token(session)

    response = browser.get(path)

    session.refresh_from_db()
    assert response.status_code == 405
    assert "POST" in response["Allow"]
    assert (session.generation, session.revoked_at) == (0, None)
    assert User.objects.count() == 1


def test_no_path_but_auth_looks_at_the_cookie():
    """Row 32: one place reads it, the views under the path it is sent to."""
    root = Path(settings.BASE_DIR)
    readers = [
        str(path.relative_to(root))
        for app in ("accounts", "movies", "ratings", "reviews", "media", "movieshelf")
        for path in (root / app).rglob("*.py")
        if "tests" not in path.parts and "request.COOKIES" in path.read_text()
    ]

    assert readers == ["accounts/views.py"]
