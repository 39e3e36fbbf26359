"""Rating a film, reading one's rating, taking it back (contract section 6)."""

import pytest

from accounts.tests.factories import UserFactory
from movies.models import MovieStats
from movies.tests.factories import MovieFactory
from ratings.models import Rating
from ratings.tests.factories import RatingFactory


def test_rating_a_film_answers_with_the_films_numbers_right_after(api, user):
    movie = MovieFactory()
    RatingFactory(movie=movie, value=4)

    response = api.as_(user).put(f"/movies/{movie.pk}/rating", {"value": 5})

    rating = Rating.objects.get(user=user)
    shown = response.json()
    assert response.status_code == 200
    assert shown == {
        "id": rating.pk,
        "movieId": movie.pk,
        "userId": user.pk,
        "value": 5,
        "createdAt": shown["createdAt"],
        "updatedAt": shown["updatedAt"],
        "averageRating": 4.5,
        "ratingCount": 2,
        "ratingDistribution": {"1": 0, "2": 0, "3": 0, "4": 1, "5": 1},
    }
    assert shown["createdAt"].endswith("Z")


def test_rating_again_replaces_the_earlier_rating(api, user):
    movie = MovieFactory()
    first = api.as_(user).put(f"/movies/{movie.pk}/rating", {"value": 2}).json()

    second = api.as_(user).put(f"/movies/{movie.pk}/rating", {"value": 5}).json()

    assert (second["averageRating"], second["ratingCount"]) == (5, 1)
    assert (second["id"], second["createdAt"]) == (first["id"], first["createdAt"])
    assert second["updatedAt"] > first["updatedAt"]


def test_rating_the_same_again_changes_no_number(api, user):
    movie = MovieFactory()

    answers = [api.as_(user).put(f"/movies/{movie.pk}/rating", {"value": 3}) for _ in range(2)]

    assert [answer.json()["ratingCount"] for answer in answers] == [1, 1]
    assert MovieStats.objects.get().rating_3 == 1


def test_ones_own_rating_is_read_and_taken_back(api, user):
    movie = MovieFactory()
    RatingFactory(movie=movie, value=1)
    rating = RatingFactory(movie=movie, user=user, value=4)
    member = api.as_(user)

    read = member.get(f"/movies/{movie.pk}/rating")
    taken_back = member.delete(f"/movies/{movie.pk}/rating")

    assert read.status_code == 200
    assert set(read.json()) == {"id", "movieId", "userId", "value", "createdAt", "updatedAt"}
    assert (read.json()["id"], read.json()["value"]) == (rating.pk, 4)
    assert read["Cache-Control"] == "no-store"
    assert (taken_back.status_code, taken_back.content) == (204, b"")
    assert api.get(f"/movies/{movie.pk}").json()["averageRating"] == 1
    assert member.get(f"/movies/{movie.pk}/rating").status_code == 404
    assert member.delete(f"/movies/{movie.pk}/rating").status_code == 404


@pytest.mark.parametrize(
    "value",
    ["3", 3.0, True, False, None, "３", "0_3", [3], {}, 0, 6, -1, 2.5, 10**30, "", "five"],
)
def test_a_rating_is_a_whole_number_from_one_to_five(api, user, value):
    movie = MovieFactory()

    response = api.as_(user).put(f"/movies/{movie.pk}/rating", {"value": value})

    assert response.status_code == 400
    assert list(response.json()["error"]["details"]) == ["value"]
    assert not Rating.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b'{"value": NaN}', b'{"value": Infinity}', b'{"value": 1e400}', b'{"value": -0}',
        b'{"value": 1.0000000000000001}', b'{"value": 9, "value": 2}', b"{}", b"", b"5", b"[5]",
    ],
)  # fmt: skip
def test_a_body_that_only_looks_like_a_rating_is_refused(api, user, body):
    movie = MovieFactory()

    response = api.as_(user).put(f"/movies/{movie.pk}/rating", body)

    assert response.status_code == 400
    assert not Rating.objects.exists()


def test_whose_rating_and_of_which_film_is_not_the_callers_to_say(api, user):
    movie, other, somebody = MovieFactory(), MovieFactory(), UserFactory()

    response = api.as_(user).put(
        f"/movies/{movie.pk}/rating",
        {"value": 5, "userId": somebody.pk, "movieId": other.pk, "id": 1, "averageRating": 1},
    )

    assert response.status_code == 200
    assert Rating.objects.values_list("user", "movie", "value").get() == (user.pk, movie.pk, 5)


@pytest.mark.parametrize("method", ["get", "put", "delete"])
@pytest.mark.parametrize(
    ("path", "anonymous", "member"),
    [
        ("/movies/{id}/rating", 401, {"get": 404, "put": 200, "delete": 404}),
        ("/movies/999999/rating", 401, {"get": 404, "put": 404, "delete": 404}),
        ("/movies/0/rating", 401, {"get": 404, "put": 404, "delete": 404}),
        ("/movies/99999999999999999999/rating", 401, {"get": 404, "put": 404, "delete": 404}),
        ("/movies/x/rating", 404, {"get": 404, "put": 404, "delete": 404}),
    ],
)
def test_who_may(api, user, admin, method, path, anonymous, member):
    movie = MovieFactory()
    RatingFactory(movie=movie, value=2)
    where = path.format(id=movie.pk)

    assert call(api, method, where).status_code == anonymous
    for caller in (user, admin):
        assert call(api.as_(caller), method, where).status_code == member[method]
    # Whoever calls, the other member's rating stays.
    assert MovieStats.objects.get(pk=movie.pk).rating_2 == 1


def call(client, method, where):
    return client.put(where, {"value": 5}) if method == "put" else getattr(client, method)(where)


@pytest.mark.parametrize("ratings", [1, 50])
def test_rating_takes_as_many_queries_whatever_others_rated(
    api, user, ratings, django_assert_max_num_queries
):
    movie = MovieFactory()
    RatingFactory.create_batch(ratings, movie=movie)
    member = api.as_(user)

    # Who asks, the film, its lock, the earlier rating, the rating, the counters, the numbers; and
    # the savepoints that a test makes of transactions.
    with django_assert_max_num_queries(11):
        member.put(f"/movies/{movie.pk}/rating", {"value": 5})
    with django_assert_max_num_queries(2):
        member.get(f"/movies/{movie.pk}/rating")
