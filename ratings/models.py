"""Ratings: one per member and film."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, NoReturn, Self

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import connection, models
from django.utils import timezone

from accounts.models import User
from movies.models import STARS, Movie, MovieStats
from movieshelf.api.errors import NotFound
from movieshelf.api.rendering import to_json
from movieshelf.api.statements import PATIENCE, fetch_all
from movieshelf.api.transactions import retried_atomic, retried_statement
from trail.models import Act, Verb

COUNTED_COLUMNS = frozenset({"value", "movie", "movie_id"})
# What the trail keeps of a rating that a moderator takes away.
WHOLE_STATE = ("movie", "user", "value", "created_at", "updated_at")

NUMBERS = (*(f"rating_{value}" for value in STARS), "rating_count", "average_rating")
_MOVES = ", ".join(
    f"count(*) FILTER (WHERE value = {v}) - count(*) FILTER (WHERE replaced = {v}) AS rating_{v}"
    for v in STARS
)
_COUNTED_ON = ", ".join(f"rating_{v} = film.rating_{v} + moves.rating_{v}" for v in STARS)
# The films are locked first, like everywhere, in the order of their ids, and for as long as this
# one statement takes. What it counts is read by that lock, and counted on from there: `stats` is at
# first the row as it was when the statement began, and what is counted on from that may offend a
# constraint before PostgreSQL finds that it is old. Where a film's values stay what they were, its
# numbers do, and their row is left.
RATE = f"""
    WITH {PATIENCE}, asked AS (
        SELECT * FROM json_to_recordset(%(asked)s)
            AS asked (movie_id bigint, user_id bigint, value smallint, at timestamptz)
    ), film AS (
        SELECT movie_id, {", ".join(NUMBERS)} FROM movies_moviestats CROSS JOIN patience
        WHERE movie_id = ANY(ARRAY(SELECT movie_id FROM asked))
        ORDER BY movie_id FOR NO KEY UPDATE OF movies_moviestats
    ), rated AS (
        INSERT INTO ratings_rating AS rating (movie_id, user_id, value, created_at, updated_at)
        SELECT movie_id, user_id, value, at, at FROM asked JOIN film USING (movie_id)
        ON CONFLICT (movie_id, user_id)
            DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
        RETURNING id, movie_id, user_id, new.value, new.created_at, old.value AS replaced
    ), moves AS (
        SELECT movie_id, {_MOVES}
        FROM rated GROUP BY movie_id HAVING bool_or(replaced IS DISTINCT FROM value)
    ), moved AS (
        UPDATE movies_moviestats stats SET {_COUNTED_ON}
        FROM moves JOIN film USING (movie_id) WHERE stats.movie_id = moves.movie_id
        RETURNING {", ".join(f"stats.{name}" for name in ("movie_id", *NUMBERS))}
    )
    SELECT rated.movie_id, rated.user_id, rated.id, rated.created_at,
        {", ".join(f"coalesce(moved.{name}, film.{name})" for name in NUMBERS)}
    FROM rated JOIN film USING (movie_id) LEFT JOIN moved USING (movie_id)
