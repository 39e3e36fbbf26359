"""Where a request reads from. Against real servers: benchmarks/replicas.py."""

from typing import Any
from unittest.mock import patch

import pytest
from django.core.cache import cache
from django.db import OperationalError, connections, transaction
from django.test import override_settings

from accounts.models import Session, User
from accounts.tests.factories import UserFactory
from media.tests.factories import an_image
from movies import marks, ranking, texts
from movies.models import Movie
from movies.tests.factories import MovieFactory
from movieshelf import replica
from movieshelf.replica import PRIMARY, REPLICA, Replica, ReplicaRouter, choosing, reads_from
from ratings.tests.factories import RatingFactory
from reviews.tests.factories import ReviewFactory


class Asked:
    """A WSGI application that notes where it was to read from, and answers."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)
        self.read_from: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.read_from.append(reads_from())
        status = self.statuses.pop(0) if self.statuses else "200 OK"
        start_response(status, [("X-From", reads_from())])
        return [reads_from().encode()]


@pytest.fixture
def standby() -> Replica:
    """A replica that keeps up, of a primary that answers no write before it shows it."""
    found = Replica(max_lag_seconds=2)
    found.is_usable = found.is_exact = True
    return found


def ask(
    asked: Asked, standby: Replica, method: str = "GET", path: str = "/movies", token: str = ""
) -> tuple[list[Any], bytes]:
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path}
    if token:
        environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    given: list[Any] = []
    body = choosing(asked, standby)(environ, lambda *answer: given.append(answer))
    return given, b"".join(body)


@pytest.mark.parametrize(
    ("method", "path", "alias"),
    [
        ("GET", "/movies", REPLICA),
        ("HEAD", "/movies/7", REPLICA),
        ("GET", "/users/me/ratings", REPLICA),
        ("POST", "/movies", PRIMARY),
        ("PUT", "/movies/7/rating", PRIMARY),
        ("PATCH", "/movies/7", PRIMARY),
        ("DELETE", "/movies/7", PRIMARY),
        ("POST", "/auth/refresh", PRIMARY),
        ("GET", "/admin/movies/movie/", PRIMARY),
        ("GET", "/readyz", PRIMARY),
        ("GET", "/changes", PRIMARY),
    ],
)
def test_what_changes_nothing_reads_from_the_replica(method, path, alias, standby):
    asked = Asked()

    given, body = ask(asked, standby, method, path)

    assert asked.read_from == [alias]
    assert given == [("200 OK", [("X-From", alias)])]
    assert body == alias.encode()
    assert reads_from() == PRIMARY


def test_a_replica_that_is_behind_or_gone_is_skipped(standby):
    asked = Asked()
    standby.is_usable = False

    ask(asked, standby)

    assert asked.read_from == [PRIMARY]


def test_a_request_that_finds_it_gone_is_done_again_by_the_primary(standby):
    asked = Asked("503 Service Unavailable")

    given, body = ask(asked, standby)

    assert asked.read_from == [REPLICA, PRIMARY]
    assert [status for status, _ in given] == ["200 OK"]
    assert body == PRIMARY.encode()
    assert not standby.is_usable


def test_a_write_that_is_refused_is_not_done_again(standby):
    asked = Asked("503 Service Unavailable")

    given, _ = ask(asked, standby, "POST")

    assert asked.read_from == [PRIMARY]
    assert given[0][0] == "503 Service Unavailable"


def test_who_wrote_reads_from_the_primary_where_the_replica_may_be_behind(standby):
    standby.is_exact = False
    asked = Asked()

    for method, token in [
        ("GET", "ada"),
        ("PUT", "ada"),
        ("GET", "ada"),
        ("GET", "bob"),
        ("GET", ""),
    ]:
        ask(asked, standby, method, token=token)

    assert asked.read_from == [REPLICA, PRIMARY, PRIMARY, REPLICA, REPLICA]


def test_who_wrote_reads_anywhere_where_the_replica_shows_it_already(standby):
    asked = Asked()

    ask(asked, standby, "PUT", token="ada")
    ask(asked, standby, token="ada")

    assert asked.read_from == [PRIMARY, REPLICA]


def test_without_the_cache_nobody_knows_who_wrote_and_members_read_from_the_primary(
    standby, monkeypatch
):
    standby.is_exact = False
    asked = Asked()
    monkeypatch.setattr(replica, "remembers", lambda: False)

    ask(asked, standby, token="ada")
    ask(asked, standby)

    assert asked.read_from == [PRIMARY, REPLICA]


@pytest.fixture
def reading(transactional_db):
    token = replica._reads_from.set(REPLICA)
    yield
    replica._reads_from.reset(token)


def test_the_router_reads_from_there_and_writes_to_the_primary(reading):
    router = ReplicaRouter()

    assert router.db_for_read(Movie) == REPLICA
    assert router.db_for_read(User) == REPLICA
    assert router.db_for_write(Movie) == PRIMARY
    assert router.allow_relation(User(), Movie())
    assert router.allow_migrate(PRIMARY, "movies")
    assert not router.allow_migrate(REPLICA, "movies")


def test_an_ended_login_is_over_at_once(reading):
    assert ReplicaRouter().db_for_read(Session) == PRIMARY


def test_a_transaction_reads_what_it_writes(reading):
    with transaction.atomic():
        assert ReplicaRouter().db_for_read(Movie) == PRIMARY
    assert ReplicaRouter().db_for_read(Movie) == REPLICA


@override_settings(DATABASE_ROUTERS=["movieshelf.replica.ReplicaRouter"])
def test_a_row_that_is_locked_is_one_of_the_primary(reading):
    assert Movie.objects.filter(pk=1).db == REPLICA
    assert Movie.objects.select_for_update().filter(pk=1).db == PRIMARY


@pytest.fixture
def replica_alone(reading, settings):
    """A replica that shows what the database holds; once called, the primary is gone."""
    settings.DATABASE_ROUTERS = ["movieshelf.replica.ReplicaRouter"]
    connections.settings[REPLICA] = connections.settings[PRIMARY]
    # At once: what a test connects to later it must have named.
    connections[REPLICA].connect()
    primary = connections[PRIMARY]
    gone = patch.object(primary, "connect", side_effect=OperationalError("It is gone."))

    def leave() -> None:
        primary.close()
        gone.start()

    yield leave
    gone.stop()
    connections[REPLICA].close()
    connections[REPLICA].close_pool()
    del connections[REPLICA]
    del connections.settings[REPLICA]


@pytest.mark.parametrize("marks_are_known", [True, False])
def test_what_everybody_reads_needs_no_primary(api, replica_alone, marks_are_known, monkeypatch):
    """Raw SQL as well: ranks, deep pages, searches, the bytes of an image."""
    user = UserFactory()
    image = an_image(uploader=user)
    movies = [MovieFactory(title=f"Solaris {n}", created_by=user) for n in range(3)]
    review = ReviewFactory(movie=movies[0])
    RatingFactory(movie=movies[0])
    if marks_are_known:
        marks.rebuild()
        texts.build()
    monkeypatch.setattr(marks, "MAX_MOVES", 0)
    MovieFactory()
    monkeypatch.setattr(ranking, "_keeper", ranking.RanksKeeper())
    cache.clear()
    replica_alone()

    for path in (
        "/movies",
        "/movies?sort=rank",
        "/movies?pageSize=1&page=4",
        "/movies?pageSize=1&page=2&sort=rank&stars=1",
        "/movies?q=solaris",
        "/movies?q=so",
        "/movies?q=soalris",
        f"/movies/{movies[0].pk}",
        f"/movies/{movies[0].pk}/reviews",
        f"/reviews/{review.pk}",
        f"/users/{user.pk}",
        f"/media/{image.pk}",
    ):
        assert api.get(path).status_code == 200, path


class Watched(Replica):
    """Where the primary and the replica are is what a test says."""

    def __init__(self) -> None:
        super().__init__(max_lag_seconds=2)
        self.primary: tuple[Any, ...] | None = (100, "remote_apply", True)
        self.standby: tuple[Any, ...] | None = (True, 100)

    def _ask(self, alias: str, question: str) -> tuple[Any, ...] | None:
        return self.primary if alias == PRIMARY else self.standby


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(replica.time, "monotonic", lambda: now[0])
    return now


def test_a_replica_that_keeps_up_is_used_and_exact(clock):
    watched = Watched()

    watched.look()

    assert (watched.is_usable, watched.is_exact) == (True, True)


@pytest.mark.parametrize(
    "primary", [(100, "on", True), (100, "remote_apply", False), (100, "remote_apply", None)]
)
def test_it_is_exact_only_where_every_standby_is_waited_for(clock, primary):
    watched = Watched()
    watched.primary = primary

    watched.look()

    assert (watched.is_usable, watched.is_exact) == (True, False)


def test_it_is_left_when_it_lacks_what_was_written_so_long_ago_and_taken_back(clock):
    watched = Watched()
    seen = []
    # Second by second: where the primary is, and where the replica is.
    for written, replayed in [
        (100, 100),
        (200, 100),
        (300, 100),
        (400, 150),
        (400, 390),
        (400, 400),
    ]:
        watched.primary, watched.standby = (written, "on", False), (True, replayed)
        watched.look()
        seen.append(watched.is_usable)
        clock[0] += 1

    assert seen == [True, True, True, False, True, True]


def test_one_that_is_far_behind_at_the_start_is_not_used_before_it_caught_up(clock):
    watched = Watched()
    watched.standby = (True, 5)
    watched.look()
    assert not watched.is_usable

    watched.standby = (True, 100)
    watched.look()
    assert watched.is_usable


def test_an_idle_primary_leaves_it_in_use(clock):
    watched = Watched()
    for _ in range(10):
        watched.look()
        clock[0] += 60
        assert watched.is_usable


@pytest.mark.parametrize("standby", [None, (False, 100)], ids=["gone", "promoted"])
def test_one_that_is_gone_or_promoted_is_left(clock, standby):
    watched = Watched()
    watched.look()
    watched.standby = standby

    watched.look()

    assert not watched.is_usable


def test_while_the_primary_is_away_the_replica_goes_on(clock):
    watched = Watched()
    watched.look()
    watched.primary = None
    watched.look()
    assert watched.is_usable

    watched.leave()
    watched.look()
    assert watched.is_usable


@pytest.mark.django_db(transaction=True)
def test_a_server_that_is_no_standby_is_seen_and_one_that_is_not_there_too():
    default = connections.databases[PRIMARY]
    try:
        connections.databases[REPLICA] = default
        found = Replica(max_lag_seconds=2)
        found.look()
        assert found.trouble == "it is no standby any more"
        for server in found._servers.values():
            server.close()

        del connections[REPLICA]
        connections.databases[REPLICA] = {**default, "HOST": "/tmp/no-such-server"}
        found = Replica(max_lag_seconds=2)
        found.look()
        assert found.trouble == "it does not answer"
    finally:
        del connections.databases[REPLICA]
        del connections[REPLICA]
