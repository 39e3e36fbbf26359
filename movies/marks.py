"""Where a page begins, without walking there: page 40,000 costs what page 1 does.

Each order of the shelf is cut into blocks of a few hundred films. PageMarks holds where each block
begins and how many films it has of each number of stars; Move holds what has changed since then, a
row for each film that came, went or moved, left by triggers in the transaction of the change. So
the marks and the moves that one statement sees are, together, exactly the shelf as it sees it. A
position is a sum over the blocks, and then at most a block to walk.

Folding adds the moves to the counts and deletes them; rebuilding cuts the blocks anew. Where the
marks are not known (an empty cache of a kind: after a bulk load, or when nobody folded for long)
the pages are right all the same, and only walked to. docs/lists.md tells the whole story.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, wraps
from itertools import accumulate, batched
from typing import Any, NamedTuple

from django.db import (
    DEFAULT_DB_ALIAS,
    OperationalError,
    connection,
    models,
    router,
    transaction,
)
from psycopg.errors import LockNotAvailable

from movieshelf.api.statements import fetch_all, reading_cursor
from movieshelf.api.transactions import TRY_AGAIN, retried_atomic

# How many films a new block has. A page far out walks half of one on average.
BLOCK_FILMS = 256
# Moves that a reader adds up by itself; it folds what is longer, once and for all.
MAX_MOVES = 1_000
# A block that has grown to this asks for a rebuild.
MAX_BLOCK_FILMS = 8 * BLOCK_FILMS

STAR_LEVELS = 6
THOUSANDTHS = 1000
SCORES = 5 * THOUSANDTHS + 1

# A place in an order: whole numbers, the smaller the nearer to the first page.
type Key = tuple[int, ...]
# Before every film: a tuple that begins another is the smaller one.
START: Key = ()

_NEWEST = ("-(extract(epoch FROM created_at) * 1000000)::bigint", "-movie_id")
# The SQL of each order's key, over the columns that the films' numbers and Move have in common.
# They count as `listing.ORDERS` sorts, which a test compares.
KEYS: dict[str, Sequence[str]] = {
    "uploaded_desc": _NEWEST,
    "reviews_desc": ("-review_count", *_NEWEST),
    "rating_desc": ("-(average_rating * 1e15)::bigint", "-rating_count", *_NEWEST),
    "release_desc": ("-coalesce(release_date - DATE '2000-01-01', -10000000)", *_NEWEST),
    "release_asc": ("-coalesce(DATE '2000-01-01' - release_date, -10000000)", *_NEWEST),
    "rank": ("-(coalesce(score, -1) * 1000)::bigint", *_NEWEST),
}
# Never the same twice, also where a transaction that had one was rolled back.
_NEW_VERSION = "random(1, 9007199254740991)"
_SCORE = "coalesce((score * 1000)::int, -1)"
_ALL_KEYS = ", ".join(part for parts in KEYS.values() for part in parts)
_MARKS_AND_MOVES = {
    sort: f"""
        SELECT marks.version, films, stars, {", ".join(key)}
        FROM movies_pagemarks marks LEFT JOIN movies_move ON true
        WHERE marks.version IS NOT NULL
    """
    for sort, key in KEYS.items()
}


class Move(models.Model):
    """A film that stands somewhere (+1), or no longer does (-1), since the last fold."""

    id = models.BigAutoField(primary_key=True)
    films = models.SmallIntegerField()
    movie_id = models.BigIntegerField()
    created_at = models.DateTimeField()
    release_date = models.DateField(null=True)
    stars = models.SmallIntegerField()
    review_count = models.IntegerField()
    average_rating = models.DecimalField(max_digits=16, decimal_places=15)
    rating_count = models.IntegerField()
    score = models.DecimalField(max_digits=4, decimal_places=3, null=True)

    def __str__(self) -> str:
        return f"{self.films:+} film {self.movie_id}"


class PageMarks(models.Model):
    """The one row of marks; `version` is another after each change, and null while unknown."""

    version = models.BigIntegerField(null=True)
    boundaries = models.BinaryField(default=b"")
    counts = models.BinaryField(default=b"")
    scores = models.BinaryField(default=b"")

    def __str__(self) -> str:
        return f"marks of version {self.version}"


class Moved(NamedTuple):
    """A move as one order sees it."""

    films: int
    stars: int
    key: Key


class Span(NamedTuple):
    """Blocks that follow each other: from the first key up to the next block's, None for no end."""

    start: Key
    end: Key | None