"""


class NewRating(NamedTuple):
    """A rating that a member gives a film."""

    movie_id: int
    user_id: int
    value: int


class RatingQuerySet(models.QuerySet["Rating"]):
    @retried_statement
    def rate(self, *, user: User, movie_id: int, value: int) -> "Rating":
        """Set the member's rating of one film, replacing an earlier one. Raises NotFound.

        The rating's `stats` are the film's numbers right after it. What `save()` and its signal do
        under the film's lock in seven statements is one here: many rate one film at once, and
        each waits for the lock of the one before.
        """
        (rating,) = self.rate_all([NewRating(movie_id, user.pk, value)])
        if rating is None:
            raise NotFound("There is no such film.")
        return rating

    def rate_all(
        self, given: Sequence[NewRating], *, lock_timeout: str | None = None
    ) -> list["Rating | None"]:
        """Set ratings of any members and films in one statement: all of them, or none.

        Gives them in the order given, None for a film that is not there; no member may rate one
        film twice. Locks are waited for as long as always, or for a `lock_timeout` as PostgreSQL
        writes it. Raises OperationalError, for a lock say, where one rating alone would be tried
        again.
        """
        now = timezone.now()
        asked = to_json([{**one._asdict(), "at": now} for one in given]).decode()
        rows = fetch_all(RATE, {"asked": asked, "lock_timeout": lock_timeout})
        rated = {(row[0], row[1]): row[2:] for row in rows}
        return [self._as_rated(one, now, rated.get(one[:2])) for one in given]

    def _as_rated(
        self, given: NewRating, now: datetime, row: Sequence[Any] | None
    ) -> "Rating | None":
        if row is None:
            return None
        pk, created_at, *numbers = row
        columns = ("id", *NewRating._fields, "created_at", "updated_at")
        rating = Rating.from_db(self.db, columns, (pk, *given, created_at, now))
        rating.stats = MovieStats.from_db(
            self.db, ("movie_id", *NUMBERS), (given.movie_id, *numbers)
        )
        return rating

    @retried_atomic
    def unrate(self, *, user: User, movie_id: int) -> None:
        """Take the member's rating of one film back. Raises NotFound when there is none."""
        Movie.objects.lock(movie_id)
        rating = self.filter(user=user, movie_id=movie_id).first()
        if rating is None:
            raise NotFound("You have not rated this film.")
        # Its own delete() would lock and read it all again.
        models.Model.delete(rating)

    def of(self, user: User) -> Self:
        return self.filter(user=user)

    def put_all(self, ratings: Sequence["Rating"]) -> None:
        """Save one member's ratings, new and changed, of different films: three statements.

        The films must be locked, and each rating that is there read after that. Unlike `rate`, it
        keeps the times that the ratings carry.
        """
        moves = [(r.movie_id, r.counted_value, r.value) for r in ratings]
        models.QuerySet.bulk_create(self, [r for r in ratings if r.pk is None])
        changed = [r for r in ratings if r.counted_value is not None]
        with connection.cursor() as cursor:
            cursor.execute(
                """
                UPDATE ratings_rating SET value = new.value, updated_at = new.updated_at
                FROM unnest(%s::bigint[], %s::smallint[], %s::timestamptz[])
                    AS new (id, value, updated_at)
                WHERE ratings_rating.id = new.id
                """,
                [
                    [r.pk for r in changed],
                    [r.value for r in changed],
                    [r.updated_at for r in changed],
                ],
            )
        MovieStats.objects.move_ratings(moves)
        for rating in ratings:
            rating.counted_value = rating.value

    def drop_all(self, ratings: Sequence["Rating"]) -> None:
        """Delete ratings of locked films, read after that, and count each film down."""
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM ratings_rating WHERE id = ANY(%s)", [[r.pk for r in ratings]]
            )
        MovieStats.objects.move_ratings((r.movie_id, r.counted_value, None) for r in ratings)

    def withdraw(self, user_ids: Sequence[int]) -> int:
        """Delete all ratings of these members in one statement, and count each film down.

        Their films must be locked. Gives the number of ratings.
        """
        moves = ", ".join(f"rating_{v} = stats.rating_{v} - gone.rating_{v}" for v in STARS)
        counts = ", ".join(f"count(*) FILTER (WHERE value = {v}) AS rating_{v}" for v in STARS)
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                WITH rows AS (
                    DELETE FROM ratings_rating WHERE user_id = ANY(%s) RETURNING movie_id, value
                ), gone AS (
                    SELECT movie_id, {counts} FROM rows GROUP BY movie_id
                ), moved AS (
                    UPDATE movies_moviestats stats SET {moves} FROM gone
                    WHERE stats.movie_id = gone.movie_id
                )
                SELECT count(*) FROM rows
                """,  # the columns are ours
                [list(user_ids)],
            )
            row = cursor.fetchone()
        return int(row[0]) if row else 0

    @retried_atomic
    def delete(self, *, by: User | None = None, reason: str = "") -> tuple[int, dict[str, int]]:
        """Delete ratings under the locks of their films, each counted down by its signal.

        `by` is the moderator who does so; members take back their own.
        """
        films = MovieStats.objects.filter(pk__in=self.order_by().values("movie"))
        # A film that was rated since then is not locked, and its new rating stays.
        chosen = self.filter(movie__in=list(films.locked_in_order()))
        if by is not None:
            gone = list(chosen)
            Act.objects.record(Verb.DELETE, gone, by=by, reason=reason, before=WHOLE_STATE)
        return models.QuerySet.delete(chosen)

    delete.alters_data = True  # type: ignore[attr-defined]  # Django's mark for templates
    delete.queryset_only = True  # type: ignore[attr-defined]  # as on the method it replaces

    def update(self, **fields: Any) -> int:
        """Change columns that no film counts; bulk_update and related managers come here too."""
        if COUNTED_COLUMNS & fields.keys():
            raise TypeError("A changed rating moves its film's counters: use rate() or save().")
        return super().update(**fields)

    def update_or_create(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("It would lock the rating before its film, and deadlock: use rate().")

    def bulk_create(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("A new rating moves its film's counters: use rate() or save().")


class Rating(models.Model):
    # The constraint and the index below begin with these columns, so they need none of their own.
    movie = models.ForeignKey(
        Movie, on_delete=models.DB_CASCADE, related_name="ratings", db_index=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DB_CASCADE,
        related_name="ratings",
        db_index=False,
    )
    value = models.PositiveSmallIntegerField(choices=[(value, "★" * value) for value in STARS])
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = RatingQuerySet.as_manager()

    # What the film's counters hold of this row; None while they hold nothing.
    counted_value: int | None = None
    # The film's numbers right after rate().
    stats: MovieStats

    class Meta:
        base_manager_name = "objects"
        constraints = (
            models.UniqueConstraint(fields=["movie", "user"], name="rating_once_per_member"),
            models.CheckConstraint(
                condition=models.Q(value__gte=1, value__lte=5), name="rating_from_1_to_5"
            ),
        )
        indexes = (
            models.Index("user", models.F("updated_at").desc(), name="rating_of_member"),
            # Rows come in the order of this column, which makes a few pages of it enough.
            BrinIndex(fields=["created_at"], autosummarize=True, name="rating_created"),
        )

    def __str__(self) -> str:
        return f"{self.value} of user {self.user_id} for film {self.movie_id}"

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Self:
        rating = super().from_db(*args, **kwargs)
        if "value" not in rating.get_deferred_fields():
            rating.counted_value = rating.value
        return rating

    @retried_atomic
    def save(self, **kwargs: Any) -> None:
        """Save the rating under the lock of its film, which counts it in the same transaction."""
        self.lock_film()
        self.save_locked(**kwargs)

    def save_locked(self, **kwargs: Any) -> None:
        """Save the rating where its film is locked and its row was read after that."""
        self.updated_at = timezone.now()
        if kwargs.get("update_fields") is not None:
            kwargs["update_fields"] = {*kwargs["update_fields"], "updated_at"}
        super().save(**kwargs)

    @retried_atomic
    def delete(
        self, *args: Any, by: User | None = None, reason: str = "", **kwargs: Any
    ) -> tuple[int, dict[str, int]]:
        self.lock_film()
        Act.objects.record(Verb.DELETE, [self], by=by, reason=reason, before=WHOLE_STATE)
        return super().delete()

    def lock_film(self) -> None:
        """Lock the film, then read again what it counts: another may have changed it meanwhile."""
        Movie.objects.lock(self.movie_id)
        counted = Rating.objects.filter(pk=self.pk).values_list("movie", "value").first()
        if counted and counted[0] != self.movie_id:
            raise ValueError("A rating stays with its film.")
        self.counted_value = counted[1] if counted else None
