"""`manage.py seed`: what it puts on a shelf, what it leaves alone, and right numbers."""

import csv
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import Avg, Count, F, Max, Q, StdDev

from accounts.models import User
from accounts.tests.factories import UserFactory
from media.models import Media
from movies.data.derive import REAL_FILMS
from movies.models import Movie, MovieStats
from movies.tests.factories import MovieFactory
from movies.titles import search_fold, title_key
from movieshelf.progress import bars
from movieshelf.seeding.members import ADMIN_LOGIN, DEMO_LOGIN
from movieshelf.seeding.shelf import Numbers, numbers_now
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.models import Review
from reviews.tests.factories import ReviewFactory

SMALL = {"movies": 60, "users": 20, "ratings": 400, "reviews": 80, "images": 8}


def seed(**options: Any) -> str:
    """Run the command; give the one line that it printed."""
    printed = StringIO()
    call_command("seed", demo=True, stdout=printed, **options)
    assert printed.getvalue().count("\n") == 1
    return printed.getvalue().strip()


def drifted_films() -> int:
    """Count the films whose numbers are not those of their rows, by other means than the seed."""
    drifted = 0
    stats = {stats.pk: stats for stats in MovieStats.objects.all()}
    ratings = Counter(Rating.objects.values_list("movie_id", "value"))
    reviews = Counter(Review.objects.filter(is_hidden=False).values_list("movie_id", flat=True))
    for pk, created_at in Movie.objects.values_list("pk", "created_at"):
        told = stats.pop(pk)
        counted = {str(value): ratings[pk, value] for value in range(1, 6)}
        drifted += (told.distribution, told.review_count) != (counted, reviews[pk])
        drifted += told.created_at != created_at
    return drifted + len(stats)


