"""Members as they see themselves and as others do (contract section 3; rows 64, 65 and 128)."""

import pytest

from accounts.models import EmailTaken, User
from accounts.tests.factories import PASSWORD, UserFactory
from accounts.tests.steps import at_once, errors_of, log_in
from media.models import Media
from media.tests.pictures import png
from movies.tests.factories import MovieFactory
from movieshelf.tests.client import ApiClient
from ratings.tests.factories import RatingFactory
from reviews.tests.factories import ReviewFactory

pytestmark = pytest.mark.django_db


def upload(api: ApiClient, user: User) -> str:
    return api.as_(user).upload("/users/me/avatar", png()).json()["mediaId"]


def test_one_sees_all_of_oneself(api, user):
    response = api.as_(user).get("/users/me")

    assert response.status_code == 200
    assert response.json() == {
        "id": user.pk,
        "name": user.name,
        "email": user.email,
        "role": "user",
        "avatarMediaId": None,
        "avatarUrl": None,
        "createdAt": response.json()["createdAt"],
    }
    assert response["Cache-Control"] == "no-store"
    assert "Authorization" in response["Vary"]


def test_an_admin_is_told_so(api, admin):
    assert api.as_(admin).get("/users/me").json()["role"] == "admin"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/users/me"),
        ("patch", "/users/me"),
        ("delete", "/users/me"),
        ("post", "/users/me/avatar"),
        ("get", "/users/me/export"),
        ("get", "/users/me/ratings"),
    ],
)
def test_row_76_what_is_ones_own_is_401_to_the_anonymous(api, method, path):
    """Row 76."""
    response = getattr(api, method)(path)

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response["Cache-Control"] == "no-store"


def test_a_name_is_changed_trimmed_and_composed(api, user):
    response = api.as_(user).patch("/users/me", {"name": "  Ame\u0301lie "})

    assert response.status_code == 200
    assert response.json()["name"] == "Amélie"
    assert api.as_(user).get("/users/me").json() == response.json()


@pytest.mark.parametrize("name", ["", "  ", "\u200b", "n" * 81, None, 5, ["x"], "bell\u0007"])
def test_a_name_must_be_one(api, user, name):
    response = api.as_(user).patch("/users/me", {"name": name})

    assert response.status_code == 400
    assert list(errors_of(response)) == ["name"]


def test_an_empty_edit_changes_nothing(api, user):
    response = api.as_(user).patch("/users/me", {})

    assert response.status_code == 200
    assert response.json()["name"] == user.name


def test_row_64_nobody_edits_more_than_name_and_avatar(api, user):
    """Row 64."""
    before = User.objects.filter(pk=user.pk).values().get()

    response = api.as_(user).patch(
        "/users/me",
        {
            "id": 4711,
            "role": "admin",
            "isStaff": True,
            "is_superuser": True,
            "isActive": False,
            "email": "other@shelf.example",
            "emailKey": "other@shelf.example",
            "password": "another long phrase",
            "passwordHash": "argon2$x",
            "avatarUrl": "/media/x",
            "createdAt": "2001-01-01T00:00:00Z",
        },
    )

    assert response.status_code == 200
    assert User.objects.filter(pk=user.pk).values().get() == before


def test_an_uploaded_avatar_is_the_avatar(api, user):
    response = api.as_(user).upload("/users/me/avatar", png())

    media_id = response.json()["mediaId"]
    shown = api.as_(user).get("/users/me").json()
    assert response.status_code == 201
    assert response.json() == {"mediaId": media_id, "url": f"/media/{media_id}"}
    assert (shown["avatarMediaId"], shown["avatarUrl"]) == (media_id, f"/media/{media_id}")
    assert api.get(shown["avatarUrl"]).status_code == 200


def test_an_earlier_upload_of_ones_own_may_be_the_avatar_again(api, user):
    first = upload(api, user)
    upload(api, user)

    response = api.as_(user).patch("/users/me", {"avatarMediaId": first})

    assert response.status_code == 200
    assert response.json()["avatarUrl"] == f"/media/{first}"


def test_the_avatar_may_be_taken_down(api, user):
    upload(api, user)

    response = api.as_(user).patch("/users/me", {"avatarMediaId": None})

    assert response.json()["avatarMediaId"] is None
    assert response.json()["avatarUrl"] is None


@pytest.mark.parametrize(
    "media_id",
    ["018f0000-0000-7000-8000-000000000000", "x", "", 5, [], {}, True],
)
def test_row_128_an_avatar_that_is_no_image_of_ones_own_is_400(api, user, media_id):
    """Row 128."""
    response = api.as_(user).patch("/users/me", {"avatarMediaId": media_id})

    assert response.status_code == 400
    assert list(errors_of(response)) == ["avatarMediaId"]


