"""ETags: unchanged is 304, and an edit of what has changed is 412."""

import threading

import pytest
from django.db import transaction

from accounts.tests.factories import UserFactory
from media.tests.pictures import png
from movies.models import Movie
from movies.tests.factories import MovieFactory
from movieshelf.tests.races import at_once
from movieshelf.tests.waiting import until_somebody_waits
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.tests.factories import ReviewFactory


@pytest.fixture
def movie(user) -> Movie:
    return MovieFactory(created_by=user, title="Heat")


def etag(api, movie) -> str:
    return api.get(f"/movies/{movie.pk}")["ETag"]


def test_an_etag_is_strong_and_stays_while_nothing_changes(api, movie):
    tag = etag(api, movie)

    assert tag.startswith('"')
    assert tag.endswith('"')
    assert etag(api, movie) == tag


@pytest.mark.parametrize("sent", ["{tag}", "W/{tag}", '"x", {tag}', "*"])
def test_what_the_client_has_already_is_not_sent_again(api, movie, sent):
    tag = etag(api, movie)

    response = api.get(f"/movies/{movie.pk}", headers={"If-None-Match": sent.format(tag=tag)})

    assert response.status_code == 304
    assert response.content == b""
    assert response["ETag"] == tag


@pytest.mark.parametrize("sent", ['"x"', "garbage", ""])
def test_what_the_client_does_not_have_is_sent(api, movie, sent):
    response = api.get(f"/movies/{movie.pk}", headers={"If-None-Match": sent})

    assert response.status_code == 200


def test_if_none_match_is_for_reading_only(api, user, movie):
    response = api.as_(user).patch(
        f"/movies/{movie.pk}", {"synopsis": "x"}, headers={"If-None-Match": "*"}
    )

    assert response.status_code == 200
    assert response.json()["synopsis"] == "x"


def test_everything_that_is_shown_changes_the_etag(api, user, movie):
    tags = [etag(api, movie)]

    rating = RatingFactory(movie=movie, value=4)
    tags.append(etag(api, movie))
    review = ReviewFactory(movie=movie)
    tags.append(etag(api, movie))
    review.hide(by=user)
    tags.append(etag(api, movie))
    RatingFactory(value=5)
    tags.append(etag(api, movie))
    Rating.objects.rate(user=rating.user, movie_id=movie.pk, value=3)
    tags.append(etag(api, movie))
    api.as_(user).patch(f"/movies/{movie.pk}", {"synopsis": "x"})
    tags.append(etag(api, movie))

    # A hidden review brings back what was shown before it.
    assert tags[3] == tags[1]
    assert len(set(tags)) == len(tags) - 1


def test_an_edit_of_the_current_version_goes_through(api, user, movie):
    tag = etag(api, movie)

    response = api.as_(user).patch(
        f"/movies/{movie.pk}", {"synopsis": "x"}, headers={"If-Match": tag}
    )

    assert response.status_code == 200
    assert response["ETag"] not in (tag, "")
    assert response["ETag"] == etag(api, movie)


def test_ratings_reviews_and_ranks_do_not_stand_in_the_way_of_an_edit(api, user, movie):
    tag = etag(api, movie)
    RatingFactory(movie=movie)
    ReviewFactory(movie=movie)
    RatingFactory(value=5)

    response = api.as_(user).patch(
        f"/movies/{movie.pk}", {"synopsis": "x"}, headers={"If-Match": tag}
    )

    assert response.status_code == 200


def test_an_edit_of_an_old_version_is_refused(api, user, movie):
    tag = etag(api, movie)
    api.as_(user).patch(f"/movies/{movie.pk}", {"synopsis": "first"})

    response = api.as_(user).patch(
        f"/movies/{movie.pk}", {"synopsis": "second"}, headers={"If-Match": tag}
    )

    assert response.status_code == 412
    assert response.json()["error"]["code"] == "precondition_failed"
    assert Movie.objects.get().synopsis == "first"


def test_an_edit_in_the_admin_counts_as_one(api, user, movie):
    tag = etag(api, movie)
    edited = Movie.objects.get()
    edited.synopsis = "by a moderator"
    edited.save()

    response = api.as_(user).patch(
        f"/movies/{movie.pk}", {"synopsis": "mine"}, headers={"If-Match": tag}
    )

    assert response.status_code == 412
    assert edited.version == 2


