"""Taking images: contract section 7, and group G of security-cases.md (rows in the docstrings)."""

import threading
from io import BytesIO
from typing import Any

import pytest
from django.db import connection
from django.http.request import UnreadablePostError
from PIL import Image

from accounts.models import User
from accounts.tests.factories import AdminFactory, UserFactory
from media import door as door_module
from media import uploads
from media.images import CleanImage
from media.models import Media
from media.tests import pictures
from media.tests.factories import a_form, a_part, an_image
from movies.models import Movie
from movies.tests.factories import MovieFactory
from movieshelf.api.bodies import readable_chunked_bodies
from movieshelf.tests.client import ApiClient
from movieshelf.tests.races import at_once

LIMIT = 5 * 1024 * 1024


def padded(size: int) -> bytes:
    """A JPEG of exactly so many bytes; what follows its end is left behind."""
    image = pictures.jpeg()
    return image + bytes(size - len(image))


def served(api: ApiClient, response: Any) -> bytes:
    return bytes(api.get(response.json()["url"]).content)


def refusal(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


class CountedStream:
    """A body that never ends, and counts what was read of it."""

    def __init__(self, start: bytes) -> None:
        self.start = BytesIO(start)
        self.read_bytes = 0

    def read(self, size: int = -1) -> bytes:
        data = self.start.read(size) or bytes(size)
        self.read_bytes += len(data)
        return data

    readline = read  # Django wants it to be there


# --- What is taken -----------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["jpeg", "png", "webp"])
def test_an_upload_is_kept_and_shown(
    api: ApiClient, member: ApiClient, place: str, family: str
) -> None:
    response = member.upload(place, getattr(pictures, family)())

    assert response.status_code == 201
    assert response.json() == {
        "mediaId": str(Media.objects.get().pk),
        "url": f"/media/{Media.objects.get().pk}",
    }
    assert Image.open(BytesIO(served(api, response))).size == (96, 64)


def test_an_uploaded_avatar_is_the_avatar_now(member: ApiClient, user: User) -> None:
    media_id = member.upload("/users/me/avatar", pictures.jpeg()).json()["mediaId"]

    assert member.get("/users/me").json()["avatarMediaId"] == media_id


def test_an_uploaded_poster_is_the_poster_now(member: ApiClient, user: User) -> None:
    movie = MovieFactory(created_by=user)

    media_id = member.upload(f"/movies/{movie.pk}/poster", pictures.jpeg()).json()["mediaId"]

    shown = member.get(f"/movies/{movie.pk}").json()
    assert shown["posterMediaId"] == media_id
    assert shown["posterUrl"] == f"/media/{media_id}"


def test_a_new_upload_is_a_new_id(member: ApiClient, place: str) -> None:
    first = member.upload(place, pictures.jpeg()).json()["mediaId"]
    second = member.upload(place, pictures.jpeg()).json()["mediaId"]

    assert first != second
    assert Media.objects.count() == 2


def test_an_image_knows_its_uploader_size_and_hash(member: ApiClient, user: User) -> None:
    member.upload("/users/me/avatar", pictures.png((30, 20)))

    media = Media.objects.get()
    assert (media.uploader, media.width, media.height) == (user, 30, 20)
    assert media.bytes == len(media.read_bytes())
    assert len(media.sha256) == 64


def test_a_film_with_a_new_poster_counts_as_edited(member: ApiClient, user: User) -> None:
    movie = MovieFactory(created_by=user)
    etag = member.get(f"/movies/{movie.pk}")["ETag"]

    member.upload(f"/movies/{movie.pk}/poster", pictures.jpeg())

    response = member.patch(f"/movies/{movie.pk}", {"synopsis": "New"}, headers={"if-match": etag})
    assert response.status_code == 412


# --- What is refused by its content ------------------------------------------------------------


@pytest.mark.parametrize(("name", "data"), pictures.other_types().items())
def test_another_type_is_415_whatever_it_is_called(
    member: ApiClient, place: str, name: str, data: bytes
) -> None:
    """Rows 108 and 116: named photo.png and declared image/png, as `upload` does."""
    response = member.upload(place, data)

    assert refusal(response) == (415, "unsupported_media_type")
    assert name in response.json()["error"]["message"]
    assert "JPEG, PNG or WebP" in response.json()["error"]["message"]
    assert not Media.objects.exists()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(pictures.tiny_webp_claiming(16_383, 10_900), "178,574,700", id="110-webp"),
        pytest.param(pictures.one_bit_png(13_000), "169,000,000", id="110-png"),
        pytest.param(pictures.jpeg_claiming(13_000, 13_000), "169,000,000", id="110-jpeg"),
        pytest.param(pictures.png_claiming(2**31 - 1, 2**31 - 1), "40,000,000", id="110-claim"),
        pytest.param(pictures.png_claiming(60_000, 1), "16,000 a side", id="112-wide"),
        pytest.param(pictures.jpeg_claiming(1, 65_500), "16,000 a side", id="112-high"),
        pytest.param(pictures.png_claiming(0, 0), "no pixels", id="112-none"),
        pytest.param(pictures.jpeg()[:-200], "cut short", id="114-cut"),
        pytest.param(pictures.png()[:-12], "cut short", id="114-no-iend"),
    ],
)
def test_a_bad_picture_is_400_and_the_message_says_why(
    member: ApiClient, place: str, data: bytes, says: str
) -> None:
    response = member.upload(place, data)

    assert refusal(response) == (400, "validation_error")
    assert says in response.json()["error"]["message"]
    assert "image" in response.json()["error"]["details"]
    assert not Media.objects.exists()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(pictures.many_framed_webp(300), id="webp"),
        pytest.param(pictures.animated("PNG", frames=300, size=(4, 3)), id="apng"),
    ],
)
def test_an_animation_is_served_as_its_first_frame(
    api: ApiClient, member: ApiClient, place: str, data: bytes
) -> None:
    """Row 111."""
    picture = Image.open(BytesIO(served(api, member.upload(place, data))))

    assert getattr(picture, "n_frames", 1) == 1


