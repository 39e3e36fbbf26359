"""Who may do what: every operation, for everybody (rows 76 to 80 and 83)."""

import json
import socket
from typing import Any, NamedTuple

import pytest
from django.db import transaction

from accounts.models import Session, User
from accounts.tests.factories import PASSWORD, AdminFactory, UserFactory
from imports.models import Import
from media.models import Media
from media.tests.pictures import png
from movies.models import Movie
from movies.tests.factories import MovieFactory
from movieshelf.tests.routes import OPERATIONS
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.models import Review
from reviews.tests.factories import ReviewFactory

pytestmark = pytest.mark.django_db

EVERYBODY = (200, 200, 200, 200)
LOGGED_IN = (401, 200, 200, 200)
IMAGE = png((16, 16))
RATINGS = b"Date,Name,Year,Letterboxd URI,Rating\n"

# An operation, what is sent, and the status for somebody unknown, a stranger, the owner, an admin.
# The owner added the film and wrote its rating, its review and its login.
Row = tuple[str, str, Any, tuple[int, int, int, int]]
MATRIX: list[Row] = [
    (
        *("post", "/auth/register"),
        {"name": "New", "email": "new@shelf.example", "password": "a phrase for the new one"},
        (201, 201, 201, 201),
    ),
    ("post", "/auth/login", {"email": "owner@shelf.example", "password": PASSWORD}, EVERYBODY),
    ("post", "/auth/refresh", None, (401, 401, 401, 401)),
    ("post", "/auth/logout", None, (204, 204, 204, 204)),
    ("post", "/auth/password-reset", {"email": "owner@shelf.example"}, (202, 202, 202, 202)),
    (
        *("post", "/auth/password-reset/confirm"),
        {"token": "made-up", "password": "another long phrase"},
        (400, 400, 400, 400),
    ),
    ("get", "/users/me", None, LOGGED_IN),
    ("patch", "/users/me", {"name": "Renamed"}, LOGGED_IN),
    ("delete", "/users/me", {"password": PASSWORD}, (401, 204, 204, 204)),
    ("post", "/users/me/avatar", IMAGE, (401, 201, 201, 201)),
    (
        *("post", "/users/me/password"),
        {"currentPassword": PASSWORD, "newPassword": "another long phrase"},
        (401, 204, 204, 204),
    ),
    ("get", "/users/me/sessions", None, LOGGED_IN),
    ("delete", "/users/me/sessions/<uuid:pk>", None, (401, 404, 204, 404)),
    ("get", "/users/me/ratings", None, LOGGED_IN),
    ("get", "/users/me/ratings.csv", None, LOGGED_IN),
    ("get", "/users/me/export", None, LOGGED_IN),
    ("get", "/users/<id:pk>", None, EVERYBODY),
    ("get", "/movies", None, EVERYBODY),
    ("post", "/movies", {"title": "Ikiru"}, (401, 201, 201, 201)),
    ("get", "/movies/<id:pk>", None, EVERYBODY),
    ("patch", "/movies/<id:pk>", {"synopsis": "Changed."}, (401, 403, 200, 200)),
    ("delete", "/movies/<id:pk>", None, (401, 403, 204, 204)),
    ("post", "/movies/<id:pk>/poster", IMAGE, (401, 403, 201, 201)),
    ("post", "/movies/<id:pk>/report", {"reason": "spam"}, (401, 201, 400, 201)),
    ("get", "/movies/<id:pk>/rank", None, EVERYBODY),
    ("get", "/movies/<id:movie_id>/reviews", None, EVERYBODY),
    ("post", "/movies/<id:movie_id>/reviews", {"content": "Right."}, (401, 201, 201, 201)),
    ("get", "/movies/<id:movie_id>/rating", None, (401, 404, 200, 404)),
    ("put", "/movies/<id:movie_id>/rating", {"value": 2}, LOGGED_IN),
    ("delete", "/movies/<id:movie_id>/rating", None, (401, 404, 204, 404)),
    ("get", "/reviews/<id:pk>", None, EVERYBODY),
    ("patch", "/reviews/<id:pk>", {"content": "Changed."}, (401, 403, 200, 200)),
    ("patch", "/reviews/<id:pk>", {"hidden": True}, (401, 403, 403, 200)),
    ("delete", "/reviews/<id:pk>", None, (401, 403, 204, 204)),
    ("post", "/reviews/<id:pk>/report", {"reason": "spam"}, (401, 201, 400, 201)),
    ("get", "/imports", None, LOGGED_IN),
    ("post", "/imports", RATINGS, (401, 202, 202, 202)),
    ("get", "/imports/<id:import_id>", None, (401, 404, 200, 404)),
    ("get", "/imports/<id:import_id>/report.csv", None, (401, 404, 200, 404)),
    ("delete", "/imports/<id:import_id>", None, (401, 404, 202, 404)),
    ("get", "/changes", None, EVERYBODY),
    ("get", "/media/limits", None, EVERYBODY),
    ("get", "/media/<uuid:image>", None, EVERYBODY),
    ("get", "/healthz", None, EVERYBODY),
    ("get", "/readyz", None, EVERYBODY),
    ("get", "/metrics", None, (401, 401, 401, 401)),
    ("get", "/openapi.json", None, EVERYBODY),
    ("get", "/docs", None, EVERYBODY),
]
REFUSALS = ("auth_failed", "forbidden", "not_found")
WHO = ("anonymous", "stranger", "owner", "admin")


