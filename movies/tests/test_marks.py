"""Pages far out: found by marks that know, after every write, exactly where each page begins."""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, connection, transaction

from accounts.models import User
from accounts.tests.factories import UserFactory
from movies import jobs, listing, marks
from movies.listing import MovieList
from movies.marks import KEYS, Move, PageMarks
from movies.models import Movie, MovieStats
from movies.orders import ORDERS
from movies.ranking import read_ranks
from movies.rows import MovieRows
from movies.tests.factories import MovieFactory
from movieshelf.api.errors import NotFound
from movieshelf.postgresql.base import connect
from movieshelf.tests.races import at_once
from ratings.models import Rating
from reviews.tests.factories import ReviewFactory

NOON = datetime(2024, 5, 5, 12, tzinfo=UTC)
PAGE_SIZE = 4


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Marks after every few films, and no page near enough to be walked to."""
    monkeypatch.setattr(marks, "BLOCK_FILMS", 3)
    monkeypatch.setattr(listing, "NEAR", 0)


class Dice:
    """Films with many ties in every order, and writes of every kind, by chance."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.members = [UserFactory() for _ in range(3)]

    def add(self) -> Movie:
        return MovieFactory(
            created_by=self.dice.choice([None, *self.members]),
            created_at=NOON + timedelta(days=self.dice.randrange(3)),
            release_date=self.day(),
        )

    def day(self) -> date | None:
        return self.dice.choice([None, date(1901, 1, 1), date(1999, 1, 1), date(2001, 9, 9)])

    def write(self) -> None:
        films = list(Movie.objects.order_by("pk"))
        movie = self.dice.choice(films)
        match self.dice.randrange(7):
            case 0:
                self.add()
            case 1 if len(films) > 5:
                movie.delete()
            case 2:
                movie.edit(release_date=self.day())
            case 3:
                ReviewFactory(movie=movie)
            case 4:
                Rating.objects.filter(movie=movie).delete()
            case _:
                member, value = self.dice.choice(self.members), self.dice.randrange(1, 6)
                Rating.objects.rate(user=member, movie_id=movie.pk, value=value)


def assert_pages_are_right(viewer: User) -> None:
    """Every page of every list, cut out of the whole list as the database sorts it."""
    for sort, order in ORDERS.items():
        for stars in (0, 3):
            for scope in ("all", "not_mine"):
                asked = {"q": "", "sort": sort, "stars": stars, "scope": scope}
                films = Movie.objects.rated_at_least(stars).order_by(*order.of_films())
                expected = [
                    film.pk for film in films if scope == "all" or film.created_by_id != viewer.pk
                ]
                rows = MovieRows(MovieList(asked, viewer))
                cuts = range(0, len(expected) + PAGE_SIZE, PAGE_SIZE)
                shown = [[pk for pk, *_ in rows[cut : cut + PAGE_SIZE]] for cut in cuts]
                assert shown == [expected[cut : cut + PAGE_SIZE] for cut in cuts], asked


