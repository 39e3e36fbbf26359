"""`GET /media/:id`: contract section 7, rows 123 to 125 of security-cases.md, issue 6 point 3."""

from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection

from accounts.models import User
from accounts.tests.factories import UserFactory
from media.models import Derivative, Media
from media.tests import pictures
from media.tests.factories import an_image
from media.tests.queries import asked, touching_bytes
from movies.tests.factories import MovieFactory
from movieshelf.tests.client import ApiClient

# A constant: every worker of a parallel run must collect the same names.
NO_SUCH_ID = "5f0b6f5e-6a52-4d0c-8d43-0d9a7f0f3c11"

pytestmark = pytest.mark.django_db


@pytest.fixture
def media() -> Media:
    return an_image()


@pytest.fixture(params=["", "?width=160"])
def address(request: pytest.FixtureRequest, media: Media) -> str:
    """The address of an image, and of a derivative that was made before."""
    Derivative.objects.made(media.pk, 160)
    return media.url + str(request.param)


def stored(address: str) -> bytes:
    picture: Any = Derivative if "width" in address else Media
    return bytes(picture.objects.get().read_bytes())


# --- The whole ---------------------------------------------------------------------------------


def test_an_image_comes_with_the_headers_of_the_contract(api: ApiClient, media: Media) -> None:
    """Row 123."""
    response = api.get(media.url)

    assert response.status_code == 200
    assert response["Content-Type"] == "image/jpeg"
    assert response["Content-Length"] == str(media.bytes) == str(len(response.content))
    assert response["ETag"] == f'"{media.sha256[:32]}"'
    assert response["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert response["Content-Disposition"] == f'inline; filename="{media.pk}.jpg"'
    assert response["Accept-Ranges"] == "bytes"
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    ("data", "content_type", "extension"),
    [
        (pictures.jpeg(), "image/jpeg", "jpg"),
        (pictures.png(), "image/png", "png"),
        (pictures.webp(), "image/webp", "webp"),
    ],
)
def test_an_image_is_served_as_what_it_is(
    api: ApiClient, data: bytes, content_type: str, extension: str
) -> None:
    media = an_image(data=data)

    response = api.get(media.url)

    assert response["Content-Type"] == content_type
    assert response["Content-Disposition"] == f'inline; filename="{media.pk}.{extension}"'


def test_the_bytes_are_the_same_at_every_read(api: ApiClient, address: str) -> None:
    """Row 123: from the row first, then from the cache."""
    answers = [api.get(address) for _ in range(4)]

    assert {answer.content for answer in answers} == {stored(address)}
    assert len({answer["ETag"] for answer in answers}) == 1


def test_every_width_has_an_etag_of_its_own(api: ApiClient) -> None:
    media = an_image(data=pictures.jpeg((400, 300)))

    etags = {api.get(media.url + query)["ETag"] for query in ("", "?width=160", "?width=320")}

    assert len(etags) == 3


def test_parameters_that_are_none_of_ours_are_ignored(api: ApiClient, media: Media) -> None:
    assert api.get(f"{media.url}?v=2&Width=7&%ff=%ff").content == stored(media.url)


@pytest.mark.parametrize(
    "authorization", ["Bearer nonsense", "Basic abc", "Bearer a b", ""], ids=repr
)
def test_credentials_are_not_looked_at(api: ApiClient, address: str, authorization: str) -> None:
    response = api.get(address, headers={"authorization": authorization})

    assert response.status_code == 200
    assert response["Cache-Control"].startswith("public")
    assert "Authorization" not in response.get("Vary", "")


# --- 304 and HEAD ------------------------------------------------------------------------------


