"""One film: adding, reading, editing and deleting it (contract section 4)."""

from datetime import date, datetime
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.tests.factories import UserFactory
from media.models import Media
from media.tests.pictures import png
from movies.models import Movie, MovieStats
from movies.tests.factories import MovieFactory
from movieshelf.recomputing import drifted_films
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.models import Review
from reviews.tests.factories import ReviewFactory

DUNE = {
    "title": "Dune",
    "releaseDate": "2021-10-22",
    "synopsis": "Sand.\nMore sand.",
    "trailerUrl": "https://trailers.example/dune",
}
NOT_SETTABLE = {
    "id": 4711,
    "createdBy": 4711,
    "createdAt": "2001-01-01T00:00:00Z",
    "updatedAt": "2001-01-01T00:00:00Z",
    "averageRating": 5,
    "ratingCount": 1000,
    "reviewCount": 1000,
    "rank": 1,
    "ratingDistribution": {"5": 1000},
    "posterUrl": "/media/elsewhere",
    "version": 99,
    "titleKey": "x",
    "__proto__": {"role": "admin"},
}


def an_image(uploader) -> Media:
    return Media.objects.create(
        uploader=uploader, data=b"-", content_type="image/png", width=1, height=1, bytes=1
    )


def wire_time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def test_adding_a_film_shows_it_with_its_place(api, user):
    response = api.as_(user).post("/movies", DUNE)

    movie = Movie.objects.get()
    assert response.status_code == 201
    assert response["Location"] == f"/movies/{movie.pk}"
    assert response.json() == {
        "id": movie.pk,
        **DUNE,
        "posterMediaId": None,
        "posterUrl": None,
        "createdBy": user.pk,
        "createdAt": wire_time(movie.created_at),
        "updatedAt": wire_time(movie.updated_at),
        "averageRating": 0,
        "ratingCount": 0,
        "reviewCount": 0,
        "rank": None,
        "ratingDistribution": {"1": 0, "2": 0, "3": 0, "4": 0, "5": 0},
    }
    assert api.get(f"/movies/{movie.pk}").json() == response.json()
    assert api.get(f"/movies/{movie.pk}")["ETag"] == response["ETag"]


def test_only_a_title_is_needed(api, user):
    response = api.as_(user).post("/movies", {"title": "  Amé\u0301lie  "})

    assert response.status_code == 201
    assert response.json()["releaseDate"] is None
    assert response.json()["trailerUrl"] is None
    assert response.json()["synopsis"] == ""


