"""Images in smaller widths: made once, by a job or on the first request (issue 6 point 2)."""

from io import BytesIO, StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from PIL import Image
from procrastinate.contrib.django.models import ProcrastinateJob

from media import door as door_module
from media.images import CleanImage, DecoderBusy
from media.jobs import make_derivatives
from media.models import WIDTHS, Derivative, Media
from media.tests import pictures
from media.tests.factories import an_image
from media.tests.queries import asked, touching_bytes
from movieshelf.tests.client import ApiClient
from movieshelf.tests.races import at_once


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The widths that were encoded, in turn; the encoding itself is the real one."""
    widths: list[int] = []
    derive = door_module.door.derive

    def counted(data: bytes, width: int) -> CleanImage:
        widths.append(width)
        return derive(data, width)

    monkeypatch.setattr(door_module.door, "derive", counted)
    return widths


def jobs_of(media: Media) -> list[ProcrastinateJob]:
    return list(ProcrastinateJob.objects.filter(args={"media_id": str(media.pk)}))


# --- What is given -----------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("family", ["jpeg", "png", "webp"])
def test_a_width_gives_a_webp_no_wider_than_that(api: ApiClient, family: str, width: int) -> None:
    media = an_image(data=getattr(pictures, family)((1500, 30)))

    response = api.get(f"{media.url}?width={width}")

    picture = Image.open(BytesIO(response.content))
    assert response["Content-Type"] == picture.get_format_mimetype() == "image/webp"
    assert response["Content-Disposition"] == f'inline; filename="{media.pk}-{width}.webp"'
    assert response["Content-Length"] == str(len(response.content))
    assert picture.width == width


@pytest.mark.django_db
def test_an_image_is_never_made_larger(api: ApiClient) -> None:
    media = an_image(data=pictures.jpeg((200, 100)))

    sizes = [
        Image.open(BytesIO(api.get(f"{media.url}?width={width}").content)).size for width in WIDTHS
    ]

    assert sizes == [(160, 80), (200, 100), (200, 100), (200, 100)]


@pytest.mark.django_db
def test_a_derivative_has_the_headers_of_an_image(api: ApiClient) -> None:
    response = api.get(f"{an_image().url}?width=160")

    assert response["ETag"] == Derivative.objects.get().etag
    assert response["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response["Cross-Origin-Resource-Policy"] == "cross-origin"


# --- Once --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_width_is_encoded_for_the_first_request_only(
    api: ApiClient, encodings: list[int]
) -> None:
    media = an_image()

    answers = [api.get(f"{media.url}?width=320").content for _ in range(3)]

    assert encodings == [320]
    assert len(set(answers)) == 1


@pytest.mark.django_db(transaction=True)
def test_a_hundred_first_requests_at_once_encode_once(api: ApiClient, encodings: list[int]) -> None:
    media = an_image(data=pictures.jpeg((1200, 800)))

    answers = at_once(*[lambda: ApiClient().get(f"{media.url}?width=640")] * 100)

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert encodings == [640]
    assert Derivative.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_different_widths_do_not_wait_for_each_other(encodings: list[int]) -> None:
    media = an_image(data=pictures.jpeg((1200, 800)))

    at_once(*(lambda w=w: ApiClient().get(f"{media.url}?width={w}") for w in WIDTHS * 5))

    assert sorted(encodings) == sorted(WIDTHS)


@pytest.mark.django_db
def test_the_database_keeps_one_of_each_width() -> None:
    derivative = Derivative.objects.made(an_image().pk, 160)
    twin = Derivative.objects.defer(None).get()
    twin.pk = None

    with pytest.raises(IntegrityError, match="derivative_made_once"), transaction.atomic():
        twin.save(force_insert=True)

    assert list(Derivative.objects.all()) == [derivative]


@pytest.mark.django_db
def test_derivatives_go_with_their_image() -> None:
    media = an_image()
    Derivative.objects.made(media.pk, 160)

    media.remove()

    assert not Derivative.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_image_removed_while_it_is_encoded_is_404(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process removes it after its bytes were read: no orphan, no 500."""
    media = an_image()
    derive = door_module.door.derive

    def overtaken(data: bytes, width: int) -> CleanImage:
        assert at_once(media.remove) == [1]
        return derive(data, width)

    monkeypatch.setattr(door_module.door, "derive", overtaken)

    response = api.get(f"{media.url}?width=160")

    assert response.status_code == 404
    assert not Derivative.objects.exists()


