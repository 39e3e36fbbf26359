"""A WebP: RIFF chunks of kind, length and body.

The size stands in the first one, which is a still picture (VP8, VP8L) or the header (VP8X) of a
file with more in it.
"""

import struct
from collections.abc import Iterator

from media.images.limits import MAX_PARTS, BrokenImage, ImageLimits
from media.images.sources import MAX_ICC_BYTES, Bytes, Source, exif_orientation

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


def read_webp(data: bytes, limits: ImageLimits) -> Source:
    """Give the chunks of the first picture. Raises BrokenImage, ImageTooLarge."""
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
    return Source(
        family="WebP",
        data=_webp_file(_webp_first_picture(first)),
        width=width,
        height=height,
        orientation=exif_orientation(exif),
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
