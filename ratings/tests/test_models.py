"""What is closed by name, and what the database itself refuses."""

import pytest
from asgiref.sync import async_to_sync
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.tests.factories import UserFactory
from movies.models import Movie, MovieStats
from movies.tests.factories import MovieFactory
from movieshelf.api.errors import NotFound
from movieshelf.recomputing import drifted_films
from ratings.models import Rating
from ratings.tests.factories import RatingFactory

BYPASSES = {
    "update": lambda r: Rating.objects.filter(pk=r.pk).update(value=1),
    "update of the film": lambda r: Rating.objects.update(movie=MovieFactory()),
    "update of the film's id": lambda r: Rating.objects.update(movie_id=MovieFactory().pk),
    "aupdate": lambda r: async_to_sync(Rating.objects.all().aupdate)(value=1),
    "bulk_create": lambda r: Rating.objects.bulk_create(
        [Rating(movie=r.movie, user=UserFactory(), value=1)]
    ),
    "abulk_create": lambda r: async_to_sync(Rating.objects.all().abulk_create)([]),
    "bulk_update": lambda r: Rating.objects.bulk_update([r], ["value"]),
    "abulk_update": lambda r: async_to_sync(Rating.objects.all().abulk_update)([r], ["value"]),
    "update_or_create": lambda r: Rating.objects.update_or_create(
        {"value": 1}, user=r.user, movie=r.movie
    ),
    "the base manager's update": lambda r: Rating._base_manager.update(value=1),
    "the base manager's bulk_create": lambda r: Rating._base_manager.bulk_create([]),
    "a film's ratings, updated": lambda r: r.movie.ratings.update(value=1),
    "a film's ratings, added to": lambda r: MovieFactory().ratings.add(r),
    "a film's ratings, set": lambda r: MovieFactory().ratings.set([r]),
    "a film's ratings, update_or_create": lambda r: r.movie.ratings.update_or_create(
        defaults={"value": 1}, user=r.user
    ),
    "a film's ratings, bulk_create": lambda r: r.movie.ratings.bulk_create([]),
    "a member's ratings, updated": lambda r: r.user.ratings.update(value=1),
    "the numbers, updated": lambda r: MovieStats.objects.update(rating_1=7),
    "the numbers' base manager": lambda r: MovieStats._base_manager.update(rating_1=7),
    "the numbers, bulk_update": lambda r: MovieStats.objects.bulk_update(
        [r.movie.stats], ["rating_1"]
    ),
    "the numbers, bulk_create": lambda r: MovieStats.objects.bulk_create([]),
    "the numbers, saved": lambda r: r.movie.stats.save(),
    "the numbers, deleted": lambda r: r.movie.stats.delete(),
    "the numbers, deleted as a set": lambda r: MovieStats.objects.all().delete(),
    "films, bulk_create": lambda r: Movie.objects.bulk_create([Movie(title="Heat")]),
    "films, their titles": lambda r: Movie.objects.update(title="Heat"),
    "films, their keys": lambda r: Movie.objects.update(title_key="heat"),
    "films, the base manager": lambda r: Movie._base_manager.update(title="Heat"),
    "films, their day of upload": lambda r: Movie.objects.update(created_at=r.created_at),
    "a member's films, bulk_create": lambda r: r.user.movies.bulk_create([]),
}


@pytest.mark.django_db
@pytest.mark.parametrize("bypass", BYPASSES)
def test_what_would_bypass_the_counters_is_closed_and_says_what_to_call(bypass):
    rating = RatingFactory(value=5)

    with pytest.raises(TypeError, match=r"use .+"), transaction.atomic():
        BYPASSES[bypass](rating)

    assert list(Rating.objects.values_list("value", flat=True)) == [5]
    assert list(drifted_films()) == []


@pytest.mark.django_db
def test_a_rating_stays_with_its_film():
    rating = RatingFactory()
    rating.movie = MovieFactory()

    with pytest.raises(ValueError, match="stays"):
        rating.save()

    assert list(drifted_films()) == []


@pytest.mark.django_db
def test_columns_that_no_film_counts_may_be_updated():
    rating, somebody = RatingFactory(), UserFactory()

    somebody.ratings.add(rating)
    Rating.objects.update(created_at=somebody.created_at)
    Rating.objects.bulk_update([rating], ["created_at"])

    assert Rating.objects.get().user == somebody
    assert list(drifted_films()) == []


@pytest.mark.django_db
def test_the_database_refuses_a_second_rating_of_a_member_and_film():
    rating = RatingFactory()

    with pytest.raises(IntegrityError, match="rating_once_per_member"), transaction.atomic():
        RatingFactory(user=rating.user, movie=rating.movie)

    assert list(drifted_films()) == []


@pytest.mark.django_db
@pytest.mark.parametrize("value", [0, 6, 32767])
def test_the_database_refuses_a_value_beyond_one_to_five(value):
    with connection.cursor() as cursor, pytest.raises(IntegrityError, match="rating_from_1_to_5"):
        cursor.execute(
            "INSERT INTO ratings_rating (movie_id, user_id, value, created_at, updated_at)"
            " VALUES (%s, %s, %s, now(), now())",
            [MovieFactory().pk, UserFactory().pk, value],
        )


@pytest.mark.django_db
def test_counting_a_rating_down_twice_is_an_error_not_a_wrong_number():
    movie = MovieFactory()

    with pytest.raises(IntegrityError, match="rating_3"), transaction.atomic():
        MovieStats.objects.move_rating(movie.pk, old=3, new=None)
    with pytest.raises(IntegrityError, match="review_count"), transaction.atomic():
        MovieStats.objects.move_reviews(movie.pk, by=-1)


@pytest.mark.django_db
def test_several_films_are_locked_in_the_order_of_their_ids():
    movies = MovieFactory.create_batch(9)

    with CaptureQueriesContext(connection) as queries:
        locked = list(MovieStats.objects.order_by("-pk").locked_in_order())

    assert locked == [movie.pk for movie in movies]
    assert queries.captured_queries[-1]["sql"].endswith("FOR NO KEY UPDATE")


@pytest.mark.django_db
def test_rating_a_film_that_is_gone_is_not_found(user):
    movie = MovieFactory()
    movie_id = movie.pk
    movie.delete()

    with pytest.raises(NotFound):
        Rating.objects.rate(user=user, movie_id=movie_id, value=3)