@pytest.mark.django_db
def test_when_every_decoder_is_busy_the_answer_is_503(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = an_image()

    def busy(data: bytes, width: int) -> CleanImage:
        raise DecoderBusy("Too many images are being read just now; try again in a moment.")

    monkeypatch.setattr(door_module.door, "derive", busy)

    response = api.get(f"{media.url}?width=160")

    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    assert response["Cache-Control"] == "no-store"


@pytest.mark.django_db
def test_while_read_only_a_width_is_given_and_not_kept(api: ApiClient, settings: Any) -> None:
    media = an_image()
    settings.READ_ONLY = True

    with asked() as statements:
        response = api.get(f"{media.url}?width=160")

    assert response.status_code == 200
    assert Image.open(BytesIO(response.content)).format == "WEBP"
    assert not [sql for sql in statements if not sql.startswith("SELECT")]


# --- The job -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_upload_enqueues_the_job(member: ApiClient) -> None:
    member.upload("/users/me/avatar", pictures.jpeg())

    (job,) = jobs_of(Media.objects.get())
    assert (job.task_name, job.status) == ("media.make_derivatives", "todo")


@pytest.mark.django_db
def test_an_upload_that_fails_enqueues_nothing() -> None:
    """The job is a row of the same transaction."""
    kept: list[Media] = []

    def fail(media: Media) -> None:
        kept.append(media)
        assert jobs_of(media)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Media.objects.keep(door_module.door.clean(pictures.jpeg()), uploader=None, show=fail)

    assert not jobs_of(kept[0])
    assert not Media.objects.exists()


@pytest.mark.django_db
def test_the_job_makes_every_width(encodings: list[int]) -> None:
    media = an_image()

    make_derivatives(str(media.pk))

    assert tuple(encodings) == WIDTHS
    assert tuple(Derivative.objects.order_by("width").values_list("width", flat=True)) == WIDTHS


@pytest.mark.django_db
def test_the_job_makes_nothing_twice(encodings: list[int]) -> None:
    media = an_image()
    Derivative.objects.made(media.pk, 320)

    make_derivatives(str(media.pk))
    make_derivatives(str(media.pk))

    assert encodings == [320, 160, 640, 1280]


@pytest.mark.django_db
def test_the_job_of_an_image_that_is_gone_does_nothing() -> None:
    media = an_image()
    media.remove()

    make_derivatives(str(media.pk))

    assert not Derivative.objects.exists()


@pytest.mark.django_db
def test_after_the_job_a_request_encodes_nothing(api: ApiClient, encodings: list[int]) -> None:
    media = an_image()
    make_derivatives(str(media.pk))
    encodings.clear()

    assert api.get(f"{media.url}?width=1280").status_code == 200
    assert not encodings


@pytest.mark.django_db
def test_the_job_loads_the_original_once_for_each_width_and_no_other_bytes() -> None:
    media = an_image()

    with asked() as statements:
        make_derivatives(str(media.pk))

    reads = [sql for sql in touching_bytes(statements) if not sql.startswith("INSERT")]
    assert reads == ["SELECT data FROM media_media"] * len(WIDTHS)


@pytest.mark.django_db(transaction=True)
def test_the_worker_does_what_uploads_enqueued(api: ApiClient) -> None:
    media = an_image()
    out = StringIO()

    call_command("worker", until_idle=True, stdout=out)

    assert Derivative.objects.filter(media=media).count() == len(WIDTHS)
    assert not jobs_of(media)  # what went well is not kept
    assert out.getvalue() == "The worker has stopped.\n"


def test_the_worker_knows_the_periodic_jobs() -> None:
    from procrastinate.contrib.django import app

    periodic = {task.task.name: task.cron for task in app.periodic_registry.periodic_tasks.values()}

    assert periodic["media.sweep"] == "17 * * * *"


@pytest.mark.django_db
def test_waiting_for_a_lock_too_long_is_503(api: ApiClient) -> None:
    """What the lock is called is nobody's business but ours; that it ends the wait is."""
    media = an_image()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '1ms'")
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone()[0] == "1ms"

    assert api.get(f"{media.url}?width=160").status_code == 200
