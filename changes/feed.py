"""What changed since a cursor, in order, without a gap however many write meanwhile.

A row's position is the transaction that changed it last (changes.eras), so a row that changes again
moves to the end: a reader sees its latest state, once or more, and never misses it. Rows of
transactions that may still be running are left for the next time. Four sources are merged: the
tombstones of what is gone, the films, their numbers, and the reviews.
"""

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import NamedTuple, Self

from django.db import connection, transaction

from changes.eras import Era, current_era
from movieshelf.api.errors import InvalidInput

MOVIE, REVIEW = "movie", "review"
TYPES = (MOVIE, REVIEW)
FIELD = "since"
# The letters of the types in a cursor and in tombstones.
LETTERS = {MOVIE: "m", REVIEW: "r"}
KINDS = {letter: kind for kind, letter in LETTERS.items()}


class Place(NamedTuple):
    """A place in the order of the feed: where a row stands, or up to where somebody has read."""

    position: int
    source: int
    id: int


BEFORE_ALL = Place(-1, 0, 0)


@dataclass(frozen=True)
class Cursor:
    """Up to where somebody has read, of which types.

    `began` is where the feed stood when they began without a cursor: what was gone by then they
    never saw, and need no tombstone of.
    """

    mark: str
    types: tuple[str, ...]
    began: int
    place: Place

    def __str__(self) -> str:
        letters = "".join(LETTERS[kind] for kind in self.types)
        text = f"1.{self.mark}.{letters}.{self.began}." + ".".join(map(str, self.place))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidInput."""
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            fields = base64.b64decode(padded, altchars=b"-_", validate=True).decode().split(".")
            version, mark, letters, *numbers = fields
            began, *place = (int(number) for number in numbers)
            cursor = cls(mark, tuple(KINDS[letter] for letter in letters), began, Place(*place))
        except (ValueError, KeyError, TypeError, binascii.Error) as exc:
            raise InvalidInput.on(FIELD, "This is no cursor of ours.") from exc
        if version != "1" or str(cursor) != text or max(map(abs, (began, *place))) >= 2**63:
            raise InvalidInput.on(FIELD, "This is no cursor of ours.")
        return cursor

    def require(self, era: Era) -> None:
        """Raises InvalidInput where the feed cannot go on from here: its tombstones are gone."""
        if self.mark != era.mark or max(self.began, self.place.position) < era.swept:
            raise InvalidInput.on(
                FIELD,
                "This cursor is too old, or of before a restored backup: begin without one.",
                code="expired",
            )


class Entry(NamedTuple):
    """One thing that changed: `is_gone`, or else `is_new` if it came after the cursor."""

    place: Place
    kind: str
    id: int
    is_gone: bool
    is_new: bool


class Page(NamedTuple):
    entries: Sequence[Entry]
    next: Cursor
    more: bool


def read(since: Cursor | None, *, types: tuple[str, ...], limit: int) -> Page:
    """Give what changed since, at most so much. Raises InvalidInput, Unavailable."""
    era = current_era()
    if since is None:
        # Whoever begins has seen nothing yet, and needs no tombstone of before.
        since = Cursor(era.mark, types, max(era.horizon, era.swept), BEFORE_ALL)
    since.require(era)
    sources = [
        list(_source(number, since, era.horizon, limit + 1))
        for number, source in enumerate(SOURCES)
        if source.kind is None or source.kind in since.types
    ]
    merged = list(islice(merge(*sources), limit + 1))
    entries, more = merged[:limit], len(merged) > limit
    # All that is decided has been read: the next time begins there.
    end = entries[-1].place if more else max(since.place, Place(era.horizon, 0, 0))
    return Page(_latest(entries), Cursor(era.mark, since.types, since.began, end), more)


class Source(NamedTuple):
    kind: str | None
    table: str
    position: str
    id: str
    letter: str
    created: str


# In this order at one position: what was deleted and is there again was deleted first.
SOURCES = (
    Source(None, "changes_gone", "position", "id", "kind", "0"),
    Source(MOVIE, "movies_movie", "change_position", "id", "'m'", "change_created"),
    Source(MOVIE, "movies_moviestats", "change_position", "movie_id", "'m'", "change_created"),
    Source(REVIEW, "reviews_review", "change_position", "id", "'r'", "change_created"),
)
GONE = 0


def _source(number: int, since: Cursor, horizon: int, limit: int) -> Iterator[Entry]:
    """Give the first entries of one source behind the cursor: a walk along its index."""
    source, place = SOURCES[number], since.place
    # Where one position has been read up to some source, those before it are done with it.
    last_id = place.id if number == place.source else -1 if number > place.source else 2**63 - 1
    earliest = since.began if number == GONE else 0
    letters = [LETTERS[kind] for kind in since.types]
    only = "AND kind::text = ANY(%(letters)s)" if number == GONE else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT {source.position}, {source.id}, {source.letter}::text, {source.created}
            FROM {source.table}
            WHERE ({source.position}, {source.id}) > (%(position)s, %(last_id)s)
                AND {source.position} >= %(earliest)s
                AND {source.position} < %(horizon)s
                {only}
            ORDER BY {source.position}, {source.id} LIMIT %(limit)s
            """,  # all of these are ours
            {
                **{"position": place.position, "last_id": last_id, "horizon": horizon},
                **{"limit": limit, "earliest": earliest, "letters": letters},
            },
        )
        for position, pk, letter, created in cursor.fetchall():
            stands = Place(position, number, pk)
            is_new = Place(created, number, pk) > place
            yield Entry(stands, KINDS[letter], pk, number == GONE, is_new)


def _latest(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Leave out what comes again on the same page: the state is the same, and the latest."""
    last = {(entry.kind, entry.id): entry for entry in entries}
    return sorted(last.values())


@transaction.atomic
def sweep_tombstones(days: int) -> int:
    """Delete tombstones older than this, and remember up to where; give how many went."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM changes_era FOR NO KEY UPDATE")
        cursor.execute(
            """
            WITH old AS (
                DELETE FROM changes_gone WHERE gone_at < now() - make_interval(days => %s)
                RETURNING position
            ), remembered AS (
                UPDATE changes_era
                SET swept = greatest(swept, (SELECT coalesce(max(position), 0) FROM old))
            )
            SELECT count(*) FROM old
            """,
            [days],
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0
