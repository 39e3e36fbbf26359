"""Text for people to read, as contract section 1 wants it: trimmed, NFC, LF, no control characters.

Pure Python: it knows no Django, so that commands and data scripts may use it too.
"""

import re
import unicodedata
from itertools import groupby

# Default_Ignorable_Code_Point, from DerivedCoreProperties.txt of Unicode 16: what a reader does not
# see (soft hyphen, zero-width space, joiners, variation selectors, tags, Hangul fillers ...).
# Python's unicodedata does not have this property.
_DEFAULT_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)

# Category Cc but for tab and LF, and lone surrogates. PostgreSQL cannot store NUL, and UTF-8 has no
# surrogates; the others are never typed on purpose and play tricks in terminals and logs.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

# Up to here CPython's own normalisation takes a few milliseconds, whatever the text.
_SHORT = 2_000


class ControlCharacter(ValueError):
    """Control characters are not allowed, except for line breaks and tabs."""

    def __init__(self, character: str) -> None:
        super().__init__(
            "Control characters are not allowed, except for line breaks and tabs "
            f"(found U+{ord(character):04X})."
        )


def clean_text(value: str) -> str:
    """Bring a text to the one form in which it is stored; doing it twice changes nothing.

    CRLF and CR become LF, the text is normalised to NFC and trimmed of white space.

    Raises ControlCharacter for a control character other than LF and tab (at the ends too: they are
    refused, not trimmed) and for a lone surrogate.
    """
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    if found := _CONTROL.search(text):
        raise ControlCharacter(found.group())
    return _nfc(text).strip()


def without_default_ignorables(value: str) -> str:
    """Drop what Unicode calls default-ignorable, that is what a reader cannot see."""
    return _DEFAULT_IGNORABLE.sub("", value)


def is_blank(value: str) -> bool:
    """Tell whether nothing is left to see: only white space and default-ignorable characters."""
    return not without_default_ignorables(value).strip()


def _nfc(text: str) -> str:
    if len(text) > _SHORT and not text.isascii():
        text = _with_marks_in_order(text)
    return unicodedata.normalize("NFC", text)


def _with_marks_in_order(text: str) -> str:
    """Decompose the text and put each run of combining marks in canonical order.

    CPython orders marks by an insertion sort: a body of 1 MiB that is one run of marks in the wrong
    order takes it several minutes, while sorted() takes no time. The result means the same text.
    """
    decomposed = "".join(unicodedata.normalize("NFD", character) for character in text)
    return "".join(
        "".join(sorted(run, key=unicodedata.combining)) if marks else "".join(run)
        for marks, run in groupby(decomposed, key=lambda c: unicodedata.combining(c) > 0)
    )
