"""The one door by which a picture from outside is decoded.

Nothing that a stranger sent is kept or handed to a decoder as it came:

1. `_read_source` looks at the bytes alone: what type they are, that the file is complete, how
   large the picture is, which way up it stands. It copies what draws the first picture and
   leaves the rest (texts, thumbnails, further frames, trailing bytes) behind.
2. Pillow decodes that copy, in a limited number of slots.
3. The pixels, in sRGB and the right way up, are encoded anew in the same family.

Doing the first step ourselves is what keeps hostile files cheap: Pillow inflates text chunks,
follows multi-picture tables, and allocates a WebP's whole canvas when it merely opens it.
"""

import hashlib
import io
import logging
import re
import struct
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Self

from PIL import Image, ImageCms

logger = logging.getLogger(__name__)

ContentType = Literal["image/jpeg", "image/png", "image/webp"]
Family = Literal["JPEG", "PNG", "WebP"]
Bytes = bytes | memoryview

CONTENT_TYPES: dict[Family, ContentType] = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WebP": "image/webp",
}

MAX_PARTS = 20_000  # chunks or segments of one file: a 5 MiB PNG in pieces of 1 KiB has 5,000
MAX_JPEG_SCANS = 64  # each costs 20 ms at 40 megapixels; cameras and optimisers write 10 to 20
MAX_ICC_BYTES = 2 * 1024 * 1024  # a printer's profile has half a megabyte

JPEG_QUALITY = 90
JPEG_QUALITY_MARGIN = 5  # above a coarser original, so that encoding it again does not show
IJG_LUMINANCE_SUM = 3688  # the coefficients of libjpeg's table at quality 50, added up
WEBP_QUALITY = 88
WEBP_COARSE_QUALITY = 75
WEBP_MAX_GROWTH = 1.5
WEBP_LOSSLESS_EFFORT = 20
WEBP_METHOD = 2  # half the time of Pillow's default (4) for 3 % more bytes
DERIVED_QUALITY = 80


class ImageRefused(Exception):
    """A picture that is not taken; `message` tells a person what was found and what is allowed."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UnknownImageType(ImageRefused):
    """Not a JPEG, PNG or WebP, going by the content."""


class BrokenImage(ImageRefused):
    """Of a known type, but cut short, damaged or built to harm."""

    @classmethod
    def cut_short(cls, family: Family) -> Self:
        return cls(f"This {family} is cut short; the whole file is needed.")

    @classmethod
    def damaged(cls, family: Family) -> Self:
        return cls(f"This {family} is damaged; a file that opens in an image viewer is needed.")

    @classmethod
    def too_many_parts(cls, family: Family) -> Self:
        return cls(f"This {family} has too many parts; {MAX_PARTS:,} are allowed.")


class ImageTooLarge(ImageRefused):
    """Too many pixels, in all or on one side."""


class ImageTooHeavy(ImageRefused):
    """Too many bytes."""


class DecoderBusy(ImageRefused):
    """Every slot stayed taken for as long as we wait; the same file may pass later."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What a picture may have at most; Pillow itself refuses more than 178 megapixels."""

    max_bytes: int = 5 * 1024 * 1024
    max_pixels: int = 40_000_000
    max_side: int = 16_000

    def check_bytes(self, data: bytes) -> None:
        """Raise ImageTooHeavy when the file has more bytes than allowed."""
        if len(data) > self.max_bytes:
            raise ImageTooHeavy(
                f"The file has {len(data):,} bytes; {self.max_bytes:,} are allowed."
            )

    def check_size(self, family: Family, width: int, height: int) -> None:
        """Raise ImageTooLarge over the limits, BrokenImage when there is no pixel at all."""
        if width < 1 or height < 1:
            raise BrokenImage(f"This {family} says it has no pixels; at least one is needed.")
        if width * height > self.max_pixels:
            raise ImageTooLarge(
                f"The image has {width * height:,} pixels; {self.max_pixels:,} are allowed."
            )
        if max(width, height) > self.max_side:
            raise ImageTooLarge(
                f"The image is {width:,} pixels wide and {height:,} high; "
                f"{self.max_side:,} a side are allowed."
            )


