"""Ranks: never stored, right for every film, a few seconds behind at most."""

from decimal import Decimal

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from movies import ranking
from movies.models import Movie, MovieStats
from movies.ranking import MAX_LAG_SECONDS, RanksKeeper, read_ranks
from movies.tests.factories import MovieFactory
from movieshelf.tests.races import at_once
from ratings.models import Rating
from ratings.tests.factories import RatingFactory


def rated(title: str, *values: int) -> Movie:
    movie = MovieFactory(title=title)
    for value in values:
        RatingFactory(movie=movie, value=value)
    return movie


def rank(api, movie: Movie) -> int | None:
    return api.get(f"/movies/{movie.pk}").json()["rank"]


@pytest.mark.django_db
def test_equal_scores_share_a_rank_and_the_next_counts_them(api):
    films = [rated("Best", 5, 5), rated("Twin 1", 4), rated("Twin 2", 4), rated("Last", 1)]
    unrated = MovieFactory()

    assert [rank(api, movie) for movie in films] == [1, 2, 2, 4]
    assert rank(api, unrated) is None
    listed = api.get("/movies?sort=rank").json()["items"]
    assert [item["rank"] for item in listed] == [1, 2, 2, 4, None]


@pytest.mark.django_db
def test_many_good_ratings_rank_above_one_perfect_one(api):
    perfect = rated("Perfect", 5)
    loved = rated("Loved", 4, 4, 4, 5)

    assert (rank(api, loved), rank(api, perfect)) == (1, 2)
    assert MovieStats.objects.get(pk=loved.pk).score == Decimal("3.357")  # (30 + 17) / 14


@pytest.mark.django_db
def test_the_explanation_shows_the_score_its_parts_and_the_neighbours(api):
    above, movie, below = rated("Above", 5, 5), rated("Heat", 5, 4), rated("Below", 4)

    shown = api.get(f"/movies/{movie.pk}/rank").json()

    assert shown == {
        "rank": 2,
        "score": 3.25,
        "averageRating": 4.5,
        "ratingCount": 2,
        "prior": {"mean": 3.0, "weight": 10},
        "above": {"id": above.pk, "title": "Above", "score": 3.333},
        "below": {"id": below.pk, "title": "Below", "score": 3.091},
    }


@pytest.mark.django_db
def test_the_first_has_nobody_above_and_the_last_nobody_below(api):
    first, last = rated("First", 5), rated("Last", 1)
    MovieFactory(title="Unrated")

    assert api.get(f"/movies/{first.pk}/rank").json()["above"] is None
    assert api.get(f"/movies/{last.pk}/rank").json()["below"] is None


@pytest.mark.django_db
def test_an_unrated_film_has_no_rank_to_explain(api):
    rated("Rated", 5)
    movie = MovieFactory()

    assert api.get(f"/movies/{movie.pk}/rank").json() == {
        "rank": None,
        "score": None,
        "averageRating": 0,
        "ratingCount": 0,
        "prior": {"mean": 3.0, "weight": 10},
        "above": None,
        "below": None,
    }


@pytest.mark.django_db
def test_neighbours_are_those_of_the_list_ties_included(api):
    for number in range(3):
        rated(f"Tied {number}", 4)
        rated(f"Better {number}", 5)
        rated(f"Worse {number}", 2)
    MovieFactory()
    listed = [item for item in api.get("/movies?sort=rank").json()["items"] if item["rank"]]

    for before, here, after in zip([None, *listed], listed, [*listed[1:], None], strict=False):
        shown = api.get(f"/movies/{here['id']}/rank").json()
        assert (shown["above"] or {}).get("id") == (before or {}).get("id")
        assert (shown["below"] or {}).get("id") == (after or {}).get("id")
        assert shown["rank"] == here["rank"]


@pytest.mark.django_db
def test_neighbours_come_from_the_index(api):
    stats = MovieStats.objects.get(pk=rated("Heat", 4).pk)

    for query in (MovieStats.objects.just_above, MovieStats.objects.just_below):
        plan = explain(query, stats)
        assert "stats_rank" in plan
        assert "Sort" not in plan
        assert "Index Cond: (ROW(COALESCE(score, " in plan


def explain(query, stats) -> str:
    with CaptureQueriesContext(connection) as queries:
        query(stats)
    with connection.cursor() as cursor:
        # On a shelf of one film everything else is cheaper.
        for way in ("seqscan", "bitmapscan", "sort"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
        cursor.execute("EXPLAIN " + queries.captured_queries[-1]["sql"])
        return "\n".join(line for (line,) in cursor.fetchall())


class RanksAgreeWithAPlainSort(TestCase):
    @settings(max_examples=50)
    @given(st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), max_size=12))
    def test_ranks_are_those_of_a_plain_sort(self, shelf):
        for number, counts in enumerate(shelf):
            movie = MovieFactory(title=f"Film {number}")
            numbers = MovieStats.objects.filter(pk=movie.pk)
            counters = {f"rating_{value}": count for value, count in enumerate(counts, 1)}
            super(type(numbers), numbers).update(**counters)
        scores = [weighted(counts) for counts in shelf if sum(counts)]

        ranks = read_ranks()

        for stats in MovieStats.objects.exclude(score=None):
            assert stats.score in scores
            assert ranks.of(stats.score) == 1 + sum(other > stats.score for other in scores)
        assert sorted(MovieStats.objects.exclude(score=None).values_list("score", flat=True)) == (
            sorted(scores)
        )