class Story(NamedTuple):
    owner: User
    stranger: User
    admin: User
    movie: Movie
    review: Review
    session: Session
    image: Media
    source: Import


@pytest.fixture
def story(api) -> Story:
    owner = UserFactory(email="owner@shelf.example")
    image = Media.objects.get(pk=api.as_(owner).upload("/users/me/avatar", IMAGE).json()["mediaId"])
    movie = MovieFactory(created_by=owner, synopsis="As it was.")
    RatingFactory(movie=movie, user=owner, value=5)
    review = ReviewFactory(movie=movie, user=owner)
    session = Session.objects.start(owner, user_agent="elsewhere", ip="192.0.2.1")
    source = Import.objects.create(
        user=owner, format="imdb_ratings", row_count=0, status=Import.Status.DONE
    )
    return Story(owner, UserFactory(), AdminFactory(), movie, review, session, image, source)


def send(api, story: Story, who: str, row: Row) -> Any:
    verb, template, body, _ = row
    path = template.replace("/users/<id:pk>", f"/users/{story.owner.pk}")
    path = path.replace("/reviews/<id:pk>", f"/reviews/{story.review.pk}")
    path = path.replace("<uuid:pk>", str(story.session.pk)).replace(
        "<uuid:image>", str(story.image.pk)
    )
    path = path.replace("<id:pk>", str(story.movie.pk)).replace(
        "<id:movie_id>", str(story.movie.pk)
    )
    path = path.replace("<id:import_id>", str(story.source.pk))
    client = api if who == "anonymous" else api.as_(getattr(story, who))
    if body is IMAGE:
        return client.upload(path, IMAGE)
    if body is RATINGS:
        return client.upload(path, RATINGS, field="file")
    data = "" if body is None else json.dumps(body)
    return client.generic(verb.upper(), path, data, content_type="application/json")


def rows_of_the_owner(story: Story) -> list[Any]:
    """What nobody else may change."""
    return [
        list(kind.objects.filter(pk=pk).values())
        for kind, pk in (
            (User, story.owner.pk),
            (Movie, story.movie.pk),
            (Review, story.review.pk),
            (Session, story.session.pk),
            (Media, story.image.pk),
            (Import, story.source.pk),
        )
    ] + [list(Rating.objects.filter(user=story.owner).values())]


def test_the_matrix_has_every_operation():
    """Row 76: a new route comes with its line above."""
    known = {(verb, template) for verb, template, _, _ in MATRIX}

    assert {(verb, route.template) for verb, route in OPERATIONS} <= known


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: f"{row[0].upper()} {row[1]}")
def test_who_may(api, story, row):
    """Rows 76 and 77: and what is refused has changed nothing of the owner's."""
    before, found = rows_of_the_owner(story), {}

    for who in WHO:
        with transaction.atomic():
            response = send(api, story, who, row)
            found[who] = response.status_code
            if response.status_code in (401, 403, 404):
                assert rows_of_the_owner(story) == before
                assert response.json()["error"]["code"] in REFUSALS
            if who != "owner" and row[1] != "/auth/login":
                assert b"owner@shelf.example" not in response.getvalue()
            transaction.set_rollback(True)

    assert found == dict(zip(WHO, row[3], strict=True))


