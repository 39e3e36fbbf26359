"""What a moderator hides is gone for everybody but its author and admins."""

import pytest

from accounts.tests.factories import AdminFactory, UserFactory
from movies.models import MovieStats
from movieshelf.recomputing import drifted_films
from reviews.models import Review
from reviews.tests.factories import ReviewFactory


def hidden_review(admin, **fields) -> Review:
    review = ReviewFactory(**fields)
    review.hide(by=admin, reason="spam")
    return review


def review_count(review: Review) -> int:
    assert list(drifted_films()) == []
    return MovieStats.objects.get(pk=review.movie_id).review_count


def test_an_admin_hides_a_review_and_shows_it_again(api, admin):
    review = ReviewFactory()
    moderator, path = api.as_(admin), f"/reviews/{review.pk}"

    hidden = moderator.patch(path, {"hidden": True, "reason": " Spam. "})
    assert (hidden.status_code, hidden.json()["hidden"]) == (200, True)
    assert review_count(review) == 0
    review.refresh_from_db()
    assert (review.hidden_by, review.hidden_reason) == (admin, "Spam.")
    assert review.hidden_at

    shown = moderator.patch(path, {"hidden": False})
    assert (shown.status_code, shown.json()["hidden"]) == (200, False)
    assert review_count(review) == 1
    review.refresh_from_db()
    assert (review.hidden_by, review.hidden_reason, review.hidden_at) == (None, "", None)


def test_hiding_twice_counts_once(api, admin):
    review = ReviewFactory()

    for hidden in (True, True, False, False, True):
        api.as_(admin).patch(f"/reviews/{review.pk}", {"hidden": hidden})
        assert review_count(review) == (0 if hidden else 1)


def test_a_hidden_review_is_there_for_its_author_and_admins_only(api, user, admin):
    review = hidden_review(admin, user=user)
    visible = ReviewFactory(movie=review.movie)
    path = f"/movies/{review.movie.pk}/reviews"

    for reader, sees_it in (
        (api, False),
        (api.as_(UserFactory()), False),
        (api.as_(visible.user), False),
        (api.as_(user), True),
        (api.as_(admin), True),
        (api.as_(AdminFactory()), True),
    ):
        listed = reader.get(path).json()
        assert reader.get(f"/reviews/{review.pk}").status_code == (200 if sees_it else 404)
        assert listed["total"] == len(listed["items"]) == (2 if sees_it else 1)
        found = {item["id"]: item.get("hidden", "not told") for item in listed["items"]}
        assert found.get(review.pk) is (True if sees_it else None)
    assert api.get(f"/movies/{review.movie.pk}").json()["reviewCount"] == 1


def test_hidden_is_told_of_ones_own_reviews_and_to_admins_of_all(api, user, admin):
    mine = ReviewFactory(user=user)
    other = ReviewFactory(movie=mine.movie)
    path = f"/movies/{mine.movie.pk}/reviews"

    def told(reader) -> dict:
        return {item["id"]: item.get("hidden") for item in reader.get(path).json()["items"]}

    assert told(api) == {mine.pk: None, other.pk: None}
    assert told(api.as_(user)) == {mine.pk: False, other.pk: None}
    assert told(api.as_(admin)) == {mine.pk: False, other.pk: False}


def test_pages_of_who_sees_hidden_reviews_add_up(api, user, admin):
    movie = hidden_review(admin, user=user).movie
    hidden_review(admin, user=user, movie=movie)
    hidden_review(admin, movie=movie)
    ReviewFactory.create_batch(2, movie=movie)

    for reader, total in ((api, 2), (api.as_(user), 4), (api.as_(admin), 5)):
        pages = [
            reader.get(f"/movies/{movie.pk}/reviews?pageSize=2&page={page}").json()
            for page in (1, 2, 3)
        ]
        assert {page["total"] for page in pages} == {total}
        assert sum(len(page["items"]) for page in pages) == total


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_to_a_stranger_a_hidden_review_is_not_there_to_change(api, admin, method):
    review = hidden_review(admin)

    response = getattr(api.as_(UserFactory()), method)(f"/reviews/{review.pk}", {"content": "x"})

    assert response.status_code == 404
    assert Review.objects.get().content == review.content


def test_editing_does_not_unhide(api, user, admin):
    review = hidden_review(admin, user=user)

    response = api.as_(user).patch(f"/reviews/{review.pk}", {"content": "Nicer now."})

    assert (response.status_code, response.json()["hidden"]) == (200, True)
    assert response.json()["content"] == "Nicer now."
    assert review_count(review) == 0


def test_an_author_may_neither_hide_nor_show(api, user, admin):
    review = hidden_review(admin, user=user)

    for body in ({"hidden": False}, {"hidden": True}, {"content": "x", "hidden": False}):
        assert api.as_(user).patch(f"/reviews/{review.pk}", body).status_code == 403

    review.refresh_from_db()
    assert (review.is_hidden, review.content) == (True, "Worth every minute.")


@pytest.mark.parametrize("hidden", ["true", 1, 0, None, "yes", [], {}])
def test_hidden_is_true_or_false(api, admin, hidden):
    review = ReviewFactory()

    response = api.as_(admin).patch(f"/reviews/{review.pk}", {"hidden": hidden, "content": "x"})

    assert response.status_code == 400
    review.refresh_from_db()
    assert (review.is_hidden, review.content) == (False, "Worth every minute.")


def test_editing_and_hiding_at_once_do_both(api, admin):
    review = ReviewFactory()

    response = api.as_(admin).patch(f"/reviews/{review.pk}", {"hidden": True, "content": "[gone]"})

    assert (response.json()["hidden"], response.json()["content"]) == (True, "[gone]")
    assert review_count(review) == 0


def test_deleting_a_hidden_review_counts_nothing_down(api, user, admin):
    review = hidden_review(admin, user=user)
    ReviewFactory(movie=review.movie)

    assert api.as_(user).delete(f"/reviews/{review.pk}").status_code == 204

    assert review_count(review) == 1


def test_a_review_stays_hidden_when_the_admin_who_hid_it_leaves(db):
    admin = AdminFactory()
    review = hidden_review(admin)

    admin.delete()

    review.refresh_from_db()
    assert (review.is_hidden, review.hidden_by) == (True, None)
    assert review_count(review) == 0


def test_several_are_hidden_and_shown_as_a_set(admin):
    hidden = hidden_review(admin)
    visible = ReviewFactory.create_batch(2, movie=hidden.movie)
    other = ReviewFactory()

    assert Review.objects.all().hide(by=admin, reason="spam") == 3
    assert (review_count(hidden), review_count(other)) == (0, 0)
    assert Review.objects.filter(is_hidden=True, hidden_by=admin).count() == 4

    assert Review.objects.filter(movie=hidden.movie).show(by=admin) == 3
    assert (review_count(hidden), review_count(other)) == (3, 0)
    assert Review.objects.filter(pk=visible[0].pk, hidden_at=None, hidden_reason="").exists()


@pytest.mark.parametrize("reviews", [1, 10])
def test_hiding_a_set_takes_as_many_statements_for_one_review_as_for_ten(
    admin, reviews, django_assert_num_queries
):
    movie = ReviewFactory().movie
    ReviewFactory.create_batch(reviews, movie=movie)

    # The films locked, what was there, the trail, the reviews, the film's counter, their reports;
    # and the savepoint that a test makes of a transaction.
    with django_assert_num_queries(8):
        Review.objects.all().hide(by=admin)