def test_a_picture_of_one_pixel_is_taken(member: ApiClient, place: str) -> None:
    """Row 112."""
    assert member.upload(place, pictures.png((1, 1))).status_code == 201


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_a_text_bomb_is_left_behind(
    api: ApiClient, member: ApiClient, place: str, kind: bytes
) -> None:
    """Row 113."""
    response = member.upload(place, pictures.text_bomb_png(kind))

    assert response.status_code == 201
    assert kind not in served(api, response)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            pictures.with_jpeg_segment(
                pictures.jpeg(), pictures.jpeg_segment(0xFE, pictures.MARKER)
            ),
            id="comment",
        ),
        pytest.param(
            pictures.with_png_chunk(
                pictures.png(), pictures.png_chunk(b"tEXt", b"Comment\0" + pictures.MARKER)
            ),
            id="text-chunk",
        ),
        pytest.param(pictures.png() + b"PK\3\4" + pictures.MARKER, id="png-and-zip"),
        pytest.param(pictures.jpeg() + pictures.MARKER, id="after-the-end"),
        pytest.param(pictures.with_exif("JPEG", pictures.quarters(), 1), id="exif"),
        pytest.param(pictures.with_exif("WEBP", pictures.quarters(), 1), id="webp-exif"),
    ],
)
def test_what_is_served_holds_nothing_that_was_smuggled_in(
    api: ApiClient, member: ApiClient, place: str, data: bytes
) -> None:
    """Rows 115 and 118."""
    assert pictures.MARKER in data

    image = served(api, member.upload(place, data))

    assert pictures.MARKER not in image
    assert pictures.GPS_MARKER not in image
    assert b"Exif" not in image


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_photo_is_served_upright(
    api: ApiClient, member: ApiClient, orientation: int
) -> None:
    """Row 118. The upper left is red when the photo stands as it should."""
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    data = pictures.with_exif(
        "JPEG", pictures.quarters().transpose(turns[orientation]), orientation
    )

    picture = Image.open(BytesIO(served(api, member.upload("/users/me/avatar", data))))

    assert picture.size == (48, 32)
    red, green, blue = picture.convert("RGB").getpixel((5, 5))
    assert red > 200
    assert green < 60
    assert blue < 60


