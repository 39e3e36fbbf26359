"""The films that have a common text, as a bit for each id.

A million films are 125 KB, which PostgreSQL is given with the question: it looks a bit up in some
thirty nanoseconds, whatever index or table it reads. docs/lists.md tells the whole story.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

from django.db.models import F, Func, IntegerField, Q, Value
from django.db.models.functions import Least
from django.db.models.lookups import GreaterThan

from movies.searching import SNAPSHOT, Finds, Found, TitleMove, TitleMoved
from movies.texts import FILMS_IN_BLOCKS
from movieshelf.api.statements import reading_cursor

# Ids that are told as one number.
MASK_BITS = 64
_BITMAP = f"""
    SELECT {SNAPSHOT}, array_agg(block), array_agg(mask)
    FROM (
        SELECT id / {MASK_BITS} AS block, bit_or(1::bigint << (id %% {MASK_BITS})::int) AS mask
        FROM few GROUP BY 1
    ) bits
"""
# From the packed titles, where somebody packed all of them; else from the table.
_BITMAP_BY_BLOCKS = f"""
    {FILMS_IN_BLOCKS} {_BITMAP} HAVING (SELECT version FROM movies_commontexts) IS NOT NULL
"""
_BITMAP_BY_TABLE = f"""
    WITH few AS (SELECT id FROM movies_movie WHERE strpos(title_search, %(text)s) > 0) {_BITMAP}
"""


class Bitmaps(Finds):
    """Bitmaps, kept by each process: a few, for they are large, and so none is shared."""

    kept_by_process = 50
    is_shared = False

    def bitmap_of(self, folded: str) -> bytes:
        return cast(bytes, self.of(folded).ids)

    def _after(self, moved: Sequence[TitleMoved], found: Found, folded: str) -> Found:
        changes: Counter[int] = Counter()
        for move in moved:
            if folded in move.title:
                changes[move.movie_id] += move.films
        return found._replace(ids=changed(cast(bytes, found.ids), changes))


def _bitmap(folded: str) -> tuple[Found, bool]:
    with reading_cursor(TitleMove) as cursor:
        cursor.execute(_BITMAP_BY_BLOCKS, {"text": folded})
        row = cursor.fetchone()
        if row is None:
            cursor.execute(_BITMAP_BY_TABLE, {"text": folded})
            row = cursor.fetchone()
    snapshot, started_at, is_fleeting, blocks, masks = row
    found = dict(zip(blocks or (), masks or (), strict=True))
    bits = b"".join(
        found.get(block, 0).to_bytes(MASK_BITS // 8, "little", signed=True)
        for block in range(max(found, default=0) + 1)
    )
    return Found(snapshot, started_at, 0, bits), is_fleeting


def changed(bitmap: bytes, changes: Mapping[int, int]) -> bytes:
    """Give a bitmap with these films added (+1), or taken away (-1)."""
    if not any(changes.values()):
        return bitmap
    bits = bytearray(bitmap)
    bits.extend(bytes(max(0, max(changes) // 8 + 1 - len(bits))))
    for pk, films in changes.items():
        if films > 0:
            bits[pk // 8] |= 1 << pk % 8
        elif films < 0:
            bits[pk // 8] &= ~(1 << pk % 8)
    return bytes(bits)


def in_bitmap(bitmap: bytes) -> Q:
    """Say that a film has a bit; an id past the last one has the bit after it, which is none."""
    bit = Func(
        Value(bitmap + b"\0"),
        Least(F("pk"), Value(8 * len(bitmap))),
        function="get_bit",
        output_field=IntegerField(),
    )
    # PostgreSQL guesses that a third of the rows is more than something, and none are the same.
    return Q(GreaterThan(bit, 0))


bitmaps = Bitmaps("bitmap", _bitmap)
