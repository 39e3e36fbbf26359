"""GET /users/me/export (contract section 3)."""

import json

import pytest
from django.db import connection

from accounts.exporting import MAX_BYTES_IN_MEMORY, PARTS, export
from accounts.tests.factories import UserFactory
from accounts.tests.steps import access_token, begin, refresh_token
from media.tests.pictures import png
from movies.tests.factories import MovieFactory
from ratings.tests.factories import RatingFactory
from reviews.tests.factories import ReviewFactory

pytestmark = pytest.mark.django_db


def exported(api, user) -> dict[str, list[dict[str, object]]]:
    response = api.as_(user).get("/users/me/export")
    assert response.status_code == 200
    return json.loads(response.getvalue())


def test_the_export_is_one_document_with_every_part(api, user):
    response = api.as_(user).get("/users/me/export")

    body = response.getvalue()
    assert response["Content-Type"] == "application/json"
    assert response["Content-Length"] == str(len(body))
    assert response["Cache-Control"] == "no-store"
    assert 'filename="movieshelf.json"' in response["Content-Disposition"]
    assert list(json.loads(body)) == ["user", *PARTS]
    assert (
        *("sessions", "movies", "ratings", "reviews", "reports", "media"),
        "imports",
    ) == PARTS


def test_the_export_of_a_newcomer_is_empty_but_for_their_login(api, user):
    document = exported(api, user)

    assert document["user"] == api.as_(user).get("/users/me").json()
    assert len(document["sessions"]) == 1
    assert [document[part] for part in PARTS[1:]] == [[], [], [], [], [], []]


def test_the_export_holds_all_that_is_held(api, user):
    movie = MovieFactory(created_by=user)
    rating = RatingFactory(user=user, movie=movie, value=4)
    review = ReviewFactory(user=user, movie=movie, content="Ein “Zitat”\nund ü")
    hidden = ReviewFactory(user=user)
    hidden.hide(by=UserFactory(role="admin"))
    media_id = api.as_(user).upload("/users/me/avatar", png()).json()["mediaId"]
    reported = ReviewFactory(movie=movie)
    api.as_(user).post(f"/reviews/{reported.pk}/report", {"reason": "spam", "note": "Ads."})

    document = exported(api, user)

    assert [(row["reviewId"], row["note"]) for row in document["reports"]] == [
        (reported.pk, "Ads.")
    ]
    assert document["user"]["email"] == user.email
    assert document["user"]["avatarMediaId"] == media_id
    assert [row["title"] for row in document["movies"]] == [movie.title]
    assert [(row["id"], row["movieId"], row["value"]) for row in document["ratings"]] == [
        (rating.pk, movie.pk, 4)
    ]
    assert [(row["id"], row["content"], row["hidden"]) for row in document["reviews"]] == [
        (review.pk, review.content, False),
        (hidden.pk, hidden.content, True),
    ]
    assert [row["url"] for row in document["media"]] == [f"/media/{media_id}"]
    assert {"id", "createdAt", "lastUsedAt", "userAgent", "ip"} <= set(document["sessions"][0])
    assert document["movies"][0]["createdAt"].endswith("Z")


def test_the_export_holds_nothing_of_anybody_else(api, user):
    stranger = UserFactory()
    movie = MovieFactory(created_by=stranger)
    RatingFactory(user=stranger, movie=movie)
    ReviewFactory(user=stranger, movie=movie)
    api.as_(stranger).upload("/users/me/avatar", png())

    document = exported(api, user)

    assert [document[part] for part in PARTS[1:]] == [[], [], [], [], [], []]
    assert stranger.email not in json.dumps(document)


def test_the_export_holds_no_secret(api, user):
    session = begin(user)

    text = json.dumps(exported(api, user))

    for secret in (user.password, "argon2", refresh_token(session), access_token(session)):
        assert secret not in text


@pytest.mark.parametrize("rows", [1, 20])
def test_the_number_of_queries_does_not_grow_with_the_rows(
    api, user, django_assert_num_queries, rows
):
    for _ in range(rows):
        movie = MovieFactory(created_by=user)
        RatingFactory(user=user, movie=movie)
        ReviewFactory(user=user, movie=movie)
    client = api.as_(user)

    # Who asks, savepoint, six parts, savepoint.
    with django_assert_num_queries(10):
        response = client.get("/users/me/export")

    assert len(json.loads(response.getvalue())["ratings"]) == rows


def test_a_large_export_waits_on_the_disk_and_not_in_memory(user):
    movie = MovieFactory()
    for _ in range(140):
        ReviewFactory(user=user, movie=movie, content="ü" * 5_000)

    with export(user) as document:
        in_memory = not document._rolled
        document.seek(0)
        rows = json.load(document)["reviews"]

    assert not in_memory
    assert len(rows) == 140
    assert sum(len(row["content"]) * 2 for row in rows) > MAX_BYTES_IN_MEMORY


def test_an_error_is_an_error_and_no_torn_document(api, user):
    client = api.as_(user)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ratings_rating RENAME TO ratings_away")

    response = client.get("/users/me/export")

    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