# --- What the client says about it -------------------------------------------------------------


@pytest.mark.parametrize(
    "file_name",
    ["x.html", "x.png.html", "../../etc/passwd", "..", "/", "\u202egnp.exe", "é" * 99],
)
def test_a_file_may_have_any_name_and_loses_it(
    api: ApiClient, member: ApiClient, place: str, file_name: str
) -> None:
    """Row 117."""
    part = a_part(
        pictures.jpeg(),
        content_disposition=f'form-data; name="image"; filename="{file_name}"',
        content_type="text/html",
    )

    response = member.post(place, **a_form(part))

    assert response.status_code == 201
    image = api.get(response.json()["url"])
    assert image["Content-Type"] == "image/jpeg"
    assert image["Content-Disposition"] == f'inline; filename="{Media.objects.get().pk}.jpg"'


@pytest.mark.parametrize("file_name", ["n" * 10_240, "a\udcffb", 'a"; x="b', "a\0b"])
def test_a_hostile_name_is_refused_or_lost(
    api: ApiClient, member: ApiClient, place: str, file_name: str
) -> None:
    """Row 117."""
    disposition = f'form-data; name="image"; filename="{file_name}"'

    response = member.post(
        place, **a_form(a_part(pictures.jpeg(), content_disposition=disposition))
    )

    assert response.status_code in (201, 400)
    if response.status_code == 201:
        stored = api.get(response.json()["url"])
        assert stored["Content-Disposition"] == f'inline; filename="{Media.objects.get().pk}.jpg"'


# --- How many bytes ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT])
def test_an_upload_up_to_the_limit_is_taken(member: ApiClient, place: str, size: int) -> None:
    """Row 119."""
    assert member.upload(place, padded(size)).status_code == 201


@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT + 60_000, LIMIT + 100_000, 30_000_000])
def test_an_upload_over_the_limit_is_413(member: ApiClient, place: str, size: int) -> None:
    """Row 119."""
    response = member.upload(place, padded(size))

    assert refusal(response) == (413, "payload_too_large")
    assert "5 MiB" in response.json()["error"]["message"]
    assert not Media.objects.exists()


def test_an_upload_that_says_it_is_too_large_is_not_read(member: ApiClient, place: str) -> None:
    """Row 119."""
    form = a_form(a_part(pictures.jpeg()))
    stream = CountedStream(form["data"])

    response = member.post(
        place, **form, **{"wsgi.input": stream, "CONTENT_LENGTH": str(30_000_000)}
    )

    assert response.status_code == 413
    assert stream.read_bytes == 0


def test_an_upload_that_turns_out_too_large_is_not_read_to_its_end(
    member: ApiClient, place: str
) -> None:
    """Row 119: what it may say is the limit and a little for the framing."""
    form = a_form(a_part(pictures.jpeg()), end="")
    stream = CountedStream(form["data"])

    response = member.post(
        place, **form, **{"wsgi.input": stream, "CONTENT_LENGTH": str(LIMIT + 60_000)}
    )

    assert response.status_code == 413
    assert LIMIT < stream.read_bytes <= LIMIT + 2 * 64 * 1024


