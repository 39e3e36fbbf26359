"""The one door by which a picture from outside is decoded.

Nothing that a stranger sent is kept or handed to a decoder as it came:

1. `reading` looks at the bytes alone: what type they are, that the file is complete, how
   large the picture is, which way up it stands. It copies what draws the first picture and
   leaves the rest (texts, thumbnails, further frames, trailing bytes) behind.
2. Pillow decodes that copy, in a limited number of slots (`pixels`).
3. The pixels, in sRGB and the right way up, are encoded anew in the same family (`encoding`).

Doing the first step ourselves is what keeps hostile files cheap: Pillow inflates text chunks,
follows multi-picture tables, and allocates a WebP's whole canvas when it merely opens it.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from media.images.encoding import CleanImage, encode, encode_webp
from media.images.limits import (
    OUR_OWN,
    BrokenImage,
    DecoderBusy,
    Family,
    ImageLimits,
    ImageRefused,
    ImageTooHeavy,
    ImageTooLarge,
    UnknownImageType,
)
from media.images.pixels import decode, decode_smaller
from media.images.reading import read_source

__all__ = [
    "BrokenImage",
    "CleanImage",
    "DecoderBusy",
    "ImageDoor",
    "ImageLimits",
    "ImageRefused",
    "ImageTooHeavy",
    "ImageTooLarge",
    "UnknownImageType",
]

logger = logging.getLogger(__name__)

DERIVED_QUALITY = 80


class ImageDoor:
    """Decodes at most `slots` pictures at once; make one for the whole process.

    A picture takes a slot only after its header was found good, so that rubbish is refused
    at once however busy the decoders are.
    """

    def __init__(
        self, limits: ImageLimits | None = None, *, slots: int = 2, wait_seconds: float = 10
    ) -> None:
        self.limits = limits or ImageLimits()
        self.wait_seconds = wait_seconds
        self._slots = threading.BoundedSemaphore(slots)

    def clean(self, data: bytes) -> CleanImage:
        """Return the picture, encoded anew in its own family; raise an ImageRefused otherwise."""
        source = read_source(data, self.limits)
        with self._slot(), _decoding(source.family):
            return encode(decode(source), source)

    def derive(self, data: bytes, width: int) -> CleanImage:
        """Return a WebP at most `width` pixels wide of a picture that `clean` gave, never larger.

        Raises an ImageRefused when the bytes are not such a picture.
        """
        if width < 1:
            raise ValueError(f"A width of {width} pixels is not a width.")
        source = read_source(data, OUR_OWN)
        with self._slot(), _decoding(source.family):
            return encode_webp(decode_smaller(source, width), quality=DERIVED_QUALITY, method=4)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._slots.acquire(timeout=self.wait_seconds):
            raise DecoderBusy("Too many images are being read just now; try again in a moment.")
        try:
            yield
        finally:
            self._slots.release()


@contextmanager
def _decoding(family: Family) -> Iterator[None]:
    """Turn whatever the decoders raise into BrokenImage, and log it with its traceback.

    Pillow promises no list of exceptions. For damaged files it has raised OSError, SyntaxError,
    ValueError, IndexError, KeyError, EOFError, struct.error, zlib.error, MemoryError and more,
    and what a stranger sends must not become a 500: so all of them are caught, here only.
    """
    try:
        yield
    except ImageRefused:
        raise
    except Exception as problem:
        logger.info("A %s passed our reader, but not Pillow.", family, exc_info=True)
        raise BrokenImage.damaged(family) from problem
