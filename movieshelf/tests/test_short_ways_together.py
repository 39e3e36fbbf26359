"""Short ways that many take at once: one statement for all, and to each what it would get alone."""

import json
import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from accounts.models import Session, User
from accounts.tests.factories import UserFactory
from movies.models import MovieStats
from movies.tests.factories import MovieFactory
from movieshelf.postgresql.base import connect
from movieshelf.tests.client import ApiClient
from movieshelf.tests.numbers import numbers_are_right
from movieshelf.tests.races import at_once
from movieshelf.tests.short_ways import WRITES_OF, Answer, Server, taught
from movieshelf.tests.valkey import until
from movieshelf.tests.waiting import until_somebody_waits
from ratings.models import Rating
from reviews.models import Review

pytestmark = pytest.mark.django_db(transaction=True)

MODULES = {"PUT": "ratings", "POST": "reviews"}
ROUTES = {"PUT": "/movies/:id/rating", "POST": "/movies/:id/reviews"}


def login_of(user: User) -> dict[str, Any]:
    return dict(ApiClient().as_(user).defaults)


class Crowd:
    """Writes that come while another one is held up, so that they are then done together."""

    def __init__(self, write: tuple[str, str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        self.method, self.path, self.body = write
        self.held_up = MovieFactory().pk
        self.server = taught(Server(), self.held_up, login_of(UserFactory()))
        self.calls: list[Callable[[], Answer]] = []
        # How many each statement wrote, or tried to.
        self.statements: list[int] = []
        module = MODULES[self.method]
        self.ask = import_module(f"{module}.models").fetch_all
        monkeypatch.setattr("movieshelf.together.STUCK_SECONDS", 60.0)
        monkeypatch.setattr(f"{module}.short.LOCK_TIMEOUT", "60s")
        monkeypatch.setattr(f"{module}.models.fetch_all", self._ask)

    def _ask(self, sql: str, given: dict[str, Any]) -> Any:
        self.statements.append(len(json.loads(given["asked"])))
        return self.ask(sql, given)

    def call(self, film: int, by: User, body: Any = None) -> Callable[[], Answer]:
        path, asked = self.path.format(film=film), body or self.body
        return partial(self.server.send, self.method, path, asked, **login_of(by))

    def add(self, film: int, by: User, body: Any = None) -> None:
        self.calls.append(self.call(film, by, body))

    def go(self) -> list[Answer]:
        """Have all come while the first one waits for a film, and give what they are answered."""
        together = self.server.short.together[ROUTES[self.method]]
        is_held, is_begun = threading.Event(), threading.Event()

        def hold() -> None:
            with connect(psycopg.Connection, "default", autocommit=False) as other:
                other.execute(
                    "SELECT FROM movies_moviestats WHERE movie_id = %s FOR UPDATE", [self.held_up]
                )
                is_held.set()
                until_somebody_waits()
                is_begun.set()
                until(lambda: len(together.waiting) == len(self.calls))

        def after(event: threading.Event, call: Callable[[], Answer]) -> Answer:
            assert event.wait(20)
            return call()

        others = [partial(after, is_begun, call) for call in self.calls]
        first = partial(after, is_held, self.call(self.held_up, UserFactory()))
        held, begun, *answers = at_once(hold, first, *others)
        assert held is None
        assert begun.status[0] == "2"
        return answers


@pytest.fixture(params=WRITES_OF, ids=lambda write: MODULES[write[0]])
def crowd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Crowd:
    return Crowd(request.param, monkeypatch)


def version_of_numbers(film: int) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT xmin::text FROM movies_moviestats WHERE movie_id = %s", [film])
        return str(cursor.fetchone()[0])


def statuses(answers: list[Answer]) -> list[str]:
    return [answer.status[:3] for answer in answers]


def test_what_comes_meanwhile_is_written_by_one_statement(crowd):
    films = [MovieFactory().pk for _ in range(3)]
    members = UserFactory.create_batch(4)
    for film in films:
        for member in members:
            crowd.add(film, member)

    answers = crowd.go()

    assert crowd.statements == [1, 12]
    assert crowd.server.asked_django == 0
    assert {status[0] for status in statuses(answers)} == {"2"}
    assert [(a.body["movieId"], a.body["userId"]) for a in answers] == [
        (film, member.pk) for film in films for member in members
    ]
    assert len({a.body["id"] for a in answers}) == 12
    assert numbers_are_right()
    for answer in answers:
        if "ratingCount" in answer.body:
            assert answer.body["ratingCount"] == 4
            assert answer.body["ratingDistribution"] == {"1": 0, "2": 0, "3": 0, "4": 4, "5": 0}


def test_ratings_that_are_changed_together_move_each_number_once(monkeypatch):
    """Each film's old values are taken off, and its new ones put on, all in one row."""
    crowd = Crowd(WRITES_OF[0], monkeypatch)
    films = [MovieFactory().pk for _ in range(2)]
    members = UserFactory.create_batch(5)
    for film in films:
        for value, member in enumerate(members, 1):
            Rating.objects.rate(user=member, movie_id=film, value=value)
            crowd.add(film, member, {"value": 6 - value if film == films[0] else value})
    crowd.statements.clear()
    before = version_of_numbers(films[1])

    answers = crowd.go()

    assert crowd.statements == [1, 10]
    assert {answer.body["averageRating"] for answer in answers} == {3}
    assert [answer.body["value"] for answer in answers] == [5, 4, 3, 2, 1, 1, 2, 3, 4, 5]
    assert numbers_are_right()
    # Where every value stayed what it was, the film's row did.
    assert version_of_numbers(films[1]) == before


def test_one_member_who_writes_of_one_film_again_and_again_is_not_mixed_up(crowd):
    film, member = MovieFactory().pk, UserFactory()
    for _ in range(4):
        crowd.add(film, member)

    answers = crowd.go()

    assert {status[0] for status in statuses(answers)} == {"2"}
    assert crowd.statements == [1, 1, 1, 1, 1]
    times = 4 if crowd.method == "POST" else 1
    assert len({answer.body["id"] for answer in answers}) == times
    assert numbers_are_right()


def test_among_many_each_is_answered_what_it_would_be_alone(crowd, settings):
    settings.RATELIMIT_ENABLE = True
    settings.RATELIMIT_WRITES_USER = "1/m"
    film, over, ended, fine = MovieFactory().pk, *UserFactory.create_batch(3)
    assert crowd.call(film, over)().status[0] == "2"
    crowd.statements.clear()
    crowd.add(film, fine)
    crowd.add(film, over)
    crowd.add(film, ended)
    crowd.add(film + 1_000, UserFactory())
    crowd.add(film, UserFactory(), {"value": 9, "content": ""})
    bad = crowd.calls.pop()
    Session.objects.filter(user=ended).update(revoked_at=timezone.now())

    answers = crowd.go()

    assert statuses(answers) == [{"PUT": "200", "POST": "201"}[crowd.method], "429", "401", "404"]
    assert bad().status[:3] == "400"
    assert [a.headers["RateLimit"].split(";")[1] for a in answers if "RateLimit" in a.headers] == [
        "r=0"
    ] * 3
    # One of its own, which is not there, and one that Django then looks for.
    assert crowd.statements == [1, 2, 1]
    assert numbers_are_right()


def test_a_member_who_leaves_meanwhile_spoils_nothing_for_the_others(crowd, monkeypatch):
    """The constraint refuses all that was written together, so each is then written by itself."""
    film, leaving, *others = MovieFactory().pk, *UserFactory.create_batch(4)
    for member in (leaving, *others):
        crowd.add(film, member)
    ask = crowd.ask

    def lose_the_member(sql: str, given: dict[str, Any]) -> Any:
        if len(json.loads(given["asked"])) == 4:
            with connect(psycopg.Connection, "default") as other:
                other.execute("DELETE FROM accounts_user WHERE id = %s", [leaving.pk])
        return ask(sql, given)

    monkeypatch.setattr(crowd, "ask", lose_the_member)

    answers = crowd.go()

    assert statuses(answers)[0] == "401"
    assert {status[0] for status in statuses(answers)[1:]} == {"2"}
    assert sorted(crowd.statements) == [1, 1, 1, 1, 4]
    assert (
        MovieStats.objects.get(pk=film).rating_count + Review.objects.filter(movie=film).count()
        == 3
    )
    assert numbers_are_right()


def test_what_may_have_been_written_is_not_written_again(crowd, monkeypatch):
    """Rows 141 and 149: a connection that is lost says nothing of what became of the commit."""
    film, members = MovieFactory().pk, UserFactory.create_batch(3)
    for member in members:
        crowd.add(film, member)
    ask = crowd.ask

    def lose_the_answer(sql: str, given: dict[str, Any]) -> Any:
        answer = ask(sql, given)
        if len(json.loads(given["asked"])) == 3:
            raise OperationalError("The connection is lost.")
        return answer

    monkeypatch.setattr(crowd, "ask", lose_the_answer)

    answers = crowd.go()

    assert statuses(answers) == ["503"] * 3
    assert crowd.statements == [1, 3]
    kept = Rating if crowd.method == "PUT" else Review
    assert kept.objects.filter(movie=film).count() == 3
    assert numbers_are_right()


def test_a_film_that_is_locked_holds_up_no_other(crowd, monkeypatch):
    """Row 139: the others are done while the one waits, which then is done as well."""
    monkeypatch.setattr(f"{MODULES[crowd.method]}.short.LOCK_TIMEOUT", "50ms")
    locked = MovieFactory().pk
    others = [MovieFactory().pk for _ in range(6)]
    done: list[Answer] = []
    are_done = threading.Event()

    def hold() -> None:
        with connect(psycopg.Connection, "default", autocommit=False) as other:
            other.execute("SELECT FROM movies_moviestats WHERE movie_id = %s FOR UPDATE", [locked])
            is_held.set()
            assert are_done.wait(20)

    def write_another(call: Callable[[], Answer]) -> None:
        assert is_held.wait(20)
        done.append(call())
        if len(done) == len(others):
            are_done.set()

    def write_locked(call: Callable[[], Answer]) -> Answer:
        assert is_held.wait(20)
        return call()

    is_held = threading.Event()
    *_, answer = at_once(
        hold,
        *(partial(write_another, crowd.call(film, UserFactory())) for film in others),
        partial(write_locked, crowd.call(locked, UserFactory())),
    )

    assert answer.status[0] == "2"
    assert {status[0] for status in statuses(done)} == {"2"}
    assert numbers_are_right()


def test_row_129_of_24_who_rate_one_film_and_change_their_minds_each_counts_once():
    """Rows 129 and 131, together as they come and not held up."""
    film, members = MovieFactory().pk, UserFactory.create_batch(24)
    server = taught(Server(), film, login_of(members[0]))
    path, reviews = f"/movies/{film}/rating", f"/movies/{film}/reviews"

    def write(number: int) -> list[str]:
        login = login_of(members[number])
        values = [(number + turn) % 5 + 1 for turn in range(3)]
        rated = [server.send("PUT", path, {"value": value}, **login) for value in values]
        return statuses([*rated, server.send("POST", reviews, {"content": "Fine."}, **login)])

    answers = at_once(*(partial(write, number) for number in range(24)))

    assert answers == [["200", "200", "200", "201"]] * 24
    values = Rating.objects.filter(movie=film).values_list("value", flat=True)
    assert sorted(values) == sorted((number + 2) % 5 + 1 for number in range(24))
    assert MovieStats.objects.get(pk=film).review_count == 25
    assert numbers_are_right()