# For what this door itself made: it passed the limits of its day, and those may have changed.
OUR_OWN = ImageLimits(max_bytes=sys.maxsize, max_pixels=sys.maxsize, max_side=sys.maxsize)


@dataclass(frozen=True, slots=True)
class CleanImage:
    """An encoding of our own: upright, sRGB, one frame, nothing but pixels."""

    data: bytes
    content_type: ContentType
    width: int
    height: int
    sha256: str


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
        source = _read_source(data, self.limits)
        with self._slot(), _decoding(source.family):
            return _encode(_decode(source), source)

    def derive(self, data: bytes, width: int) -> CleanImage:
        """Return a WebP at most `width` pixels wide of a picture that `clean` gave, never larger.

        Raises an ImageRefused when the bytes are not such a picture.
        """
        if width < 1:
            raise ValueError(f"A width of {width} pixels is not a width.")
        source = _read_source(data, OUR_OWN)
        with self._slot(), _decoding(source.family):
            return _webp(_decode_smaller(source, width), quality=DERIVED_QUALITY, method=4)

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


# --- What the bytes say, before anything is decoded ------------------------------------------


@dataclass(frozen=True, slots=True)
class _Source:
    """A complete file of known type and size, reduced to what draws its first picture."""

    family: Family
    data: bytes
    width: int
    height: int
    orientation: int  # as EXIF counts: 1 is upright
    icc: bytes
    png_depth: int = 8  # bits a sample
    jpeg_quality: int = JPEG_QUALITY  # estimated, at most ours
    jpeg_subsampling: Literal["4:4:4", "4:2:0"] = "4:2:0"
    is_lossless: bool = False  # WebP only


def _read_source(data: bytes, limits: ImageLimits) -> _Source:
    limits.check_bytes(data)
    if not data:
        raise BrokenImage("The file is empty; a JPEG, PNG or WebP is needed.")
    if data.startswith(b"\xff\xd8\xff"):
        return _read_jpeg(data, limits)
    if data.startswith(PNG_MAGIC):
        return _read_png(data, limits)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _read_webp(data, limits)
    raise UnknownImageType(f"This is {_describe(data)}; a JPEG, PNG or WebP is needed.")


OTHER_TYPES: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "a GIF"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"BM", "a BMP"),
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "a PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (b"\0\0\1\0", "an icon (ICO)"),
    (b"\0\0\2\0", "a cursor (CUR)"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"DDS ", "a DDS texture"),
    (b"PK\3\4", "a ZIP archive"),
    (b"<svg", "an SVG"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
)


def _describe(data: bytes) -> str:
    """Name a type that is not ours, with its article, for the message."""
    start = data[:1024]
    if start[4:8] == b"ftyp":
        return _describe_brands(start[8 : max(16, int.from_bytes(start[:4]))])
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for magic, name in OTHER_TYPES:
        if start.startswith(magic) or text.startswith(magic):
            return name
    if text.startswith(b"<?xml") and b"<svg" in text:
        return "an SVG"
    return "not an image of a type we know"


