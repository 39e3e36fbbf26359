"""Taking an import back, batch by batch, from its last row to its first.

What was done by hand since then stays: a rating that is another by now, a review that was edited, a
film that somebody has rated, reviewed or edited.
"""

from collections import Counter
from collections.abc import Sequence

from django.utils import timezone

from imports.models import Import, Row, added_up
from movies.models import Movie, MovieStats
from movieshelf.api.transactions import retried_atomic
from ratings.models import Rating
from reviews.models import Review

Outcome, Change = Row.Outcome, Row.Change
Rows = Sequence[Row]


@retried_atomic
def undo_batch(source: Import, batch: int) -> int:
    """Take back the last rows that are left, as one transaction; give how many are left then."""
    left = 0 if source.dry_run else max(0, source.rows_left - batch)
    rows = [] if source.dry_run else _rows(source, left)
    films = {row.movie_id for row in rows if row.movie_id is not None}
    locked = list(MovieStats.objects.filter(pk__in=films).locked_in_order())
    current = Import.objects.lock(source.pk)
    if (
        current is None
        or current.status != Import.Status.UNDOING
        or current.rows_left != source.rows_left
    ):
        return left  # another worker has done it
    counts = _take_back(source.user_id, rows, locked)
    current.undone_counts = added_up(current.undone_counts, counts)
    current.rows_left = left
    if not left:
        current.status, current.finished_at = Import.Status.UNDONE, timezone.now()
        current.file = None
        current.keep("file")
    current.keep("undone_counts", "rows_left", "status", "finished_at")
    return left


def _rows(source: Import, left: int) -> Sequence[Row]:
    rows = source.rows.filter(number__gt=left, number__lte=source.rows_left)
    return list(rows.order_by("-number"))


def _take_back(user_id: int, rows: Sequence[Row], locked: Sequence[int]) -> Counter[str]:
    counts: Counter[str] = Counter()
    _ratings(user_id, rows, locked, counts)
    _reviews(user_id, rows, locked, counts)
    _films(user_id, rows, locked, counts)
    return counts


def _ratings(
    user_id: int, rows: Sequence[Row], locked: Sequence[int], counts: Counter[str]
) -> None:
    """Remove what was added, and give what was changed its old value and time."""
    mine = {r.movie_id: r for r in Rating.objects.filter(user=user_id, movie__in=locked)}
    restored: dict[int, Rating] = {}
    removed: list[Rating] = []
    for row in rows:
        rating = mine.get(row.movie_id or 0)
        if row.rating_change not in (Change.ADDED, Change.CHANGED) or rating is None:
            continue
        if (rating.value, rating.updated_at) != (row.value, row.rated_at):
            counts["ratingsKept"] += 1
        elif row.old_value is None or row.old_rated_at is None:
            removed.append(mine.pop(rating.movie_id))
            restored.pop(rating.movie_id, None)
            counts["ratingsRemoved"] += 1
        else:
            rating.value, rating.updated_at = row.old_value, row.old_rated_at
            restored[rating.movie_id] = rating
            counts["ratingsRestored"] += 1
    Rating.objects.put_all(list(restored.values()))
    Rating.objects.drop_all(removed)


def _reviews(
    user_id: int, rows: Sequence[Row], locked: Sequence[int], counts: Counter[str]
) -> None:
    """Remove what was added, unless it was edited."""
    added = {row.review_id: row.reviewed_at for row in rows if row.review_id is not None}
    written = Review.objects.filter(pk__in=added, user=user_id, movie__in=locked)
    removed = [review for review in written if review.updated_at == added[review.pk]]
    counts["reviewsKept"] += len(written) - len(removed)
    counts["reviewsRemoved"] += len(removed)
    Review.objects.drop_all(removed)


def _films(user_id: int, rows: Rows, locked: Sequence[int], counts: Counter[str]) -> None:
    """Remove the films that were added and that nobody has done anything with."""
    created = {row.movie_id for row in rows if row.outcome == Outcome.CREATED}
    added = [pk for pk in locked if pk in created]
    there = Movie.objects.filter(pk__in=added)
    unused = there.filter(version=1, created_by=user_id, ratings=None, reviews=None)
    ids = list(unused.values_list("pk", flat=True))
    counts["moviesKept"] += len(added) - len(ids)
    counts["moviesRemoved"] += len(ids)
    if ids:
        Movie.objects.filter(pk__in=ids).delete()
