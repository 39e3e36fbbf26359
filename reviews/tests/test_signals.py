"""What each way of creating, changing and deleting a review does to its film."""

import pytest
from asgiref.sync import async_to_sync
from django.db import IntegrityError, transaction

from accounts.tests.factories import UserFactory
from movies.models import Movie, MovieStats
from movies.tests.factories import MovieFactory
from movieshelf.api.errors import NotFound
from movieshelf.recomputing import drifted_films
from reviews.models import Review
from reviews.tests.factories import ReviewFactory

pytestmark = pytest.mark.django_db


def count(movie: Movie) -> int:
    assert list(drifted_films()) == []
    return MovieStats.objects.get(pk=movie.pk).review_count


def test_a_created_review_is_counted():
    assert count(ReviewFactory().movie) == 1


def test_a_films_own_manager_counts_what_it_creates():
    movie = MovieFactory()

    movie.reviews.create(user=UserFactory(), content="x")
    movie.reviews.add(Review(user=UserFactory(), content="x"), bulk=False)
    movie.reviews.get_or_create(user=UserFactory(), content="x")

    assert count(movie) == 3


def test_a_review_saved_twice_is_counted_once():
    review = ReviewFactory()

    review.save()

    assert count(review.movie) == 1


def test_a_copied_review_is_counted_as_a_new_one():
    review = Review.objects.get(pk=ReviewFactory().pk)
    review.pk, review._state.adding = None, True

    review.save()

    assert count(review.movie) == 2


def test_a_review_edited_by_one_who_does_not_know_that_it_is_hidden_stays_uncounted(admin):
    review = ReviewFactory()
    stale = Review.objects.get(pk=review.pk)
    review.hide(by=admin)

    stale.edit("Nicer now.")

    assert count(review.movie) == 0


def test_a_review_edited_by_one_who_does_not_know_that_it_is_shown_stays_counted(admin):
    review = ReviewFactory()
    review.hide(by=admin)
    stale = Review.objects.get(pk=review.pk)
    review.show(by=admin)

    stale.edit("Nicer now.")

    assert count(review.movie) == 1


def test_a_review_loaded_without_being_hidden_moves_nothing_when_saved(admin):
    review = ReviewFactory()
    review.hide(by=admin)

    Review.objects.only("movie", "content").get().save()

    assert count(review.movie) == 0


def test_a_deleted_review_is_counted_down_once():
    review = ReviewFactory()
    twin = Review.objects.get(pk=review.pk)

    review.delete()
    with pytest.raises(NotFound):
        twin.delete()

    assert count(review.movie) == 0


def test_what_is_gone_is_neither_edited_nor_hidden_nor_shown(admin):
    review = ReviewFactory()
    Review.objects.all().delete()

    for change in (
        lambda: review.edit("x"),
        lambda: review.hide(by=admin),
        lambda: review.show(by=admin),
    ):
        with pytest.raises(NotFound):
            change()

    assert count(review.movie) == 0


def test_reviews_deleted_as_a_set_are_counted_down_film_by_film(admin):
    review, other = ReviewFactory(), ReviewFactory()
    ReviewFactory(movie=review.movie).hide(by=admin)
    kept = ReviewFactory(movie=other.movie)

    Review.objects.exclude(pk=kept.pk).delete()

    assert (count(review.movie), count(other.movie)) == (0, 1)


def test_reviews_go_with_their_film():
    review, other = ReviewFactory(), ReviewFactory()

    review.movie.delete()

    assert list(Review.objects.all()) == [other]
    assert count(other.movie) == 1


BYPASSES = {
    "update": lambda r: Review.objects.update(is_hidden=True),
    "update of the film": lambda r: Review.objects.update(movie=MovieFactory()),
    "aupdate": lambda r: async_to_sync(Review.objects.all().aupdate)(is_hidden=True),
    "bulk_create": lambda r: Review.objects.bulk_create([]),
    "abulk_create": lambda r: async_to_sync(Review.objects.all().abulk_create)([]),
    "bulk_update": lambda r: Review.objects.bulk_update([r], ["is_hidden"]),
    "update_or_create": lambda r: Review.objects.update_or_create({"content": "x"}, pk=r.pk),
    "the base manager": lambda r: Review._base_manager.update(is_hidden=True),
    "a film's reviews, updated": lambda r: r.movie.reviews.update(is_hidden=True),
    "a film's reviews, added to": lambda r: MovieFactory().reviews.add(r),
    "a film's reviews, set": lambda r: MovieFactory().reviews.set([r]),
    "a film's reviews, bulk_create": lambda r: r.movie.reviews.bulk_create([]),
    "a member's reviews, updated": lambda r: r.user.reviews.update(is_hidden=True),
}


@pytest.mark.parametrize("bypass", BYPASSES)
def test_what_would_bypass_the_counter_is_closed_and_says_what_to_call(bypass):
    review = ReviewFactory()
    movie = review.movie

    with pytest.raises(TypeError, match=r"use .+"), transaction.atomic():
        BYPASSES[bypass](review)

    assert count(movie) == 1


def test_a_review_stays_with_its_film():
    review = ReviewFactory()
    review.movie = MovieFactory()

    with pytest.raises(ValueError, match="stays"):
        review.save()


def test_the_database_refuses_a_hidden_review_that_does_not_say_since_when():
    review = ReviewFactory()
    review.is_hidden = True

    with pytest.raises(IntegrityError, match="review_hidden_since"), transaction.atomic():
        review.save()

    assert count(review.movie) == 1