def test_a_chunked_upload_is_read_up_to_a_bound_only() -> None:
    """Row 119, 2 GB chunked: the wrapper of the WSGI application is where chunks become a body."""
    stream = CountedStream(b"")
    seen: dict[str, Any] = {}

    readable_chunked_bodies(lambda environ, _: seen.update(environ) or [])(
        {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": stream}, lambda *_: None
    )

    assert stream.read_bytes <= LIMIT + 64 * 1024 + 1
    assert int(seen["CONTENT_LENGTH"]) > LIMIT + 64 * 1024


def test_a_length_that_is_too_low_is_400(member: ApiClient, place: str) -> None:
    """Row 119: what lies beyond the length belongs to nobody."""
    form = a_form(a_part(pictures.jpeg()))

    response = member.post(place, **form, CONTENT_LENGTH=str(len(form["data"]) - 40))

    assert refusal(response) == (400, "validation_error")


def test_a_member_may_keep_so_many_bytes(
    member: ApiClient, user: User, place: str, settings: Any
) -> None:
    """Row 126: the quota holds."""
    settings.MEDIA_USER_MAX_BYTES = an_image(uploader=user).bytes * 2 + 10
    member.upload(place, pictures.jpeg())

    response = member.upload(place, pictures.jpeg())

    assert refusal(response) == (413, "payload_too_large")
    assert "MiB are allowed" in response.json()["error"]["message"]
    assert Media.objects.count() == 2


def test_others_bytes_do_not_count(member: ApiClient, place: str, settings: Any) -> None:
    settings.MEDIA_USER_MAX_BYTES = an_image(uploader=UserFactory()).bytes + 10

    assert member.upload(place, pictures.jpeg()).status_code == 201


# --- Which body --------------------------------------------------------------------------------

PHOTO = a_part(pictures.jpeg())


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(a_form(), id="no-part"),
        pytest.param(a_form(a_part(pictures.jpeg(), name="picture")), id="wrong-field"),
        pytest.param(a_form(a_part(b"")), id="empty-file"),
        pytest.param(a_form(PHOTO, PHOTO), id="two-files"),
        pytest.param(
            a_form(PHOTO, a_part(b"x", content_disposition='form-data; name="image"')),
            id="a-file-and-a-text",
        ),
        pytest.param(
            a_form(a_part(b"/9j/4AAQSkZJRg==", content_disposition='form-data; name="image"')),
            id="base64-text",
        ),
        pytest.param(
            a_form(PHOTO, *(a_part(b"x", name=f"extra{n}", content_type=None) for n in range(50))),
            id="50-extra-files",
        ),
        pytest.param(
            a_form(
                PHOTO,
                *(a_part(b"x", content_disposition=f'form-data; name="{n}"') for n in range(50)),
            ),
            id="50-extra-fields",
        ),
        pytest.param(a_form(a_part(pictures.jpeg(), x="y" * 2**20)), id="part-header-of-1-MB"),
        pytest.param(a_form(PHOTO, end=""), id="no-end"),
        pytest.param(a_form(PHOTO, end="\r\n"), id="unterminated"),
        pytest.param({**a_form(PHOTO), "content_type": "multipart/form-data"}, id="no-boundary"),
        pytest.param(
            {**a_form(PHOTO), "content_type": "multipart/form-data; boundary=other"},
            id="another-boundary",
        ),
        pytest.param(a_form(PHOTO, boundary="b" * 300), id="boundary-of-300"),
        pytest.param(
            {"data": b"hello", "content_type": "multipart/form-data; boundary=b"}, id="no-form"
        ),
        pytest.param(
            {"data": b"", "content_type": "multipart/form-data; boundary=b"}, id="nothing"
        ),
    ],
)
def test_a_form_without_exactly_one_image_is_400(
    member: ApiClient, place: str, form: dict[str, Any]
) -> None:
    """Rows 100 and 120."""
    response = member.post(place, **form)

    assert refusal(response) == (400, "validation_error")
    assert not Media.objects.exists()


def test_the_message_says_what_was_found(member: ApiClient, place: str) -> None:
    none = member.post(place, **a_form(a_part(b"x", name="picture"))).json()["error"]
    two = member.post(place, **a_form(PHOTO, PHOTO)).json()["error"]

    assert none["message"] == "One file in the field `image` is needed; found none."
    assert two["message"] == "One file in the field `image` is needed; found 2."
    assert none["details"]["image"][0]["code"] == "invalid"


