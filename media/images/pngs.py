"""A PNG: chunks of length, kind, body and CRC."""

import struct
import zlib
from collections.abc import Iterator

from media.images.limits import MAX_PARTS, BrokenImage, ImageLimits
from media.images.sources import MAX_ICC_BYTES, Bytes, Source, exif_orientation

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


def read_png(data: bytes, limits: ImageLimits) -> Source:
    """Give the chunks that a decoder needs. Raises BrokenImage, ImageTooLarge."""
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
    return Source(
        family="PNG",
        data=b"".join((*kept, PNG_END)),
        width=width,
        height=height,
        orientation=exif_orientation(seen.get(b"eXIf", b"")),
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