class Place(NamedTuple):
    """Where a page stands: pass over so many of the films that are in the spans."""

    skip: int
    spans: Sequence[Span]

    def gather[T](self, limit: int, look: Callable[[Span, int], Iterable[T]]) -> list[T]:
        """Give so many of what is found in the spans; `look` is told how many to pass over."""
        found: list[T] = []
        skip = self.skip
        for span in self.spans:
            found += look(span, skip)
            if len(found) >= limit:
                break
            skip = 0
        return found[:limit]


class Blocks:
    """One order's blocks: where each begins, and its films by stars."""

    def __init__(self, starts: list[Key], counts: list[list[int]]) -> None:
        self.starts = starts
        self.counts = counts
        self._films: dict[int, list[int]] = {}

    def find(self, moves: Iterable[Moved], *, stars: int, offset: int, limit: int) -> Place:
        """Give the place of a page among the films of at least so many stars."""
        films = self._of_at_least(stars).copy()
        for move in moves:
            if move.stars >= stars:
                films[self.block_of(move.key)] += move.films
        ends = list(accumulate(films))
        first = bisect_right(ends, offset)
        # The block in which the page ends, or the last one that there is.
        last = min(bisect_right(ends, offset + limit - 1), len(ends) - 1)
        spans = list(self._spans(films, first, last))
        return Place(offset - (ends[first - 1] if first else 0), spans)

    def block_of(self, key: Key) -> int:
        return bisect_right(self.starts, key) - 1

    def _of_at_least(self, stars: int) -> list[int]:
        if stars not in self._films:
            self._films[stars] = [sum(block) for block in zip(*self.counts[stars:], strict=True)]
        return self._films[stars]

    def _spans(self, films: Sequence[int], first: int, last: int) -> Iterator[Span]:
        """Pass over the blocks that have nothing, so that few films among many are found."""
        start: int | None = None
        for block in range(first, last + 1):
            if films[block] and start is None:
                start = block
            elif not films[block] and start is not None:
                yield Span(self.starts[start], self.starts[block])
                start = None
        if start is not None:
            end = self.starts[last + 1] if last + 1 < len(self.starts) else None
            yield Span(self.starts[start], end)


class Marks:
    """The marks of one version, taken apart when they are asked for."""

    def __init__(self, version: int, boundaries: bytes, counts: bytes, scores: bytes) -> None:
        self.version = version
        self._boundaries, self._counts, self._scores = boundaries, counts, scores
        self._blocks: dict[str, Blocks] = {}

    def blocks(self, sort: str) -> Blocks:
        if sort not in self._blocks:
            self._blocks[sort] = self._unpack(sort)
        return self._blocks[sort]

    @cached_property
    def films_by_score(self) -> array[int]:
        """How many films have each score, by thousandths."""
        return array("q", self._scores)

    def _unpack(self, sort: str) -> Blocks:
        numbers, width = array("q", self._boundaries), len(KEYS[sort])
        size = len(numbers) // sum(map(len, KEYS.values()))
        before = size * sum(len(KEYS[name]) for name in _sorts_before(sort))
        keys = list(batched(numbers[before : before + size * width], width))
        counts = array("i", self._counts)
        before = size * STAR_LEVELS * len(_sorts_before(sort))
        levels = [
            counts[before + level * size : before + (level + 1) * size].tolist()
            for level in range(STAR_LEVELS)
        ]
        return Blocks([START, *keys[1:]], levels)


def _sorts_before(sort: str) -> list[str]:
    sorts = list(KEYS)
    return sorts[: sorts.index(sort)]


class _Keeper:
    """This process's copy of the marks; another version replaces it."""

    held: Marks | None = None

    def of(self, version: int) -> Marks | None:
        held = self.held
        if held is None or held.version != version:
            row = PageMarks.objects.exclude(version=None).first()
            if row is None:
                return None
            held = self.held = Marks(
                row.version or 0, bytes(row.boundaries), bytes(row.counts), bytes(row.scores)
            )
        return held if held.version == version else None


