"""Rebuilding the films' numbers from their rows, and proving that there is nothing to rebuild.

It stands above all apps, since it reads the rows of each. A rating and its effect on the counters
are committed together, so whatever one snapshot shows to differ has drifted; and one statement has
one snapshot. Finding drift therefore locks nobody.

The totals of the lists are counts of the films' numbers, and are compared and mended the same way.

What has drifted is written as the snapshot counted it, many films at a time, where a film still
holds the numbers that the snapshot saw: whoever rated it since then has moved them. Such a film is
counted again under its lock.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import batched
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from movies.models import STARS, MovieStats, StarCount
from movieshelf.api.transactions import retried_atomic
from movieshelf.models import NumbersCheck
from movieshelf.progress import Reporter, Silence
from ratings.models import Rating
from reviews.models import Review

COLUMNS = (*(f"rating_{value}" for value in STARS), "review_count")
# What no film holds: stands for a film without numbers, which is counted again.
NOTHING = (-1,) * len(COLUMNS)
# What one transaction locks. Raters wait for it, and must not come near to their lock_timeout.
BATCH_FILMS = 1_000
# Fewer where rows are counted under the lock: a second's worth.
BATCH_ROWS = 200_000


class Drift(NamedTuple):
    """A film whose numbers are not what its rows say."""

    movie_id: int
    # None for a film that has no row of numbers at all.
    held: Sequence[int] | None
    actual: Sequence[int]

    def __str__(self) -> str:
        if self.held is None:
            return f"film {self.movie_id}: has no numbers"
        wrong = [
            f"{name} is {held}, should be {actual}"
            for name, held, actual in zip(COLUMNS, self.held, self.actual, strict=True)
            if held != actual
        ]
        return f"film {self.movie_id}: {', '.join(wrong) or 'holds other dates'}"

    @property
    def row_count(self) -> int:
        return sum(self.actual)


class TotalDrift(NamedTuple):
    """A total of the lists that is not how many films there are."""

    stars: int
    held: int
    actual: int

    def __str__(self) -> str:
        return f"films of {self.stars} stars: {self.held} are counted, should be {self.actual}"


# One statement has one snapshot, in which the counts and what they count moved together.
_TOTALS = f"""
    SELECT stars, coalesce(held.films, 0) AS held, coalesce(actual.films, 0) AS actual
    FROM (
        SELECT stars, sum(films)::bigint AS films FROM {StarCount._meta.db_table} GROUP BY stars
    ) held
    FULL JOIN (
        SELECT stars, count(*) AS films FROM {MovieStats._meta.db_table} GROUP BY stars
    ) actual USING (stars)
    WHERE held.films IS DISTINCT FROM actual.films AND (held.films <> 0 OR actual.films <> 0)
    ORDER BY stars