def test_a_form_within_a_form_is_415(member: ApiClient, place: str) -> None:
    """Row 100: its content is no image."""
    inner = a_form(PHOTO, boundary="inner")

    response = member.post(
        place, **a_form(a_part(inner["data"], content_type=inner["content_type"]))
    )

    assert refusal(response) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "image/jpeg", "application/x-www-form-urlencoded", "multipart/mixed", "x"],
)
def test_a_body_of_another_type_is_415(member: ApiClient, place: str, content_type: str) -> None:
    response = member.post(place, pictures.jpeg(), content_type=content_type)

    assert refusal(response) == (415, "unsupported_media_type")
    assert "multipart/form-data" in response.json()["error"]["message"]


def test_a_compressed_form_is_415(member: ApiClient, place: str) -> None:
    """Row 99."""
    response = member.post(place, **a_form(PHOTO), HTTP_CONTENT_ENCODING="gzip")

    assert refusal(response) == (415, "unsupported_media_type")


def test_an_upload_that_is_broken_off_leaves_nothing(member: ApiClient, place: str) -> None:
    """Row 121, 200 times: no row, no file, no thread."""

    class BrokenOff(CountedStream):
        def read(self, size: int = -1) -> bytes:
            if self.read_bytes:
                raise UnreadablePostError("the client went away")
            return super().read(min(size, 500))

        readline = read

    form = a_form(PHOTO)
    threads = threading.active_count()

    for _ in range(200):
        response = member.post(place, **form, **{"wsgi.input": BrokenOff(form["data"])})
        assert refusal(response) == (400, "validation_error")

    assert not Media.objects.exists()
    assert threading.active_count() == threads


# --- Who may, and in which order ---------------------------------------------------------------


@pytest.fixture
def unread() -> dict[str, Any]:
    """An upload whose body must not be read."""

    class Forbidden:
        def read(self, size: int = -1) -> bytes:
            raise AssertionError("the body was read")

        readline = read

    form = a_form(PHOTO)
    return {**form, "wsgi.input": Forbidden(), "CONTENT_LENGTH": str(len(form["data"]))}


def test_nobody_may_upload_without_logging_in(
    api: ApiClient, place: str, unread: dict[str, Any]
) -> None:
    assert refusal(api.post(place, **unread)) == (401, "auth_failed")


def test_a_film_that_is_not_there_is_404_before_the_body_is_read(
    member: ApiClient, unread: dict[str, Any]
) -> None:
    assert refusal(member.post("/movies/999/poster", **unread)) == (404, "not_found")


def test_anothers_film_is_403_before_the_body_is_read(
    member: ApiClient, unread: dict[str, Any]
) -> None:
    movie = MovieFactory(created_by=UserFactory())

    assert refusal(member.post(f"/movies/{movie.pk}/poster", **unread)) == (403, "forbidden")
    assert Movie.objects.get().poster is None


@pytest.mark.django_db
def test_an_admin_may_give_any_film_a_poster(api: ApiClient) -> None:
    movie = MovieFactory(created_by=UserFactory())

    response = api.as_(AdminFactory()).upload(f"/movies/{movie.pk}/poster", pictures.jpeg())

    assert response.status_code == 201


def test_reading_an_upload_address_is_405(api: ApiClient, place: str) -> None:
    response = api.get(place)

    assert refusal(response) == (405, "method_not_allowed")
    assert response["Allow"] == "POST, OPTIONS"


def test_an_image_cannot_be_shown_by_who_did_not_upload_it(member: ApiClient) -> None:
    """Row 128."""
    others = an_image(uploader=UserFactory())

    response = member.patch("/users/me", {"avatarMediaId": str(others.pk)})

    assert refusal(response) == (400, "validation_error")


