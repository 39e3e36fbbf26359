"""Reviewing a film: writing, listing, reading, editing and deleting (contract section 5)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.tests.factories import UserFactory
from movies.models import MovieStats
from movies.tests.factories import MovieFactory
from movieshelf.recomputing import drifted_films
from ratings.tests.factories import RatingFactory
from reviews.models import Review
from reviews.tests.factories import ReviewFactory

NOON = datetime(2024, 5, 5, 12, tzinfo=UTC)


def test_writing_a_review_counts_it_and_says_where_it_is(api, user):
    movie = MovieFactory()
    RatingFactory(movie=movie, user=user, value=4)

    response = api.as_(user).post(f"/movies/{movie.pk}/reviews", {"content": " Sand.\r\nMore. "})

    review = Review.objects.get()
    shown = response.json()
    assert response.status_code == 201
    assert response["Location"] == f"/reviews/{review.pk}"
    assert shown == {
        "id": review.pk,
        "movieId": movie.pk,
        "userId": user.pk,
        "user": {"id": user.pk, "name": user.name, "avatarUrl": None},
        "content": "Sand.\nMore.",
        "rating": 4,
        "hidden": False,
        "createdAt": shown["createdAt"],
        "updatedAt": shown["updatedAt"],
    }
    assert api.get(f"/movies/{movie.pk}").json()["reviewCount"] == 1


def test_what_everybody_reads_does_not_tell_whether_it_was_ever_hidden(api, user):
    review = ReviewFactory(user=user)
    one, shelf = f"/reviews/{review.pk}", f"/movies/{review.movie.pk}/reviews"

    for reader in (api, api.as_(UserFactory())):
        assert "hidden" not in reader.get(one).json()
        assert "hidden" not in reader.get(shelf).json()["items"][0]
    assert api.get(one).json()["rating"] is None
    assert api.as_(user).get(one).json()["hidden"] is False


def test_a_member_may_review_a_film_more_than_once(api, user):
    movie = MovieFactory()

    for _ in range(3):
        api.as_(user).post(f"/movies/{movie.pk}/reviews", {"content": "Again!"})

    assert api.get(f"/movies/{movie.pk}/reviews").json()["total"] == 3
    assert api.get(f"/movies/{movie.pk}").json()["reviewCount"] == 3


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ("<b>Great</b> film<br>really<script>alert(1)</script>", "Great film\nreally"),
        ("I <3 this, 5 > 4 & more", "I <3 this, 5 > 4 & more"),
        ("=cmd()", "=cmd()"),
        ("\u202eevil\u202c z̷a̷l̷g̷o̷", "\u202eevil\u202c z̷a̷l̷g̷o̷"),
        ("x" * 5000, "x" * 5000),
        ("👻" * 5000, "👻" * 5000),
        ("<i>" * 3000 + "x" * 5000, "x" * 5000),
        (f"  {'x' * 5000}  ", "x" * 5000),
    ],
)
def test_content_is_plain_text_of_up_to_five_thousand_characters(api, user, content, kept):
    movie = MovieFactory()

    response = api.as_(user).post(f"/movies/{movie.pk}/reviews", {"content": content})

    assert response.status_code == 201
    assert response.json()["content"] == kept
    assert Review.objects.get().content == kept


@pytest.mark.parametrize(
    "content",
    ["", "   ", "\u200b", "<b></b>", "<script>alert(1)</script>", "x" * 5001, "👻" * 5001,
     "bell\u0007", "null\u0000", "<b>\u001b[0m</b>", None, 5, ["x"], {}, True],
)  # fmt: skip
def test_content_that_is_none_is_refused(api, user, content):
    movie = MovieFactory()
    review = ReviewFactory(user=user)

    posted = api.as_(user).post(f"/movies/{movie.pk}/reviews", {"content": content})
    patched = api.as_(user).patch(f"/reviews/{review.pk}", {"content": content})

    for response in (posted, patched):
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "validation_error"
    assert Review.objects.get().content == review.content


def test_whose_review_and_of_which_film_is_not_the_callers_to_say(api, user):
    movie, other, somebody = MovieFactory(), MovieFactory(), UserFactory()
    theirs = {"userId": somebody.pk, "movieId": other.pk, "createdAt": "2001-01-01T00:00:00Z"}

    written = api.as_(user).post(
        f"/movies/{movie.pk}/reviews", {"content": "Fine.", "hidden": True, **theirs}
    )
    edited = api.as_(user).patch(f"/reviews/{written.json()['id']}", {"content": "OK.", **theirs})

    review = Review.objects.get()
    assert (written.status_code, edited.status_code) == (201, 200)
    assert (review.user, review.movie, review.is_hidden) == (user, movie, False)
    assert review.created_at.year > 2001
    assert list(drifted_films()) == []


def test_editing_changes_the_text_and_when(api, user):
    review = ReviewFactory(user=user)
    before = api.as_(user).get(f"/reviews/{review.pk}").json()

    after = api.as_(user).patch(f"/reviews/{review.pk}", {"content": "On second thoughts."}).json()

    assert after["content"] == "On second thoughts."
    assert after["updatedAt"] > before["updatedAt"]
    assert after["createdAt"] == before["createdAt"]
    assert api.get(f"/reviews/{review.pk}").json()["content"] == "On second thoughts."


def test_an_empty_patch_changes_nothing(api, user):
    review = ReviewFactory(user=user)
    before = api.as_(user).get(f"/reviews/{review.pk}").json()

    response = api.as_(user).patch(f"/reviews/{review.pk}", {})

    assert (response.status_code, response.json()) == (200, before)


def test_deleting_a_review_counts_it_down_once(api, user):
    review = ReviewFactory(user=user)
    ReviewFactory(movie=review.movie)

    first = api.as_(user).delete(f"/reviews/{review.pk}")
    second = api.as_(user).delete(f"/reviews/{review.pk}")

    assert (first.status_code, first.content, second.status_code) == (204, b"", 404)
    assert api.get(f"/movies/{review.movie.pk}").json()["reviewCount"] == 1


@pytest.mark.parametrize(
    ("method", "path", "anonymous", "stranger", "author", "moderator"),
    [
        ("get", "/movies/{movie}/reviews", 200, 200, 200, 200),
        ("post", "/movies/{movie}/reviews", 401, 201, 201, 201),
        ("get", "/reviews/{review}", 200, 200, 200, 200),
        ("patch", "/reviews/{review}", 401, 403, 200, 200),
        ("hide", "/reviews/{review}", 401, 403, 403, 200),
        ("delete", "/reviews/{review}", 401, 403, 204, 204),
        ("get", "/movies/999999/reviews", 404, 404, 404, 404),
        ("post", "/movies/999999/reviews", 401, 404, 404, 404),
        ("get", "/reviews/999999", 404, 404, 404, 404),
        ("get", "/reviews/0", 404, 404, 404, 404),
        ("get", "/reviews/99999999999999999999", 404, 404, 404, 404),
        ("patch", "/reviews/999999", 401, 404, 404, 404),
        ("hide", "/reviews/999999", 401, 404, 404, 404),
        ("delete", "/reviews/999999", 401, 404, 404, 404),
    ],
)
def test_who_may(api, user, admin, method, path, anonymous, stranger, author, moderator):
    bodies = {"post": {"content": "x"}, "patch": {"content": "x"}, "hide": {"hidden": True}}
    expected = {None: anonymous, UserFactory(): stranger, user: author, admin: moderator}

    for caller, status in expected.items():
        review = ReviewFactory(user=user)
        client = api.as_(caller) if caller else api
        where = path.format(review=review.pk, movie=review.movie.pk)
        verb = getattr(client, "patch" if method == "hide" else method)
        response = verb(where, bodies[method]) if method in bodies else verb(where)
        assert response.status_code == status, caller
        if status >= 400:
            assert Review.objects.values_list("content", "is_hidden").get(pk=review.pk) == (
                review.content,
                False,
            )


def test_a_list_is_newest_first_or_oldest_first(api, db):
    movie = MovieFactory()
    ids = [
        ReviewFactory(movie=movie, created_at=NOON + timedelta(hours=hour)).pk
        for hour in (2, 0, 1, 1)
    ]
    second, fourth, third, first = ids[1], ids[2], ids[3], ids[0]
    ReviewFactory()

    def listed(query: str) -> list[int]:
        items = api.get(f"/movies/{movie.pk}/reviews{query}").json()["items"]
        return [item["id"] for item in items]

    assert listed("") == [first, third, fourth, second]
    assert listed("?sort=latest") == listed("")
    assert listed("?sort=oldest") == listed("")[::-1]
    assert listed("?pageSize=3&page=2") == [second]
    assert listed("?pageSize=3&page=3") == []


@pytest.mark.parametrize("query", ["sort=x", "sort=", "page=0", "pageSize=101", "sort=a&sort=b"])
def test_a_list_that_cannot_be_is_refused(api, db, query):
    movie = MovieFactory()

    assert api.get(f"/movies/{movie.pk}/reviews?{query}").status_code == 400


def test_each_review_shows_what_its_author_gave_this_film(api, db):
    movie = MovieFactory()
    rated = ReviewFactory(movie=movie)
    RatingFactory(movie=movie, user=rated.user, value=2)
    unrated = ReviewFactory(movie=movie)
    RatingFactory(user=unrated.user, value=5)

    items = api.get(f"/movies/{movie.pk}/reviews").json()["items"]

    assert {item["id"]: item["rating"] for item in items} == {rated.pk: 2, unrated.pk: None}


def test_reviews_go_with_their_author(api, user):
    review = ReviewFactory(user=user)
    RatingFactory(movie=review.movie, user=user)

    user.delete()

    assert api.get(f"/reviews/{review.pk}").status_code == 404
    assert api.get(f"/movies/{review.movie.pk}/reviews").json()["total"] == 0
    assert MovieStats.objects.get().review_count == 0


@pytest.mark.parametrize("reviews", [1, 100])
def test_lists_and_reads_take_as_many_queries_for_one_review_as_for_a_hundred(
    api, user, admin, reviews, django_assert_num_queries
):
    movie = MovieFactory()
    written = ReviewFactory.create_batch(reviews, movie=movie)
    RatingFactory(movie=movie, user=written[0].user)
    path = f"/movies/{movie.pk}/reviews?pageSize=100"
    member, moderator = api.as_(user), api.as_(admin)

    # The film, which knows how many; the page.
    with django_assert_num_queries(2):
        assert len(api.get(path).json()["items"]) == reviews
    # And of a page of the usual size the versions of its rows, by which it is kept.
    with django_assert_num_queries(3):
        api.get(path.partition("?")[0])
    # And who is asking; and how many hidden ones they see.
    for reader in (member, moderator):
        with django_assert_num_queries(4):
            reader.get(path)
    with django_assert_num_queries(1):
        api.get(f"/reviews/{written[0].pk}")


@pytest.mark.django_db
@pytest.mark.parametrize("sort", ["latest", "oldest"])
def test_pages_of_the_usual_size_have_what_all_others_have(api, sort):
    film = MovieFactory()
    ReviewFactory.create_batch(41, movie=film)
    hidden = ReviewFactory(movie=film)
    hidden.hide(by=UserFactory(role="admin"))

    def items(page: int, size: int) -> list[dict[str, Any]]:
        query = f"sort={sort}&page={page}&pageSize={size}"
        return api.get(f"/movies/{film.pk}/reviews?{query}").json()["items"]

    usual = [items(page, 20) for page in (1, 2, 3)]

    assert [len(page) for page in usual] == [20, 20, 1]
    assert [*usual[0], *usual[1], *usual[2]] == items(1, 100)