@pytest.mark.parametrize(
    ("template", "forged"),
    [
        (
            "/movies/{movie}",
            {
                **{"id": 7, "createdBy": 7, "averageRating": 1, "ratingCount": 99, "rank": 1},
                **{"reviewCount": 99, "createdAt": "2001-01-01T00:00:00Z", "posterUrl": "/x"},
                "ratingDistribution": {"1": 99},
            },
        ),
        ("/reviews/{review}", {"id": 7, "movieId": 7, "userId": 7, "rating": 1, "user": {}}),
        (
            "/users/me",
            {
                **{"id": 7, "role": "admin", "isStaff": True, "isSuperuser": True},
                **{"email": "x@y.example", "passwordHash": "x", "password": "x", "avatarUrl": "/x"},
            },
        ),
    ],
)
def test_what_nobody_may_set_is_ignored(api, story, template, forged):
    """Rows 64 and 78."""
    before = rows_of_the_owner(story)
    path = template.format(movie=story.movie.pk, review=story.review.pk)

    response = api.as_(story.owner).patch(path, forged)

    after = rows_of_the_owner(story)
    assert response.status_code == 200
    changeable = {"updated_at", "version"}
    assert [[without(row, changeable) for row in rows] for rows in after] == [
        [without(row, changeable) for row in rows] for rows in before
    ]


def without(row: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


@pytest.mark.parametrize(
    ("path", "field"), [("/users/me", "avatarMediaId"), ("/movies/{movie}", "posterMediaId")]
)
def test_somebody_elses_image_is_not_taken(api, story, path, field):
    """Rows 78 and 128."""
    movie = MovieFactory(created_by=story.stranger)

    response = api.as_(story.stranger).patch(
        path.format(movie=movie.pk), {field: str(story.image.pk)}
    )

    assert response.status_code == 400
    assert list(response.json()["error"]["details"]) == [field]


@pytest.mark.parametrize("scope", ["mine", "not_mine"])
@pytest.mark.parametrize("meta", [{}, {"HTTP_AUTHORIZATION": "Bearer x"}])
def test_ones_own_films_are_for_who_is_known(api, scope, meta):
    """Row 79."""
    assert api.get(f"/movies?scope={scope}", **meta).status_code == 401


@pytest.mark.parametrize(("who", "status"), [("anonymous", 302), ("stranger", 302), ("admin", 200)])
@pytest.mark.parametrize("page", ["/admin/", "/admin/movies/movie/", "/admin/reviews/review/"])
def test_the_admin_is_for_admins(client, story, who, status, page):
    """Row 80."""
    if who != "anonymous":
        client.force_login(getattr(story, who))

    response = client.get(page)

    assert response.status_code == status
    if status == 302:
        assert response.headers["Location"].startswith("/admin/login/")


def test_a_token_of_the_api_opens_no_admin_and_the_admins_cookie_no_api(api, client, admin):
    client.force_login(admin)

    assert api.as_(admin).get("/admin/").status_code == 302
    assert client.get("/users/me").status_code == 401


def test_there_is_no_account_before_somebody_makes_one(db):
    """Row 80: migrations leave none behind."""
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("javascript:alert(1)", 400),
        ("file:///etc/passwd", 400),
        ("gopher://example.org/", 400),
        ("data:text/html,x", 400),
        ("//example.org/x", 400),
        ("http://169.254.169.254/latest/meta-data", 201),
        ("https://example.org/trailer", 201),
    ],
)
def test_a_trailer_is_an_http_address_and_never_fetched(api, user, monkeypatch, url, status):
    """Rows 82 and 83."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        assert self.family == socket.AF_UNIX, f"somebody calls {address}"
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("somebody asks for a host"))

    response = api.as_(user).post("/movies", {"title": "Ikiru", "trailerUrl": url})

    assert response.status_code == status
