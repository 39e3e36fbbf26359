"""Which films have a text in their titles: found once, and known until a title comes or goes.

How many titles have an "a" in them is counted in a third of a second at a million films, and asked
for all day. So what was found is kept, with the snapshot of the database it was found in; every
title that comes or goes leaves a row in TitleMove, in its own transaction. The rows that the kept
snapshot did not see are what has changed since: they are added to the count, whoever kept it and
wherever, and so no write to a cache has to arrive for the answer to be right.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.core.cache import cache
from django.db import models, router, transaction
from django.db.models import Q, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import StrIndex
from django.db.models.lookups import GreaterThan

from movies import texts
from movies.typos import closest
from movieshelf.api.statements import reading_cursor

# Less than the hour for which TitleMove keeps what changed.
KEPT_SECONDS = 1_800


class TitleMove(models.Model):
    """A title that a film has now (+1), or no longer has (-1); none, after a change of many."""

    id = models.BigAutoField(primary_key=True)
    films = models.SmallIntegerField()
    movie_id = models.BigIntegerField(null=True)
    title = models.TextField(null=True)  # noqa: DJ001  # which title is not told
    transaction = models.BigIntegerField()
    at = models.DateTimeField()
    # Whether the texts of movies.texts are counted with it.
    folded = models.BooleanField(db_default=False)

    class Meta:
        indexes = (
            models.Index("transaction", name="titlemove_transaction"),
            models.Index("movie_id", condition=Q(folded=False), name="titlemove_not_folded"),
        )

    def __str__(self) -> str:
        return f"{self.films:+} {self.title}"


class Found(NamedTuple):
    """What one snapshot found for a text.

    `ids` are None where there are more than a few; of movies.bitmaps they are a bit for each.
    """

    snapshot: str
    started_at: str
    films: int
    ids: Sequence[int] | None
    kept_at: float = 0.0


class TitleMoved(NamedTuple):
    """A title that came (+1) or went (-1)."""

    films: int
    movie_id: int
    title: str


# What tells one snapshot from all others, also from those of a database that was restored since,
# and whether what it finds must not be kept: where a transaction asks that has written, since what
# it sees of itself may never come to be; and on a standby while transactions run, since a snapshot
# of a standby does not list them.
SNAPSHOT = """
    pg_current_snapshot()::text, pg_postmaster_start_time()::text,
    pg_current_xact_id_if_assigned() IS NOT NULL OR (
        pg_is_in_recovery()
        AND pg_snapshot_xmin(pg_current_snapshot()) <> pg_snapshot_xmax(pg_current_snapshot()))