@pytest.mark.parametrize("tags", ["{}", "W/{}", '"other", {}', "*"])
def test_who_has_the_image_gets_a_304(api: ApiClient, address: str, tags: str) -> None:
    """Row 124."""
    etag = api.get(address)["ETag"]

    response = api.get(address, headers={"if-none-match": tags.format(etag)})

    assert response.status_code == 304
    assert response.content == b""
    assert response["ETag"] == etag
    assert response["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "Content-Type" not in response.headers
    assert "Content-Length" not in response.headers


def test_who_has_another_image_gets_the_whole(api: ApiClient, address: str) -> None:
    response = api.get(address, headers={"if-none-match": '"another"'})

    assert response.status_code == 200
    assert response.content == stored(address)


def test_a_304_costs_one_small_query_and_no_bytes(api: ApiClient, address: str) -> None:
    etag = api.get(address)["ETag"]

    with asked() as statements:
        api.get(address, headers={"if-none-match": etag})

    assert len(statements) == 1
    assert not touching_bytes(statements)


def test_a_head_has_the_headers_and_touches_no_bytes(api: ApiClient, address: str) -> None:
    """Row 124."""
    whole = api.get(address)

    with asked() as statements:
        response = api.head(address)

    assert response.status_code == 200
    assert response.content == b""
    for name in ("Content-Length", "Content-Type", "ETag", "Cache-Control", "Content-Disposition"):
        assert response[name] == whole[name]
    assert len(statements) == 1
    assert not touching_bytes(statements)


# --- Ranges ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked_range", "part"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=0-99", slice(0, 100)),
        ("bytes=100-", slice(100, None)),
        ("bytes=-50", slice(-50, None)),
        ("bytes=50-999999999999", slice(50, None)),
        ("bytes=-999999999999", slice(0, None)),
    ],
)
def test_one_range_is_206(api: ApiClient, address: str, asked_range: str, part: slice) -> None:
    """Row 124."""
    whole = stored(address)

    response = api.get(address, headers={"range": asked_range})

    assert response.status_code == 206
    assert response.content == whole[part]
    start, stop, _ = part.indices(len(whole))
    assert response["Content-Range"] == f"bytes {start}-{stop - 1}/{len(whole)}"
    assert response["Content-Length"] == str(len(response.content))
    assert response["ETag"] == api.get(address)["ETag"]
    assert response["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("asked_range", ["bytes={length}-", "bytes=999999999-", "bytes=-0"])
def test_a_range_outside_of_the_image_is_416(
    api: ApiClient, address: str, asked_range: str
) -> None:
    """Row 124."""
    length = len(stored(address))

    response = api.get(address, headers={"range": asked_range.format(length=length)})

    assert response.status_code == 416
    assert response["Content-Range"] == f"bytes */{length}"
    assert response["Cache-Control"] == "no-store"
    assert response.json()["error"]["code"] == "range_not_satisfiable"


@pytest.mark.parametrize(
    "asked_range",
    [
        "bytes=5-2",
        "bytes=-",
        "bytes",
        "bytes=a-b",
        "bytes=1.5-2",
        "bytes=+1-2",
        "bytes=１-２",
        "items=0-5",
        "bytes=0-0,5-9",
        "bytes=0-0" + ",0-0" * 1_000_000,
        "bytes=" + "9" * 5_000 + "-",
        "",
    ],
    ids=lambda text: text[:20],
)
def test_a_malformed_range_or_several_give_the_whole(
    api: ApiClient, address: str, asked_range: str
) -> None:
    """Row 124: a million ranges are answered once."""
    response = api.get(address, headers={"range": asked_range})

    assert response.status_code == 200
    assert response.content == stored(address)
    assert "Content-Range" not in response.headers


def test_if_range_with_the_tag_gives_the_part(api: ApiClient, address: str) -> None:
    """Row 124."""
    etag = api.get(address)["ETag"]

    response = api.get(address, headers={"range": "bytes=0-9", "if-range": etag})

    assert response.status_code == 206


@pytest.mark.parametrize("tag", ['"another"', "W/{}", "Wed, 21 Oct 2025 07:28:00 GMT", "{}x", ""])
def test_if_range_with_anything_else_gives_the_whole(
    api: ApiClient, address: str, tag: str
) -> None:
    """Row 124: a weak tag never matches here (RFC 9110, 13.1.5)."""
    etag = api.get(address)["ETag"]

    response = api.get(address, headers={"range": "bytes=0-9", "if-range": tag.format(etag)})

    assert response.status_code == 200
    assert response.content == stored(address)


def test_if_none_match_comes_before_the_range(api: ApiClient, address: str) -> None:
    etag = api.get(address)["ETag"]

    response = api.get(address, headers={"range": "bytes=0-9", "if-none-match": etag})

    assert response.status_code == 304


def test_a_range_of_a_head_is_ignored(api: ApiClient, address: str) -> None:
    response = api.head(address, headers={"range": "bytes=0-9"})

    assert response.status_code == 200
    assert response["Content-Length"] == str(len(stored(address)))


# --- What is not there, and what is not asked so -----------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "/media/0",
        "/media/100000000000000000000",
        "/media/abc",
        f"/media/{NO_SUCH_ID}",
        f"/media/{NO_SUCH_ID}?width=160",
        f"/media/{NO_SUCH_ID}?width=7",
        f"/media/{NO_SUCH_ID.upper()}",
        f"/media/{NO_SUCH_ID}/",
    ],
)
def test_a_404_is_in_the_envelope_and_never_kept(api: ApiClient, address: str) -> None:
    """Row 125."""
    response = api.get(address, headers={"if-none-match": "*"})

    assert response.status_code == 404
    assert response["Cache-Control"] == "no-store"
    assert "ETag" not in response.headers
    assert response.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("width", ["", "0", "161", "-160", "160.0", "0160", "１６０", "abc", "%00"])
def test_another_width_is_400(api: ApiClient, media: Media, width: str) -> None:
    response = api.get(f"{media.url}?width={width}")

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "validation_error"
    assert "160, 320, 640, 1280" in response.json()["error"]["details"]["width"][0]["message"]
    assert response["Cache-Control"] == "no-store"


