"""DELETE /users/me (contract section 3; security-cases.md, rows 42, 126 and 137)."""

import threading

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import Session, User
from accounts.tests.factories import PASSWORD, UserFactory
from accounts.tests.steps import (
    access_token,
    at_once,
    begin,
    errors_of,
    log_in,
    me,
    present,
    refresh_token,
    waiting,
)
from media.models import Media
from media.tests.pictures import png
from movies.models import Movie, MovieStats
from movies.tests.factories import MovieFactory
from movieshelf.tests.client import ApiClient
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.models import Review
from reviews.tests.factories import ReviewFactory

pytestmark = pytest.mark.django_db


def leave(user: User, password: object = PASSWORD):
    client = ApiClient(raise_request_exception=False).as_(user)
    return client.generic(
        "DELETE", "/users/me", f'{{"password": "{password}"}}', content_type="application/json"
    )


def numbers_are_right() -> bool:
    """G5: every counter equals what its rows say."""
    for stats in MovieStats.objects.all():
        values = list(Rating.objects.filter(movie=stats.pk).values_list("value", flat=True))
        visible = Review.objects.filter(movie=stats.pk, is_hidden=False).count()
        if stats.distribution != {str(star): values.count(star) for star in range(1, 6)}:
            return False
        if stats.review_count != visible:
            return False
    return True


def test_an_account_is_gone_at_once_with_all_that_was_its_own(user):
    session = begin(user)
    refresh, access = refresh_token(session), access_token(session)
    movie = MovieFactory()
    RatingFactory(user=user, movie=movie, value=1)
    RatingFactory(movie=movie, value=5)
    ReviewFactory(user=user, movie=movie)
    ReviewFactory(user=user, movie=movie).hide(by=UserFactory(role="admin"))
    ReviewFactory(movie=movie)

    response = leave(user)

    assert response.status_code == 204
    assert response.content == b""
    assert not User.objects.filter(pk=user.pk).exists()
    assert not Session.objects.filter(user=user.pk).exists()
    assert not Rating.objects.filter(user=user.pk).exists()
    assert not Review.objects.filter(user=user.pk).exists()
    assert me(access).status_code == 401
    assert present(refresh).status_code == 401
    assert log_in(user).status_code == 401


def test_the_films_touched_are_right_at_once(api, user):
    movie = MovieFactory()
    RatingFactory(user=user, movie=movie, value=1)
    RatingFactory(movie=movie, value=5)
    ReviewFactory(user=user, movie=movie)
    ReviewFactory(movie=movie)

    leave(user)

    shown = api.get(f"/movies/{movie.pk}").json()
    assert (shown["averageRating"], shown["ratingCount"], shown["reviewCount"]) == (5, 1, 1)
    assert numbers_are_right()


def test_films_that_one_added_stay_without_an_owner(api, user):
    movie = MovieFactory(created_by=user)

    leave(user)

    shown = api.get(f"/movies/{movie.pk}").json()
    assert shown["title"] == movie.title
    assert shown["createdBy"] is None


def test_the_cookie_is_cleared(user):
    given = log_in(user).cookies[settings.REFRESH_COOKIE_NAME]

    cleared = leave(user).cookies[settings.REFRESH_COOKIE_NAME]

    assert (cleared.value, cleared["max-age"]) == ("", 0)
    for attribute in ("path", "secure", "httponly", "samesite", "domain"):
        assert cleared[attribute] == given[attribute]


@pytest.mark.parametrize("password", ["not my password", PASSWORD.upper(), PASSWORD + " "])
def test_a_wrong_password_deletes_nothing(user, password):
    RatingFactory(user=user)

    response = leave(user, password)

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "validation_error"
    assert list(errors_of(response)) == ["password"]
    assert not response.cookies
    assert Rating.objects.filter(user=user).count() == 1
    assert numbers_are_right()


@pytest.mark.parametrize("body", ["{}", '{"password": null}', '{"password": 5}'])
def test_the_password_is_needed(user, body):
    client = ApiClient(raise_request_exception=False).as_(user)

    response = client.generic("DELETE", "/users/me", body, content_type="application/json")

    assert response.status_code == 400
    assert list(errors_of(response)) == ["password"]


def test_without_a_body_nothing_is_deleted(user):
    response = ApiClient(raise_request_exception=False).as_(user).delete("/users/me")

    assert response.status_code == 400
    assert User.objects.filter(pk=user.pk).exists()


def avatar_of(user: User) -> Media:
    client = ApiClient(raise_request_exception=False).as_(user)
    media_id = client.upload("/users/me/avatar", png()).json()["mediaId"]
    return Media.objects.get(pk=media_id)


def test_an_avatar_that_nothing_else_shows_is_gone_at_once(api, user):
    media = avatar_of(user)
    user.refresh_from_db()

    leave(user)

    assert api.get(media.url).status_code == 404


def test_an_avatar_that_a_film_shows_too_stays(api, user):
    media = avatar_of(user)
    MovieFactory(poster=media)

    leave(user)

    assert api.get(media.url).status_code == 200


