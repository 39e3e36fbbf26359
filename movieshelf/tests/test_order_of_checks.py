"""The order of checks (contract section 1): each request is wrong in every later way as well."""

import pytest
from django.http import HttpResponse

from accounts.tests.factories import UserFactory
from media.tests.pictures import png
from movies.tests.factories import MovieFactory
from movieshelf.tests.routes import NO_UUID
from reviews.tests.factories import ReviewFactory

pytestmark = pytest.mark.django_db

TOO_LARGE = b"x" * (1024 * 1024 + 1)
BAD = {
    "HTTP_ACCEPT": "text/html",
    "HTTP_AUTHORIZATION": "Bearer x",
    "content_type": "text/plain",
}


@pytest.fixture
def spent(settings, api, user):
    """A member who has used up what may be written in a minute."""
    settings.RATELIMIT_ENABLE = True
    settings.RATELIMIT_WRITES_USER = "1/h"
    member = api.as_(user)
    member.delete("/movies/404")
    return member


def test_the_route_comes_first(api):
    for path in ("/nope", "/movies/abc", "/movies/"):
        assert api.generic("PURGE", path, TOO_LARGE, **BAD).status_code == 404


@pytest.mark.parametrize("path", ["/movies/404", "/users/me", "/auth/login", "/movies/404/rating"])
def test_then_the_method(api, path):
    assert api.generic("PURGE", path, TOO_LARGE, **BAD).status_code == 405


@pytest.mark.parametrize("path", ["/movies/404", "/users/me"])
def test_then_what_is_accepted(api, path):
    assert api.generic("PATCH", path, TOO_LARGE, **BAD).status_code == 406


@pytest.mark.parametrize("authorization", [None, "Bearer x", "Basic YTpi"])
def test_then_the_credentials(api, authorization):
    meta = {"HTTP_AUTHORIZATION": authorization} if authorization else {}

    response = api.generic("PATCH", "/movies/404", TOO_LARGE, content_type="text/plain", **meta)

    assert response.status_code == 401


def test_a_bad_token_is_401_on_a_public_list_too(api):
    assert api.get("/movies?page=0", HTTP_AUTHORIZATION="Bearer x").status_code == 401
    assert api.get("/movies/404", HTTP_AUTHORIZATION="Bearer x").status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json"])
def test_some_paths_do_not_look_at_a_token(api, path):
    assert api.get(path, HTTP_AUTHORIZATION="Bearer x").status_code == 200


def test_nor_do_the_calls_that_begin_and_end_a_login(api, user):
    assert api.post("/auth/logout", HTTP_AUTHORIZATION="Bearer x").status_code == 204
    assert api.post("/auth/login", HTTP_AUTHORIZATION="Bearer x").status_code == 400


def test_nor_does_an_image(api, user):
    url = api.as_(user).upload("/users/me/avatar", png()).json()["url"]

    assert api.get(url, HTTP_AUTHORIZATION="Bearer x").status_code == 200


def test_then_the_ceilings(spent):
    assert spent.patch("/movies/404", TOO_LARGE, content_type="text/plain").status_code == 429


def wrong_later(member, method: str, path: str, body: bytes = TOO_LARGE) -> HttpResponse:
    """Send what is too large, of the wrong type, no JSON, and for a version that never was."""
    return member.generic(method, path, body, content_type="text/plain", HTTP_IF_MATCH='"never"')


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/movies/404"),
        ("POST", "/movies/404/poster"),
        ("POST", "/movies/404/reviews"),
        ("PUT", "/movies/404/rating"),
        ("PATCH", "/reviews/404"),
        ("POST", "/reviews/404/report"),
    ],
)
def test_then_whether_the_thing_is_there(api, user, method, path):
    assert wrong_later(api.as_(user), method, path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/movies/404/reviews?sort=x",
        "/movies/404/reviews?page=0",
        "/movies/404/reviews?pageSize=101",
        f"/media/{NO_UUID}?width=7",
    ],
)
def test_what_a_query_must_hold_comes_after_the_thing_too(api, path):
    assert api.get(path).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/movies/{movie}"),
        ("POST", "/movies/{movie}/poster"),
        ("PATCH", "/reviews/{review}"),
    ],
)
def test_then_ones_right_to_it(api, user, method, path):
    movie, review = MovieFactory(created_by=UserFactory()), ReviewFactory()
    path = path.format(movie=movie.pk, review=review.pk)

    assert wrong_later(api.as_(user), method, path).status_code == 403


def test_then_the_length_of_the_body_its_type_and_what_it_holds(api, user):
    MovieFactory(title="Ikiru")
    movie = MovieFactory(created_by=user)
    path, member = f"/movies/{movie.pk}", api.as_(user)

    assert wrong_later(member, "PATCH", path).status_code == 413
    assert wrong_later(member, "PATCH", path, b"{").status_code == 415
    stale = {"HTTP_IF_MATCH": '"never"'}
    assert member.patch(path, {"title": 3}, **stale).status_code == 400
    assert member.patch(path, {"title": "Ikiru"}, **stale).status_code == 412
    assert member.patch(path, {"title": "Ikiru"}).status_code == 409


def test_a_read_only_shelf_says_so_once_it_is_known_who_asks(api, user, settings):
    settings.READ_ONLY = True

    assert api.delete("/movies/404").status_code == 401
    refused = api.as_(user).delete("/movies/404")
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert api.get("/movies").status_code == 200
    assert api.post("/auth/login").status_code == 400
    assert api.post("/auth/logout").status_code == 204