def test_row_128_the_image_of_somebody_else_is_400_even_to_an_admin(api, user, admin):
    """Row 128."""
    theirs = upload(api, UserFactory())

    by_member = api.as_(user).patch("/users/me", {"avatarMediaId": theirs})
    by_admin = api.as_(admin).patch("/users/me", {"avatarMediaId": theirs})

    assert (by_member.status_code, by_admin.status_code) == (400, 400)


@pytest.mark.django_db(transaction=True)
def test_row_127_of_two_avatars_at_once_one_is_shown(api, user):
    """Row 127."""
    clients = [api.as_(user), api.as_(user)]

    answers = at_once(
        *[lambda client=client: client.upload("/users/me/avatar", png()) for client in clients]
    )

    user.refresh_from_db()
    assert [answer.status_code for answer in answers] == [201, 201]
    assert str(user.avatar_id) in {answer.json()["mediaId"] for answer in answers}
    assert Media.objects.count() == 2


def test_an_edit_writes_its_own_columns_only(user):
    stale = User.objects.get(pk=user.pk)
    user.set_password("another long phrase")
    user.save()
    User.objects.filter(pk=user.pk).update(role="admin")

    stale.edit(name="Ada")

    user.refresh_from_db()
    assert (user.name, user.role) == ("Ada", "admin")
    assert user.check_password("another long phrase")


def test_a_changed_address_is_the_one_that_logs_in(user):
    user.edit(email="Ada@shelf.example")

    user.email = "ada@SHELF.example"
    assert log_in(user).status_code == 200


def test_a_changed_address_may_not_be_taken(user):
    UserFactory(email="Ada@shelf.example")

    with pytest.raises(EmailTaken):
        user.edit(email="ada@shelf.example")


def test_another_member_is_shown_with_what_they_did(api, user):
    movie = MovieFactory(created_by=user)
    MovieFactory(created_by=user)
    RatingFactory(user=user, movie=movie)
    ReviewFactory(user=user, movie=movie)
    ReviewFactory(user=user, movie=movie)
    ReviewFactory(user=user, movie=movie).hide(by=UserFactory(role="admin"))
    RatingFactory(movie=movie)

    response = api.get(f"/users/{user.pk}")

    assert response.status_code == 200
    assert response.json() == {
        "id": user.pk,
        "name": user.name,
        "avatarUrl": None,
        "createdAt": response.json()["createdAt"],
        "movieCount": 2,
        "reviewCount": 2,
        "ratingCount": 1,
    }


def test_a_newcomer_did_nothing_yet(api, user):
    shown = api.get(f"/users/{user.pk}").json()

    assert (shown["movieCount"], shown["reviewCount"], shown["ratingCount"]) == (0, 0, 0)


@pytest.mark.parametrize("rows", [1, 20])
def test_a_member_is_shown_by_one_query(api, user, django_assert_num_queries, rows):
    for _ in range(rows):
        ReviewFactory(user=user, movie=MovieFactory(created_by=user))

    with django_assert_num_queries(1):
        response = api.get(f"/users/{user.pk}")

    assert response.json()["movieCount"] == rows


@pytest.mark.parametrize(
    "pk", [0, -1, 2**31, 2**63 - 1, 2**63, 10**20, "x", "1e3", "１", "1_0", "+1", "1;", "%00"]
)
def test_row_88_a_member_that_cannot_be_is_404(api, pk):
    """Row 88."""
    response = api.get(f"/users/{pk}")

    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


def test_row_65_no_answer_tells_more_about_a_member_than_their_name(api, user):
    """Row 65: in none of the public answers, nor to a stranger or an admin."""
    movie = MovieFactory(created_by=user)
    review = ReviewFactory(user=user, movie=movie)
    RatingFactory(user=user, movie=movie)
    paths = [
        f"/users/{user.pk}",
        "/movies",
        f"/movies/{movie.pk}",
        f"/movies/{movie.pk}/reviews",
        f"/reviews/{review.pk}",
    ]

    for client in (api, api.as_(UserFactory()), api.as_(UserFactory(role="admin"))):
        for path in paths:
            text = client.get(path).content.decode().lower()
            assert user.name.lower() in text or "name" not in text
            for secret in (user.email, "password", "argon2", "last_login", "is_staff", "email"):
                assert secret not in text, (path, secret)


def test_row_65_ones_own_answer_holds_no_hash(api, user):
    """Row 65."""
    text = log_in(user).content.decode() + api.as_(user).get("/users/me").content.decode()

    for secret in (PASSWORD, "argon2", "password", "lastLogin", "isStaff", "emailKey"):
        assert secret not in text


def test_one_query_shows_oneself(api, user, django_assert_num_queries):
    client = api.as_(user)

    with django_assert_num_queries(1):
        client.get("/users/me")
