"""Answers that are given again: the same as Django's, and never older than the database."""

import json
import threading
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

import psycopg
import pytest
from django.db import connection, connections
from django.test import RequestFactory
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import User
from accounts.tests.factories import UserFactory
from media.tests import pictures
from media.tests.factories import an_image
from movies.models import Movie
from movies.tests.factories import MovieFactory
from movieshelf import hot_answers, replica
from movieshelf.api.hot import ANYTHING
from movieshelf.hot_answers import Current, HotAnswers, Kept, Shelf, Witness, key_of
from movieshelf.postgresql.base import connect
from movieshelf.tests.client import ApiClient
from movieshelf.tests.races import at_once
from movieshelf.wsgi import UTF8Handler
from ratings.models import Rating
from reviews.models import Review
from reviews.tests.factories import ReviewFactory

pytestmark = pytest.mark.django_db(transaction=True)

# What one answer has of its own.
OWN_HEADERS = {"X-Request-Id"}
ROOM = 16 * 1024 * 1024


class Answer(NamedTuple):
    status: str
    headers: dict[str, str]
    body: bytes


class Server:
    """Hot answers around Django, and how often Django was asked."""

    def __init__(self) -> None:
        self.django = UTF8Handler()
        self.asked_django = 0
        self.hot = HotAnswers(self._ask_django, max_bytes=ROOM)

    def get(self, path: str, **environ: Any) -> Answer:
        return self._send(self.hot, path, environ)

    def get_again(self, path: str, **environ: Any) -> Answer:
        """Ask until it is answered without Django.

        Other tests commit beside this one, in other databases of the same server, and a list is
        made anew whoever commits.
        """
        for _ in range(100):
            before = self.asked_django
            answer = self.get(path, **environ)
            if self.asked_django == before:
                return answer
        raise AssertionError("Django was asked each time.")

    def get_from_django(self, path: str, **environ: Any) -> Answer:
        return self._send(self.django, path, environ)

    def _ask_django(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.asked_django += 1
        return self.django(environ, start_response)

    def _send(self, application: Any, path: str, environ: dict[str, Any]) -> Answer:
        method = environ.pop("method", "GET")
        asked = RequestFactory().generic(method, path, **environ).environ
        started: list[Any] = []
        response = application(asked, lambda *head: started.extend(head))
        body = b"".join(response)
        getattr(response, "close", lambda: None)()
        kept = {name: value for name, value in started[1] if name not in OWN_HEADERS}
        return Answer(started[0], kept, b"" if method == "HEAD" else body)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def film() -> Movie:
    return MovieFactory(title="Dune", synopsis="Sand.")


PATHS = {
    "shelf": "/movies",
    "sorted": "/movies?sort=rank&stars=1&pageSize=5",
    "searched": "/movies?q=dun",
    "film": "/movies/{film}",
    "reviews": "/movies/{film}/reviews?sort=oldest",
    "review": "/reviews/{review}",
    "image": "/media/{image}",
    "narrow image": "/media/{image}?width=160",
}


@pytest.fixture
def paths(film: Movie) -> dict[str, str]:
    film.poster = an_image(data=pictures.jpeg((300, 200)))
    film.save()
    review = ReviewFactory(movie=film)
    Rating.objects.rate(user=review.user, movie_id=film.pk, value=4)
    ids = {"film": film.pk, "review": review.pk, "image": film.poster_id}
    return {name: path.format(**ids) for name, path in PATHS.items()}


# --- The same answer ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", PATHS)
def test_what_is_given_again_is_what_django_answers(
    server: Server, paths: dict[str, str], name: str
) -> None:
    from_django = server.get_from_django(paths[name])

    first, second = server.get(paths[name]), server.get_again(paths[name])

    assert first == second == from_django
    assert second.status == "200 OK"


@pytest.mark.parametrize("name", ["film", "image", "narrow image"])
@pytest.mark.parametrize("was_kept", [True, False])
def test_a_304_is_what_django_answers(
    server: Server, paths: dict[str, str], name: str, was_kept: bool
) -> None:
    etag = server.get_from_django(paths[name]).headers["ETag"]
    if was_kept:
        server.get(paths[name])

    again = server.get(paths[name], HTTP_IF_NONE_MATCH=f'"other", W/{etag}')

    assert again == server.get_from_django(paths[name], HTTP_IF_NONE_MATCH=etag)
    assert again.status == "304 Not Modified"
    assert server.get(paths[name], HTTP_IF_NONE_MATCH='"other"').status == "200 OK"
    assert server.asked_django == 1


@pytest.mark.parametrize("name", ["shelf", "film", "image"])
def test_head_is_what_django_answers(server: Server, paths: dict[str, str], name: str) -> None:
    first = server.get(paths[name], method="HEAD")
    second = server.get_again(paths[name], method="HEAD")

    assert first == second == server.get_from_django(paths[name], method="HEAD")
    assert server.get_again(paths[name]) == server.get_from_django(paths[name])


def test_origins_and_hosts_are_answered_apart(server: Server, paths: dict[str, str]) -> None:
    from django.test import override_settings

    path = paths["film"]
    with override_settings(CORS_ALLOWED_ORIGINS=["https://app.example"]):
        for headers in (
            {"HTTP_ORIGIN": "https://app.example"},
            {"HTTP_ORIGIN": "https://evil.example"},
            {},
            {"HTTP_HOST": "evil.example"},
            {"HTTP_ACCEPT": "application/xml"},
            {"HTTP_ACCEPT": "application/json"},
        ):
            for _ in range(2):
                assert server.get(path, **headers) == server.get_from_django(path, **headers)
        allowed = server.get(path, HTTP_ORIGIN="https://app.example")
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        assert "access-control-allow-origin" not in server.get(path).headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/movies?stars=9", "400 Bad Request"),
        ("/movies?scope=mine", "401 Unauthorized"),
        ("/movies/999", "404 Not Found"),
        ("/movies/999/reviews", "404 Not Found"),
        ("/movies/0", "404 Not Found"),
        ("/media/0190a0a0-0000-7000-8000-000000000000", "404 Not Found"),
    ],
)
def test_refusals_are_djangos_each_time(server: Server, path: str, status: str) -> None:
    for environ in ({}, {"method": "HEAD"}, {"HTTP_IF_NONE_MATCH": "*"}):
        answer = server.get(path, **environ)
        assert answer.status == status
        assert answer == server.get_from_django(path, **environ)
    assert len(server.hot.shelf) == 0


