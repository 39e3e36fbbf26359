"""What the bytes of a picture say, before anything is decoded."""

import struct
from dataclasses import dataclass
from typing import Literal

from media.images.limits import Family

Bytes = bytes | memoryview

MAX_ICC_BYTES = 2 * 1024 * 1024  # a printer's profile has half a megabyte
JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class Source:
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


def exif_orientation(exif: Bytes) -> int:
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