_keeper = _Keeper()


def find_page(
    sort: str, *, stars: int, offset: int, limit: int, but_not: int | None = None
) -> Place | None:
    """Give the place of a page of the films of at least so many stars.

    `but_not` is a member whose films are passed over. None while the marks are not known.
    """
    seen = _marks_and_moves(sort)
    # Whoever reads from a replica leaves that to the worker: the primary may be gone.
    may_fold = router.db_for_read(PageMarks) == DEFAULT_DB_ALIAS
    if seen and len(seen[1]) > MAX_MOVES and may_fold and fold():
        seen = _marks_and_moves(sort)
    if seen is None:
        return None
    marks, moves = seen
    if but_not is not None:
        moves += _films_taken_out(sort, but_not)
    return marks.blocks(sort).find(moves, stars=stars, offset=offset, limit=limit)


def films_by_score() -> array[int] | None:
    """Count the films of each score, by thousandths; None while the marks are not known."""
    with reading_cursor(PageMarks) as cursor:
        cursor.execute(
            f"""
            SELECT marks.version, move.films, move.score
            FROM movies_pagemarks marks
            LEFT JOIN (
                SELECT sum(films) AS films, {_SCORE} AS score FROM movies_move GROUP BY 2
            ) move ON score >= 0
            WHERE marks.version IS NOT NULL
            """
        )
        rows = cursor.fetchall()
    marks = _keeper.of(rows[0][0]) if rows else None
    if marks is None:
        return None
    films = array("q", marks.films_by_score)
    for _, moved, score in rows:
        if moved is not None:
            films[score] += int(moved)
    return films


def _marks_and_moves(sort: str) -> tuple[Marks, list[Moved]] | None:
    """Give the marks and what moved since, as one statement sees them."""
    rows = fetch_all(_MARKS_AND_MOVES[sort], (), using=router.db_for_read(PageMarks))
    marks = _keeper.of(rows[0][0]) if rows else None
    if marks is None:
        return None
    moves = [Moved(films, stars, tuple(key)) for _, films, stars, *key in rows if films]
    return marks, moves


def _films_taken_out(sort: str, member_id: int) -> list[Moved]:
    rows = fetch_all(
        f"""
        SELECT stars, {", ".join(KEYS[sort])}
        FROM movies_moviestats
        WHERE movie_id IN (SELECT id FROM movies_movie WHERE created_by_id = %s)
        """,
        [member_id],
        using=router.db_for_read(PageMarks),
    )
    return [Moved(-1, stars, tuple(key)) for stars, *key in rows]


@retried_atomic
def fold() -> bool:
    """Add the moves to the marks and delete them, unless another does; tell whether it was done.

    Moves without marks are deleted: they would be missing from no sum. Those that a rebuild is
    deleting are left to it, for it may take longer than anybody waits. What it has not seen is
    folded, and the row of marks written, so that PostgreSQL refuses what it then writes.
    """
    row = PageMarks.objects.select_for_update(skip_locked=True).first()
    if row is None:
        return False
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM movies_move"
            " WHERE id = ANY(ARRAY(SELECT id FROM movies_move FOR UPDATE SKIP LOCKED))"
            f" RETURNING films, stars, {_SCORE}, {_ALL_KEYS}"
        )
        moves = cursor.fetchall()
        if row.version is None and moves:
            cursor.execute("UPDATE movies_pagemarks SET version = NULL")
        if row.version is None or not moves:
            return True
        marks = Marks(row.version, bytes(row.boundaries), bytes(row.counts), bytes(row.scores))
        blocks = [marks.blocks(sort) for sort in KEYS]
        scores = marks.films_by_score
        for films, stars, score, *keys in moves:
            at = 0
            for order, parts in zip(blocks, KEYS.values(), strict=True):
                block = order.block_of(tuple(keys[at : at + len(parts)]))
                order.counts[stars][block] += films
                at += len(parts)
            if score >= 0:
                scores[score] += films
        cursor.execute(
            f"UPDATE movies_pagemarks SET counts = %s, scores = %s, version = {_NEW_VERSION}",
            [_pack_counts(blocks), scores.tobytes()],
        )
    return True