def test_limits_are_told_in_advance(api: ApiClient) -> None:
    response = api.get("/media/limits", headers={"authorization": "Bearer nonsense"})

    assert response.status_code == 200
    assert response.json() == {
        "maxBytes": LIMIT,
        "maxPixels": 40_000_000,
        "maxSide": 16_000,
        "types": ["image/jpeg", "image/png", "image/webp"],
        "widths": [160, 320, 640, 1280],
    }


# --- At once -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_two_avatars_at_once_one_is_the_avatar(api: ApiClient) -> None:
    """Row 127: the other is an image that nothing points to, for the sweep."""
    user = UserFactory()
    clients = [api.as_(user) for _ in range(4)]

    answers = at_once(*(lambda c=c: c.upload("/users/me/avatar", pictures.jpeg()) for c in clients))

    assert [answer.status_code for answer in answers] == [201] * 4
    user.refresh_from_db()
    assert str(user.avatar_id) in {answer.json()["mediaId"] for answer in answers}
    assert Media.objects.unused().count() == 3


@pytest.mark.django_db(transaction=True)
def test_uploads_at_once_do_not_pass_the_ceiling_together(api: ApiClient, settings: Any) -> None:
    """Row 126: each counts what the others have kept, also while they race."""
    user = UserFactory()
    settings.MEDIA_USER_MAX_BYTES = an_image(uploader=user).bytes * 3 + 10
    clients = [api.as_(user) for _ in range(6)]

    answers = at_once(*(lambda c=c: c.upload("/users/me/avatar", pictures.jpeg()) for c in clients))

    assert sorted(answer.status_code for answer in answers) == [201, 201, 413, 413, 413, 413]


@pytest.fixture
def while_decoding(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is put here is called while an upload is decoded; its answers come after it."""
    calls: list[Any] = []
    clean = door_module.door.clean

    def observed(data: bytes) -> CleanImage:
        calls[:] = [call() for call in calls]
        return clean(data)

    monkeypatch.setattr(door_module.door, "clean", observed)
    return calls


def test_decoding_holds_no_transaction(
    member: ApiClient, place: str, while_decoding: list[Any]
) -> None:
    """An upload that waits for a decoder must not keep rows locked."""
    while_decoding.append(lambda: len(connection.savepoint_ids))

    member.upload(place, pictures.jpeg())

    assert while_decoding == [0]


@pytest.mark.django_db(transaction=True)
def test_an_upload_holds_no_connection_while_it_is_read_and_decoded(
    api: ApiClient, while_decoding: list[Any]
) -> None:
    """Or sixteen of them would leave readers none."""
    member = api.as_(UserFactory())
    while_decoding.append(lambda: connection.connection)

    assert member.upload("/users/me/avatar", pictures.jpeg()).status_code == 201
    assert while_decoding == [None]


def test_uploads_beyond_the_places_are_503_and_leave_their_body_unread(
    member: ApiClient, place: str, unread: dict[str, Any]
) -> None:
    """Row 121: slow uploads take no more threads than there are places, so reads go on."""
    taken = 0
    while uploads.places.acquire(blocking=False):
        taken += 1
    try:
        refused = member.post(place, **unread)
    finally:
        uploads.places.release(taken)

    assert taken == 12
    assert refusal(refused) == (503, "unavailable")
    assert int(refused["Retry-After"]) > 0
    assert member.upload(place, pictures.jpeg()).status_code == 201


@pytest.mark.parametrize("image", [pictures.jpeg(), b"no image"])
def test_every_upload_gives_its_place_back(member: ApiClient, place: str, image: bytes) -> None:
    for _ in range(20):
        assert member.upload(place, image).status_code in (201, 415)


def test_a_body_that_is_too_large_is_413_whatever_its_type(api: ApiClient, user: User) -> None:
    member = api.as_(user)

    response = member.post("/users/me/avatar", b" " * (6 * 1024 * 1024), content_type="text/plain")

    assert response.status_code == 413
