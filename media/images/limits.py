"""What a picture may be at most, and how it is refused."""

import sys
from dataclasses import dataclass
from typing import Literal, Self

Family = Literal["JPEG", "PNG", "WebP"]

MAX_PARTS = 20_000  # chunks or segments of one file: a 5 MiB PNG in pieces of 1 KiB has 5,000


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