@pytest.fixture(scope="module")
def real_shelf(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """The shelf of `make run`, made once for the tests that only look at it; what it printed."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield seed()
        transaction.set_rollback(True)


class TestTheRealShelf:
    def test_it_says_what_it_did(self, real_shelf):
        assert real_shelf.startswith(
            "Added 6,004 films, 300 members, 40,000 ratings, 4,000 reviews, 160 images in "
        )

    def test_every_film_is_real_and_carries_its_day_of_release(self, real_shelf):
        with REAL_FILMS.open(encoding="utf-8", newline="") as file:
            real = {row["title"]: row["release_date"] for row in csv.DictReader(file)}

        films = dict(Movie.objects.values_list("title", "release_date"))

        assert {title: day.isoformat() for title, day in films.items()} == real

    def test_titles_carry_their_keys(self, real_shelf):
        for movie in Movie.objects.all():
            assert movie.title_key == title_key(movie.title)
            assert movie.title_search == search_fold(movie.title)

    def test_the_numbers_of_every_film_are_those_of_its_rows(self, real_shelf):
        assert drifted_films() == 0

    def test_few_films_have_many_ratings_most_have_few_and_some_none(self, real_shelf):
        stats = MovieStats.objects
        top_percent = stats.order_by("-rating_count").values_list("rating_count", flat=True)[:60]

        assert sum(top_percent) > 8_000
        assert stats.filter(rating_count__range=(1, 4)).count() > 3_000
        assert 100 < stats.filter(rating_count=0).count() < 1_000
        assert stats.aggregate(most=Max("rating_count"))["most"] < 300

    def test_averages_differ_between_films_and_between_members(self, real_shelf):
        rated = MovieStats.objects.filter(rating_count__gte=10)
        means = User.objects.annotate(mean=Avg("ratings__value")).exclude(mean=None)

        assert rated.aggregate(spread=StdDev("average_rating"))["spread"] > 0.4
        assert means.aggregate(spread=StdDev("mean"))["spread"] > 0.2
        assert set(Rating.objects.values_list("value", flat=True)) == {1, 2, 3, 4, 5}

    def test_nobody_rates_a_film_before_both_are_there(self, real_shelf):
        too_early = Rating.objects.filter(
            Q(created_at__lt=F("movie__created_at")) | Q(created_at__lt=F("user__created_at"))
        )

        assert not too_early.exists()

    def test_ratings_are_spread_over_years(self, real_shelf):
        years = Rating.objects.values("created_at__year").annotate(n=Count("pk"))

        assert sum(year["n"] > 1_000 for year in years) >= 5

    def test_reviews_are_of_films_that_their_author_rated(self, real_shelf):
        assert not Review.objects.for_reading().filter(rating=None).exists()

    def test_reviews_are_sentences_and_hardly_ever_the_same(self, real_shelf):
        texts = list(Review.objects.values_list("content", flat=True))

        assert all(text[0].isupper() and text[-1] in ".?" for text in texts)
        assert max(texts.count(text) for text in set(texts)) < 40
        assert len(set(texts)) > 3_000

    def test_the_most_rated_films_have_posters_and_some_members_avatars(self, real_shelf):
        most_rated = Movie.objects.order_by("-stats__rating_count")[:100]

        assert all(movie.poster_id for movie in most_rated)
        assert User.objects.exclude(avatar=None).count() == 40
        assert Media.objects.count() == 160

    def test_the_demo_logins_work(self, real_shelf):
        demo, admin = (
            authenticate(username=email, password=password)
            for email, password in (DEMO_LOGIN, ADMIN_LOGIN)
        )

        assert demo.role == "user"
        assert (admin.role, admin.is_superuser) == ("admin", True)

    def test_the_member_has_a_history_and_the_admin_none(self, real_shelf):
        demo, admin = (
            User.objects.with_email(login[0]).get() for login in (DEMO_LOGIN, ADMIN_LOGIN)
        )

        assert demo.ratings.exists()
        for rows in (admin.ratings, admin.reviews, admin.movies):
            assert not rows.exists()

    def test_nobody_else_can_log_in(self, real_shelf):
        assert sum(user.has_usable_password() for user in User.objects.all()) == 2

    def test_seeding_again_changes_nothing(self, real_shelf):
        with transaction.atomic():
            assert seed() == (
                "Nothing was added: the shelf has 6,004 films, 300 members, 40,000 ratings, "
                "4,000 reviews, 160 images already."
            )

    def test_a_number_adds_made_up_films_to_the_real_ones(self, real_shelf):
        before = numbers_now()

        with transaction.atomic():
            assert seed(movies=6_100).startswith("Added 96 films in ")
            assert before.missing_to(numbers_now()) == Numbers(movies=96)
            assert drifted_films() == 0
            transaction.set_rollback(True)


@pytest.mark.django_db
class TestAShelfOfAnySize:
    def test_it_has_as_many_of_each_as_asked(self):
        seed(**SMALL)

        assert numbers_now() == Numbers(**SMALL)
        assert drifted_films() == 0

    def test_films_are_believable(self):
        seed(movies=500)

        films = Movie.objects.all()
        assert all(3 <= len(film.title) <= 100 for film in films)
        assert all(1920 <= film.release_date.year <= 2026 for film in films if film.release_date)
        assert 280 < sum(len(film.synopsis) for film in films) / 500 < 330
        for film in films:
            film.full_clean(exclude=["created_by"])

    def test_the_same_again_is_the_same_to_the_last_value(self):
        forget_everything()
        seed(**SMALL)
        first = everything()
        forget_everything()
        seed(**SMALL)

        assert everything() == first

    def test_another_random_seed_makes_another_shelf(self):
        seed(**SMALL)
        titles = set(Movie.objects.values_list("title", flat=True))
        forget_everything()
        seed(**SMALL, random_seed=7)

        assert len(titles & set(Movie.objects.values_list("title", flat=True))) < 10

    def test_twice_adds_nothing(self):
        seed(**SMALL)

        assert seed(**SMALL).startswith("Nothing was added: the shelf has 60 films, ")

    def test_it_only_adds_what_is_missing(self):
        seed(movies=30, users=10, ratings=100, reviews=20)

        assert seed(movies=90, ratings=150).startswith("Added 60 films, 50 ratings in ")
        assert seed(users=30, ratings=1_000, reviews=900).startswith(
            "Added 20 members, 850 ratings, 880 reviews in "
        )
        assert drifted_films() == 0

    def test_what_people_did_stays_and_nothing_is_done_in_their_name(self):
        person = UserFactory(email="ada@example.com")
        movie = MovieFactory(title="Dune", created_by=person)
        RatingFactory(user=person, movie=movie, value=1)
        ReviewFactory(user=person, movie=movie)

        seed(**SMALL)

        assert (person.ratings.count(), person.reviews.count()) == (1, 1)
        assert list(Movie.objects.filter(created_by=person)) == [movie]
        assert drifted_films() == 0

    def test_everybody_may_rate_everything_and_no_more(self):
        # The demo's admin rates nothing.
        seed(movies=7, users=10, ratings=63)

        assert Rating.objects.count() == 63
        with pytest.raises(CommandError, match="room for 0 more ratings, not 1"):
            seed(ratings=64)

    def test_reviews_want_ratings(self):
        with pytest.raises(CommandError, match="they have rated nothing yet"):
            seed(movies=5, users=5, reviews=5)

        assert not Movie.objects.exists()

    def test_every_index_and_constraint_is_there_afterwards(self):
        before = definitions()

        seed(**SMALL)

        assert definitions() == before


@pytest.mark.django_db
def test_with_debug_off_it_wants_to_be_told():
    with pytest.raises(CommandError, match=r"password everybody knows.*--demo"):
        call_command("seed", movies=1)

    assert not User.objects.exists()


@pytest.mark.django_db
def test_with_debug_on_it_does_not_ask(settings):
    settings.DEBUG = True

    call_command("seed", movies=1, stdout=StringIO())

    assert Movie.objects.count() == 1


@pytest.mark.parametrize("number", ["-1", "many", "1.5"])
def test_a_number_is_a_whole_number(number):
    with pytest.raises(CommandError, match="not a whole number from 0 up"):
        call_command("seed", f"--movies={number}")


def test_a_terminal_sees_how_far_it_is(capsys):
    with bars() as report:
        report.stage("Films", 1_000)(1_000)

    assert "Films" in capsys.readouterr().err


def everything() -> list[list[tuple[Any, ...]]]:
    """Give every column of every row that a seed writes, except for salted hashes."""
    rows = []
    for model in (User, Movie, MovieStats, Rating, Review, Media):
        salted = {"password"} if model is User else set()
        columns = [f.attname for f in model._meta.concrete_fields if f.name not in salted]
        rows.append(
            [tuple(map(plain, row)) for row in model.objects.order_by("pk").values_list(*columns)]
        )
    return rows


def plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def forget_everything() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("TRUNCATE accounts_user, movies_movie, media_media RESTART IDENTITY CASCADE")


def definitions() -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
            UNION ALL
            SELECT conname, conrelid::regclass || ' ' || pg_get_constraintdef(oid)
            FROM pg_constraint WHERE connamespace = 'public'::regnamespace
            ORDER BY 1, 2
            """
        )
        return cursor.fetchall()
