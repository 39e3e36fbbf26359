"""Who may read our answers from another page (rows 19 to 22)."""

import pytest

pytestmark = [pytest.mark.django_db, pytest.mark.urls("movieshelf.tests.failing")]

ALLOWED = "https://app.example"
STRANGERS = [
    "https://evil.example",
    "null",
    "https://app.example.evil.test",
    "https://app.example:444",
    "http://app.example",
    "HTTPS://APP.EXAMPLE",
    "https://app.example/",
    "https://x.app.example",
    "https://app.example https://evil.example",
    "https://[",
    "*",
    "",
]


def cors(response) -> dict[str, str]:
    return {
        name: value
        for name, value in response.headers.items()
        if name.lower().startswith("access-control-")
    }


def test_the_allowed_origin_may_read_the_answer_with_credentials(api):
    """Row 19."""
    response = api.get("/movies", HTTP_ORIGIN=ALLOWED)

    assert cors(response)["access-control-allow-origin"] == ALLOWED
    assert cors(response)["access-control-allow-credentials"] == "true"
    assert set(cors(response)["access-control-expose-headers"].split(", ")) == {
        "Retry-After",
        "RateLimit",
        "RateLimit-Policy",
        "Location",
        "ETag",
        "X-Request-Id",
        "Idempotent-Replayed",
    }


@pytest.mark.parametrize("origin", STRANGERS)
@pytest.mark.parametrize("path", ["/movies", "/nope", "/users/me", "/crash"])
def test_no_other_origin_may(api, origin, path):
    """Row 19."""
    response = api.get(path, HTTP_ORIGIN=origin)

    assert cors(response) == {}
    assert "origin" in response.headers["Vary"].lower()


def test_without_an_origin_nothing_is_said_but_that_it_would_matter(api):
    """Row 19."""
    response = api.get("/movies")

    assert cors(response) == {}
    assert "origin" in response.headers["Vary"].lower()


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
@pytest.mark.parametrize("path", ["/movies", "/users/me", "/auth/refresh", "/nope"])
def test_a_preflight_lists_what_is_allowed_without_asking_who(api, method, path):
    """Row 20."""
    response = api.options(
        path,
        HTTP_ORIGIN=ALLOWED,
        HTTP_ACCESS_CONTROL_REQUEST_METHOD=method,
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS="authorization, content-type, idempotency-key",
    )

    said = cors(response)
    assert response.status_code == 200
    assert said["access-control-allow-origin"] == ALLOWED
    assert said["access-control-allow-credentials"] == "true"
    assert method in said["access-control-allow-methods"].split(", ")
    headers = set(said["access-control-allow-headers"].split(", "))
    assert {"authorization", "content-type", "idempotency-key", "if-match"} <= headers
    assert "*" not in headers
    assert int(said["access-control-max-age"]) > 0


@pytest.mark.parametrize("origin", STRANGERS)
def test_a_preflight_of_another_origin_is_told_nothing(api, origin):
    """Row 20."""
    response = api.options("/movies", HTTP_ORIGIN=origin, HTTP_ACCESS_CONTROL_REQUEST_METHOD="PUT")

    assert cors(response) == {}


@pytest.mark.parametrize(
    ("method", "path", "status", "meta"),
    [
        ("GET", "/nope", 404, {}),
        ("PUT", "/movies", 405, {}),
        ("GET", "/movies", 406, {"HTTP_ACCEPT": "text/html"}),
        ("GET", "/users/me", 401, {}),
        ("POST", "/auth/login", 415, {"CONTENT_TYPE": "text/plain"}),
        ("GET", "/movies", 400, {"HTTP_HOST": "evil.example"}),
        ("GET", "/crash", 500, {}),
        ("GET", "/crash-api", 500, {}),
        ("POST", "/movies", 503, {}),
    ],
)
def test_errors_may_be_read_too(api, user, settings, method, path, status, meta):
    """Row 21: else the browser hides the envelope. (429 is in test_ceilings.py.)"""
    settings.READ_ONLY = status == 503
    client = api.as_(user) if status == 503 else api

    response = client.generic(method, path, HTTP_ORIGIN=ALLOWED, **meta)

    assert response.status_code == status
    assert cors(response)["access-control-allow-origin"] == ALLOWED
    assert "Retry-After" in cors(response)["access-control-expose-headers"]
