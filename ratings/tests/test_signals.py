"""What each way of creating, changing and deleting a rating does to its film."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.db.models import F

from accounts.models import User
from accounts.tests.factories import UserFactory
from movies.models import Movie, MovieStats
from movies.tests.factories import MovieFactory
from movieshelf.recomputing import drifted_films
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.models import Review
from reviews.tests.factories import ReviewFactory

pytestmark = pytest.mark.django_db


def counters(movie: Movie) -> list[int]:
    """How many ratings of each value; checks that the rows say the same."""
    assert list(drifted_films()) == []
    return list(MovieStats.objects.get(pk=movie.pk).distribution.values())


def test_a_created_rating_is_counted():
    rating = RatingFactory(value=4)

    assert counters(rating.movie) == [0, 0, 0, 1, 0]


def test_get_or_create_counts_what_it_creates():
    movie, user = MovieFactory(), UserFactory()

    for _ in range(2):
        Rating.objects.get_or_create({"value": 2}, user=user, movie=movie)

    assert counters(movie) == [0, 1, 0, 0, 0]


def test_a_films_own_manager_counts_what_it_creates():
    movie = MovieFactory()

    movie.ratings.create(user=UserFactory(), value=1)
    movie.ratings.get_or_create(defaults={"value": 2}, user=UserFactory())
    movie.ratings.add(Rating(user=UserFactory(), value=5), bulk=False)

    assert counters(movie) == [1, 1, 0, 0, 1]


def test_a_changed_rating_moves_from_one_counter_to_the_other():
    rating = RatingFactory(value=4)
    rating.value = 1

    rating.save()

    assert counters(rating.movie) == [1, 0, 0, 0, 0]


def test_a_rating_saved_twice_is_counted_once():
    rating = RatingFactory(value=4)

    rating.save()

    assert counters(rating.movie) == [0, 0, 0, 1, 0]


def test_a_rating_changed_by_an_expression_moves_too():
    rating = RatingFactory(value=4)
    rating.value = F("value") - 2

    rating.save()

    assert counters(rating.movie) == [0, 1, 0, 0, 0]


def test_a_value_that_is_not_saved_is_not_counted():
    rating = RatingFactory(value=4)
    rating.value = 1

    rating.save(update_fields=["user"])

    assert counters(rating.movie) == [0, 0, 0, 1, 0]


def test_a_value_that_alone_is_saved_is_counted():
    rating = RatingFactory(value=4)
    rating.value = 1

    rating.save(update_fields=["value"])

    assert counters(rating.movie) == [1, 0, 0, 0, 0]


def test_a_rating_loaded_without_its_value_moves_nothing_when_saved():
    rating = Rating.objects.only("user", "movie").get(pk=RatingFactory(value=4).pk)

    rating.save()

    assert counters(rating.movie) == [0, 0, 0, 1, 0]


def test_a_rating_loaded_without_its_value_is_counted_down_when_deleted():
    rating = Rating.objects.only("movie").get(pk=RatingFactory(value=4).pk)

    rating.delete()

    assert counters(rating.movie) == [0, 0, 0, 0, 0]


def test_a_stale_rating_moves_from_what_the_row_says():
    rating = RatingFactory(value=4)
    stale = Rating.objects.get(pk=rating.pk)
    rating.value = 2
    rating.save()

    stale.value = 5
    stale.save()

    assert counters(rating.movie) == [0, 0, 0, 0, 1]


def test_a_copied_rating_is_counted_as_a_new_one():
    rating = Rating.objects.get(pk=RatingFactory(value=4).pk)
    rating.pk, rating._state.adding, rating.user = None, True, UserFactory()

    rating.save()

    assert counters(rating.movie) == [0, 0, 0, 2, 0]


def test_a_deleted_rating_is_counted_down_once():
    rating = RatingFactory(value=4)
    twin = Rating.objects.get(pk=rating.pk)

    rating.delete()
    twin.delete()

    assert counters(rating.movie) == [0, 0, 0, 0, 0]


def test_a_deleted_rating_that_is_saved_again_is_counted_again():
    rating = RatingFactory(value=4)
    twin = Rating.objects.get(pk=rating.pk)
    twin.delete()

    rating.save()

    assert counters(rating.movie) == [0, 0, 0, 1, 0]


def test_ratings_deleted_as_a_set_are_counted_down_film_by_film():
    kept = RatingFactory(value=5)
    RatingFactory(value=3, movie=kept.movie)
    other = RatingFactory(value=1)

    Rating.objects.exclude(pk=kept.pk).delete()

    assert counters(kept.movie) == [0, 0, 0, 0, 1]
    assert counters(other.movie) == [0, 0, 0, 0, 0]


def test_a_films_ratings_deleted_by_its_own_manager_are_counted_down():
    movie = RatingFactory(value=5).movie

    movie.ratings.all().delete()

    assert counters(movie) == [0, 0, 0, 0, 0]


def test_ratings_go_with_their_film():
    rating, other = RatingFactory(), RatingFactory(value=4)

    rating.movie.delete()

    assert list(Rating.objects.all()) == [other]
    assert counters(other.movie) == [0, 0, 0, 1, 0]


def test_ratings_go_with_films_deleted_as_a_set():
    RatingFactory.create_batch(3)

    Movie.objects.filter(title__startswith="Film").delete()

    assert not Rating.objects.exists()
    assert not MovieStats.objects.exists()


def test_ratings_and_reviews_of_a_member_who_leaves_are_counted_down():
    kept = RatingFactory(value=5)
    leaving = RatingFactory(value=1, movie=kept.movie).user
    other = RatingFactory(user=leaving, value=2).movie
    ReviewFactory.create_batch(2, user=leaving, movie=other)
    ReviewFactory(user=kept.user, movie=other)

    leaving.delete()

    assert counters(kept.movie) == [0, 0, 0, 0, 1]
    assert counters(other) == [0, 0, 0, 0, 0]
    assert MovieStats.objects.get(pk=other.pk).review_count == 1


def test_several_members_may_leave_at_once():
    kept = RatingFactory(value=5)
    leaving = [RatingFactory(value=value, movie=kept.movie).user for value in (1, 2, 3)]

    User.objects.filter(pk__in=[user.pk for user in leaving]).delete()

    assert counters(kept.movie) == [0, 0, 0, 0, 1]


@pytest.mark.parametrize("opinions", [1, 10])
def test_a_member_leaves_in_as_many_statements_with_one_rating_as_with_ten(
    user, opinions, django_assert_num_queries
):
    for movie in MovieFactory.create_batch(opinions):
        RatingFactory(user=user, movie=movie)
        ReviewFactory(user=user, movie=movie)

    # The member, the films locked, the member locked; what sweeps keep, the ratings, the reviews;
    # the rows that only Django knows of; the member; and the savepoint of a test's transaction.
    with django_assert_num_queries(11):
        user.delete()

    assert not Review.objects.exists()
    assert list(drifted_films()) == []


def test_a_fixture_brings_its_numbers_along(tmp_path):
    rating = RatingFactory(value=4)
    ReviewFactory(movie=rating.movie)
    fixture = tmp_path / "shelf.json"
    everything = ["accounts.user", "movies", "ratings", "reviews"]
    call_command("dumpdata", *everything, output=str(fixture), verbosity=0)
    Movie.objects.all().delete()
    User.objects.all().delete()

    call_command("loaddata", str(fixture), verbosity=0, stdout=StringIO())

    assert counters(rating.movie) == [0, 0, 0, 1, 0]