def test_a_width_given_twice_is_400(api: ApiClient, media: Media) -> None:
    assert api.get(f"{media.url}?width=160&width=160").status_code == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "FOO"])
def test_other_methods_are_405(api: ApiClient, media: Media, method: str) -> None:
    response = api.generic(method, media.url)

    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD, OPTIONS"
    assert response.json()["error"]["code"] == "method_not_allowed"


def test_options_says_what_is_allowed(api: ApiClient, media: Media) -> None:
    response = api.options(media.url)

    assert response.status_code == 204
    assert response["Allow"] == "GET, HEAD, OPTIONS"
    assert response.content == b""


# --- Out of the cache --------------------------------------------------------------------------


def test_a_hot_image_comes_from_the_cache(api: ApiClient, address: str) -> None:
    """Asked for twice, it is kept; from then on the row is asked, but not for the bytes."""
    for _ in range(2):
        api.get(address)

    with asked() as statements:
        response = api.get(address)

    assert response.content == stored(address)
    assert len(statements) == 1
    assert not touching_bytes(statements)


def test_an_image_asked_for_once_is_not_kept(api: ApiClient, media: Media) -> None:
    api.get(media.url)

    assert cache.get(f"media-{media.sha256}") is None


def test_an_image_over_the_budget_is_not_kept(api: ApiClient, media: Media, settings: Any) -> None:
    settings.MEDIA_CACHE_MAX_BYTES = media.bytes - 1

    for _ in range(3):
        api.get(media.url)

    assert cache.get(f"media-{media.sha256}") is None


def test_a_cold_image_costs_two_queries(api: ApiClient, address: str) -> None:
    with asked() as statements:
        api.get(address)

    assert len(statements) == 2
    assert len(touching_bytes(statements)) == 1


@pytest.mark.parametrize("headers", [{}, {"if-none-match": "*"}, {"range": "bytes=0-9"}])
def test_a_removed_image_is_404_at_once_although_it_is_hot(
    api: ApiClient, address: str, headers: dict[str, str]
) -> None:
    for _ in range(3):
        api.get(address)

    Media.objects.get().remove()

    response = api.get(address, headers=headers)
    assert response.status_code == 404
    assert response["Cache-Control"] == "no-store"


def test_an_image_removed_between_the_question_and_the_bytes_is_404(
    api: ApiClient, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is gone when the bytes are fetched."""
    monkeypatch.setattr(
        "media.views.bytes_of", lambda picture: (media.remove(), picture.read_bytes())[1]
    )

    assert api.get(media.url).status_code == 404


# --- The bytes stay where they are -------------------------------------------------------------


@pytest.mark.parametrize("table", ["media_media", "media_derivative"])
def test_bytes_are_stored_outside_of_the_row_and_uncompressed(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attstorage FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attname = 'data'",
            [table],
        )
        storage = cursor.fetchone()[0]

    assert storage in ("e", b"e")  # EXTERNAL


def test_no_list_and_no_profile_loads_bytes(api: ApiClient, user: User) -> None:
    image = an_image(uploader=user)
    User.objects.filter(pk=user.pk).update(avatar=image)
    movie = MovieFactory(created_by=user, poster=image)
    member = api.as_(user)
    member.post(f"/movies/{movie.pk}/reviews", {"content": "Good."})

    with asked() as statements:
        answers = [
            api.get("/movies"),
            api.get(f"/movies/{movie.pk}"),
            api.get(f"/movies/{movie.pk}/reviews"),
            api.get(f"/users/{user.pk}"),
            member.get("/users/me"),
            member.get("/users/me/export"),
            member.patch("/users/me", {"avatarMediaId": str(image.pk)}),
            member.patch(f"/movies/{movie.pk}", {"posterMediaId": str(image.pk)}),
        ]
        exported = b"".join(answers[5])

    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert str(image.pk).encode() in exported
    assert statements
    assert not touching_bytes(statements)


def test_following_a_link_to_an_image_loads_no_bytes() -> None:
    movie = MovieFactory(poster=an_image())
    movie.refresh_from_db()

    with asked() as statements:
        str(movie.poster)

    assert len(statements) == 1
    assert not touching_bytes(statements)


def test_a_member_reads_own_uploads_without_bytes() -> None:
    user = UserFactory()
    an_image(uploader=user)

    with asked() as statements:
        list(user.uploads.all())

    assert not touching_bytes(statements)


def test_the_openapi_document_knows_images(api: ApiClient) -> None:
    document = api.get("/openapi.json").json()

    operation = document["paths"]["/media/{id}"]["get"]
    assert set(operation["responses"]) == {"200", "206", "304", "400", "404", "416", "500", "503"}
    assert set(operation["responses"]["200"]["content"]) == {
        "image/jpeg",
        "image/png",
        "image/webp",
    }
    assert "Error" in document["components"]["schemas"]
