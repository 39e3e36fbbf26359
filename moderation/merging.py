"""Merging two entries of one film: one survives, and all that was said of the other is its own."""

from django.db import connection

from accounts.models import User
from moderation.models import MergedFilm
from movies.models import WHOLE_STATE, Movie, MovieStats
from movieshelf.api.errors import InvalidInput, NotFound
from movieshelf.api.transactions import retried_atomic
from movieshelf.recomputing import count_again
from reviews.models import Report, Review
from trail.models import Act, Verb, state_of


@retried_atomic
def merge(film_id: int, *, into: int, by: User, reason: str = "") -> Movie:
    """Merge a film into the one that survives, and give that.

    Ratings (of who rated both: the newer), reviews, reports, and the poster where the survivor has
    none become the survivor's; its old id leads there. Raises NotFound when one of the two is gone,
    InvalidInput when they are the same.
    """
    if film_id == into:
        raise InvalidInput("A film cannot be merged into itself.")
    locked = list(MovieStats.objects.filter(pk__in=[film_id, into]).locked_in_order())
    if len(locked) < 2:
        raise NotFound("One of the two films is gone; nothing was merged.")
    # Their rows as well, or an image that is removed meanwhile would become the survivor's poster.
    rows = {pk: Movie.objects.with_stats().lock_row(pk) for pk in sorted((film_id, into))}
    film, survivor = rows[film_id], rows[into]
    before = {
        "merged": {"id": film.pk, **state_of(film, WHOLE_STATE), **film.stats.distribution},
        "into": {"id": survivor.pk, **survivor.stats.distribution},
    }
    Act.objects.record(Verb.MERGE, [film, survivor], by=by, reason=reason, before=before)
    _move_rows(film_id, into)
    if survivor.poster_id is None and film.poster_id is not None:
        survivor = survivor.edit(poster=film.poster)
    MergedFilm.objects.filter(survivor=film_id).update(survivor=into)
    MergedFilm.objects.create(old_id=film_id, survivor_id=into)
    Movie.objects.filter(pk=film_id).delete()
    # The only numbers that are not moved but counted: who rated both makes them no simple sum.
    count_again([into])
    return survivor


def _move_rows(film_id: int, into: int) -> None:
    """Let the rows of one film be those of another; both are locked, and counted afterwards."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(
            """
            DELETE FROM ratings_rating older USING ratings_rating newer
            WHERE older.user_id = newer.user_id
                AND (older.movie_id, newer.movie_id) IN ((%(film)s, %(into)s), (%(into)s, %(film)s))
                AND (older.updated_at, older.id) < (newer.updated_at, newer.id)
            """,
            {"film": film_id, "into": into},
        )
        cursor.execute(
            "UPDATE ratings_rating SET movie_id = %s WHERE movie_id = %s", [into, film_id]
        )
        cursor.execute(
            f"UPDATE {Review._meta.db_table} SET movie_id = %s WHERE movie_id = %s", [into, film_id]
        )
    # Merging is the answer to them, so that none is open twice on the survivor.
    Report.objects.filter(movie=film_id).close(Report.Outcome.UPHELD)
    Report.objects.filter(movie=film_id).update(movie=into)