def test_what_a_caller_may_not_set_is_ignored(api, user):
    movie = MovieFactory(created_by=user)

    posted = api.as_(user).post("/movies", {"title": "Dune", **NOT_SETTABLE})
    patched = api.as_(user).patch(f"/movies/{movie.pk}", NOT_SETTABLE)

    for response, status in ((posted, 201), (patched, 200)):
        shown = response.json()
        assert response.status_code == status
        assert shown["id"] != 4711
        assert shown["createdBy"] == user.pk
        assert not shown["createdAt"].startswith("2001")
        assert not shown["updatedAt"].startswith("2001")
        assert (shown["averageRating"], shown["ratingCount"], shown["reviewCount"]) == (0, 0, 0)
        assert shown["rank"] is None
        assert shown["posterUrl"] is None
    assert list(drifted_films()) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "title"),
        ({"title": None}, "title"),
        ({"title": 7}, "title"),
        ({"title": ""}, "title"),
        ({"title": " \u200b\u3000\u00ad "}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": "👻" * 201}, "title"),
        ({"title": "Du\u0007ne"}, "title"),
        ({"title": "Dune", "releaseDate": "0000-00-00"}, "releaseDate"),
        ({"title": "Dune", "releaseDate": "10000-01-01"}, "releaseDate"),
        ({"title": "Dune", "releaseDate": "2023-02-29"}, "releaseDate"),
        ({"title": "Dune", "releaseDate": "2024-02-30T25:00Z"}, "releaseDate"),
        ({"title": "Dune", "releaseDate": "2024-01-01T00:00:00+02:00"}, "releaseDate"),
        ({"title": "Dune", "releaseDate": "2024-1-1"}, "releaseDate"),
        ({"title": "Dune", "releaseDate": "２０２４-01-01"}, "releaseDate"),
        ({"title": "Dune", "releaseDate": ""}, "releaseDate"),
        ({"title": "Dune", "releaseDate": 20240101}, "releaseDate"),
        ({"title": "Dune", "synopsis": "x" * 5001}, "synopsis"),
        ({"title": "Dune", "synopsis": None}, "synopsis"),
        ({"title": "Dune", "synopsis": ["x"]}, "synopsis"),
        ({"title": "Dune", "trailerUrl": "javascript:alert(1)"}, "trailerUrl"),
        ({"title": "Dune", "trailerUrl": "ftp://trailers.example/x"}, "trailerUrl"),
        ({"title": "Dune", "trailerUrl": "file:///etc/passwd"}, "trailerUrl"),
        ({"title": "Dune", "trailerUrl": "gopher://trailers.example"}, "trailerUrl"),
        ({"title": "Dune", "trailerUrl": "//trailers.example"}, "trailerUrl"),
        ({"title": "Dune", "trailerUrl": "https://"}, "trailerUrl"),
        ({"title": "Dune", "trailerUrl": " https://trailers.example"}, "trailerUrl"),
        ({"title": "Dune", "trailerUrl": "https://t.example/a\nb"}, "trailerUrl"),
        ({"title": "Dune", "trailerUrl": "https://t.example/" + "x" * 483}, "trailerUrl"),
        ({"title": "Dune", "trailerUrl": ""}, "trailerUrl"),
        ({"title": "Dune", "posterMediaId": "garbage"}, "posterMediaId"),
        ({"title": "Dune", "posterMediaId": 7}, "posterMediaId"),
        ({"title": "Dune", "posterMediaId": str(uuid4())}, "posterMediaId"),
    ],
)
def test_a_film_that_does_not_hold_what_it_must_is_refused(api, user, body, field):
    response = api.as_(user).post("/movies", body)

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "validation_error"
    assert list(response.json()["error"]["details"]) == [field]
    assert not Movie.objects.exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "x" * 200},
        {"title": "👻" * 200},
        {"releaseDate": "0001-01-01"},
        {"releaseDate": "9999-12-31"},
        {"releaseDate": "2024-02-29"},
        {"releaseDate": None},
        {"synopsis": "x" * 5000},
        {"synopsis": ""},
        {"trailerUrl": "HTTP://trailers.example:8080/x?y=z#1"},
        {"trailerUrl": "http://169.254.169.254/"},
        {"trailerUrl": "https://t.example/" + "x" * 482},
        {"trailerUrl": None},
        {"posterMediaId": None},
    ],
)
def test_what_is_just_allowed_is_kept_exactly(api, user, fields):
    movie = MovieFactory(created_by=user, synopsis="before", release_date=date(1999, 1, 1))

    response = api.as_(user).patch(f"/movies/{movie.pk}", fields)

    assert response.status_code == 200
    assert {name: response.json()[name] for name in fields} == fields
    assert api.get(f"/movies/{movie.pk}").json() == response.json()


def test_text_is_trimmed_and_brought_to_one_form(api, user):
    response = api.as_(user).post(
        "/movies", {"title": " Ame\u0301lie ", "synopsis": "\r\none\r\ntwo\rthree "}
    )

    assert response.json()["title"] == "Amélie"
    assert response.json()["synopsis"] == "one\ntwo\nthree"


def test_an_empty_patch_changes_nothing(api, user):
    movie = MovieFactory(created_by=user)
    before = api.get(f"/movies/{movie.pk}")

    response = api.as_(user).patch(f"/movies/{movie.pk}", {})

    assert response.status_code == 200
    assert response.json() == before.json()
    assert response["ETag"] == before["ETag"]