def test_an_avatar_that_somebody_else_shows_too_stays(api, user):
    media = avatar_of(user)
    UserFactory(avatar=media)

    leave(user)

    assert api.get(media.url).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_an_avatar_that_becomes_a_poster_while_its_member_leaves_stays(api, user):
    """The one who shows it was told so: his link wins, as against a sweep."""
    media, movie = avatar_of(user), MovieFactory()

    with transaction.atomic():
        movie.edit(poster=media)
        left = at_once(user.delete)

    assert not User.objects.filter(pk=user.pk).exists(), left
    movie.refresh_from_db()
    assert movie.poster == media
    assert api.get(media.url).status_code == 200


def test_the_avatars_of_others_stay(api, user):
    media = avatar_of(UserFactory())
    avatar_of(user)

    leave(user)

    assert api.get(media.url).status_code == 200


def statements_of_a_deletion(rows: int) -> int:
    user = UserFactory()
    for _ in range(rows):
        movie = MovieFactory(created_by=user)
        RatingFactory(user=user, movie=movie)
        ReviewFactory(user=user, movie=movie)
        begin(user)
    avatar_of(user)
    client = ApiClient(raise_request_exception=False).as_(user)
    body = f'{{"password": "{PASSWORD}"}}'
    with CaptureQueriesContext(connection) as queries:
        client.generic("DELETE", "/users/me", body, content_type="application/json")
    assert not User.objects.filter(pk=user.pk).exists()
    return len(queries)


def test_the_number_of_statements_does_not_grow_with_the_rows(db):
    few, many = statements_of_a_deletion(1), statements_of_a_deletion(20)

    assert few == many
    assert many <= 25


def test_many_members_are_deleted_at_once_with_the_numbers_right(db):
    movie = MovieFactory()
    members = [UserFactory() for _ in range(3)]
    for value, member in enumerate(members, start=1):
        RatingFactory(user=member, movie=movie, value=value)
        ReviewFactory(user=member, movie=movie)
    RatingFactory(movie=movie, value=4)

    User.objects.filter(pk__in=[member.pk for member in members]).delete()

    assert Rating.objects.count() == 1
    assert numbers_are_right()


@pytest.mark.django_db(transaction=True)
def test_row_137_a_deletion_races_the_members_own_writes_and_refreshes(user):
    """Row 137: no orphan, no drift, no 5xx; an answer is a success, or 401 or 404."""
    movies = [MovieFactory() for _ in range(6)]
    session = begin(user)
    token, access = refresh_token(session), access_token(session)
    gone = threading.Event()

    def write(offset: int) -> set[int]:
        client = ApiClient(raise_request_exception=False).with_token(access)
        seen = set()
        for round_number in range(200):
            movie = movies[(offset + round_number) % len(movies)]
            answers = [
                client.put(f"/movies/{movie.pk}/rating", {"value": 1 + round_number % 5}),
                client.post(f"/movies/{movie.pk}/reviews", {"content": "Again."}),
            ]
            seen |= {answer.status_code for answer in answers}
            if gone.is_set():
                return seen
        return seen

    def refresh() -> set[int]:
        seen, current = set(), token
        while not gone.is_set():
            answer = present(current)
            seen.add(answer.status_code)
        return seen

    def delete() -> set[int]:
        try:
            return {leave(user).status_code}
        finally:
            gone.set()

    seen = at_once(lambda: write(0), lambda: write(3), refresh, delete)

    assert seen[3] == {204}
    assert set().union(*seen) <= {200, 201, 204, 401, 404}
    assert Rating.objects.count() == 0
    assert Review.objects.count() == 0
    assert numbers_are_right()


@pytest.mark.django_db(transaction=True)
def test_row_137_one_who_rates_does_not_wait_for_a_deletion_that_waits_for_them(user):
    """Row 137: films before members; in the other order these two would deadlock."""
    movie = MovieFactory()
    ReviewFactory(user=user, movie=movie)
    with transaction.atomic():
        Movie.objects.lock(movie.pk)
        deletion = waiting(lambda: leave(user).status_code)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '200ms'")
        RatingFactory(user=user, movie=movie)

    assert deletion() == 204
    assert Rating.objects.count() == 0
    assert numbers_are_right()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_number", range(5))
def test_row_137_a_rating_that_waits_for_the_deletion_finds_nobody(user, round_number):
    """Row 137: whoever rates holds the film; so the deletion locks films before members."""
    movie = MovieFactory()
    RatingFactory(user=user, movie=movie)
    access = access_token(begin(user))

    def rate() -> int:
        client = ApiClient(raise_request_exception=False).with_token(access)
        return client.put(f"/movies/{movie.pk}/rating", {"value": 5}).status_code

    statuses = at_once(lambda: leave(user).status_code, rate, rate)

    assert statuses[0] == 204
    assert set(statuses[1:]) <= {200, 401, 404}
    assert numbers_are_right()


@pytest.mark.django_db(transaction=True)
def test_row_138_overlapping_deletions_in_opposite_order_both_succeed(db):
    """Row 138."""
    movies = [MovieFactory() for _ in range(4)]
    members = [UserFactory() for _ in range(6)]
    for member in members:
        for movie in movies:
            RatingFactory(user=member, movie=movie)
    ids = [member.pk for member in members]

    at_once(
        lambda: User.objects.filter(pk__in=ids[:4]).order_by("pk").delete(),
        lambda: User.objects.filter(pk__in=ids[2:]).order_by("-pk").delete(),
    )

    assert not User.objects.filter(pk__in=ids).exists()
    assert Movie.objects.count() == 4
    assert numbers_are_right()
