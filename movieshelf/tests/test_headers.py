"""What every answer says to the browser (contract section 1; rows 1, 2, 6, 9, 17 and 18)."""

import re

import pytest
from django.http import HttpResponse

from media.tests.pictures import png
from movies.tests.factories import MovieFactory
from movieshelf.tests.routes import ROUTES

pytestmark = [pytest.mark.django_db, pytest.mark.urls("movieshelf.tests.failing")]

# The defaults of helmet 8, with the values of ours that are stricter.
HELMET = {
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Origin-Agent-Cluster": "?1",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-DNS-Prefetch-Control": "off",
    "X-Download-Options": "noopen",
    "X-Frame-Options": "DENY",
    "X-Permitted-Cross-Domain-Policies": "none",
    "X-XSS-Protection": "0",
}
HSTS = "max-age=31536000; includeSubDomains"
PREFLIGHT = {
    "HTTP_ORIGIN": "https://app.example",
    "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "PATCH",
}


@pytest.mark.parametrize(
    ("method", "path", "status", "meta"),
    [
        ("GET", "/movies", 200, {}),
        ("HEAD", "/movies", 200, {}),
        ("OPTIONS", "/movies", 204, {}),
        ("OPTIONS", "/movies", 200, PREFLIGHT),
        ("OPTIONS", "/movies", 200, {**PREFLIGHT, "HTTP_ORIGIN": "https://evil.example"}),
        ("GET", "/nope", 404, {}),
        ("GET", "/movies/404", 404, {}),
        ("PUT", "/movies", 405, {}),
        ("GET", "/movies", 406, {"HTTP_ACCEPT": "text/html"}),
        ("GET", "/movies", 400, {"HTTP_HOST": "evil.example"}),
        ("GET", "/movies", 401, {"HTTP_AUTHORIZATION": "Bearer x"}),
        ("POST", "/auth/login", 400, {}),
        ("POST", "/auth/login", 415, {"CONTENT_TYPE": "text/plain"}),
        ("POST", "/auth/refresh", 401, {}),
        ("POST", "/auth/logout", 204, {}),
        ("GET", "/crash", 500, {}),
        ("GET", "/crash-api", 500, {}),
        ("GET", "/streamed", 500, {}),
        ("GET", "/healthz", 200, {}),
        ("GET", "/readyz", 200, {}),
        ("POST", "/healthz", 405, {}),
        ("GET", "/openapi.json", 200, {}),
    ],
)
def test_the_headers_of_helmet_are_on_every_answer(api, method, path, status, meta):
    """Row 1."""
    response = api.generic(method, path, **meta)

    assert response.status_code == status
    assert {name: response.headers.get(name) for name in HELMET} == HELMET
    assert "Strict-Transport-Security" not in response.headers
    assert "X-Powered-By" not in response.headers
    assert response.headers["Server"] == "MovieShelf"
    assert "Origin" in vary(response)


@pytest.mark.parametrize("page", ["/docs", "/admin/login/"])
def test_pages_have_them_too_and_load_nothing_from_elsewhere(client, page):
    response = client.get(page)

    policy = response.headers["Content-Security-Policy"]
    # Where forms are sent, a browser may say where they come from: else it says `Origin: null`.
    referrer = "same-origin" if page.startswith("/admin/") else HELMET["Referrer-Policy"]
    expected = {**HELMET, "Content-Security-Policy": policy, "Referrer-Policy": referrer}
    assert expected.items() <= response.headers.items()
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy
    assert not re.search(r"(src|href)=.https?://", response.content.decode())


def test_a_static_file_has_them_too_and_no_cors_of_its_own(client):
    """Row 19: whitenoise would say `*`."""
    response = client.get("/static/admin/css/base.css")

    assert response.status_code == 200
    assert HELMET.items() <= response.headers.items()
    assert "Access-Control-Allow-Origin" not in response.headers


def test_an_image_not_modified_has_them_too(api, user):
    url = api.as_(user).upload("/users/me/avatar", png()).json()["url"]
    etag = api.get(url).headers["ETag"]

    response = api.get(url, HTTP_IF_NONE_MATCH=etag)

    assert response.status_code == 304
    own = ("Content-Security-Policy", "Cross-Origin-Resource-Policy")
    common = {name: value for name, value in HELMET.items() if name not in own}
    assert common.items() <= response.headers.items()
    assert "Content-Length" not in response.headers


def test_over_tls_the_browser_is_told_to_stay_there(api):
    assert api.get("/nope", secure=True).headers["Strict-Transport-Security"] == HSTS
    assert api.get("/movies", secure=True).headers["Strict-Transport-Security"] == HSTS


def test_tls_at_the_proxy_counts_only_where_a_proxy_is_trusted(api, settings):
    """Row 2."""
    assert (
        "Strict-Transport-Security"
        not in api.get("/movies", HTTP_X_FORWARDED_PROTO="https").headers
    )

    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

    told = api.get("/movies", HTTP_X_FORWARDED_PROTO="https").headers
    assert told["Strict-Transport-Security"] == HSTS