def test_what_belongs_to_somebody_is_never_kept(
    server: Server, paths: dict[str, str], user: User
) -> None:
    review = Review.objects.get()
    review.hide(by=user)
    mine = ApiClient().as_(review.user).defaults

    shown = server.get(paths["review"], **mine)

    assert shown.status == "200 OK"
    assert server.get(paths["review"]).status == "404 Not Found"
    assert len(server.hot.shelf) == 0
    assert server.get("/movies", HTTP_AUTHORIZATION="Basic x").status == "401 Unauthorized"


@pytest.mark.parametrize(
    "environ",
    [
        {"REQUEST_METHOD": "POST"},
        {"HTTP_AUTHORIZATION": "Bearer x"},
        {"HTTP_RANGE": "bytes=0-1"},
        {"HTTP_TRANSFER_ENCODING": "chunked"},
        {"CONTENT_LENGTH": "3", "wsgi.input": BytesIO(b"abc")},
        {"PATH_INFO": "/users/me"},
        {"PATH_INFO": "/movies/7/"},
        {"PATH_INFO": "/movies/７"},
        {"QUERY_STRING": "q=" + "a" * hot_answers.MAX_TELLING_LENGTH},
    ],
)
def test_requests_of_their_own_kind_have_no_key(environ: dict[str, Any]) -> None:
    plain = RequestFactory().get("/movies/7").environ

    assert key_of(plain) is not None
    assert key_of({**plain, **environ}) is None


def test_what_the_replica_showed_is_not_given_to_who_reads_from_the_primary() -> None:
    asked = RequestFactory().get("/movies/7").environ
    from_primary = key_of(asked)
    token = replica._reads_from.set(replica.REPLICA)
    try:
        assert key_of(asked) != from_primary
    finally:
        replica._reads_from.reset(token)


# --- Never older than the database -------------------------------------------------------------


def in_sql(statement: str) -> Callable[..., object]:
    """Change rows as somebody at psql would, who knows nothing of what is kept where."""

    def change(film: Movie) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, {"film": film.pk})

    return change