def test_a_new_poster_is_an_edit(api, user, movie):
    tag = etag(api, movie)
    api.as_(user).upload(f"/movies/{movie.pk}/poster", png())

    response = api.as_(user).patch(
        f"/movies/{movie.pk}", {"synopsis": "x"}, headers={"If-Match": tag}
    )

    assert response.status_code == 412


def test_a_member_who_leaves_makes_no_edit(api, user, admin):
    movie = MovieFactory(created_by=UserFactory())
    tag = etag(api, movie)
    movie.created_by.delete()

    response = api.as_(admin).patch(
        f"/movies/{movie.pk}", {"synopsis": "x"}, headers={"If-Match": tag}
    )

    assert response.status_code == 200


@pytest.mark.parametrize(
    "sent",
    ['"x"', "garbage", "", "W/{tag}", '"1.000000000000.000000000000"', '"1"', '""', "{other}",
     '"*"'],
)  # fmt: skip
def test_a_tag_that_was_never_the_films_is_refused(api, user, movie, sent):
    sent = sent.format(tag=etag(api, movie), other=etag(api, MovieFactory()))

    response = api.as_(user).patch(
        f"/movies/{movie.pk}", {"synopsis": "x"}, headers={"If-Match": sent}
    )

    assert response.status_code == 412
    assert Movie.objects.get(pk=movie.pk).synopsis == ""


@pytest.mark.parametrize("sent", ["*", '"x", {tag}', "{tag}, W/{tag}"])
def test_one_good_tag_among_several_is_enough(api, user, movie, sent):
    sent = sent.format(tag=etag(api, movie))

    response = api.as_(user).patch(
        f"/movies/{movie.pk}", {"synopsis": "x"}, headers={"If-Match": sent}
    )

    assert response.status_code == 200


def test_the_body_is_looked_at_before_the_precondition_and_that_before_the_title(api, user, movie):
    MovieFactory(title="Ronin")
    stale = {"If-Match": '"x"'}
    path = f"/movies/{movie.pk}"

    assert api.as_(user).patch(path, {"title": ""}, headers=stale).status_code == 400
    assert api.as_(user).patch(path, {"title": "Ronin"}, headers=stale).status_code == 412
    assert api.as_(UserFactory()).patch(path, {"title": ""}, headers=stale).status_code == 403


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("method", ["patch", "delete"])
def test_what_waited_for_an_edit_is_compared_with_the_version_after_it(api, method):
    owner = UserFactory()
    movie = MovieFactory(created_by=owner)
    tag, client = {"If-Match": etag(api, movie)}, api.as_(owner)
    is_held = threading.Event()

    def edit_slowly() -> None:
        with transaction.atomic():
            movie.edit(synopsis="first")
            is_held.set()
            until_somebody_waits()

    def ask_meanwhile():
        assert is_held.wait(10)
        return getattr(client, method)(f"/movies/{movie.pk}", {"synopsis": "second"}, headers=tag)

    _, refused = at_once(edit_slowly, ask_meanwhile)

    assert refused.status_code == 412
    assert Movie.objects.values_list("synopsis", "version").get() == ("first", 2)


def test_a_deletion_of_an_old_version_is_refused_and_told_the_current_one(api, user, movie):
    old = etag(api, movie)
    api.as_(user).patch(f"/movies/{movie.pk}", {"synopsis": "first"})

    refused = api.as_(user).delete(f"/movies/{movie.pk}", headers={"If-Match": old})
    edit = api.as_(user).patch(
        f"/movies/{movie.pk}", {"synopsis": "second"}, headers={"If-Match": old}
    )

    assert refused.status_code == edit.status_code == 412
    assert refused["ETag"] == edit["ETag"] == etag(api, movie)
    assert Movie.objects.get().synopsis == "first"


def test_a_deletion_of_the_current_version_goes_through(api, user, movie):
    RatingFactory(movie=movie)

    response = api.as_(user).delete(f"/movies/{movie.pk}", headers={"If-Match": etag(api, movie)})

    assert response.status_code == 204
    assert not Movie.objects.exists()
