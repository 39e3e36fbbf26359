"""Undoing a batch: its rows come back with their ids, texts, values and times.

The films' counters are moved by what has really come back, in the statement that brings it.
"""

from dataclasses import dataclass

from django.db import connection
from django.utils import timezone

from accounts.models import User
from moderation.models import Sweep, SweptRow
from moderation.sweeping import TABLES, execute, take_time
from movies.models import STARS
from movieshelf.api.errors import Conflict, constraint_raises
from movieshelf.api.transactions import retried_atomic
from movieshelf.recomputing import count_again
from reviews.models import Review
from trail.models import Act, Verb

Kind = SweptRow.Kind


class TitleTakenSince(Conflict):
    default_detail = (
        "A film of this batch cannot come back: another one has its title now."
        " Rename or merge that one first; nothing was changed."
    )


@dataclass(frozen=True)
class Undone:
    """What came back of a batch, and what could not."""

    restored: int
    lost: int

    def __str__(self) -> str:
        said = f"{self.restored} rows are back as they were"
        if self.lost:
            said += f"; {self.lost} are not: their film or member is gone, or there is a newer one"
        return f"{said}."


@retried_atomic
def undo(batch_id: int, *, by: User, reason: str = "") -> Undone:
    """Put everything of a batch back as it was, as far as its films and members are there.

    A film that was merged meanwhile gets its own back under its new name; a member who rated again
    keeps the newer rating. Raises NotFound, Conflict when it was undone already, TitleTakenSince.
    """
    _lock_films_of_batch(batch_id)
    batch = Sweep.objects.lock(batch_id)
    if batch.undone_at is not None:
        raise Conflict("This batch was undone already; nothing was changed.")
    rows = SweptRow.objects.filter(sweep=batch)
    kept = rows.exclude(kind=Kind.MERGED).count()
    _lock_members_of_batch(batch_id)
    if batch.kind == Sweep.Kind.HIDDEN:
        restored = _show_again(batch_id, by=by, reason=reason)
    else:
        with constraint_raises("movie_title_unique", TitleTakenSince):
            restored = _bring_films_back(batch_id)
        restored += _bring_opinions_back(batch_id, Kind.RATING)
        restored += _bring_opinions_back(batch_id, Kind.REVIEW)
        restored += _bring_reports_back(batch_id)
    rows.delete()
    batch.undone_at, batch.undone_by = timezone.now(), by
    batch.save(update_fields=["undone_at", "undone_by"])
    before = {"batch": batch.pk, "restored": restored}
    Act.objects.record(Verb.UNDO, [batch.member, batch], by=by, reason=reason, before=before)
    return Undone(restored=restored, lost=kept - restored)