def test_an_edit_moves_updated_at_and_ratings_and_reviews_do_not(api, user):
    movie = MovieFactory(created_by=user)
    RatingFactory(movie=movie)
    ReviewFactory(movie=movie)
    before = api.get(f"/movies/{movie.pk}").json()

    after = api.as_(user).patch(f"/movies/{movie.pk}", {"synopsis": "Sand."}).json()

    assert before["updatedAt"] == wire_time(movie.updated_at)
    assert after["updatedAt"] > before["updatedAt"]
    assert after["createdAt"] == before["createdAt"]
    assert (after["averageRating"], after["reviewCount"]) == (4, 1)


def test_a_poster_may_be_an_image_of_ones_own(api, user):
    movie, image = MovieFactory(created_by=user), an_image(user)

    response = api.as_(user).patch(f"/movies/{movie.pk}", {"posterMediaId": str(image.pk)})

    assert response.status_code == 200
    assert response.json()["posterMediaId"] == str(image.pk)
    assert response.json()["posterUrl"] == f"/media/{image.pk}"


def test_a_poster_may_not_be_somebody_elses_image(api, user):
    movie, image = MovieFactory(created_by=user), an_image(UserFactory())

    response = api.as_(user).patch(f"/movies/{movie.pk}", {"posterMediaId": str(image.pk)})

    assert response.status_code == 400
    assert list(response.json()["error"]["details"]) == ["posterMediaId"]


def test_an_admin_may_use_any_image_as_a_poster(api, admin):
    movie, image = MovieFactory(), an_image(UserFactory())

    response = api.as_(admin).patch(f"/movies/{movie.pk}", {"posterMediaId": str(image.pk)})

    assert response.status_code == 200


def test_uploading_a_poster_shows_it_and_is_an_edit(api, user):
    movie = MovieFactory(created_by=user)

    response = api.as_(user).upload(f"/movies/{movie.pk}/poster", png())

    shown = api.get(f"/movies/{movie.pk}").json()
    assert response.status_code == 201
    assert shown["posterMediaId"] == response.json()["mediaId"]
    assert shown["posterUrl"] == response.json()["url"]
    assert Movie.objects.get().version == 2


@pytest.mark.parametrize(
    ("method", "path", "anonymous", "stranger", "owner", "moderator"),
    [
        ("get", "/movies", 200, 200, 200, 200),
        ("post", "/movies", 401, 201, 201, 201),
        ("get", "/movies/{id}", 200, 200, 200, 200),
        ("get", "/movies/{id}/rank", 200, 200, 200, 200),
        ("patch", "/movies/{id}", 401, 403, 200, 200),
        ("delete", "/movies/{id}", 401, 403, 204, 204),
        ("poster", "/movies/{id}/poster", 401, 403, 201, 201),
        ("patch", "/movies/999999", 401, 404, 404, 404),
        ("delete", "/movies/999999", 401, 404, 404, 404),
        ("poster", "/movies/999999/poster", 401, 404, 404, 404),
        ("get", "/movies/999999", 404, 404, 404, 404),
        ("get", "/movies/999999/rank", 404, 404, 404, 404),
    ],
)
def test_who_may(api, user, admin, method, path, anonymous, stranger, owner, moderator):
    expected = {None: anonymous, UserFactory(): stranger, user: owner, admin: moderator}

    for caller, status in expected.items():
        movie = MovieFactory(created_by=user)
        client = api.as_(caller) if caller else api
        where = path.format(id=movie.pk)
        if method == "poster":
            response = client.upload(where, png())
        elif method == "get":
            response = client.get(where)
        else:
            body = {"title": f"By {caller}"} if method == "post" else {"synopsis": "Theirs."}
            response = getattr(client, method)(where, body)
        assert response.status_code == status, (method, path, caller)
        movie = Movie.objects.filter(pk=movie.pk).first()
        if status >= 400:
            assert movie is not None
            assert (movie.version, movie.poster) == (1, None)
            assert response.json()["success"] is False


