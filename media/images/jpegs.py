"""A JPEG: segments, one after another.

0xFF00 and the restarts 0xFFD0 to 0xFFD7 belong to the coded pixels and 0xFFFF is filling, so that
the expression finds the next segment from anywhere.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from media.images.limits import MAX_PARTS, BrokenImage, ImageLimits
from media.images.sources import JPEG_QUALITY, MAX_ICC_BYTES, Source, exif_orientation

MAX_SCANS = 64  # each costs 20 ms at 40 megapixels; cameras and optimisers write 10 to 20
JPEG_QUALITY_MARGIN = 5  # above a coarser original, so that encoding it again does not show
IJG_LUMINANCE_SUM = 3688  # the coefficients of libjpeg's table at quality 50, added up

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


def read_jpeg(data: bytes, limits: ImageLimits) -> Source:
    """Give the segments that a decoder needs. Raises BrokenImage, ImageTooLarge."""
    segments = list(_jpeg_segments(data))

    def bodies(marker: int, label: bytes = b"") -> list[bytes]:
        found = (segment.body for segment in segments if segment.marker == marker)
        return [body.removeprefix(label) for body in found if body.startswith(label)]

    frames = [segment.body for segment in segments if segment.marker in JPEG_FRAMES]
    scans = len(bodies(JPEG_SCAN))
    if len(frames) != 1 or not scans:  # of two sizes we would check one, and libjpeg use the other
        raise BrokenImage.damaged("JPEG")
    if scans > MAX_SCANS:
        raise BrokenImage(f"This JPEG has {scans:,} scans; {MAX_SCANS} are allowed.")
    width, height = _jpeg_size(frames[0])
    limits.check_size("JPEG", width, height)
    kept = (segment.whole for segment in segments if segment.is_needed())
    exif = bodies(JPEG_EXIF, b"Exif\0\0")
    return Source(
        family="JPEG",
        data=b"".join((b"\xff\xd8", *kept, b"\xff\xd9")),
        width=width,
        height=height,
        orientation=exif_orientation(exif[0]) if exif else 1,
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