def _lock_films_of_batch(batch_id: int) -> None:
    take_time()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT stats.movie_id FROM movies_moviestats stats WHERE stats.movie_id IN (
                SELECT coalesce(merged.survivor_id, row.movie_id) FROM moderation_sweptrow row
                LEFT JOIN moderation_mergedfilm merged ON merged.old_id = row.movie_id
                WHERE row.sweep_id = %s
            )
            ORDER BY stats.movie_id FOR NO KEY UPDATE
            """,
            [batch_id],
        )


def _lock_members_of_batch(batch_id: int) -> None:
    """Wait for members who are just leaving: their rows leave the batch with them."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT id FROM accounts_user WHERE id IN (
                SELECT user_id FROM moderation_sweptrow WHERE sweep_id = %s
            )
            ORDER BY id FOR KEY SHARE
            """,
            [batch_id],
        )


def _show_again(batch_id: int, *, by: User, reason: str) -> int:
    """Show the reviews of a batch, but for those that somebody has hidden again since."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT review.id FROM moderation_sweptrow row
            JOIN reviews_review review ON review.id = (row.data ->> 'id')::bigint
                AND review.hidden_at = (row.data ->> 'hidden_at')::timestamptz
            WHERE row.sweep_id = %s
            """,
            [batch_id],
        )
        ids = [review_id for (review_id,) in cursor]
    return Review.objects.filter(pk__in=ids).show(by=by, reason=reason)


def _bring_films_back(batch_id: int) -> int:
    """Put films back with empty numbers, which what comes back with them will move."""
    films = execute(
        """
        INSERT INTO movies_movie
        SELECT film.* FROM moderation_sweptrow row, jsonb_populate_record(
            NULL::movies_movie, row.data || jsonb_build_object('poster_id', row.poster_id)
        ) film
        WHERE row.sweep_id = %(batch)s AND row.kind = 'film'
        """,
        batch=batch_id,
    )
    back = SweptRow.objects.filter(sweep=batch_id, kind=Kind.FILM)
    # Nobody has said anything of them yet, so this is how each begins.
    count_again([film_id for film_id in back.values_list("movie_id", flat=True) if film_id])
    execute(
        """
        INSERT INTO moderation_mergedfilm
        SELECT merged.* FROM moderation_sweptrow row,
            jsonb_populate_record(NULL::moderation_mergedfilm, row.data) merged
        WHERE row.sweep_id = %(batch)s AND row.kind = 'merged'
        ON CONFLICT DO NOTHING
        """,
        batch=batch_id,
    )
    return films


# Of each kind: the column that is counted, and how each of the film's counters does so.
_COUNTED = {
    Kind.RATING: ("value", {f"rating_{star}": f"value = {star}" for star in STARS}),
    Kind.REVIEW: ("is_hidden", {"review_count": "NOT is_hidden"}),
}
# What a row refers to may have left: then it refers to nobody.
_STILL_THERE = """
    || CASE WHEN row.data ? 'hidden_by_id' THEN jsonb_build_object('hidden_by_id', (
        SELECT id FROM accounts_user WHERE id = (row.data ->> 'hidden_by_id')::bigint
    )) ELSE '{}' END
"""


def _bring_opinions_back(batch_id: int, kind: SweptRow.Kind) -> int:
    """Put rows of one kind back and count each for its film, in one statement; give how many."""
    table, *_ = TABLES[kind]
    column, counters = _COUNTED[kind]
    counts = ", ".join(
        f"count(*) FILTER (WHERE {what}) AS {name}" for name, what in counters.items()
    )
    moves = ", ".join(f"{name} = stats.{name} + counted.{name}" for name in counters)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH back AS (
                INSERT INTO {table}
                SELECT news.* FROM moderation_sweptrow row
                JOIN accounts_user member ON member.id = row.user_id
                LEFT JOIN moderation_mergedfilm merged ON merged.old_id = row.movie_id
                JOIN movies_movie film ON film.id = coalesce(merged.survivor_id, row.movie_id)
                CROSS JOIN LATERAL jsonb_populate_record(
                    NULL::{table},
                    row.data || jsonb_build_object('movie_id', film.id) {_STILL_THERE}
                ) news
                WHERE row.sweep_id = %(batch)s AND row.kind = %(kind)s
                ON CONFLICT DO NOTHING
                RETURNING movie_id, {column}
            ), counted AS (
                SELECT movie_id, {counts} FROM back GROUP BY movie_id
            ), moved AS (
                UPDATE movies_moviestats stats SET {moves} FROM counted
                WHERE stats.movie_id = counted.movie_id
            )
            SELECT count(*) FROM back
            """,  # the tables and columns are ours
            {"batch": batch_id, "kind": kind.value},
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def _bring_reports_back(batch_id: int) -> int:
    return execute(
        """
        INSERT INTO reviews_report
        SELECT news.* FROM moderation_sweptrow row
        JOIN accounts_user member ON member.id = row.user_id
        LEFT JOIN moderation_mergedfilm merged ON merged.old_id = row.movie_id
        CROSS JOIN LATERAL jsonb_populate_record(
            NULL::reviews_report,
            row.data || jsonb_build_object('movie_id', coalesce(merged.survivor_id, row.movie_id))
        ) news
        WHERE row.sweep_id = %(batch)s AND row.kind = 'report'
            AND (news.movie_id IS NULL OR EXISTS (
                SELECT FROM movies_movie film WHERE film.id = news.movie_id))
            AND (news.review_id IS NULL OR EXISTS (
                SELECT FROM reviews_review review WHERE review.id = news.review_id))
        ON CONFLICT DO NOTHING
        """,
        batch=batch_id,
    )