def test_deleting_a_film_takes_its_ratings_and_reviews_along(api, user):
    movie, other = MovieFactory(created_by=user), MovieFactory()
    RatingFactory(movie=movie)
    ReviewFactory(movie=movie)
    RatingFactory(movie=other)

    response = api.as_(user).delete(f"/movies/{movie.pk}")

    assert response.status_code == 204
    assert response.content == b""
    assert api.get(f"/movies/{movie.pk}").status_code == 404
    assert list(MovieStats.objects.values_list("pk", flat=True)) == [other.pk]
    assert Rating.objects.count() == 1
    assert not Review.objects.exists()
    assert api.as_(user).delete(f"/movies/{movie.pk}").status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize("opinions", [1, 12])
def test_deleting_a_film_takes_two_statements_whatever_it_has(opinions):
    movie = MovieFactory()
    RatingFactory.create_batch(opinions, movie=movie)
    ReviewFactory.create_batch(opinions, movie=movie)

    with CaptureQueriesContext(connection) as queries:
        movie.delete()

    statements = [q["sql"] for q in queries.captured_queries if "SAVEPOINT" not in q["sql"]]
    assert [sql.split()[0] for sql in statements] == ["SELECT", "DELETE"]
    assert not Rating.objects.exists()
    assert not Review.objects.exists()


def test_a_film_stays_without_an_owner_when_its_member_leaves(api, user):
    movie = MovieFactory(created_by=user)
    before = api.get(f"/movies/{movie.pk}")

    user.delete()

    after = api.get(f"/movies/{movie.pk}")
    assert after.json() == before.json() | {"createdBy": None}
    assert after["ETag"] != before["ETag"]


def test_a_film_shows_no_poster_once_the_image_is_removed(api, user):
    image = an_image(user)
    movie = MovieFactory(created_by=user, poster=image)
    before = api.get(f"/movies/{movie.pk}")

    image.delete()

    after = api.get(f"/movies/{movie.pk}")
    assert after.json()["posterUrl"] is None
    assert after["ETag"] != before["ETag"]


def test_films_are_locked_before_the_image_they_lose(user):
    image = an_image(user)
    MovieFactory.create_batch(2, poster=image)

    with CaptureQueriesContext(connection) as queries:
        image.delete()

    statements = [query["sql"] for query in queries.captured_queries]
    locking = [n for n, sql in enumerate(statements) if "FOR NO KEY UPDATE" in sql]
    [delete] = [
        n for n, sql in enumerate(statements) if sql.startswith('DELETE FROM "media_media"')
    ]
    films = [n for n in locking if 'FROM "movies_movie"' in statements[n]]
    assert films
    assert max(films) < delete


@pytest.mark.parametrize("films", [1, 100])
def test_a_list_takes_as_many_queries_for_one_film_as_for_a_hundred(
    api, user, films, django_assert_num_queries
):
    for movie in MovieFactory.create_batch(films, created_by=user):
        RatingFactory(movie=movie, user=user)
    member = api.as_(user)

    # The ranks (twice where no marks are), the total, the page.
    with django_assert_num_queries(4):
        shown = api.get("/movies?pageSize=100&sort=rank")
    # And who is asking, which texts are common (twice where that is not known), which titles have
    # this one, and in which order.
    with django_assert_num_queries(9):
        member.get("/movies?pageSize=100&scope=mine&q=film&stars=4&sort=reviews")

    assert len(shown.json()["items"]) == films


@pytest.mark.parametrize("opinions", [1, 100])
def test_one_film_takes_as_many_queries_for_one_rating_as_for_a_hundred(
    api, user, opinions, django_assert_num_queries
):
    movie, above, below = MovieFactory.create_batch(3, created_by=user)
    RatingFactory.create_batch(opinions, movie=movie)
    ReviewFactory.create_batch(opinions, movie=movie)
    RatingFactory(movie=above, value=5, user=user)
    RatingFactory(movie=below, value=1, user=user)

    # The film with its numbers, the ranks (twice where no marks are).
    with django_assert_num_queries(3):
        api.get(f"/movies/{movie.pk}")
    # And the two neighbours.
    with django_assert_num_queries(5):
        api.get(f"/movies/{movie.pk}/rank")
