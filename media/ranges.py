"""The `Range` header, as far as images need it: one range of bytes (RFC 9110, section 14)."""

import re
from typing import NamedTuple, Self

from movieshelf.api.errors import RangeNotSatisfiable

# Twelve digits are more than any image has; what is longer, or lists several, is not looked at.
ONE_RANGE = re.compile(r"bytes=([0-9]{0,12})-([0-9]{0,12})", re.ASCII)


class ByteRange(NamedTuple):
    """The bytes from `start` up to, but without, `stop`, of `length` in all."""

    start: int
    stop: int
    length: int

    @classmethod
    def asked(cls, header: str, length: int) -> Self | None:
        """Give the one range asked for, None for a malformed one or several (the whole is sent).

        Raises RangeNotSatisfiable for one that lies outside.
        """
        match = ONE_RANGE.fullmatch(header)
        if match is None or match.groups() == ("", ""):
            return None
        first, last = match.groups()
        if not first:  # the last so many bytes
            start, stop = max(0, length - int(last)), length
        else:
            start, stop = int(first), min(int(last or length) + 1, length)
            if last and int(last) < int(first):
                return None
        if start >= length:
            raise RangeNotSatisfiable(
                f"The range lies outside of the image, which has {length:,} bytes.",
                headers={"Content-Range": f"bytes */{length}"},
            )
        return cls(start, stop, length)

    @property
    def header(self) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{self.length}"
