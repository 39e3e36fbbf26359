"""The one door of this process to the decoders, its refusals turned into errors of the API."""

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from media.images import (
    CleanImage,
    DecoderBusy,
    ImageDoor,
    ImageLimits,
    ImageRefused,
    ImageTooHeavy,
    UnknownImageType,
)
from movieshelf.api.errors import InvalidInput, PayloadTooLarge, Unavailable, UnsupportedMediaType

# Who waits for a decoder in a transaction (a first request for a width) must have it before
# idle_in_transaction_session_timeout ends the transaction.
WAIT_SECONDS = 12

door = ImageDoor(
    ImageLimits(
        max_bytes=settings.MEDIA_MAX_BYTES,
        max_pixels=settings.MEDIA_MAX_PIXELS,
        max_side=settings.MEDIA_MAX_SIDE,
    ),
    slots=settings.MEDIA_DECODES_AT_ONCE,
    wait_seconds=WAIT_SECONDS,
)


def clean_upload(upload: "UploadedFile[bytes]") -> CleanImage:
    """Give the clean re-encoding of an upload.

    Raises PayloadTooLarge (bytes), UnsupportedMediaType (type), InvalidInput (broken, too many
    pixels) or Unavailable (every decoder busy), each saying what was found and what is allowed.
    """
    try:
        return door.clean(upload.read())
    except ImageTooHeavy as exc:
        raise PayloadTooLarge(exc.message) from exc
    except UnknownImageType as exc:
        raise UnsupportedMediaType(exc.message) from exc
    except DecoderBusy as exc:
        raise Unavailable(exc.message) from exc
    except ImageRefused as exc:
        raise InvalidInput.on("image", exc.message) from exc


def narrowed(data: bytes, width: int) -> CleanImage:
    """Give a WebP no wider than `width` of an image that we keep. Raises Unavailable."""
    try:
        return door.derive(data, width)
    except DecoderBusy as exc:
        raise Unavailable(exc.message) from exc