"""


class Finds:
    """One kind of finds: kept by each process, and shared through the cache."""

    kept_by_process = 500
    is_shared = True

    def __init__(self, name: str, look: Callable[[str], tuple[Found, bool]]) -> None:
        self.name = name
        self._look = look
        self._held: OrderedDict[str, Found] = OrderedDict()
        self._lock = threading.Lock()
        self._looking: dict[str, threading.Lock] = {}

    def of(self, folded: str) -> Found:
        """Give what is found for a text now."""
        if current := self._current(folded):
            return current
        # One thread looks, and the others wait for what it finds.
        with self._lock:
            looking = self._looking.setdefault(folded, threading.Lock())
        try:
            with looking:
                return self._current(folded) or self._look_and_keep(folded)
        finally:
            with self._lock:
                self._looking.pop(folded, None)

    def _current(self, folded: str) -> Found | None:
        kept = self._held.get(folded)
        if kept is None and self.is_shared:
            kept = cache.get(self._key(folded))
        if kept is None or not 0 <= time.time() - kept[-1] < KEPT_SECONDS:
            return None
        found = Found(*kept)
        moved = _moved_since(found)
        if moved is None:
            return None
        self._hold(folded, found)
        return self._after(moved, found, folded)

    def _after(self, moved: Sequence[TitleMoved], found: Found, folded: str) -> Found | None:
        changes = [move.films for move in moved if folded in move.title]
        # Which of a few they are is looked up again; of many only the number matters.
        if changes and found.ids is not None:
            return None
        return found._replace(films=found.films + sum(changes))

    def _look_and_keep(self, folded: str) -> Found:
        found, is_fleeting = self._look(folded)
        if not is_fleeting:
            found = found._replace(kept_at=time.time())
            self._hold(folded, found)
            if self.is_shared:
                cache.set(self._key(folded), tuple(found), timeout=KEPT_SECONDS)
        return found

    def _hold(self, folded: str, found: Found) -> None:
        with self._lock:
            self._held[folded] = found
            self._held.move_to_end(folded)
            while len(self._held) > self.kept_by_process:
                self._held.popitem(last=False)

    def _key(self, folded: str) -> str:
        return f"movies:{self.name}:{folded.encode().hex()}"


class NearFinds(Finds):
    """Which titles are the nearest depends on all of them: any that moves makes one look again."""

    def _after(self, moved: Sequence[TitleMoved], found: Found, folded: str) -> Found | None:
        return None if moved else found


def has_text(folded: str, *, of: str = "") -> Q:
    """Say that a title contains the text, whatever that costs: for walking another index."""
    return Q(GreaterThan(StrIndex(f"{of}title_search", Value(folded)), 0))


def among(ids: Sequence[int]) -> Q:
    """Say that a film is one of these: as one parameter, however many there are."""
    return Q(pk__in=RawSQL("SELECT unnest(%s::bigint[])", [list(ids)]))


def _containing(folded: str) -> tuple[Found, bool]:
    """Find the films whose titles contain a text: one by one if they are few, else their number."""
    known = texts.current()
    if known and not texts.has_rare_trigram(folded, known) and (found := _in_blocks(folded)):
        return found
    if len(folded) < texts.TRIGRAM:
        condition, parameter = "strpos(title_search, %s) > 0", folded
    else:
        condition, parameter = "title_search LIKE %s", texts.containing(folded)
    with reading_cursor(TitleMove) as cursor:
        cursor.execute(
            f"""
            WITH few AS MATERIALIZED (
                SELECT id FROM movies_movie WHERE {condition} LIMIT {texts.FEW + 1}
            )
            SELECT {SNAPSHOT}, count(*), array_agg(id) FROM few
            """,
            [parameter],
        )
        snapshot, started_at, is_fleeting, films, ids = _only_row(cursor)
        if films <= texts.FEW:
            return Found(snapshot, started_at, films, ids or []), is_fleeting
        # In one statement with its snapshot: what is counted is what that saw.
        cursor.execute(
            f"SELECT {SNAPSHOT}, count(*) FROM movies_movie WHERE {condition}", [parameter]
        )
        snapshot, started_at, is_fleeting, films = _only_row(cursor)
    return Found(snapshot, started_at, films, None), is_fleeting


def _in_blocks(folded: str) -> tuple[Found, bool] | None:
    """Find them among all titles, which are packed; None while nobody has packed them."""
    with reading_cursor(TitleMove) as cursor:
        cursor.execute(
            f"""
            {texts.FILMS_IN_BLOCKS}
            SELECT {SNAPSHOT}, films, CASE WHEN films <= {texts.FEW} THEN ids END
            FROM (SELECT count(*) AS films, coalesce(array_agg(id), '{{}}') AS ids FROM few) found
            WHERE (SELECT version FROM movies_commontexts) IS NOT NULL
            """,
            {"text": folded},
        )
        row = cursor.fetchone()
    if row is None:
        return None
    snapshot, started_at, is_fleeting, films, ids = row
    return Found(snapshot, started_at, films, ids), is_fleeting


def _near(folded: str) -> tuple[Found, bool]:
    """Find the titles that come closest to a text: a typo, or a few."""
    with transaction.atomic(using=router.db_for_read(TitleMove)):
        with reading_cursor(TitleMove) as cursor:
            # Taken before we look: whatever changes from then on makes one look again.
            cursor.execute(f"SELECT {SNAPSHOT}")
            snapshot, started_at, is_fleeting = _only_row(cursor)
        ids = closest(folded)
    return Found(snapshot, started_at, len(ids), ids), is_fleeting


def _only_row(cursor: Any) -> tuple[Any, ...]:
    (row,) = cursor.fetchall()
    return tuple(row)


def _moved_since(found: Found) -> list[TitleMoved] | None:
    """Give the titles that came and went since then, None where that cannot be told."""
    with reading_cursor(TitleMove) as cursor:
        cursor.execute(
            """
            SELECT films, movie_id, title FROM (VALUES (1)) AS always (one)
            LEFT JOIN movies_titlemove ON
                transaction >= pg_snapshot_xmin(%(snapshot)s::pg_snapshot)::text::bigint
                AND NOT pg_visible_in_snapshot(
                    transaction::text::xid8, %(snapshot)s::pg_snapshot)
            WHERE pg_postmaster_start_time()::text = %(started_at)s
            """,
            {"snapshot": found.snapshot, "started_at": found.started_at},
        )
        rows = cursor.fetchall()
    if not rows or any(films is not None and title is None for films, _, title in rows):
        return None
    return [TitleMoved(*row) for row in rows if row[0] is not None]


titles_containing = Finds("titles", _containing)
titles_near = NearFinds("near", _near)
