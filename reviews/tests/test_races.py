"""What many do at once to one film, with ratings and reviews (security-cases.md, section H).

`RACE_ROUNDS=200 pytest -m race` runs each race so often.
"""

import threading
from collections import Counter
from functools import partial
from random import Random
from typing import Any

import pytest
from django.db import transaction

from accounts.models import User
from accounts.tests.factories import AdminFactory, UserFactory
from media.tests.pictures import png
from movies.models import Movie, MovieStats
from movies.tests.factories import MovieFactory
from movieshelf.api import transactions
from movieshelf.recomputing import drifted_films
from movieshelf.tests.races import at_once
from movieshelf.tests.waiting import until_somebody_waits
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews import models
from reviews.models import Review
from reviews.tests.factories import ReviewFactory
from trail.models import Act

pytestmark = pytest.mark.django_db(transaction=True)


def statuses(responses) -> Counter[int]:
    return Counter(response.status_code for response in responses)


def test_ratings_and_reviews_of_one_film_at_once_are_all_counted(api):
    """Row 131."""
    movie = MovieFactory()
    members = [api.as_(UserFactory()) for _ in range(8)]

    def rate_and_review(member) -> set[int]:
        answers = []
        for value in (1, 4):
            answers.append(member.put(f"/movies/{movie.pk}/rating", {"value": value}))
            answers.append(member.post(f"/movies/{movie.pk}/reviews", {"content": "Fine."}))
        return {answer.status_code for answer in answers}

    results = at_once(*(partial(rate_and_review, member) for member in members))

    stats = MovieStats.objects.get()
    assert results == [{200, 201}] * 8
    assert (stats.rating_4, stats.rating_count, stats.review_count) == (8, 8, 16)
    assert list(drifted_films()) == []


def test_reviews_written_edited_hidden_and_deleted_at_random_leave_the_count_right():
    """Row 132."""
    movie, admin = MovieFactory(), AdminFactory()
    ReviewFactory.create_batch(4, movie=movie)

    def act(seed: int) -> None:
        dice, user = Random(seed), UserFactory()
        for _ in range(12):
            anyones = Review.objects.order_by("?").first()
            match dice.randrange(6):
                case 0 | 1:
                    Review.objects.write(user=user, movie_id=movie.pk, content="Fine.")
                case 2 if anyones:
                    Review.objects.filter(pk=anyones.pk).delete()
                case 3 if anyones:
                    Review.objects.filter(pk=anyones.pk).hide(by=admin)
                case 4 if anyones:
                    Review.objects.filter(pk=anyones.pk).show(by=admin)
                case 5 if anyones:
                    Review.objects.filter(movie=movie, user=user).delete()

    assert at_once(*(partial(act, seed) for seed in range(8))) == [None] * 8
    assert list(drifted_films()) == []


def test_of_sixteen_who_delete_one_review_at_once_one_does(api):
    """Row 133."""
    review = ReviewFactory()
    ReviewFactory(movie=review.movie)
    author = api.as_(review.user)

    responses = at_once(*[partial(author.delete, f"/reviews/{review.pk}")] * 16)

    assert statuses(responses) == {204: 1, 404: 15}
    assert MovieStats.objects.get().review_count == 1


def test_hiding_racing_editing_hides_edits_and_counts_once(api, admin):
    for _ in range(4):
        review = ReviewFactory()
        author, moderator = api.as_(review.user), api.as_(admin)
        path = f"/reviews/{review.pk}"

        responses = at_once(
            partial(author.patch, path, {"content": "Nicer."}),
            partial(moderator.patch, path, {"hidden": True}),
            partial(moderator.patch, path, {"hidden": True}),
        )

        review.refresh_from_db()
        assert statuses(responses) == {200: 3}
        assert (review.is_hidden, review.content) == (True, "Nicer.")
        assert list(drifted_films()) == []


def test_a_film_deleted_while_it_is_changed_in_every_way_leaves_nothing_behind(api):
    """Row 134."""
    for _ in range(3):
        owner = UserFactory()
        movie = MovieFactory(created_by=owner)
        path, clients = f"/movies/{movie.pk}", [api.as_(owner) for _ in range(7)]

        deleted, *others = at_once(
            partial(clients[0].delete, path),
            partial(clients[1].post, f"{path}/reviews", {"content": "Fine."}),
            partial(clients[2].put, f"{path}/rating", {"value": 3}),
            partial(clients[3].upload, f"{path}/poster", png()),
            partial(clients[4].patch, path, {"synopsis": "x"}),
            partial(clients[5].delete, path),
            partial(clients[6].delete, f"{path}/rating"),
        )

        again = others.pop(4)
        assert sorted([deleted.status_code, again.status_code]) == [204, 404]
        assert set(statuses(others)) <= {200, 201, 204, 404}
        assert not Movie.objects.exists()
        assert not Rating.objects.exists()
        assert not Review.objects.exists()


