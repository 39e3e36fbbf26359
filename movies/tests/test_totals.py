"""How many films a list has: known without counting them, and never wrong."""

from io import StringIO
from random import Random

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from accounts.models import User
from accounts.tests.factories import UserFactory
from movies.models import Movie, MovieStats, StarCount
from movies.tests.factories import MovieFactory
from movieshelf.recomputing import drifted_films, drifted_totals
from movieshelf.tests.client import ApiClient
from movieshelf.tests.races import at_once
from ratings.models import Rating
from ratings.tests.factories import RatingFactory

MEMBERS = 3
FILMS = 5

members = st.integers(0, MEMBERS - 1)
films = st.integers(0, FILMS - 1)
writes = st.one_of(
    st.tuples(st.just("add"), members | st.none(), films),
    st.tuples(st.just("delete"), films),
    st.tuples(st.just("rate"), members, films, st.integers(1, 5)),
    st.tuples(st.just("unrate"), members, films),
    st.tuples(st.just("leave"), members),
    st.tuples(st.just("fold")),
)


class Shelf:
    """A few members and films, and writes that may find nothing to do."""

    def __init__(self) -> None:
        self.members: list[User | None] = [UserFactory() for _ in range(MEMBERS)]

    def add(self, member: int | None, film: int) -> None:
        if not Movie.objects.titled(f"Film {film}").exists():
            owner = None if member is None else self.members[member]
            MovieFactory(title=f"Film {film}", created_by=owner)

    def delete(self, film: int) -> None:
        Movie.objects.titled(f"Film {film}").delete()

    def rate(self, member: int, film: int, value: int) -> None:
        movie, user = self.find(film), self.members[member]
        if movie and user:
            Rating.objects.rate(user=user, movie_id=movie.pk, value=value)

    def unrate(self, member: int, film: int) -> None:
        Rating.objects.filter(user=self.members[member], movie=self.find(film)).delete()

    def leave(self, member: int) -> None:
        user, self.members[member] = self.members[member], None
        if user:
            user.delete()

    def fold(self) -> None:
        fold()

    def find(self, film: int) -> Movie | None:
        return Movie.objects.titled(f"Film {film}").first()


def fold() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT movies_fold_star_counts()")


class TotalsTest(TestCase):
    @settings(max_examples=40)
    @given(st.lists(writes, max_size=12), st.integers(0, 5), st.sampled_from(["", "film", "m 1"]))
    def test_every_total_is_a_plain_count(self, asked, stars, q):
        shelf = Shelf()
        for name, *arguments in asked:
            getattr(shelf, name)(*arguments)

        held = Movie.objects.filter(stats__stars__gte=stars, title__icontains=q)
        viewer = next((member for member in shelf.members if member), None)
        expected = {"all": held.count()}
        if viewer:
            expected["mine"] = held.filter(created_by=viewer).count()
            expected["not_mine"] = expected["all"] - expected["mine"]
        api = ApiClient().as_(viewer) if viewer else ApiClient()
        for scope, total in expected.items():
            shown = api.get("/movies", {"stars": stars, "scope": scope, "q": q}).json()
            assert shown["total"] == total == len(shown["items"])


@pytest.mark.django_db(transaction=True)
def test_totals_are_right_once_concurrent_writers_stop(api):
    users = [UserFactory() for _ in range(4)]
    shelf = [MovieFactory().pk for _ in range(6)]

    def write(number: int) -> None:
        dice = Random(number)
        for turn in range(30):
            film = dice.choice(shelf)
            match dice.randrange(4):
                case 0:
                    MovieFactory(title=f"By {number}, {turn}", created_by=users[number])
                case 1:
                    fold()
                case _:
                    Rating.objects.rate(
                        user=users[number], movie_id=film, value=dice.choice([1, 3, 5])
                    )

    assert at_once(*[lambda number=n: write(number) for n in range(4)]) == [None] * 4

    assert drifted_totals() == []
    assert list(drifted_films()) == []
    assert api.get("/movies").json()["total"] == Movie.objects.count()
    for stars in range(6):
        shown = api.get(f"/movies?stars={stars}").json()["total"]
        assert shown == MovieStats.objects.filter(stars__gte=stars).count()


@pytest.mark.django_db(transaction=True)
def test_folding_waits_for_nobody_and_loses_nothing(api):
    """Who folds passes over what another is folding."""
    for _ in range(3):
        MovieFactory()
    with transaction.atomic():
        fold()
        at_once(fold, fold)
        MovieFactory()

    assert api.get("/movies").json()["total"] == 4
    fold()
    assert list(StarCount.objects.values_list("stars", "films")) == [(0, 4)]


@pytest.mark.django_db
def test_what_is_rolled_back_was_never_counted(api):
    MovieFactory()

    try:
        with transaction.atomic():
            MovieFactory()
            raise RuntimeError
    except RuntimeError:
        pass

    assert api.get("/movies").json()["total"] == 1


@pytest.mark.django_db(transaction=True)
def test_an_emptied_table_counts_nothing(api):
    MovieFactory()

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE movies_movie CASCADE")

    assert api.get("/movies").json()["total"] == 0
    assert StarCount.objects.count() == 0


@pytest.mark.django_db
def test_a_seeded_shelf_is_counted_at_once(api):
    call_command("seed", movies=30, users=5, ratings=60, demo=True, stdout=StringIO())

    assert drifted_totals() == []
    assert api.get("/movies").json()["total"] == 30


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["", "?stars=3"])
def test_no_film_is_counted_for_a_total(api, query):
    RatingFactory(value=5)

    with CaptureQueriesContext(connection) as asked:
        assert api.get(f"/movies{query}").json()["total"] == 1

    (total,) = [q["sql"] for q in asked if "movies_starcount" in q["sql"]]
    assert "movies_movie" not in total
    # The ranks of a shelf that has no marks yet count films, by score.
    counted = [q["sql"] for q in asked if "COUNT(" in q["sql"]]
    assert all("GROUP BY" in sql for sql in counted)