"""


@retried_atomic
def drifted_totals() -> list[TotalDrift]:
    """Give the totals of the lists that differ from how many films there are; lock nobody."""
    with connection.cursor() as cursor:
        _take_time(cursor)
        cursor.execute(_TOTALS)
        return [TotalDrift(*row) for row in cursor]


@retried_atomic
def recount_totals() -> int:
    """Make the totals of the lists right, beside traffic; give how many were wrong."""
    with connection.cursor() as cursor:
        _take_time(cursor)
        cursor.execute(
            f"""
            INSERT INTO {StarCount._meta.db_table} (stars, films)
            SELECT stars, actual - held FROM ({_TOTALS}) drift
            """
        )
        return int(cursor.rowcount)


def drifted_films(movie_id: int | None = None) -> Iterator[Drift]:
    """Give each film, or the one film, whose numbers differ from its rows; lock nobody."""
    held = ", ".join(f"stats.{name}" for name in COLUMNS)
    wanted = "TRUE" if movie_id is None else "film.id = %(movie_id)s"
    with transaction.atomic(), connection.cursor() as cursor:
        _take_time(cursor)
        cursor.execute(
            f"""
            SELECT film.id, stats.movie_id IS NULL, {held}, {_actual()}
            FROM {_counted(only="TRUE" if movie_id is None else "movie_id = %(movie_id)s")}
            LEFT JOIN movies_moviestats stats ON stats.movie_id = film.id
            WHERE {wanted} AND (stats.created_at, stats.release_date, {held})
                IS DISTINCT FROM (film.created_at, film.release_date, {_actual()})
            ORDER BY film.id
            """,
            {"movie_id": movie_id},
        )
        half = len(COLUMNS)
        for film, is_missing, *numbers in cursor:
            yield Drift(film, None if is_missing else numbers[:half], numbers[half:])


def check_numbers() -> None:
    """Compare everything, locking nobody, and keep what was found for `last_check`."""
    began = timezone.now()
    films = sum(1 for _ in drifted_films())
    keep_check(began, films=films, totals=len(drifted_totals()))


def keep_check(began: datetime, *, films: int, totals: int) -> None:
    """Keep what a comparison of everything found, unless one that began later is kept already."""
    if settings.READ_ONLY:
        return
    found = {"checked_at": began, "drifted_films": films, "drifted_totals": totals}
    NumbersCheck.objects.get_or_create(pk=1, defaults=found)
    NumbersCheck.objects.filter(checked_at__lt=began).update(**found)


def last_check() -> NumbersCheck | None:
    """Give what the last comparison of everything found, None before the first.

    One row by its key: for a scrape of the metrics, which must not compare anything itself. The
    worker compares each hour, and `manage.py recompute --check` whenever somebody asks.
    """
    return NumbersCheck.objects.first()


def recompute(movie_id: int | None = None, report: Reporter | None = None) -> int:
    """Rebuild what has drifted, of all films or of one; give how many films that were.

    Safe beside traffic, and safe to interrupt and repeat.
    """
    report = report or Silence()
    finding = report.stage("finding", 1)
    drifts = list(drifted_films(movie_id))
    finding(1)
    advance = report.stage("films", len(drifts))
    left: list[Drift] = []
    for some in batched(drifts, BATCH_FILMS):
        written = write_as_counted(some)
        left += [drift for drift in some if drift.movie_id not in written]
        advance(len(written))
    for ids in _batches(left):
        count_again(ids)
        advance(len(ids))
    return len(drifts)


@retried_atomic
def write_as_counted(drifts: Sequence[Drift]) -> set[int]:
    """Give films the numbers that were counted, where they hold what was seen; tell which."""
    # A statement before: one that waited itself would find the numbers of now, and an old date.
    list(MovieStats.objects.filter(pk__in=[d.movie_id for d in drifts]).locked_in_order())
    seen = [f"seen_{name}" for name in COLUMNS]
    columns = (
        [drift.movie_id for drift in drifts],
        *zip(*(drift.held or NOTHING for drift in drifts), strict=True),
        *zip(*(drift.actual for drift in drifts), strict=True),
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE movies_moviestats stats
            SET created_at = film.created_at, release_date = film.release_date,
                {", ".join(f"{n} = news.{n}" for n in COLUMNS)}
            FROM unnest({", ".join(["%s::bigint[]"] * len(columns))})
                AS news (movie_id, {", ".join((*seen, *COLUMNS))})
            JOIN movies_movie film ON film.id = news.movie_id
            WHERE stats.movie_id = news.movie_id
                AND ({", ".join(f"stats.{name}" for name in COLUMNS)}) = ({", ".join(seen)})
            RETURNING stats.movie_id
            """,
            [list(column) for column in columns],
        )
        return {movie_id for (movie_id,) in cursor}


@retried_atomic
def count_again(ids: Sequence[int]) -> None:
    """Write what the rows of these films say, counted under their locks."""
    list(MovieStats.objects.filter(pk__in=ids).locked_in_order())
    news = ", ".join(
        f"{name} = excluded.{name}" for name in ("created_at", "release_date", *COLUMNS)
    )
    with connection.cursor() as cursor:
        _take_time(cursor)
        # A statement of its own: it sees what the locks waited for.
        cursor.execute(
            f"""
            INSERT INTO movies_moviestats (movie_id, created_at, release_date, {", ".join(COLUMNS)})
            SELECT film.id, film.created_at, film.release_date, {_actual()}
            FROM {_counted(only="movie_id = ANY(%(ids)s)")}
            WHERE film.id = ANY(%(ids)s)
            ON CONFLICT (movie_id) DO UPDATE SET {news}
            """,
            {"ids": list(ids)},
        )


def _counted(*, only: str) -> str:
    """Films, and beside each what its rows say; `only` says which rows are looked at."""
    values = ", ".join(f"count(*) FILTER (WHERE value = {v}) AS rating_{v}" for v in STARS)
    return f"""
        movies_movie film
        LEFT JOIN (
            SELECT movie_id, {values} FROM {Rating._meta.db_table} WHERE {only} GROUP BY movie_id
        ) rated ON rated.movie_id = film.id
        LEFT JOIN (
            SELECT movie_id, count(*) AS review_count FROM {Review._meta.db_table}
            WHERE {only} AND NOT is_hidden GROUP BY movie_id
        ) reviewed ON reviewed.movie_id = film.id
    """


def _actual() -> str:
    rated = [f"coalesce(rated.rating_{value}, 0)" for value in STARS]
    return ", ".join([*rated, "coalesce(reviewed.review_count, 0)"])


def _take_time(cursor: CursorWrapper) -> None:
    """Lift the limits of a request, until the transaction ends; a lock is still not waited for."""
    cursor.execute("SET LOCAL statement_timeout = 0")
    cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    cursor.execute("SET LOCAL jit = off")


def _batches(drifts: Sequence[Drift]) -> Iterator[list[int]]:
    ids: list[int] = []
    rows = 0
    for drift in drifts:
        if ids and (len(ids) == BATCH_FILMS or rows + drift.row_count > BATCH_ROWS):
            yield ids
            ids, rows = [], 0
        ids.append(drift.movie_id)
        rows += drift.row_count
    if ids:
        yield ids
