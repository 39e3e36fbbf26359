"""When two titles are the same, and when a search finds one (contract section 4).

Pure Python: no Django. Both functions expect what clean_text() returns, at most a few hundred
characters of it.
"""

import hashlib
import unicodedata

from movieshelf.api.text import without_default_ignorables

# A PostgreSQL B-tree entry holds at most 2,704 bytes, and a unique index on a longer key fails with
# an error instead of a duplicate. 200 characters are 800 bytes of UTF-8 at most, but NFKC can make
# eighteen of one: U+FDFA x 200 is a title of 6,600 bytes. No real title comes near the limit.
MAX_KEY_BYTES = 1_000

# Letters that Unicode does not decompose, and that people type without their stroke or ligature.
_SPELT_OUT = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "þ": "th", "ß": "ss"}
)


def title_key(title: str) -> str:
    """Give the key by which titles are unique: equal keys are the same title.

    NFKC, casefolding, no default-ignorable characters, spaces folded; accents count. A key of a key
    is itself. Beyond MAX_KEY_BYTES the key is a hash of what it would have been.
    """
    # Invisible characters go first: one between a letter and its accent would keep them apart.
    key = _folded(without_default_ignorables(title))
    encoded = key.encode()
    if len(encoded) > MAX_KEY_BYTES:
        return f"sha256:{hashlib.sha256(encoded).hexdigest()}"
    return key


def search_fold(text: str) -> str:
    """Fold a title, or a query, so that a substring of the title is one of the folded title.

    NFKD without marks (categories Mn, Mc and Me), casefolded, ł ø đ æ œ þ ß spelt out, without
    default-ignorable characters. A run of white space becomes one space, at the ends too: trimming
    is left to the caller, because a query may end there. Each character folds by itself, whatever
    its neighbours, and folding twice changes nothing. A text of marks alone folds to "".
    """
    return _one_space(_fold_letters(text))


def _folded(title: str) -> str:
    """Casefold, normalise and fold spaces until nothing changes any more (two rounds, mostly)."""
    folded = " ".join(unicodedata.normalize("NFKC", title).casefold().split())
    return folded if folded == title else _folded(folded)


def _fold_letters(text: str) -> str:
    if text.isascii():
        return text.casefold()
    decomposed = unicodedata.normalize("NFKD", without_default_ignorables(text))
    unmarked = "".join(c for c in decomposed if not unicodedata.category(c).startswith("M"))
    return unmarked.casefold().translate(_SPELT_OUT)


def _one_space(text: str) -> str:
    """Make each run of white space one space; unlike " ".join(text.split()) it keeps the ends."""
    inner = " ".join(text.split())
    if not inner:
        return " " if text else ""
    before = " " if text[0].isspace() else ""
    after = " " if text[-1].isspace() else ""
    return f"{before}{inner}{after}"