def weighted(counts: list[int]) -> Decimal:
    total = 30 + sum(value * count for value, count in enumerate(counts, 1))
    exact = Decimal(total) / (10 + sum(counts))
    return exact.quantize(Decimal("0.001"), rounding="ROUND_HALF_UP")


@pytest.fixture
def two_processes(settings, db) -> tuple[RanksKeeper, RanksKeeper]:
    settings.RANK_MAX_AGE_SECONDS = 3
    return RanksKeeper(), RanksKeeper()


class Clock:
    """The two clocks of a machine: the one that people set, and the one that only goes on."""

    def __init__(self) -> None:
        self.by_the_wall, self.since_start = 1_000_000.0, 5_000.0

    def time(self) -> float:
        return self.by_the_wall

    def monotonic(self) -> float:
        return self.since_start

    def pass_by(self, seconds: float) -> None:
        self.by_the_wall += seconds
        self.since_start += seconds

    def set_back(self, seconds: float) -> None:
        self.by_the_wall -= seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(ranking, "time", clock)
    return clock


@pytest.fixture
def reads(monkeypatch) -> list[int]:
    """One entry for each time that the scores were read from the database."""
    counted: list[int] = []

    def counting():
        counted.append(1)
        return read_ranks()

    monkeypatch.setattr(ranking, "read_ranks", counting)
    return counted


def test_what_one_process_read_the_other_takes_from_the_cache(two_processes, reads):
    one, other = two_processes

    assert one.current().by_score == other.current().by_score
    assert one.current() is one.current()

    assert len(reads) == 1


def test_no_process_is_more_than_the_lag_behind(two_processes, reads, clock):
    one, other = two_processes
    movie = rated("Heat", 4)
    for keeper in (one, other):
        assert keeper.current().of(Decimal("3.091")) == 1

    rated("Better", 5)
    for _ in range(20):
        clock.pass_by(0.5)
        for keeper in two_processes:
            assert keeper.current().age < MAX_LAG_SECONDS

    movie.stats.refresh_from_db()
    assert [keeper.current().of(movie.stats.score) for keeper in two_processes] == [2, 2]
    # One read every three seconds, whoever asks.
    assert len(reads) == 4


def test_while_one_refreshes_the_others_go_on_with_the_old(two_processes, reads, clock):
    one, other = two_processes
    old = other.current()

    clock.pass_by(3.5)
    cache.set(ranking.REFRESH_KEY, 1)  # a third process is at it
    assert one.current().read_at == old.read_at
    assert other.current().read_at == old.read_at

    clock.pass_by(1)  # and died of it
    assert other.current().read_at != old.read_at
    assert len(reads) == 2


@pytest.mark.parametrize("seconds", [1.5, 2.9, 8, 3600, -8])
def test_a_clock_that_is_set_makes_no_process_of_the_machine_lag(
    two_processes, reads, clock, seconds
):
    one, other = two_processes
    one.current()
    clock.pass_by(2.9)
    clock.set_back(seconds)

    assert other.current().age == pytest.approx(2.9)
    clock.pass_by(1)
    assert other.current().age == 0.0
    assert len(reads) == 2


def test_a_clock_that_was_set_back_makes_nothing_of_another_machine_look_new(
    two_processes, reads, clock, monkeypatch
):
    one, other = two_processes
    one.current()

    clock.set_back(3600)
    monkeypatch.setattr(ranking, "BOOT_ID", "of another machine")
    other.current()

    assert len(reads) == 2


def test_what_another_machine_read_is_as_old_as_the_clocks_say(
    two_processes, reads, clock, monkeypatch
):
    one, other = two_processes
    one.current()

    clock.pass_by(2)
    monkeypatch.setattr(ranking, "BOOT_ID", "of another machine")
    clock.since_start = 17.0

    assert other.current().age == pytest.approx(2)
    assert len(reads) == 1


def test_without_a_name_for_the_machine_only_the_clocks_count(
    two_processes, reads, clock, monkeypatch
):
    monkeypatch.setattr(ranking, "BOOT_ID", None)
    one, other = two_processes
    one.current()

    clock.set_back(3600)
    other.current()

    assert len(reads) == 2


def test_without_a_cache_each_process_reads_for_itself(two_processes, reads, settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    one, other = two_processes

    for _ in range(3):
        assert one.current().of(None) is None
        assert other.current().of(None) is None

    assert len(reads) == 2


@pytest.mark.django_db(transaction=True)
def test_many_threads_of_a_process_read_the_scores_once(settings, reads):
    settings.RANK_MAX_AGE_SECONDS = 3
    keeper = RanksKeeper()

    ranks = at_once(*[keeper.current] * 8)

    assert len(reads) == 1
    assert len({id(each) for each in ranks}) == 1


@pytest.mark.django_db
def test_a_list_takes_its_ranks_once(api, reads):
    for number in range(5):
        Rating.objects.rate(
            user=RatingFactory().user, movie_id=rated(f"{number}").pk, value=number + 1
        )

    items = api.get("/movies").json()["items"]

    assert len(reads) == 1
    assert len([item for item in items if item["rank"]]) == len(items)
