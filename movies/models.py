"""The catalogue: films, and beside each the one row of numbers that ratings and reviews move."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn, Self
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import connection, models
from django.db.models import Case, Count, F, Func, Q, Subquery, Sum, Value, When
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan
from django.db.models.functions import Cast, Coalesce, NullIf, Round
from django.utils import timezone

from accounts.models import User
from movies.marks import Move, PageMarks
from movies.searching import TitleMove
from movies.texts import CommonTexts, StarMove, TitleBlock
from movies.titles import search_fold, title_key
from movies.versions import require_version
from movies.words import TitleWord
from movieshelf.api.errors import Conflict, NotFound, constraint_raises
from movieshelf.api.statements import fetch_one
from movieshelf.api.transactions import retried_atomic
from trail.models import Act, Verb

if TYPE_CHECKING:
    from ratings.models import Rating

__all__ = (
    "CommonTexts",
    "Move",
    "Movie",
    "MovieStats",
    "PageMarks",
    "StarCount",
    "StarMove",
    "TitleBlock",
    "TitleMove",
    "TitleWord",
)

MAX_TITLE_LENGTH = 200
MAX_SYNOPSIS_LENGTH = 5_000
MAX_URL_LENGTH = 500

# What save() keeps in step with the rest of the film, so that update() must not change it.
DERIVED_COLUMNS = frozenset({"title", "title_key", "title_search", "created_at"})

# What the trail keeps of a film that a moderator takes away.
WHOLE_STATE = (
    "title",
    "release_date",
    "synopsis",
    "trailer_url",
    "poster",
    "created_by",
    "created_at",
    "updated_at",
)

STARS = (1, 2, 3, 4, 5)
# The prior of the weighted rating: ten imagined ratings of 3.0 (contract section 4).
PRIOR_WEIGHT = 10
PRIOR_SUM = 30
PRIOR = {"mean": PRIOR_SUM / PRIOR_WEIGHT, "weight": PRIOR_WEIGHT}
# Two different means of up to 30 million ratings each differ by more than this many decimals.
AVERAGE_DECIMALS = 15
SCORE_DECIMALS = 3


# What the lists are sorted by where the column itself would have nulls, or run against the others:
# so that each order is one direction of one index, and a place in it one comparison of rows.
LATEST_RELEASE = Func(
    F("release_date"),
    template="COALESCE(%(expressions)s - DATE '2000-01-01', -10000000)",
    output_field=models.IntegerField(),
)
EARLIEST_RELEASE = Func(
    F("release_date"),
    template="COALESCE(DATE '2000-01-01' - %(expressions)s, -10000000)",
    output_field=models.IntegerField(),
)
UNRATED_LAST = Value(Decimal(-1))

READ_COLUMNS = (
    *("id", "title", "release_date", "synopsis", "trailer_url", "poster_id", "created_by_id"),
    *("created_at", "updated_at", "version"),
)
READ_NUMBERS = (
    "movie_id",
    *(f"rating_{value}" for value in STARS),
    *("review_count", "rating_count", "average_rating", "score"),
)
# PostgreSQL notes on each row the transaction that wrote it.
ROW_VERSIONS = "movies_movie.xmin::text || '.' || movies_moviestats.xmin::text"
# Asks for the row versions of the film with an id.
ROW_VERSIONS_OF = (
    f"SELECT {ROW_VERSIONS} FROM movies_movie"
    " JOIN movies_moviestats ON movies_moviestats.movie_id = movies_movie.id"
    " WHERE movies_movie.id = %s"
)
READ = ROW_VERSIONS_OF.replace(
    "SELECT ",
    f"SELECT {', '.join(f'movies_movie.{name}' for name in READ_COLUMNS)},"
    f" {', '.join(f'movies_moviestats.{name}' for name in READ_NUMBERS)}, ",
)


class TitleTaken(Conflict):
    default_detail = (
        "A film with this title is on the shelf already. A remake carries its year: Dune (2021)."
    )

    def __init__(self, movie_id: int | None) -> None:
        taken = {"code": "conflict", "message": self.default_detail, "movieId": movie_id}
        super().__init__(details={"title": [taken]})


class MovieQuerySet(models.QuerySet["Movie"]):
    def with_stats(self) -> Self:
        """With the film's numbers; the filter makes the join an inner one, free to start there."""
        return self.filter(stats__isnull=False).select_related("stats")

    def read(self, pk: int) -> "Movie":
        """Give one film with its numbers and `row_versions`, in one remembered statement.

        The row versions change whoever changes the film or its numbers, and however. What only
        searches and constraints look at stays where it is. Raises NotFound.
        """
        row = fetch_one(READ, [pk], using=self.db)
        if row is None:
            raise NotFound("There is no such film.")
        movie = Movie.from_db(self.db, READ_COLUMNS, row[: len(READ_COLUMNS)])
        movie.stats = MovieStats.from_db(self.db, READ_NUMBERS, row[len(READ_COLUMNS) : -1])
        movie.row_versions = row[-1]
        return movie

    def with_posters(self, media_ids: Sequence[UUID]) -> Self:
        return self.filter(poster__in=media_ids)

    def lock_row(self, pk: int) -> "Movie":
        """Lock one film's own row until the transaction ends: editors wait, raters do not.

        Raises NotFound.
        """
        movie = self.select_for_update(of=("self",), no_key=True).filter(pk=pk).first()
        if movie is None:
            raise NotFound("There is no such film.")
        return movie

    def titled(self, title: str) -> Self:
        """The film that has this title, in any spelling that counts as the same."""
        return self.filter(title_key=title_key(title))

    def titled_like(self, folded: str) -> Self:
        """Films whose title contains the text, which is folded already; '' is no filter."""
        return self.filter(title_search__contains=folded) if folded else self

    def rated_at_least(self, stars: int) -> Self:
        """Films whose average, rounded half up to a whole, is at least `stars`; 0 is every film."""
        return self.filter(stats__stars__gte=stars) if stars else self

    def added_by(self, user: User) -> Self:
        return self.filter(created_by=user)

    def require(self, pk: int) -> None:
        """Raise NotFound unless there is this film."""
        if not self.filter(pk=pk).exists():
            raise NotFound("There is no such film.")

    def lock(self, pk: int) -> "MovieStats":
        """Lock one film until the transaction ends, by its row of numbers.

        Everything that changes a film's ratings or reviews does this first, several films in
        the order of their ids: so two writers wait for each other and never deadlock.
        Raises NotFound.
        """
        return MovieStats.objects.select_for_update(no_key=True).require(pk)

    @retried_atomic
    def delete(self, *, by: User | None = None, reason: str = "") -> tuple[int, dict[str, int]]:
        """Delete films; the database takes their numbers, ratings and reviews along.

        `by` is the moderator who does so; owners delete their own.
        """
        ids = list(MovieStats.objects.filter(pk__in=self.values("pk")).locked_in_order())
        if by is not None:
            gone = list(Movie.objects.filter(pk__in=ids))
            Act.objects.record(Verb.DELETE, gone, by=by, reason=reason, before=WHOLE_STATE)
        return models.QuerySet.delete(Movie.objects.filter(pk__in=ids).order_by())

    delete.alters_data = True  # type: ignore[attr-defined]  # Django's mark for templates
    delete.queryset_only = True  # type: ignore[attr-defined]  # as on the method it replaces

    @retried_atomic
    def add_all(self, movies: Sequence["Movie"]) -> None:
        """Add new films, each with its row of numbers, in two statements.

        Raises TitleTaken when one of the titles is on the shelf meanwhile: none is added then.
        """
        # In one order: of two who add the same titles at once, one waits, and neither for ever.
        in_order = sorted(movies, key=lambda movie: title_key(movie.title))
        for movie in in_order:
            movie.derive_keys()
        with constraint_raises("movie_title_unique", TitleTaken(None)):
            models.QuerySet.bulk_create(self, in_order)
        numbers = [
            MovieStats(movie=m, created_at=m.created_at, release_date=m.release_date)
            for m in in_order
        ]
        models.QuerySet.bulk_create(MovieStats.objects.all(), numbers)

    def bulk_create(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("A film needs its row of numbers: use save(), add_all() or seeding.")

    def update(self, **fields: Any) -> int:
        if DERIVED_COLUMNS & fields.keys():
            raise TypeError("A title carries its keys, and a film its day of upload: use save().")
        return super().update(**fields)


class Movie(models.Model):
    title = models.CharField(max_length=MAX_TITLE_LENGTH)
    title_key = models.TextField(editable=False)
    title_search = models.TextField(editable=False)
    release_date = models.DateField(null=True, blank=True)
    synopsis = models.TextField(max_length=MAX_SYNOPSIS_LENGTH, blank=True, default="")
    trailer_url = models.URLField(max_length=MAX_URL_LENGTH, null=True, blank=True)  # noqa: DJ001  # null on the wire
    poster = models.ForeignKey(
        "media.Media", null=True, blank=True, on_delete=models.DB_SET_NULL, related_name="+"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.DB_SET_NULL,
        related_name="movies",
        db_index=False,
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    version = models.PositiveIntegerField(default=1, editable=False)

    objects = MovieQuerySet.as_manager()

    class Meta:
        base_manager_name = "objects"
        constraints = (models.UniqueConstraint(fields=["title_key"], name="movie_title_unique"),)
        indexes = (
            models.Index(F("created_at").desc(), F("id").desc(), name="movie_uploaded"),
            models.Index(
                LATEST_RELEASE.desc(), F("created_at").desc(), F("id").desc(), name="movie_latest"
            ),
            models.Index(
                EARLIEST_RELEASE.desc(),
                F("created_at").desc(),
                F("id").desc(),
                name="movie_earliest",
            ),
            models.Index(
                "created_by", F("created_at").desc(), F("id").desc(), name="movie_of_member"
            ),
            GinIndex(OpClass("title_search", name="gin_trgm_ops"), name="movie_title_trigrams"),
        )

    stats: "MovieStats"
    # Where `read()` asked for them.
    row_versions: str
    ratings: "models.Manager[Rating]"

    def __str__(self) -> str:
        return self.title

    def save(self, **kwargs: Any) -> None:
        """Save the film: a new one gets its row of numbers, an old one is one edit further.

        Raises TitleTaken.
        """
        fields = kwargs.get("update_fields")
        if fields is not None:
            keys = {"title_key", "title_search"} if "title" in fields else set()
            kwargs["update_fields"] = {*fields, *keys, "updated_at", "version"}
        # Asked before the first try: a second one, after a deadlock, finds the id given already.
        self._save(is_new=self._state.adding, **kwargs)

    @retried_atomic
    def _save(self, *, is_new: bool, **kwargs: Any) -> None:
        old_key = self.title_key
        self.derive_keys()
        if not is_new:
            if "release_date" in (kwargs.get("update_fields") or ()):
                Movie.objects.lock(self.pk)
            self.updated_at = timezone.now()
            self.version = F("version") + 1
            if old_key != self.title_key:
                reserve_titles(old_key, self.title_key)
        self._save_row(**kwargs)
        if is_new:
            self.stats = MovieStats.objects.create(
                movie=self, created_at=self.created_at, release_date=self.release_date
            )

    def _save_row(self, **kwargs: Any) -> None:
        for is_last_try in (False, True):
            try:
                with constraint_raises("movie_title_unique", TitleTaken(None)):
                    return super().save(**kwargs)
            except TitleTaken as exc:
                taken_by = self._who_has_the_title()
                # Nobody any more, where that film was deleted at this instant: the title is free.
                if taken_by or is_last_try:
                    raise TitleTaken(taken_by) from exc

    def derive_keys(self) -> None:
        """Bring the keys in step with the title; saving does it."""
        self.title_key = title_key(self.title)
        self.title_search = search_fold(self.title)

    @retried_atomic
    def edit(
        self, *, if_match: Sequence[str] | None = None, by: User | None = None, **fields: Any
    ) -> "Movie":
        """Change what its owner may change, as one edit, and give the film as it is then.

        `if_match` holds the ETags one of which must name the current edit; `by` is the moderator
        who edits, where it is not the owner. Raises NotFound, PreconditionFailed, TitleTaken.
        """
        if "release_date" in fields:
            Movie.objects.lock(self.pk)  # its numbers have the date too, and are locked first
        movie = Movie.objects.with_stats().lock_row(self.pk)
        if if_match is not None:
            require_version(movie, if_match)
        if fields:
            Act.objects.record(Verb.EDIT, [movie], by=by, before=list(fields))
            for name, value in fields.items():
                setattr(movie, name, value)
            movie.save()
        return movie

    @retried_atomic
    def delete(
        self,
        *args: Any,
        by: User | None = None,
        reason: str = "",
        if_match: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> tuple[int, dict[str, int]]:
        """Delete the film with its ratings and reviews. Raises NotFound when it is gone already.

        `if_match` holds the ETags one of which must name the current edit, or PreconditionFailed.
        """
        if if_match is not None:
            Movie.objects.lock(self.pk)
            require_version(Movie.objects.with_stats().lock_row(self.pk), if_match)
        deleted = Movie.objects.filter(pk=self.pk).delete(by=by, reason=reason)
        if not deleted[0]:
            raise NotFound("There is no such film.")
        return deleted

    def _who_has_the_title(self) -> int | None:
        return Movie.objects.filter(title_key=self.title_key).values_list("pk", flat=True).first()

    @property
    def poster_url(self) -> str | None:
        return f"/media/{self.poster_id}" if self.poster_id else None


def reserve_titles(*keys: str) -> None:
    """Have these titles to oneself until the transaction ends.

    Two films that swap their titles would deadlock in the unique index, each waiting for the other
    to let go of the title it wants.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(key, 0)) FROM unnest(%s::text[]) AS key",
            [sorted(keys)],
        )


# The index `stats_rank` keeps films in this order, from the last to the first.
RANK_ORDER = Tuple(Coalesce("score", UNRATED_LAST), F("created_at"), F("movie"))


class MovieStatsQuerySet(models.QuerySet["MovieStats"]):
    def require(self, pk: int) -> "MovieStats":
        """Give the numbers of one film. Raises NotFound."""
        stats = self.filter(pk=pk).first()
        if stats is None:
            raise NotFound("There is no such film.")
        return stats

    def locked_in_order(self) -> Iterable[int]:
        """Lock these films until the transaction ends, in the order of their ids; give the ids."""
        return self.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True)

    def just_above(self, stats: "MovieStats") -> "MovieStats | None":
        """Give the film that stands before this one in the order of `rank`, None at the top."""
        higher = TupleGreaterThan(RANK_ORDER, (stats.score, stats.created_at, stats.pk))
        upwards = (Coalesce("score", UNRATED_LAST).asc(), F("created_at").asc(), F("movie").asc())
        return self.filter(higher).select_related("movie").order_by(*upwards).first()

    def just_below(self, stats: "MovieStats") -> "MovieStats | None":
        """Give the film that stands after this one in the order of `rank`, None for the last."""
        lower = TupleLessThan(RANK_ORDER, (stats.score, stats.created_at, stats.pk))
        best_first = Coalesce("score", UNRATED_LAST).desc()
        downwards = (best_first, F("created_at").desc(), F("movie").desc())
        rated = self.exclude(score=None)  # the unrated stand last, and have no rank
        return rated.filter(lower).select_related("movie").order_by(*downwards).first()

    def move_rating(self, movie_id: int, *, old: int | None, new: int | None) -> None:
        """Count one rating of a film that was `old` and is `new`; None is no rating."""
        if old == new:
            return
        moves: dict[str, Any] = {}
        if old is not None:
            moves[f"rating_{old}"] = F(f"rating_{old}") - 1
        if new is not None:
            moves[f"rating_{new}"] = F(f"rating_{new}") + 1
        models.QuerySet.update(self.filter(pk=movie_id), **moves)

    def move_ratings(self, moves: Iterable[tuple[int, int | None, int | None]]) -> None:
        """Count ratings of many films, each `(film, old, new)`, in one statement.

        The films must be locked.
        """
        by = ", ".join(
            f"count(*) FILTER (WHERE new = {v}) - count(*) FILTER (WHERE old = {v}) AS by_{v}"
            for v in STARS
        )
        columns = [list(column) for column in zip(*moves, strict=True)] or [[], [], []]
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                UPDATE movies_moviestats stats
                SET {", ".join(f"rating_{v} = stats.rating_{v} + by_{v}" for v in STARS)}
                FROM (
                    SELECT movie_id, {by}
                    FROM unnest(%s::bigint[], %s::smallint[], %s::smallint[])
                        AS move (movie_id, old, new)
                    GROUP BY movie_id
                ) moved
                WHERE stats.movie_id = moved.movie_id
                """,  # the columns are ours
                columns,
            )

    def move_reviews_of(self, moves: Mapping[int, int]) -> None:
        """Count so many more visible reviews of each of many locked films, in one statement."""
        with connection.cursor() as cursor:
            cursor.execute(
                """
                UPDATE movies_moviestats stats SET review_count = stats.review_count + move.by
                FROM unnest(%s::bigint[], %s::int[]) AS move (movie_id, by)
                WHERE stats.movie_id = move.movie_id
                """,
                [list(moves), list(moves.values())],
            )

    def move_reviews(self, movie_id: int, by: int) -> None:
        """Count `by` more visible reviews of a film."""
        if by:
            models.QuerySet.update(self.filter(pk=movie_id), review_count=F("review_count") + by)

    def update(self, **fields: Any) -> NoReturn:
        raise TypeError("The numbers of a film follow its rows: use recompute.")

    def bulk_create(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("The numbers of a film come with the film: use Movie.save().")

    def delete(self) -> NoReturn:
        raise TypeError("The numbers of a film go with the film: use Movie.delete().")


def _rating_count() -> Any:
    return F("rating_1") + F("rating_2") + F("rating_3") + F("rating_4") + F("rating_5")


def _rating_sum() -> Any:
    return (
        F("rating_1")
        + Value(2) * F("rating_2")
        + Value(3) * F("rating_3")
        + Value(4) * F("rating_4")
        + Value(5) * F("rating_5")
    )


def _numeric(expression: Any) -> Cast:
    return Cast(expression, models.DecimalField(max_digits=None, decimal_places=None))


class MovieStats(models.Model):
    """The numbers of one film: six counters that writes move, the rest derived by PostgreSQL.

    They stand apart from Movie because a rating would otherwise rewrite every index of the film's
    row, the title's trigrams included. Nobody ever writes an average. `created_at` is the film's
    (it never changes), so that each order ends on its own index, and so is `release_date`, which a
    trigger keeps: what moves a film in any list is a change of this one row (movies/marks.py).
    """

    movie = models.OneToOneField(
        Movie, primary_key=True, on_delete=models.DB_CASCADE, related_name="stats"
    )
    created_at = models.DateTimeField(editable=False)
    release_date = models.DateField(null=True, editable=False)
    rating_1 = models.PositiveIntegerField(default=0, editable=False)
    rating_2 = models.PositiveIntegerField(default=0, editable=False)
    rating_3 = models.PositiveIntegerField(default=0, editable=False)
    rating_4 = models.PositiveIntegerField(default=0, editable=False)
    rating_5 = models.PositiveIntegerField(default=0, editable=False)
    review_count = models.PositiveIntegerField(default=0, editable=False)
    rating_count = models.GeneratedField(
        expression=_rating_count(),
        output_field=models.IntegerField(),
        db_persist=True,
    )
    average_rating = models.GeneratedField(
        expression=Coalesce(
            Round(
                _numeric(_rating_sum()) / NullIf(_numeric(_rating_count()), Value(Decimal(0))),
                AVERAGE_DECIMALS,
            ),
            Value(Decimal(0)),
        ),
        output_field=models.DecimalField(max_digits=16, decimal_places=AVERAGE_DECIMALS),
        db_persist=True,
    )
    stars = models.GeneratedField(
        expression=Coalesce(
            Func(
                _numeric(_rating_sum()) / NullIf(_numeric(_rating_count()), Value(Decimal(0)))
                + Value(Decimal("0.5")),
                function="FLOOR",
            ),
            Value(Decimal(0)),
        ),
        output_field=models.SmallIntegerField(),
        db_persist=True,
    )
    score = models.GeneratedField(
        expression=Case(
            When(
                Q(rating_1__gt=0)
                | Q(rating_2__gt=0)
                | Q(rating_3__gt=0)
                | Q(rating_4__gt=0)
                | Q(rating_5__gt=0),
                then=Round(
                    _numeric(_rating_sum() + Value(PRIOR_SUM))
                    / _numeric(_rating_count() + Value(PRIOR_WEIGHT)),
                    SCORE_DECIMALS,
                ),
            ),
            default=None,
        ),
        output_field=models.DecimalField(max_digits=4, decimal_places=SCORE_DECIMALS, null=True),
        db_persist=True,
    )

    objects = MovieStatsQuerySet.as_manager()

    class Meta:
        base_manager_name = "objects"
        verbose_name = "numbers of a film"
        verbose_name_plural = "numbers of films"
        indexes = (
            models.Index(
                F("review_count").desc(),
                F("created_at").desc(),
                F("movie").desc(),
                name="stats_reviews",
            ),
            models.Index(
                F("average_rating").desc(),
                F("rating_count").desc(),
                F("created_at").desc(),
                F("movie").desc(),
                name="stats_average",
            ),
            models.Index(
                Coalesce("score", UNRATED_LAST).desc(),
                F("created_at").desc(),
                F("movie").desc(),
                name="stats_rank",
            ),
        )

    def __str__(self) -> str:
        return f"numbers of film {self.pk}"

    def save(self, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("The numbers of a film follow its rows: use recompute.")
        super().save(**kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("The numbers of a film go with the film: use Movie.delete().")

    @property
    def distribution(self) -> dict[str, int]:
        return {str(value): getattr(self, f"rating_{value}") for value in STARS}

    @property
    def prior(self) -> dict[str, float]:
        """What the score starts from."""
        return PRIOR

    @property
    def above(self) -> "MovieStats | None":
        """The film that stands before this one in the order of `rank`."""
        return None if self.score is None else MovieStats.objects.just_above(self)

    @property
    def below(self) -> "MovieStats | None":
        """The film that stands after this one in the order of `rank`."""
        return None if self.score is None else MovieStats.objects.just_below(self)

    @property
    def shown_average(self) -> float:
        """The mean, rounded half up to two decimals as the contract shows it."""
        return shown_average(self.average_rating)


# Every list of films asks for it.
FILMS_OF_AT_LEAST = "SELECT coalesce(sum(films), 0) FROM movies_starcount WHERE stars >= %s"


class StarCountQuerySet(models.QuerySet["StarCount"]):
    def films_of_at_least(self, stars: int, *, but_not: "MovieQuerySet | None" = None) -> int:
        """Give how many films have an average that rounds to at least `stars`; 0 is every film.

        Films that all have these stars may be left out: counted in the same snapshot.
        """
        if but_not is None:
            row = fetch_one(FILMS_OF_AT_LEAST, (stars,), using=self.db)
            return int(row[0]) if row else 0
        counted = but_not.order_by().values(all=Value(1)).annotate(films=Count("pk"))
        mine = Coalesce(Subquery(counted.values("films")), 0)
        films = Coalesce(Sum("films"), 0) - mine
        return int(self.filter(stars__gte=stars).aggregate(films=films)["films"])


class StarCount(models.Model):
    """A change of how many films have how many stars; the sum of the rows is the number now.

    Triggers of the numbers' table add the rows in the transaction of each change, and fold them
    now and then. So nobody waits for a counter, and no reader sees a film without its count.
    """

    id = models.BigAutoField(primary_key=True)
    stars = models.SmallIntegerField()
    films = models.BigIntegerField()

    objects = StarCountQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.films:+} films of {self.stars} stars"


def shown_average(average: Decimal) -> float:
    """Give a mean as it is shown: rounded half up to two decimals."""
    return float(average.quantize(Decimal("0.01"), rounding="ROUND_HALF_UP"))