def _pack_counts(blocks: Iterable[Blocks]) -> bytes:
    return b"".join(array("i", level).tobytes() for order in blocks for level in order.counts)


def need_rebuild() -> bool:
    """Tell whether the marks are unknown, or a block has grown too large."""
    row = PageMarks.objects.first()
    if row is None or row.version is None:
        return True
    marks = Marks(row.version, bytes(row.boundaries), bytes(row.counts), bytes(row.scores))
    largest = (
        max(map(sum, zip(*marks.blocks(sort).counts, strict=True)), default=0) for sort in KEYS
    )
    return max(largest) > MAX_BLOCK_FILMS


def in_one_snapshot(work: Callable[[Any], bool]) -> Callable[[], bool]:
    """Make work a transaction of one snapshot; give False where PostgreSQL refuses what it wrote.

    So it does when somebody changed the same meanwhile.
    """

    @wraps(work)
    def run() -> bool:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                if not _in_one_snapshot(cursor):
                    return False
                cursor.execute("SET LOCAL statement_timeout = 0")
                cursor.execute("SET LOCAL jit = off")
                cursor.execute("SET LOCAL work_mem = '64MB'")
                return work(cursor)
        except OperationalError as exc:
            if isinstance(exc.__cause__, (*TRY_AGAIN, LockNotAvailable)):
                return False
            raise

    return run


def _in_one_snapshot(cursor: Any) -> bool:
    """Make the transaction see one snapshot; only the outermost one can."""
    if len(connection.savepoint_ids) or not connection.in_atomic_block:
        return False
    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    return True


@in_one_snapshot
def rebuild(cursor: Any) -> bool:
    """Cut the blocks anew, beside traffic; give False where somebody changed the marks meanwhile.

    All of it is read in one snapshot, whose moves are deleted: they are in what was read. Who
    folds, or loads in bulk, writes the row of marks, and then PostgreSQL refuses ours.
    """
    cursor.execute("DELETE FROM movies_move")
    boundaries, counts = b"", b""
    for sort in KEYS:
        keys, blocks = _cut(cursor, sort)
        boundaries += keys
        counts += blocks
    cursor.execute(
        "UPDATE movies_pagemarks SET boundaries = %s, counts = %s, scores = %s,"
        f" version = {_NEW_VERSION}",
        [boundaries, counts, _count_scores(cursor)],
    )
    return bool(cursor.rowcount)


def _cut(cursor: Any, sort: str) -> tuple[bytes, bytes]:
    parts = KEYS[sort]
    names = [f"k{number}" for number in range(len(parts))]
    keys = ", ".join(f"{part} AS {name}" for part, name in zip(parts, names, strict=True))
    starts = ", ".join(f"max({name}) FILTER (WHERE nth %% {BLOCK_FILMS} = 0)" for name in names)
    films = ", ".join(f"count(*) FILTER (WHERE stars = {n})" for n in range(STAR_LEVELS))
    cursor.execute(
        f"""
        SELECT {starts}, {films}
        FROM (
            SELECT {", ".join(names)}, stars,
                row_number() OVER (ORDER BY {", ".join(names)}) - 1 AS nth
            FROM (SELECT stars, {keys} FROM movies_moviestats) film
        ) placed
        GROUP BY nth / {BLOCK_FILMS} ORDER BY nth / {BLOCK_FILMS}
        """.replace("%%", "%")
    )
    rows = cursor.fetchall() or [(0,) * (len(parts) + STAR_LEVELS)]
    keys_of_blocks = array("q", [number for row in rows for number in row[: len(parts)]])
    levels = list(zip(*rows, strict=True))[len(parts) :]
    return keys_of_blocks.tobytes(), b"".join(array("i", level).tobytes() for level in levels)


def _count_scores(cursor: Any) -> bytes:
    films = array("q", bytes(8 * SCORES))
    cursor.execute(
        f"SELECT {_SCORE}, count(*) FROM movies_moviestats WHERE score IS NOT NULL GROUP BY 1"
    )
    for score, count in cursor:
        films[score] = count
    return films.tobytes()
