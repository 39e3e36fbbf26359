"""Doing an import, batch by batch, so that whoever is killed in the middle is taken over from.

A batch is one transaction: its films, ratings and reviews, its rows of the report, and how far
the import is. Films are found before it, without a lock; then the films are locked in the order of
their ids, the import after them, and what the batch computes from is read under the locks. Where
the shelf has moved meanwhile (a film is gone, a title taken), the batch is begun again.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

from django.db.models import Q
from django.utils import timezone

from imports.matching import Found, Matcher
from imports.models import Import, Row, added_up
from imports.undoing import undo_batch
from movies.matching import Candidate
from movies.models import Movie, MovieStats, TitleTaken
from movieshelf.api.errors import Unavailable
from movieshelf.api.transactions import retried_atomic
from ratings.models import Rating
from reviews.models import Review

# Few enough that whoever rates one of these films meanwhile hardly waits.
BATCH_ROWS = 250
# A worker that is asked to stop gives a job ten seconds; the next job goes on.
SECONDS_A_JOB = 5.0
MAX_TRIES = 5

Outcome, Change = Row.Outcome, Row.Change


class ShelfMoved(Exception):
    """What was found before the locks is no longer so."""


class Overtaken(Exception):
    """Another worker has done this batch, or the import was stopped."""


def carry_on(
    import_id: int,
    *,
    seconds: float = SECONDS_A_JOB,
    report: Callable[[int], object] = lambda rows: None,
) -> bool:
    """Do an import, or its undoing, for so long; tell whether there is more to do.

    `report` is told after each batch how many rows are done, or left.
    """
    ends_at = time.monotonic() + seconds
    entries: Sequence[Found] = ()
    while (source := Import.objects.filter(pk=import_id).first()) and source.is_active:
        if source.status == Import.Status.UNDOING:
            report(undo_batch(source, BATCH_ROWS))
        else:
            entries = entries or Found.all_of(source.sheet())
            report(_next_batch(source, entries))
        if time.monotonic() >= ends_at:
            return Import.objects.active().filter(pk=import_id).exists()
    return False


def _next_batch(source: Import, entries: Sequence[Found]) -> int:
    """Do the next rows, unless another does; give how many are done at least."""
    first = source.rows_done
    with suppress(Overtaken):
        do_batch(source, entries[first : first + BATCH_ROWS])
        return min(first + BATCH_ROWS, source.row_count)
    return first


def do_batch(source: Import, rows: Sequence[Found]) -> None:
    """Import some rows. Raises Overtaken; Unavailable where the shelf does not stand still."""
    for _ in range(MAX_TRIES):
        matcher = Matcher(source, rows)
        matcher.find()
        try:
            _write(source, rows, matcher.wanted)
            return
        except (ShelfMoved, TitleTaken):
            continue
    raise Unavailable("The shelf changes too fast for this import.")


@retried_atomic
def _write(source: Import, rows: Sequence[Found], wanted: Sequence[Candidate]) -> None:
    """Write what was found, the report of it and how far the import is: one transaction."""
    ids = {} if source.dry_run else _add_films(source, wanted)
    films = {found.film: ids.get(found.film, found.film.movie_id) for found in rows if found.film}
    there = sorted(pk for pk in films.values() if pk is not None)
    if not source.dry_run and list(MovieStats.objects.filter(pk__in=there).locked_in_order()) != (
        sorted(set(there))
    ):
        raise ShelfMoved
    current = Import.objects.lock(source.pk)
    if (
        current is None
        or current.status not in (Import.Status.WAITING, Import.Status.RUNNING)
        or current.rows_done != source.rows_done
    ):
        raise Overtaken
    writer = Writer(current, films)
    for found in rows:
        writer.add(found)
    writer.save()
    _advance(current, len(rows), writer.counts)


def _add_films(source: Import, wanted: Sequence[Candidate]) -> dict[Candidate, int]:
    movies = [
        Movie(title=film.title, release_date=film.release_date, created_by_id=source.user_id)
        for film in wanted
    ]
    Movie.objects.add_all(movies)
    return {film: movie.pk for film, movie in zip(wanted, movies, strict=True)}


def _advance(current: Import, rows: int, counts: Counter[str]) -> None:
    current.rows_done += rows
    current.counts = added_up(current.counts, counts)
    current.status = Import.Status.RUNNING
    if current.rows_done >= current.row_count:
        current.status, current.finished_at = Import.Status.DONE, timezone.now()
        current.file = None
        current.keep("file")
    current.keep("rows_done", "counts", "status", "finished_at")


class Writer:
    """What some rows do to a member's ratings and reviews, worked out row by row, written at once.

    On a dry run nothing but the report is written; what earlier rows would have rated is read from
    their reports. Reviews are none of the report: one that a file holds twice, hundreds of rows
    apart, counts twice there.
    """

    def __init__(self, source: Import, films: dict[Candidate, int | None]) -> None:
        self.source, self.films = source, films
        self.now = timezone.now()
        self.rows: list[Row] = []
        self.counts: Counter[str] = Counter()
        ids = [pk for pk in films.values() if pk is not None]
        self.ratings: dict[object, Rating] = {
            rating.movie_id: rating
            for rating in Rating.objects.filter(user=source.user_id, movie__in=ids)
        }
        self.touched: dict[object, Rating] = {}
        self.contents: set[tuple[object, str]] = set(
            Review.objects.filter(user=source.user_id, movie__in=ids).values_list(
                "movie_id", "content"
            )
        )
        self.reviews: list[tuple[Row, Review]] = []
        if source.dry_run:
            self._rate_as_earlier_rows(ids)

    def _rate_as_earlier_rows(self, ids: Sequence[int]) -> None:
        """Begin with the ratings that earlier rows would have left."""
        missing = [film.title for film in self.films if film.movie_id is None]
        rated = self.source.rows.filter(rating_change__in=(Change.ADDED, Change.CHANGED))
        of_films = Q(movie_id__in=ids) | Q(movie_id=None, title__in=missing)
        for row in rated.filter(of_films).in_order():
            film = row.movie_id or Candidate(None, row.title, row.year)
            self.ratings[film] = Rating(value=row.value or 0, updated_at=row.rated_at or self.now)

    def add(self, found: Found) -> None:
        """Work out what one row does."""
        entry = found.entry
        row = Row(
            source=self.source,
            number=found.number,
            outcome=found.outcome,
            reason=found.problem.reason if found.problem else "",
            message=found.problem.message if found.problem else "",
            title=entry.title,
            year=entry.year,
            given=entry.given,
            value=entry.value,
            candidates=found.candidates,
        )
        self.rows.append(row)
        if found.film is not None:
            row.movie_id = self.films[found.film]
            # A film that a dry run would have added has no id.
            film: object = row.movie_id or found.film
            if entry.value is not None:
                self._rate(row, film, found)
            if entry.content:
                self._review(row, film, found)
        self.counts[found.outcome] += 1
        if row.rating_change:
            self.counts[f"ratings{row.rating_change.capitalize()}"] += 1
        if row.review_change:
            self.counts[f"reviews{row.review_change.capitalize()}"] += 1

    def _rate(self, row: Row, film: object, found: Found) -> None:
        """Add the rating, or change an older one of another value."""
        value, rated_at = found.entry.value or 0, found.entry.rated_at
        rating = self.ratings.get(film)
        if rating is None:
            # On a dry run there may be no film; then it is not saved.
            rating = Rating(user_id=self.source.user_id, movie_id=row.movie_id or 0)
            rating.created_at = rated_at or self.now
            row.rating_change = Change.ADDED
            self.ratings[film] = rating
        elif rating.value == value:
            row.rating_change = Change.UNCHANGED
            return
        elif rated_at is None or rated_at <= rating.updated_at:
            row.rating_change = Change.KEPT
            row.message = (
                f"Rated {rating.value} on {rating.updated_at:%Y-%m-%d}, which is no earlier: kept."
            )
            return
        else:
            row.rating_change = Change.CHANGED
            row.old_value, row.old_rated_at = rating.value, rating.updated_at
        rating.value, rating.updated_at = value, rated_at or self.now
        row.rated_at = rating.updated_at
        self.touched[film] = rating

    def _review(self, row: Row, film: object, found: Found) -> None:
        """Add the review, unless the member has written the same about the film."""
        written = (film, found.entry.content)
        if written in self.contents:
            row.review_change = Change.UNCHANGED
            return
        self.contents.add(written)
        row.review_change = Change.ADDED
        row.reviewed_at = found.entry.rated_at or self.now
        review = Review(
            user_id=self.source.user_id,
            movie_id=row.movie_id or 0,
            content=found.entry.content,
            created_at=row.reviewed_at,
            updated_at=row.reviewed_at,
        )
        self.reviews.append((row, review))

    def save(self) -> None:
        """Write it all, set by set."""
        if not self.source.dry_run:
            Rating.objects.put_all(list(self.touched.values()))
            Review.objects.add_all([review for _, review in self.reviews])
            for row, review in self.reviews:
                row.review_id = review.pk
        Row.objects.bulk_create(self.rows)