def _describe_brands(brands: bytes) -> str:
    """Name a file of the MP4 family by its brands: photos and films share one container."""
    if b"avif" in brands or b"avis" in brands:
        return "an AVIF"
    if any(brand in brands for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")):
        return "a HEIC photo"
    if b"mif1" in brands or b"msf1" in brands:
        return "a HEIF photo"
    return "a film or another MP4 file"


def _exif_orientation(exif: Bytes) -> int:
    """Return which way up the picture stands, 1 to 8; 1 when it is not said or not readable."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(exif[:2]))
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, directory)
        for number in range(entries):
            entry = struct.unpack_from(f"{order}HHIH", exif, directory + 2 + 12 * number)
            tag, _, _, value = entry
            if tag == 0x0112:
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:  # a directory that points beyond its end
        return 1
    return 1


# JPEG: segments, one after another. 0xFF00 and the restarts 0xFFD0 to 0xFFD7 belong to the coded
# pixels and 0xFFFF is filling, so that the expression finds the next segment from anywhere.
JPEG_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
JPEG_START, JPEG_END, JPEG_SCAN, JPEG_QUANTISATION = 0xD8, 0xD9, 0xDA, 0xDB
JPEG_APP0, JPEG_EXIF, JPEG_ICC, JPEG_ADOBE = 0xE0, 0xE1, 0xE2, 0xEE
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_DECODED = JPEG_FRAMES | {0xC4, 0xCC, JPEG_SCAN, JPEG_QUANTISATION, 0xDD}


@dataclass(frozen=True, slots=True)
class _Segment:
    marker: int
    body: bytes
    whole: memoryview  # with its marker, and for a scan with the coded pixels after it

    def is_needed(self) -> bool:
        """Tell whether the decoder needs it: to decode, or to know RGB from YCbCr from CMYK."""
        is_jfif = self.marker == JPEG_APP0 and self.body.startswith(b"JFIF\0")
        is_adobe = self.marker == JPEG_ADOBE and self.body.startswith(b"Adobe")
        return self.marker in JPEG_DECODED or is_jfif or is_adobe


def _jpeg_segments(data: bytes) -> Iterator[_Segment]:
    """Yield the segments up to the end marker; raise BrokenImage when there is none.

    What follows it (the further pictures of a phone's MPO, a ZIP) is never looked at.
    """
    found = JPEG_MARKER.search(data, 2)
    for _ in range(MAX_PARTS):
        if found is None:
            raise BrokenImage.cut_short("JPEG")
        marker, start = found[1][0], found.end()
        if marker == JPEG_END:
            return
        end = start + int.from_bytes(data[start : start + 2])
        if marker < 0xC0 or marker == JPEG_START or end < start + 2:
            raise BrokenImage.damaged("JPEG")
        following = JPEG_MARKER.search(data, end)
        whole_end = following.start() if marker == JPEG_SCAN and following else end
        whole = memoryview(data)[found.start() : whole_end]
        yield _Segment(marker, data[start + 2 : end], whole)
        found = following
    raise BrokenImage.too_many_parts("JPEG")


def _read_jpeg(data: bytes, limits: ImageLimits) -> _Source:
    segments = list(_jpeg_segments(data))

    def bodies(marker: int, label: bytes = b"") -> list[bytes]:
        found = (segment.body for segment in segments if segment.marker == marker)
        return [body.removeprefix(label) for body in found if body.startswith(label)]

    frames = [segment.body for segment in segments if segment.marker in JPEG_FRAMES]
    scans = len(bodies(JPEG_SCAN))
    if len(frames) != 1 or not scans:  # of two sizes we would check one, and libjpeg use the other
        raise BrokenImage.damaged("JPEG")
    if scans > MAX_JPEG_SCANS:
        raise BrokenImage(f"This JPEG has {scans:,} scans; {MAX_JPEG_SCANS} are allowed.")
    width, height = _jpeg_size(frames[0])
    limits.check_size("JPEG", width, height)
    kept = (segment.whole for segment in segments if segment.is_needed())
    exif = bodies(JPEG_EXIF, b"Exif\0\0")
    return _Source(
        family="JPEG",
        data=b"".join((b"\xff\xd8", *kept, b"\xff\xd9")),
        width=width,
        height=height,
        orientation=_exif_orientation(exif[0]) if exif else 1,
        icc=_join_jpeg_icc(bodies(JPEG_ICC, b"ICC_PROFILE\0")),
        jpeg_quality=_estimate_jpeg_quality(b"".join(bodies(JPEG_QUANTISATION))),
        jpeg_subsampling="4:4:4" if len(set(frames[0][7::3])) == 1 else "4:2:0",
    )


def _jpeg_size(frame: bytes) -> tuple[int, int]:
    """Return width and height as the frame header says: precision, height, width, components."""
    if len(frame) < 6:
        raise BrokenImage.damaged("JPEG")
    height, width = struct.unpack_from(">HH", frame, 1)
    return width, height


def _join_jpeg_icc(pieces: list[bytes]) -> bytes:
    """Join a profile spread over segments, whose first two bytes say "the third of seven"."""
    if any(len(piece) < 2 or piece[1] != len(pieces) for piece in pieces):
        return b""
    profile = b"".join(piece[2:] for piece in sorted(pieces))
    return profile if len(profile) <= MAX_ICC_BYTES else b""


def _estimate_jpeg_quality(tables: bytes) -> int:
    """Return the quality to encode with: a little above the original's, at most JPEG_QUALITY.

    A photo saved at 50 and encoded again at 90 would be larger by two thirds and no better.
    """
    if len(tables) < 65 or tables[0] >> 4:  # sixteen-bit tables are rare, and then coarse
        return JPEG_QUALITY
    percent = 100 * sum(tables[1:65]) / IJG_LUMINANCE_SUM
    quality = 100 - percent / 2 if percent <= 100 else 5000 / percent  # libjpeg's own rule, turned
    return max(1, min(JPEG_QUALITY, round(quality) + JPEG_QUALITY_MARGIN))


# PNG: chunks of length, kind, body and CRC.
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
PNG_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT"})
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    """Yield kind, body and whole of each chunk before IEND; raise BrokenImage if there is none.

    The header is yielded before it is checked, so that one with absurd sizes, made by hand, is
    refused for its sizes; nothing is used before the end was reached.
    """
    view, start = memoryview(data), len(PNG_MAGIC)
    for _ in range(MAX_PARTS):
        if start + 12 > len(data):
            raise BrokenImage.cut_short("PNG")
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + 12 + length
        if kind == b"IHDR":
            yield kind, view[start + 8 : start + 8 + length], view[start:end]
        if end > len(data):
            raise BrokenImage.cut_short("PNG")
        if zlib.crc32(view[start + 4 : end - 4]) != int.from_bytes(view[end - 4 : end]):
            raise BrokenImage.damaged("PNG")
        if kind == b"IEND":
            return
        if kind != b"IHDR":
            yield kind, view[start + 8 : end - 4], view[start:end]
        start = end
    raise BrokenImage.too_many_parts("PNG")


def _read_png(data: bytes, limits: ImageLimits) -> _Source:
    kept: list[Bytes] = [PNG_MAGIC]
    seen: dict[bytes, memoryview] = {}
    for kind, body, whole in _png_chunks(data):
        _check_png_chunk(kind, body, seen, limits)
        seen.setdefault(kind, body)
        if kind in PNG_CRITICAL or kind == b"tRNS":
            kept.append(whole)
    if b"IDAT" not in seen:
        raise BrokenImage.damaged("PNG")
    width, height, depth = struct.unpack_from(">IIB", seen[b"IHDR"])
    return _Source(
        family="PNG",
        data=b"".join((*kept, PNG_END)),
        width=width,
        height=height,
        orientation=_exif_orientation(seen.get(b"eXIf", b"")),
        icc=_inflate_png_icc(bytes(seen.get(b"iCCP", b""))),
        png_depth=depth,
    )


def _check_png_chunk(
    kind: bytes, body: memoryview, seen: dict[bytes, memoryview], limits: ImageLimits
) -> None:
    """Raise an ImageRefused when a chunk may not stand here, after those seen."""
    is_header = kind == b"IHDR"
    must_be_understood = not kind[0] & 0x20  # an upper-case letter, by the standard
    if (
        is_header == bool(seen)  # the first, and only the first
        or (is_header and len(body) < 13)
        or (kind == b"PLTE" and kind in seen)
        or (must_be_understood and kind not in PNG_CRITICAL)
    ):
        raise BrokenImage.damaged("PNG")
    if is_header:
        width, height = struct.unpack_from(">II", body)
        limits.check_size("PNG", width, height)


def _inflate_png_icc(body: bytes) -> bytes:
    """Return the colour profile of an iCCP chunk; none when it is broken or too large."""
    compressed = body.partition(b"\0")[2][1:]
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(compressed, MAX_ICC_BYTES)
    except zlib.error:
        return b""
    return profile if inflater.eof else b""


# WebP: RIFF chunks of kind, length and body. The size stands in the first one, which is a still
# picture (VP8, VP8L) or the header (VP8X) of a file with more in it.
WEBP_EXTENDED, WEBP_LOSSY, WEBP_LOSSLESS, WEBP_FRAME = b"VP8X", b"VP8 ", b"VP8L", b"ANMF"
WEBP_KEPT_FLAGS = 0x10 | 0x02  # has alpha, is animated; not: has ICC, EXIF, XMP


def _webp_chunks(view: memoryview, start: int, end: int) -> Iterator[tuple[bytes, memoryview]]:
    """Yield kind and body of each chunk between two offsets; raise BrokenImage when one is cut."""
    for _ in range(MAX_PARTS):
        if start >= end:
            return
        if start + 8 > end:
            raise BrokenImage.cut_short("WebP")
        kind, length = struct.unpack_from("<4sI", view, start)
        body_end = start + 8 + length
        if body_end > end:
            raise BrokenImage.cut_short("WebP")
        yield kind, view[start + 8 : body_end]
        start = body_end + length % 2
    raise BrokenImage.too_many_parts("WebP")


def _read_webp(data: bytes, limits: ImageLimits) -> _Source:
    view = memoryview(data)
    width, height = _webp_size(data[12:16], data[20:30])
    limits.check_size("WebP", width, height)
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise BrokenImage.cut_short("WebP")
    first: dict[bytes, memoryview] = {}
    for kind, body in _webp_chunks(view, 12, end):
        first.setdefault(kind, body)
    exif = bytes(first.get(b"EXIF", b"")).removeprefix(b"Exif\0\0")
    icc = bytes(first.get(b"ICCP", b""))
    return _Source(
        family="WebP",
        data=_webp_file(_webp_first_picture(first)),
        width=width,
        height=height,
        orientation=_exif_orientation(exif),
        icc=icc if len(icc) <= MAX_ICC_BYTES else b"",
        is_lossless=_is_lossless_webp(first),
    )


def _webp_size(kind: bytes, start: bytes) -> tuple[int, int]:
    """Return width and height by the kind of the first chunk and the ten bytes it starts with."""
    if kind == WEBP_EXTENDED and len(start) == 10:
        return 1 + int.from_bytes(start[4:7], "little"), 1 + int.from_bytes(start[7:], "little")
    if kind == WEBP_LOSSY and start[3:6] == b"\x9d\x01\x2a" and len(start) == 10:
        width, height = struct.unpack_from("<HH", start, 6)
        return width & 0x3FFF, height & 0x3FFF
    if kind == WEBP_LOSSLESS and start[:1] == b"\x2f" and len(start) >= 5:
        bits = int.from_bytes(start[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    raise BrokenImage.damaged("WebP")


def _webp_first_picture(first: dict[bytes, memoryview]) -> list[tuple[bytes, Bytes]]:
    """Choose the chunks that draw the first picture: a still one, or the first frame alone."""
    chunks: list[tuple[bytes, Bytes]] = []
    if header := first.get(WEBP_EXTENDED):
        chunks.append((WEBP_EXTENDED, bytes([header[0] & WEBP_KEPT_FLAGS]) + header[1:10]))
        if header[0] & 0x02:
            kinds = (b"ANIM", WEBP_FRAME)
            return chunks + [(kind, first[kind]) for kind in kinds if kind in first]
    kinds_of_still = (b"ALPH", WEBP_LOSSY, WEBP_LOSSLESS)
    return chunks + [(kind, first[kind]) for kind in kinds_of_still if kind in first]


def _is_lossless_webp(first: dict[bytes, memoryview]) -> bool:
    frame = first.get(WEBP_FRAME)
    if frame is None:
        return WEBP_LOSSLESS in first
    return WEBP_LOSSLESS in dict(_webp_chunks(frame, 16, len(frame)))  # 16: place, size, time


def _webp_file(chunks: list[tuple[bytes, Bytes]]) -> bytes:
    body = b"".join(
        b"".join((kind, struct.pack("<I", len(data)), data, bytes(len(data) % 2)))
        for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


# --- From there to pixels: one frame, sRGB, upright -------------------------------------------

UPRIGHT: dict[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _open(source: _Source) -> Image.Image:
    image = Image.open(io.BytesIO(source.data), formats=(source.family.upper(),))
    if image.size != (source.width, source.height):  # our limits were checked on another size
        raise BrokenImage.damaged(source.family)
    return image


def _decode(source: _Source, opened: Image.Image | None = None) -> Image.Image:
    """Return the pixels as 1, L, LA, RGB or RGBA."""
    image = opened or _open(source)
    image.load()
    if source.family == "WebP":
        image = image.copy()  # lets go of the decoder, which holds two more canvases
    image = _to_srgb(_with_plain_alpha(image, source.png_depth), source.icc)
    image.info.clear()  # encoders write comments and profiles they find here
    turn = UPRIGHT.get(source.orientation)
    return image if turn is None else image.transpose(turn)


def _decode_smaller(source: _Source, width: int) -> Image.Image:
    """Return the pixels at most `width` wide, in their proportions and at least one high."""
    image = _open(source)
    if source.width <= width:
        return _decode(source, image)
    height = max(1, round(source.height * width / source.width))
    # libjpeg can decode to a half, quarter or eighth, in as much less memory. It keeps twice
    # the pixels we need, so that the last step is still done by the better filter.
    image.draft(None, (2 * width, 2 * height))
    pixels = _decode(source, image)
    if pixels.mode == "1":
        pixels = pixels.convert("L")
    return pixels.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _with_plain_alpha(image: Image.Image, png_depth: int) -> Image.Image:
    """Replace palettes, sixteen-bit greys and "this colour is transparent" by plain channels."""
    if image.mode == "I;16":
        return _to_eight_bits(image)
    if image.mode == "P":
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    clear = image.info.get("transparency")
    if clear is None:
        return image
    # PNG states the colour in the file's own depth, Pillow the pixels in eight bits.
    if png_depth == 16:
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    elif png_depth in (2, 4):
        image.info["transparency"] = clear * 255 // (2**png_depth - 1)
    return image.convert("RGBA" if image.mode == "RGB" else "LA")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale a grey of sixteen bits; Pillow's own convert() cuts every value off at 255."""
    deep = image.convert("I")
    grey = deep.point([value >> 8 for value in range(65_536)], "L")
    clear = image.info.get("transparency")
    if clear is None:
        return grey
    alpha = deep.point([0 if value == clear else 255 for value in range(65_536)], "L")
    return Image.merge("LA", (grey, alpha))


def _to_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    """Convert by the embedded profile; without one, or with a broken one, keep the numbers."""
    if icc and image.mode != "1":
        try:
            image = _apply_profile(image, ImageCms.ImageCmsProfile(io.BytesIO(icc)))
        except (ImageCms.PyCMSError, OSError):
            logger.info("An image came with a colour profile that does not fit it.")
    return image.convert("RGB") if image.mode == "CMYK" else image


def _apply_profile(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    if (profile.profile.profile_description or "").startswith("sRGB"):
        return image
    srgb = ImageCms.createProfile("sRGB")
    if image.mode in ("RGB", "RGBA"):
        ImageCms.profileToProfile(image, profile, srgb, inPlace=True)
        return image
    colour = image.getchannel("L") if image.mode == "LA" else image
    converted = ImageCms.profileToProfile(colour, profile, srgb, outputMode="RGB")
    if converted is None or image.mode == "CMYK":
        return converted or image
    grey = converted.convert("L")
    return Image.merge("LA", (grey, image.getchannel("A"))) if image.mode == "LA" else grey


# --- And back to bytes -------------------------------------------------------------------------


def _encode(image: Image.Image, source: _Source) -> CleanImage:
    """Encode in the family the picture came in, about as finely as it came."""
    match source.family:
        case "JPEG":
            return _saved(
                image,
                "JPEG",
                quality=source.jpeg_quality,
                subsampling=source.jpeg_subsampling,
                progressive=True,
            )
        case "PNG":
            return _saved(image, "PNG")
        case "WebP" if source.is_lossless:
            return _webp(image, lossless=True, quality=WEBP_LOSSLESS_EFFORT, method=WEBP_METHOD)
        case "WebP":
            fine = _webp(image, quality=WEBP_QUALITY, method=WEBP_METHOD)
            if len(fine.data) <= WEBP_MAX_GROWTH * len(source.data):
                return fine
            # The original was coarser, and how coarse a WebP does not say in a place that can be
            # read without decoding it: much growth is the sign.
            return _webp(image, quality=WEBP_COARSE_QUALITY, method=WEBP_METHOD)


def _webp(image: Image.Image, **options: object) -> CleanImage:
    return _saved(image, "WebP", **options)


def _saved(image: Image.Image, family: Family, **options: object) -> CleanImage:
    out = io.BytesIO()
    image.save(out, family.upper(), **options)
    data = out.getvalue()
    return CleanImage(
        data=data,
        content_type=CONTENT_TYPES[family],
        width=image.width,
        height=image.height,
        sha256=hashlib.sha256(data).hexdigest(),
    )