def test_a_member_who_leaves_while_writing_leaves_no_orphan(api):
    """Row 137: with films rated before, which the leave locks, and new ones, which it does not."""
    films = MovieFactory.create_batch(4)
    for _ in range(4):
        user = UserFactory()
        RatingFactory(user=user, movie=films[0])
        ReviewFactory(user=user, movie=films[1])
        clients = [api.as_(user) for _ in range(6)]

        left, *others = at_once(
            user.delete,
            *(
                partial(client.put, f"/movies/{film.pk}/rating", {"value": 3})
                for client, film in zip(clients, films, strict=False)
            ),
            partial(clients[4].post, f"/movies/{films[0].pk}/reviews", {"content": "Bye."}),
            partial(clients[5].post, "/movies", {"title": f"By {user.pk}"}),
        )

        assert not isinstance(left, Exception), left
        assert set(statuses(others)) <= {200, 201, 401, 404}
        assert not Rating.objects.filter(user=user.pk).exists()
        assert not Review.objects.filter(user=user.pk).exists()
        assert list(drifted_films()) == []


@pytest.mark.parametrize("opinion", [RatingFactory, ReviewFactory])
def test_a_member_who_leaves_waits_for_the_films_before_holding_up_anybody(opinion, monkeypatch):
    """Row 137: one who is rating holds a film, and needs the member's row after it."""
    monkeypatch.setattr(transactions, "MAX_TRIES", 1)
    theirs = opinion()
    is_held = threading.Event()

    def write() -> None:
        with transaction.atomic():
            Movie.objects.lock(theirs.movie_id)
            is_held.set()
            until_somebody_waits()
            Review(movie_id=theirs.movie_id, user=theirs.user, content="Bye.").save()

    def leave() -> None:
        assert is_held.wait(10)
        theirs.user.delete()

    assert at_once(write, leave) == [None, None]
    assert not Rating.objects.exists()
    assert not Review.objects.exists()
    assert list(drifted_films()) == []


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("/movies/{film}/rating", "put", {"value": 4}),
        ("/movies/{film}/reviews", "post", {"content": "Gone."}),
    ],
)
def test_a_member_who_leaves_while_their_write_waits_leaves_nothing(api, path, method, body):
    """The write was let in, and waits for the film; the member goes; the film is free again."""
    user, movie = UserFactory(), MovieFactory()
    member, is_held = api.as_(user), threading.Event()

    def hold_until_they_are_gone() -> None:
        with transaction.atomic():
            Movie.objects.lock(movie.pk)
            is_held.set()
            until_somebody_waits()
            at_once(user.delete)

    def write() -> int:
        assert is_held.wait(10)
        return getattr(member, method)(path.format(film=movie.pk), body).status_code

    assert at_once(hold_until_they_are_gone, write) == [None, 404]
    assert not Rating.objects.exists()
    assert not Review.objects.exists()
    assert list(drifted_films()) == []


def test_two_who_delete_the_same_films_and_members_in_opposite_order_both_succeed():
    """Row 138."""
    for _ in range(3):
        films, members = MovieFactory.create_batch(4), UserFactory.create_batch(4)
        for film in films:
            for member in members:
                RatingFactory(user=member, movie=film)
                ReviewFactory(user=member, movie=film)
        kept = MovieFactory()
        RatingFactory(user=members[0], movie=kept)

        results = at_once(
            Movie.objects.filter(pk__in=[f.pk for f in films]).order_by("pk").delete,
            Movie.objects.filter(pk__in=[f.pk for f in films[1:]]).order_by("-pk").delete,
            User.objects.filter(pk__in=[u.pk for u in members]).order_by("pk").delete,
            User.objects.filter(pk__in=[u.pk for u in members[1:]]).order_by("-pk").delete,
            Rating.objects.filter(movie__in=films).order_by("-pk").delete,
            Review.objects.filter(user__in=members).order_by("-movie").delete,
        )

        assert [r for r in results if isinstance(r, Exception)] == []
        assert list(Movie.objects.filter(pk__in=[f.pk for f in films])) == []
        assert not Rating.objects.exists()
        assert not Review.objects.exists()
        assert list(drifted_films()) == []


def test_a_review_whose_film_goes_right_after_it_is_still_answered(api, monkeypatch):
    """Found by the soak: it was read for the answer after its transaction, and a 500 by then."""
    user, movie = UserFactory(), MovieFactory()
    write = models.fetch_all

    def write_and_lose_the_film(*args: Any) -> Any:
        written = write(*args)
        movie.delete()
        return written

    monkeypatch.setattr(models, "fetch_all", write_and_lose_the_film)

    response = api.as_(user).post(f"/movies/{movie.pk}/reviews", {"content": "Gone soon."})

    assert response.status_code == 201
    assert response.json()["content"] == "Gone soon."
    assert not Review.objects.exists()


def test_the_state_before_an_act_is_the_one_that_the_act_changes():
    """Of two moderators who hide at once, the second hides what the first has hidden."""
    review, first, second = ReviewFactory(), AdminFactory(), AdminFactory()
    is_held = threading.Event()

    def hide_slowly() -> None:
        with transaction.atomic():
            review.hide(by=first, reason="spam")
            is_held.set()
            until_somebody_waits()

    def hide_meanwhile() -> None:
        assert is_held.wait(10)
        Review.objects.get(pk=review.pk).hide(by=second, reason="abuse")

    assert at_once(hide_slowly, hide_meanwhile) == [None, None]
    befores = Act.objects.order_by("pk").values_list("before__hidden_reason", flat=True)
    assert list(befores) == ["", "spam"]
