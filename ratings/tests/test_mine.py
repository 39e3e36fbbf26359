"""GET /users/me/ratings (contract section 3)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from accounts.tests.factories import UserFactory
from media.models import Media
from media.tests.pictures import png
from movies.tests.factories import MovieFactory
from ratings.models import Rating
from ratings.tests.factories import RatingFactory

pytestmark = pytest.mark.django_db


def changed(rating: Rating, minutes_ago: int) -> Rating:
    Rating.objects.filter(pk=rating.pk).update(
        updated_at=timezone.now() - timedelta(minutes=minutes_ago)
    )
    return rating


def ids_of(response) -> list[int]:
    assert response.status_code == 200
    return [item["movieId"] for item in response.json()["items"]]


def test_a_rating_is_listed_with_its_film(api, user):
    media_id = api.as_(user).upload("/users/me/avatar", png()).json()["mediaId"]
    movie = MovieFactory(title="Dune", poster=Media.objects.get(pk=media_id))
    rating = RatingFactory(user=user, movie=movie, value=4)

    response = api.as_(user).get("/users/me/ratings")

    (item,) = response.json()["items"]
    assert item == {
        "id": rating.pk,
        "movieId": movie.pk,
        "value": 4,
        "createdAt": item["createdAt"],
        "updatedAt": item["updatedAt"],
        "movie": {"id": movie.pk, "title": "Dune", "posterUrl": f"/media/{media_id}"},
    }
    assert item["createdAt"].endswith("Z")
    assert response["Cache-Control"] == "no-store"


def test_a_film_without_a_poster_says_so(api, user):
    RatingFactory(user=user)

    (item,) = api.as_(user).get("/users/me/ratings").json()["items"]

    assert item["movie"]["posterUrl"] is None


def test_the_latest_change_stands_first(api, user):
    old, new, middle = (
        changed(RatingFactory(user=user), minutes_ago) for minutes_ago in (30, 10, 20)
    )

    response = api.as_(user).get("/users/me/ratings")

    assert ids_of(response) == [new.movie_id, middle.movie_id, old.movie_id]


def test_rating_again_brings_a_film_to_the_front(api, user):
    first, second = RatingFactory(user=user), RatingFactory(user=user)

    api.as_(user).put(f"/movies/{first.movie_id}/rating", {"value": 1})

    response = api.as_(user).get("/users/me/ratings")
    assert ids_of(response) == [first.movie_id, second.movie_id]


def test_ratings_of_one_moment_are_listed_newest_first(api, user):
    now = timezone.now()
    ratings = [RatingFactory(user=user) for _ in range(5)]
    Rating.objects.update(updated_at=now)

    listed = []
    for page in (1, 2, 3):
        listed += ids_of(api.as_(user).get(f"/users/me/ratings?pageSize=2&page={page}"))

    assert listed == [rating.movie_id for rating in reversed(ratings)]


def test_the_list_is_paged_like_any(api, user):
    for _ in range(3):
        RatingFactory(user=user)

    body = api.as_(user).get("/users/me/ratings?page=2&pageSize=2").json()

    assert len(body["items"]) == 1
    assert {key: body[key] for key in body if key != "items"} == {
        "page": 2,
        "pageSize": 2,
        "total": 3,
        "totalPages": 2,
    }


def test_nobody_elses_ratings_are_listed(api, user):
    theirs = RatingFactory()

    listed = api.as_(user).get("/users/me/ratings")
    asked = api.as_(user).get(f"/users/me/ratings?movieIds={theirs.movie_id}")

    assert ids_of(listed) == []
    assert ids_of(asked) == []


def test_the_ratings_of_some_films_are_one_page(api, user):
    wanted = [RatingFactory(user=user) for _ in range(25)]
    RatingFactory(user=user)
    unrated = MovieFactory()
    ids = ",".join(str(rating.movie_id) for rating in [*wanted, wanted[0]])

    response = api.as_(user).get(f"/users/me/ratings?movieIds={ids},{unrated.pk}&page=3")

    body = response.json()
    assert set(ids_of(response)) == {rating.movie_id for rating in wanted}
    assert (body["page"], body["total"], body["totalPages"]) == (1, 25, 1)


def test_a_hundred_films_may_be_asked_for_and_no_more(api, user):
    hundred = ",".join(str(n) for n in range(1, 101))

    assert api.as_(user).get(f"/users/me/ratings?movieIds={hundred}").status_code == 200
    assert api.as_(user).get(f"/users/me/ratings?movieIds={hundred},101").status_code == 400


@pytest.mark.parametrize(
    "ids", ["", "x", "1,", ",1", "1,,2", "1;2", "1_0", "１", "-1", "1.0", "1 ,2", "9" * 5_000]
)
def test_ids_that_are_none_are_400(api, user, ids):
    response = api.as_(user).get("/users/me/ratings", {"movieIds": ids})

    assert response.status_code == 400
    assert list(response.json()["error"]["details"]) == ["movieIds"]


@pytest.mark.parametrize("page", ["page=0", "page=x", "pageSize=101", "page=1&page=2"])
def test_a_page_that_cannot_be_is_400_beside_ids_too(api, user, page):
    response = api.as_(user).get(f"/users/me/ratings?movieIds=1&{page}")

    assert response.status_code == 400
    assert list(response.json()["error"]["details"]) == [page.partition("=")[0]]


def test_ids_given_twice_are_400(api, user):
    assert api.as_(user).get("/users/me/ratings?movieIds=1&movieIds=2").status_code == 400


@pytest.mark.parametrize("ids", ["0", str(2**63 - 1), str(2**63), "9999999999999999999"])
def test_ids_that_no_film_has_find_nothing(api, user, ids):
    assert ids_of(api.as_(user).get(f"/users/me/ratings?movieIds={ids}")) == []


@pytest.mark.parametrize("query", ["page=0", "pageSize=0", "pageSize=101", "page=x"])
def test_a_page_that_cannot_be_is_400(api, user, query):
    assert api.as_(user).get(f"/users/me/ratings?{query}").status_code == 400


@pytest.mark.parametrize("rows", [1, 20])
def test_the_list_takes_three_queries_however_long(api, user, django_assert_num_queries, rows):
    for _ in range(rows):
        RatingFactory(user=user)
    client = api.as_(user)

    # Who asks, how many there are, and the rows with their films.
    with django_assert_num_queries(3):
        client.get("/users/me/ratings")


@pytest.mark.parametrize("rows", [1, 20])
def test_the_ratings_of_some_films_take_two_queries(api, user, django_assert_num_queries, rows):
    ids = ",".join(str(RatingFactory(user=user).movie_id) for _ in range(rows))
    client = api.as_(user)

    with django_assert_num_queries(2):
        client.get(f"/users/me/ratings?movieIds={ids}")


def test_an_admin_sees_their_own_only(api, admin):
    RatingFactory(user=UserFactory())

    assert ids_of(api.as_(admin).get("/users/me/ratings")) == []
    assert User.objects.count() == 2