WRITES: dict[str, tuple[Callable[[Movie], object], set[str]]] = {
    "rating": (
        lambda film: Rating.objects.rate(user=UserFactory(), movie_id=film.pk, value=1),
        {"shelf", "sorted", "searched", "film"},
    ),
    "edit": (lambda film: film.edit(title="Dune (2021)"), {"shelf", "searched", "film"}),
    "another film": (lambda film: MovieFactory(title="Dunkirk"), {"shelf", "searched"}),
    "review": (
        lambda film: ReviewFactory(movie=film),
        {"shelf", "searched", "film", "reviews"},
    ),
    "hidden review": (
        lambda film: film.reviews.get().hide(by=UserFactory()),
        {"shelf", "searched", "film", "reviews", "review"},
    ),
    "author's rating": (
        lambda film: Rating.objects.rate(user=film.reviews.get().user, movie_id=film.pk, value=2),
        {"shelf", "film", "reviews", "review"},
    ),
    "author's name": (
        lambda film: User.objects.filter(reviews__movie=film).update(name="Another"),
        {"reviews", "review"},
    ),
    "update()": (
        lambda film: Movie.objects.filter(pk=film.pk).update(synopsis="Spice."),
        {"shelf", "searched", "film"},
    ),
    "removed image": (
        lambda film: film.poster.remove(),
        {"shelf", "film", "image", "narrow image"},
    ),
    "deleted film": (
        lambda film: film.delete(),
        {"shelf", "sorted", "searched", "film", "reviews", "review"},
    ),
    "psql": (
        in_sql("UPDATE movies_movie SET synopsis = 'By hand.' WHERE id = %(film)s"),
        {"shelf", "sorted", "searched", "film"},
    ),
    "rating at psql": (
        in_sql("UPDATE ratings_rating SET value = 1 WHERE movie_id = %(film)s"),
        {"reviews", "review"},
    ),
    "truncated": (
        in_sql("TRUNCATE movies_movie CASCADE"),
        {"shelf", "sorted", "searched", "film", "reviews", "review"},
    ),
}


@pytest.mark.parametrize("write", WRITES)
def test_after_a_write_every_answer_is_as_django_makes_it(
    server: Server, film: Movie, paths: dict[str, str], write: str
) -> None:
    change, changed = WRITES[write]
    before = {name: server.get(path) for name, path in paths.items()}
    change(film)

    after = {name: server.get(path) for name, path in paths.items()}

    assert after == {name: server.get_from_django(path) for name, path in paths.items()}
    assert changed <= {name for name in paths if after[name] != before[name]}


def test_a_write_that_is_not_committed_is_seen_by_nobody(
    server: Server, film: Movie, paths: dict[str, str]
) -> None:
    before = server.get(paths["film"])
    with connect(psycopg.Connection, "default", autocommit=False) as other:
        other.execute("UPDATE movies_movie SET synopsis = 'Soon.' WHERE id = %s", [film.pk])
        assert server.get(paths["film"]) == before
        other.commit()
        assert b"Soon." in server.get(paths["film"]).body


def test_rating_one_film_leaves_what_is_kept_of_others(
    server: Server, paths: dict[str, str]
) -> None:
    other = MovieFactory()
    kept = [paths[name] for name in ("film", "image", "reviews")]
    for path in (*kept, f"/movies/{other.pk}"):
        server.get(path)
    asked = server.asked_django

    Rating.objects.rate(user=UserFactory(), movie_id=other.pk, value=1)

    for path in kept:
        server.get(path)
    assert server.asked_django == asked
    server.get(f"/movies/{other.pk}")
    assert server.asked_django == asked + 1


def test_a_rank_that_moved_is_not_given_again(
    server: Server, film: Movie, paths: dict[str, str]
) -> None:
    """Nothing of this film changes but its place; tests read the ranks anew each time."""
    assert b'"rank":1,' in server.get(paths["film"]).body
    better = MovieFactory()

    Rating.objects.rate(user=UserFactory(), movie_id=better.pk, value=5)
    Rating.objects.rate(user=UserFactory(), movie_id=better.pk, value=5)

    assert b'"rank":2,' in server.get(paths["film"]).body


@settings(max_examples=20)
@given(st.lists(st.sampled_from(["rate", "read", "read list", "edit", "review"]), max_size=12))
def test_any_mixture_of_reads_and_writes_reads_what_is_there(steps: list[str]) -> None:
    server, film, user = Server(), MovieFactory(), UserFactory()
    for number, step in enumerate(steps):
        if step == "rate":
            Rating.objects.rate(user=user, movie_id=film.pk, value=number % 5 + 1)
        elif step == "edit":
            film.edit(synopsis=str(number))
        elif step == "review":
            Review.objects.write(user=user, movie_id=film.pk, content=str(number))
        else:
            path = f"/movies/{film.pk}" if step == "read" else "/movies"
            assert server.get(path) == server.get_from_django(path)
    film.delete()


# --- Many at once ------------------------------------------------------------------------------


def test_an_answer_that_many_ask_for_at_once_is_made_once(
    server: Server, paths: dict[str, str]
) -> None:
    answers = at_once(*[lambda: server.get(paths["film"])] * 8)

    assert server.asked_django == 1
    assert len({answer.body for answer in answers}) == 1


