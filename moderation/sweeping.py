"""Taking away what one member did, or hiding what they wrote, as one batch that can be undone.

What goes is first written down as the database has it, row by row, in the same transaction, under
the locks that every writer takes: the films in the order of their ids, then the member, whose
locked row lets them write nothing more meanwhile. Undoing it is in moderation.undoing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Count, Q, QuerySet

from accounts.models import User
from moderation.models import Sweep, SweptRow
from movies.models import STARS, Movie, MovieStats, shown_average
from movieshelf.api.errors import Forbidden, InvalidInput, NotFound
from movieshelf.api.transactions import retried_atomic
from ratings.models import Rating
from reviews.models import Report, Review
from trail.models import Act, Verb

Kind = SweptRow.Kind

# What one batch may hold: it is one transaction, and whoever rates one of its films waits for it.
SWEPT_AT_MOST = 100_000
# How many of the films whose numbers would move a preview shows.
SHOWN_FILMS = 50


class TooMuch(InvalidInput):
    default_detail = (
        f"That is more than {SWEPT_AT_MOST:,} rows, too much for one batch; nothing was changed."
    )


@dataclass(frozen=True)
class Move:
    """What a sweep would do to the numbers of one film that stays."""

    film: Movie
    average_now: float
    average_then: float
    ratings_now: int
    ratings_then: int
    reviews_now: int
    reviews_then: int


@dataclass(frozen=True)
class Preview:
    """What a sweep would touch, in the moment in which it was asked."""

    films: int
    ratings: int
    reviews: int
    reports: int
    # What others said of films that would go.
    others: int
    touched: int
    moves: Sequence[Move] = field(default_factory=list)


def preview(member: User, *, with_films: bool) -> Preview:
    """Say what `sweep` would do, and do nothing."""
    films = _films_of(member, with_films)
    gone = set(films.values_list("pk", flat=True))
    rated = dict(Rating.objects.filter(user=member).values_list("movie", "value"))
    written = dict(
        Review.objects.filter(user=member)
        .order_by()
        .values_list("movie")
        .annotate(visible=Count("pk", filter=Q(is_hidden=False)))
    )
    touched = {*rated, *written} - gone
    others = [
        opinions.objects.filter(movie__in=gone).exclude(user=member).count()
        for opinions in (Rating, Review)
    ]
    stats = MovieStats.objects.filter(pk__in=touched).select_related("movie")
    return Preview(
        films=len(gone),
        ratings=len(rated),
        reviews=Review.objects.filter(user=member).count(),
        reports=Report.objects.filter(reporter=member).count(),
        others=sum(others),
        touched=len(touched),
        # Where few have rated, one rating weighs most.
        moves=[
            _move(one, rated.get(one.pk), written.get(one.pk, 0))
            for one in stats.order_by("rating_count", "pk")[:SHOWN_FILMS]
        ],
    )


@retried_atomic
def sweep(member_id: int, *, by: User, reason: str = "", with_films: bool = False) -> Sweep:
    """Take away what a member wrote, rated and reported, and with_films the films they added.

    Such a film goes with all that others said of it, which is kept in the batch as well. Raises
    NotFound, Forbidden for a member who is not this moderator's to sweep, and TooMuch.
    """
    member = _lock_member(member_id, by=by, with_films=with_films)
    _lock_reports_by(member)
    batch = Sweep.objects.create(member=member, by=by, kind=Sweep.Kind.REMOVED, reason=reason)
    films = list(_films_of(member, with_films).values_list("pk", flat=True))
    batch.films = _keep(batch, Kind.FILM, "row.id = ANY(%(ids)s)", films)
    _keep(batch, Kind.MERGED, "row.survivor_id = ANY(%(ids)s)", films)
    of_member = "(row.user_id = %(member)s OR row.movie_id = ANY(%(ids)s))"
    batch.ratings = _keep(batch, Kind.RATING, of_member, films)
    batch.reviews = _keep(batch, Kind.REVIEW, of_member, films)
    batch.reports = _keep(
        batch,
        Kind.REPORT,
        "row.reporter_id = %(member)s OR row.movie_id = ANY(%(ids)s) OR row.review_id IN ("
        f"SELECT row.id FROM {Review._meta.db_table} row WHERE {of_member})",
        films,
    )
    if sum(batch.numbers.values()) > SWEPT_AT_MOST:
        raise TooMuch()
    Report.objects.filter(reporter=member).delete()
    Movie.objects.filter(pk__in=films).delete()
    Rating.objects.withdraw([member.pk])
    Review.objects.withdraw([member.pk])
    batch.save(update_fields=["films", "ratings", "reviews", "reports"])
    before = {"batch": batch.pk, **batch.numbers}
    Act.objects.record(Verb.SWEEP, [member, batch], by=by, reason=reason, before=before)
    return batch


@retried_atomic
def hide_all(member_id: int, *, by: User, reason: str = "") -> Sweep:
    """Hide all that a member wrote, as one batch. Raises as `sweep` does."""
    member = _lock_member(member_id, by=by, with_films=False)
    visible = Review.objects.filter(user=member, is_hidden=False)
    ids = list(visible.values_list("pk", flat=True))
    if len(ids) > SWEPT_AT_MOST:
        raise TooMuch()
    batch = Sweep.objects.create(member=member, by=by, kind=Sweep.Kind.HIDDEN, reason=reason)
    batch.reviews = visible.hide(by=by, reason=reason)
    # As they are now, hidden: whoever hides one again later means it.
    _keep(batch, Kind.HIDDEN, "row.id = ANY(%(ids)s)", ids)
    batch.save(update_fields=["reviews"])
    Act.objects.record(
        Verb.SWEEP, [member, batch], by=by, reason=reason, before={"hidden": batch.reviews}
    )
    return batch


@retried_atomic
def suspend(member_id: int, *, by: User, reason: str = "", and_hide: bool = False) -> Sweep | None:
    """Suspend a member; with `and_hide`, hide all they wrote as one batch, and give it."""
    batch = hide_all(member_id, by=by, reason=reason) if and_hide else None
    if not User.objects.filter(pk=member_id).suspend(by=by, reason=reason) and batch is None:
        raise Forbidden("This member is suspended already, or not yours to suspend.")
    return batch


def _films_of(member: User, with_films: bool) -> QuerySet[Movie]:
    return Movie.objects.added_by(member) if with_films else Movie.objects.none()


def _move(stats: MovieStats, value: int | None, reviews: int) -> Move:
    held = {star: stats.distribution[str(star)] - (star == value) for star in STARS}
    count = sum(held.values())
    total = Decimal(sum(star * number for star, number in held.items()))
    return Move(
        film=stats.movie,
        average_now=stats.shown_average,
        average_then=shown_average(total / count) if count else 0,
        ratings_now=stats.rating_count,
        ratings_then=count,
        reviews_now=stats.review_count,
        reviews_then=stats.review_count - reviews,
    )


def _lock_member(member_id: int, *, by: User, with_films: bool) -> User:
    """Lock all films that will change, then the member; give the member."""
    take_time()
    _lock_films_of_member(member_id, with_films)
    member = User.objects.select_for_update().filter(pk=member_id).first()
    if member is None:
        raise NotFound("There is no such member any more.")
    if member.pk == by.pk or (member.role == User.Role.ADMIN and not by.is_superuser):
        raise Forbidden("What you and other admins did is not yours to take away.")
    # What they did between the two locks; from here on they do nothing more.
    _lock_films_of_member(member_id, with_films)
    return member


def _lock_films_of_member(member_id: int, with_films: bool) -> None:
    rated = Rating.objects.filter(user=member_id).order_by().values_list("movie_id")
    written = Review.objects.filter(user=member_id).order_by().values_list("movie_id")
    added = Movie.objects.filter(created_by=member_id).order_by().values_list("pk")
    touched = rated.union(written, *([added] if with_films else []))
    list(MovieStats.objects.filter(pk__in=touched).locked_in_order())


def _lock_reports_by(member: User) -> None:
    """Wait for decisions on what they reported, of which most is about films of others."""
    reports = Report.objects.filter(reporter=member).order_by("pk").select_for_update()
    list(reports.values_list("pk"))


# Of each kind: its table, whose row it is, the film it counts for, the poster it shows.
TABLES = {
    Kind.FILM: ("movies_movie", "row.created_by_id", "row.id", "row.poster_id"),
    Kind.MERGED: ("moderation_mergedfilm", "NULL", "row.survivor_id", "NULL"),
    Kind.RATING: ("ratings_rating", "row.user_id", "row.movie_id", "NULL"),
    Kind.REVIEW: ("reviews_review", "row.user_id", "row.movie_id", "NULL"),
    Kind.HIDDEN: ("reviews_review", "row.user_id", "row.movie_id", "NULL"),
    Kind.REPORT: ("reviews_report", "row.reporter_id", "row.movie_id", "NULL"),
}


def _keep(batch: Sweep, kind: SweptRow.Kind, which: str, ids: Sequence[int]) -> int:
    """Write down the rows of one kind that will go, and give how many."""
    table, owner, film, poster = TABLES[kind]
    return execute(
        f"""
        INSERT INTO moderation_sweptrow (sweep_id, kind, user_id, movie_id, poster_id, data)
        SELECT %(batch)s, %(kind)s, {owner}, {film}, {poster}, to_jsonb(row)
        FROM {table} row WHERE {which}
        """,
        batch=batch.pk,
        kind=kind.value,
        member=batch.member_id,
        ids=list(ids),
    )


def execute(statement: str, **values: Any) -> int:
    """Give how many rows it changed."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def take_time() -> None:
    """Lift the limit of a request until the transaction ends; locks are waited for as ever."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