@pytest.mark.parametrize("given", ["a", "Az09._-", "x" * 64, "..."])
@pytest.mark.parametrize("path", ["/movies", "/nope", "/crash"])
def test_the_callers_request_id_is_given_back(api, given, path):
    assert api.get(path, HTTP_X_REQUEST_ID=given).headers["X-Request-Id"] == given


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x" * 65,
        "x" * 10_240,
        "a b",
        "a\r\nSet-Cookie:x",
        "a\n",
        "é",
        "a;b",
        "<b>",
        "a/b",
        "\x00",
    ],
)
def test_another_request_id_is_replaced(api, given):
    """Row 17."""
    response = api.get("/movies", HTTP_X_REQUEST_ID=given)

    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-Id"])
    assert "Set-Cookie" not in response.headers


def test_each_request_has_an_id_of_its_own(api):
    ids = {api.get("/movies").headers["X-Request-Id"] for _ in range(5)}

    assert len(ids) == 5


def vary(response: HttpResponse) -> set[str]:
    return {name.strip().title() for name in response.headers["Vary"].split(",")}


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/users/me", "no-store"),
        ("PATCH", "/users/me", "no-store"),
        ("GET", "/users/me/sessions", "no-store"),
        ("GET", "/users/me/ratings", "no-store"),
        ("GET", "/users/me/export", "no-store"),
        ("GET", "/movies", "private, no-cache"),
        ("GET", "/movies/{movie}", "private, no-cache"),
        ("GET", "/movies/{movie}/rating", "no-store"),
        ("GET", "/movies/{movie}/reviews", "private, no-cache"),
        ("POST", "/movies", "no-store"),
        ("DELETE", "/movies/404", "no-store"),
    ],
)
def test_what_belongs_to_one_person_is_not_kept_for_others(api, user, method, path, expected):
    """Row 18."""
    movie = MovieFactory()

    response = api.as_(user).generic(
        method, path.format(movie=movie.pk), "{}", content_type="application/json"
    )

    assert response.headers["Cache-Control"] == expected
    assert {"Authorization", "Origin"} <= vary(response)


@pytest.mark.parametrize("call", ["register", "login", "refresh", "logout", "password-reset"])
def test_nothing_under_auth_is_kept(api, call):
    """Row 18."""
    assert api.post(f"/auth/{call}").headers["Cache-Control"] == "no-store"


def test_a_public_read_is_shown_only_after_asking_us_and_depends_on_who_asks(api):
    response = api.get("/movies")

    assert response.headers["Cache-Control"] == "no-cache"
    assert {"Authorization", "Origin"} <= vary(response)


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/*", "application/json", "text/html, */*"]
)
def test_json_is_given_to_whoever_takes_it(api, accept):
    response = api.get("/movies", HTTP_ACCEPT=accept)

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("accept", ["application/xml", "text/html", "image/*", "nonsense", "/"])
def test_who_does_not_take_json_gets_none(api, accept):
    """Row 9."""
    assert api.get("/movies", HTTP_ACCEPT=accept).status_code == 406


@pytest.mark.parametrize(
    ("path", "types"),
    [
        ("/movies", "application/json"),
        ("/users/me/ratings.csv", "text/csv"),
        ("/metrics", "text/plain"),
        ("/", "application/json or text/html"),
    ],
)
def test_who_is_refused_hears_what_the_address_does_answer_in(api, path, types):
    error = api.get(path, HTTP_ACCEPT="image/png").json()["error"]

    assert error["message"] == f"This address answers in {types} only."


@pytest.mark.parametrize("query", ["format=api", "format=json", "format=admin"])
def test_the_browsable_api_is_nowhere(api, query):
    """Row 9."""
    response = api.get(f"/movies?{query}", HTTP_ACCEPT="text/html")

    assert response.status_code == 406
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "path", ["/movies/", "//movies", "/movies/../movies", "/MOVIES", "/movies;"]
)
def test_only_the_exact_path_is_a_route_and_nothing_redirects(api, user, path):
    """Row 6: a redirect would drop the body of a POST."""
    assert api.as_(user).post(path, {"title": "Ikiru"}).status_code == 404


READABLE = [route for route in ROUTES if "get" in route.verbs]


@pytest.mark.parametrize("route", READABLE, ids=lambda route: route.template)
def test_head_answers_as_get_does_without_the_body(api, admin, route):
    movie = MovieFactory()
    path = route.path(id=admin.pk if "users" in route.template else movie.pk)
    member = api.as_(admin)

    got, head = member.get(path), member.head(path)

    assert head.status_code == got.status_code
    assert head.getvalue() == b""
    ignored = {"X-Request-Id", "Content-Length", "Date"}
    if route.template == "/changes":
        # Its cursor moves with every transaction of the cluster, and other tests have theirs.
        assert head.headers["ETag"]
        assert got.headers["ETag"]
        ignored.add("ETag")
    assert {k: v for k, v in head.headers.items() if k not in ignored} == {
        k: v for k, v in got.headers.items() if k not in ignored
    }


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json", "/admin/login/"])
def test_head_answers_beside_the_api_too(client, path):
    assert client.head(path).status_code == client.get(path).status_code == 200


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.template)
def test_options_says_what_a_route_answers(api, admin, route):
    response = api.as_(admin).options(route.path())

    allowed = {verb.upper() for verb in route.verbs}
    if "get" in route.verbs:
        allowed.add("HEAD")
    assert response.status_code in (204, 405)
    assert set(response.headers["Allow"].split(", ")) - {"OPTIONS"} == allowed