def test_who_waits_for_an_answer_begun_before_a_write_does_not_get_it(
    server: Server, film: Movie, paths: dict[str, str]
) -> None:
    """The answer is read, then the film is edited, then a second client asks and waits."""
    read, go_on = threading.Event(), threading.Event()
    ask_django = server.hot.application

    def slow(environ: dict[str, Any], start_response: Any) -> Any:
        answer = ask_django(environ, start_response)
        if not read.is_set():
            read.set()
            assert go_on.wait(10)
        return answer

    server.hot.application = slow

    def edit_then_ask() -> Answer:
        assert read.wait(10)
        film.edit(synopsis="Spice.")
        threading.Timer(0.1, go_on.set).start()
        return server.get(paths["film"])

    first, second = at_once(lambda: server.get(paths["film"]), edit_then_ask)

    assert b"Sand." in first.body
    assert b"Spice." in second.body
    assert b"Spice." in server.get(paths["film"]).body


# --- Bounds and troubles -----------------------------------------------------------------------


def an_answer(size: int) -> Current:
    return Current(Kept(b"x" * size, [], [], None, "/movies", ANYTHING, 0.0), "1:1:")


def test_the_shelf_gives_up_what_was_asked_for_least_recently() -> None:
    each = 10_000
    shelf = Shelf(max_bytes=20 * (each + hot_answers.OVERHEAD_BYTES))
    for number in range(20):
        shelf.put((str(number),), an_answer(each))
    assert shelf.get(("0",)) is not None

    shelf.put(("more",), an_answer(each))

    assert shelf.get(("1",)) is None
    assert shelf.get(("0",))
    assert shelf.get(("more",))
    assert shelf.bytes <= 20 * (each + hot_answers.OVERHEAD_BYTES)
    shelf.put(("0",), an_answer(1))
    shelf.drop(("more",))
    shelf.clear()
    assert (len(shelf), shelf.bytes) == (0, 0)


def test_an_answer_that_would_take_the_room_of_many_is_not_kept() -> None:
    shelf = Shelf(max_bytes=100_000)

    shelf.put(("large",), an_answer(10_000))

    assert shelf.get(("large",)) is None


def test_an_old_answer_is_made_anew_however_sure_it_is(
    server: Server, paths: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.get(paths["film"])
    monkeypatch.setattr(hot_answers, "MAX_AGE_SECONDS", 0.0)

    server.get(paths["film"])

    assert server.asked_django == 2


def test_connections_that_the_database_closed_cost_one_answer(
    server: Server, paths: dict[str, str]
) -> None:
    before = server.get(paths["film"])
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    connections.close_all()

    answers = [server.get(paths["film"]) for _ in range(3)]

    assert answers == [before] * 3
    assert server.asked_django <= 3
    server.get(paths["film"])
    assert len(server.hot.shelf) == 1


def test_without_a_witness_django_answers(
    server: Server, paths: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.get(paths["film"])

    def refuse(self: Witness) -> str:
        raise psycopg.OperationalError("no")

    monkeypatch.setattr(Witness, "snapshot", refuse)

    assert server.get(paths["film"]) == server.get_from_django(paths["film"])
    assert len(server.hot.shelf) == 0


def test_a_standby_is_asked_how_far_it_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its snapshots do not list the running transactions one by one."""
    assert hot_answers.now_on(is_standby=True) == "pg_last_wal_replay_lsn()::text"
    assert hot_answers.now_on(is_standby=False) == "pg_current_snapshot()::text"


@pytest.mark.parametrize("name", ["shelf", "film", "reviews", "image"])
def test_while_nothing_is_committed_an_answer_costs_one_question(
    server: Server, paths: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(Witness, "look", lambda *args: asked.append("look"))
    monkeypatch.setattr(Witness, "snapshot", lambda *args: asked.append("now") or "7:7:")
    server.get(paths[name])
    asked.clear()

    server.get(paths[name])

    assert asked == ["now"]
    assert server.asked_django == 1


def test_a_question_that_was_under_way_answers_nobody_who_came_later(server, film, monkeypatch):
    """Many are answered by one question, which is asked after each of them came."""
    path = f"/movies/{film.pk}"
    server.get_again(path)
    ask, is_asked, may_end = Witness._ask, threading.Event(), threading.Event()

    def ask_slowly(witness: Witness) -> str:
        snapshot = ask(witness)
        if not is_asked.is_set():
            is_asked.set()
            assert may_end.wait(20)
        return snapshot

    def get_after_a_write() -> Answer:
        assert is_asked.wait(20)
        Rating.objects.rate(user=UserFactory(), movie_id=film.pk, value=5)
        threading.Timer(0.2, may_end.set).start()
        return server.get(path)

    monkeypatch.setattr("movieshelf.together.STUCK_SECONDS", 20.0)
    monkeypatch.setattr(Witness, "_ask", ask_slowly)
    before, after = at_once(lambda: server.get(path), get_after_a_write)

    assert json.loads(before.body)["ratingCount"] == 0
    assert json.loads(after.body)["ratingCount"] == 1