def rebuild() -> None:
    """Cut the blocks as the job does, in a transaction that is not its own."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert marks.rebuild()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(2))
def test_pages_far_out_are_right_after_every_write(seed):
    dice = Dice(seed)
    for _ in range(17):
        dice.add()
    rebuild()

    for turn in range(24):
        dice.write()
        if turn % 11 == 5:
            assert marks.find_page("rank", stars=0, offset=3, limit=2) is not None
            assert_pages_are_right(dice.members[0])
        if turn == 17:
            assert marks.fold()
            assert not Move.objects.exists()
        if turn == 10:
            rebuild()
    films = {score: n for score, n in enumerate(marks.films_by_score() or []) if n}
    PageMarks.objects.update(version=None)
    assert marks.films_by_score() is None
    ranks = read_ranks()
    for stats in MovieStats.objects.exclude(score=None):
        higher = sum(n for score, n in films.items() if score > stats.score * 1000)
        assert ranks.of(stats.score) == higher + 1
    assert_pages_are_right(dice.members[0])


@pytest.mark.django_db(transaction=True)
def test_pages_are_right_once_concurrent_writers_and_folders_stop():
    shelf = Dice(0)
    for _ in range(12):
        shelf.add()
    rebuild()
    dice = [Dice(number) for number in range(1, 4)]

    def write(number: int) -> None:
        for _ in range(12):
            # The film that another deleted meanwhile.
            with suppress(NotFound, IntegrityError):
                dice[number].write()

    def tidy() -> None:
        for turn in range(10):
            marks.fold()
            if turn % 3 == 0:
                marks.rebuild()

    assert at_once(*[lambda n=n: write(n) for n in range(3)], tidy, tidy) == [None] * 5

    assert marks.find_page("rank", stars=0, offset=3, limit=2) is not None
    assert_pages_are_right(shelf.members[0])


@pytest.mark.django_db
@pytest.mark.parametrize("sort", KEYS)
def test_keys_sort_as_the_order_does(sort):
    dice = Dice(5)
    for _ in range(15):
        dice.add()
    for _ in range(30):
        dice.write()

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT movie_id, {', '.join(KEYS[sort])} FROM movies_moviestats")
        keys = {movie_id: tuple(key) for movie_id, *key in cursor}

    films = Movie.objects.order_by(*ORDERS[sort].of_films()).values_list("pk", flat=True)
    assert list(films) == sorted(keys, key=lambda pk: keys[pk])


@pytest.mark.django_db(transaction=True)
def test_a_bulk_load_makes_the_marks_unknown_and_the_job_knows_them_again():
    movie = MovieFactory()
    rebuild()
    assert not marks.need_rebuild()

    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO movies_movie (title, title_key, title_search, synopsis, created_at,"
            " updated_at, version) SELECT n, n, n, '', now(), now(), 1"
            " FROM generate_series(1, 1001) AS n"
        )
        cursor.execute(
            "INSERT INTO movies_moviestats (movie_id, created_at, rating_1, rating_2, rating_3,"
            " rating_4, rating_5, review_count) SELECT id, created_at, 0, 0, 0, 0, 0, 0"
            " FROM movies_movie WHERE id <> %s",
            [movie.pk],
        )
    assert marks.find_page("rank", stars=0, offset=3, limit=2) is None

    jobs.keep_marks(0)

    asked = {"q": "", "sort": "uploaded_desc", "stars": 0, "scope": "all"}
    assert marks.find_page("rank", stars=0, offset=3, limit=2) is not None
    assert [pk for pk, *_ in MovieRows(MovieList(asked, AnonymousUser()))[1000:1010]][
        -1
    ] == movie.pk


@pytest.mark.django_db(transaction=True)
def test_who_loads_in_bulk_while_the_blocks_are_cut_is_not_forgotten():
    """The one cuts blocks without the films that the other adds; it must not be believed."""
    MovieFactory()
    with transaction.atomic():
        PageMarks.objects.update(version=None)  # as the trigger of a bulk load does
        assert at_once(marks.fold, marks.rebuild) == [False, False]

    assert PageMarks.objects.get().version is None


@pytest.mark.django_db(transaction=True)
def test_who_folds_waits_for_nobody_who_cuts_the_blocks():
    """A reader folds, and would be told 503 when cutting takes longer than one waits for a lock."""
    rebuild()
    MovieFactory()
    with connect(psycopg.Connection, "default", autocommit=False) as other:
        other.execute("DELETE FROM movies_move")

        with transaction.atomic():
            connection.cursor().execute("SET LOCAL lock_timeout = '1ms'")
            assert marks.fold()
        other.rollback()

    assert Move.objects.exists()
    assert marks.fold()
    assert not Move.objects.exists()
    assert_pages_are_right(UserFactory())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("are_known", [True, False])
def test_what_is_folded_while_the_blocks_are_cut_is_not_lost(are_known, monkeypatch):
    rebuild()
    if not are_known:
        PageMarks.objects.update(version=None)
    cut, others = marks._cut, []

    def cut_and_be_overtaken(cursor: Any, sort: str) -> tuple[bytes, bytes]:
        if not others:
            others.extend(at_once(lambda: MovieFactory() and marks.fold()))
        return cut(cursor, sort)

    monkeypatch.setattr(marks, "_cut", cut_and_be_overtaken)

    assert marks.rebuild() is False
    assert others == [True]
    assert marks.rebuild() is True
    assert_pages_are_right(UserFactory())


@pytest.mark.django_db(transaction=True)
def test_many_moves_are_folded_by_who_reads_them(monkeypatch):
    monkeypatch.setattr(marks, "MAX_MOVES", 4)
    shelf = Dice(1)
    for _ in range(6):
        shelf.add()
    rebuild()
    for _ in range(12):
        shelf.write()

    assert_pages_are_right(shelf.members[0])

    assert Move.objects.count() <= 4


@pytest.mark.django_db(transaction=True)
def test_moves_that_nobody_folds_do_not_pile_up():
    movie = MovieFactory()
    rebuild()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO movies_move (films, movie_id, created_at, stars, review_count,"
            " average_rating, rating_count) SELECT n % 2 * 2 - 1, %s, now(), 0, 0, 0, 0"
            " FROM generate_series(1, 50002) AS n".replace("n % 2", "n %% 2"),
            [movie.pk],
        )
        cursor.execute("SELECT movies_bound_moves()")

    assert not Move.objects.exists()
    assert PageMarks.objects.get().version is None
