"""Reviews: what members write about films, and what moderators hide."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, NoReturn, Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.indexes import BrinIndex, GinIndex
from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db import connection, models
from django.db.models import F, OuterRef, Q, Subquery
from django.utils import timezone

from accounts.models import User
from movies.models import Movie, MovieStats
from movieshelf.api.errors import InvalidInput, NotFound
from movieshelf.api.rendering import to_json
from movieshelf.api.statements import PATIENCE, fetch_all
from movieshelf.api.transactions import retried_atomic, retried_statement
from ratings.models import Rating
from trail.models import MAX_REASON_LENGTH, Act, Verb

MAX_CONTENT_LENGTH = 5_000
MAX_NOTE_LENGTH = 1_000
COUNTED_COLUMNS = frozenset({"is_hidden", "movie", "movie_id"})
# The words of a review in no language: as they were written, without case.
WORDS = SearchVector("content", config="simple")
# What the trail keeps of a review that a moderator changes or takes away.
HIDDEN_STATE = ("is_hidden", "hidden_at", "hidden_by", "hidden_reason")
WHOLE_STATE = ("movie", "user", "content", *HIDDEN_STATE, "created_at", "updated_at")


# The films are locked first, and counted on from what the lock read, as in ratings.models.RATE.
WRITE = f"""
    WITH {PATIENCE}, asked AS (
        SELECT * FROM json_to_recordset(%(asked)s)
            AS asked (movie_id bigint, user_id bigint, content text, at timestamptz)
    ), film AS (
        SELECT movie_id, review_count FROM movies_moviestats CROSS JOIN patience
        WHERE movie_id = ANY(ARRAY(SELECT movie_id FROM asked))
        ORDER BY movie_id FOR NO KEY UPDATE OF movies_moviestats
    ), written AS (
        INSERT INTO reviews_review
            (movie_id, user_id, content, is_hidden, hidden_reason, created_at, updated_at)
        SELECT movie_id, user_id, content, false, '', at, at FROM asked JOIN film USING (movie_id)
        RETURNING id, movie_id, user_id
    ), counted AS (
        UPDATE movies_moviestats stats SET review_count = film.review_count + more.reviews
        FROM (SELECT movie_id, count(*) AS reviews FROM written GROUP BY movie_id) more
        JOIN film USING (movie_id)
        WHERE stats.movie_id = more.movie_id
    )
    SELECT written.movie_id, written.user_id, written.id, rating.value
    FROM written LEFT JOIN ratings_rating rating USING (movie_id, user_id)
"""


class NewReview(NamedTuple):
    """A review that a member writes of a film."""

    movie_id: int
    user_id: int
    content: str


class ReviewQuerySet(models.QuerySet["Review"]):
    @retried_statement
    def write(self, *, user: User, movie_id: int, content: str) -> "Review":
        """Add a member's review of one film; give it as it is read. Raises NotFound.

        What `save()` and its signal do under the film's lock is one statement here, which reads the
        author's rating as well.
        """
        (review,) = self.write_all([NewReview(movie_id, user.pk, content)])
        if review is None:
            raise NotFound("There is no such film.")
        review.user = user
        return review

    def write_all(
        self, written: Sequence[NewReview], *, lock_timeout: str | None = None
    ) -> list["Review | None"]:
        """Add reviews of any members and films in one statement: all of them, or none.

        Gives them in the order given, with what their authors rated the films, None for a film that
        is not there; no member may review one film twice. Locks and errors are as in
        `RatingQuerySet.rate_all`.
        """
        now = timezone.now()
        asked = to_json([{**one._asdict(), "at": now} for one in written]).decode()
        rows = fetch_all(WRITE, {"asked": asked, "lock_timeout": lock_timeout})
        stored = {(row[0], row[1]): row[2:] for row in rows}
        return [self._as_written(one, now, stored.get(one[:2])) for one in written]

    def _as_written(
        self, written: NewReview, now: datetime, row: Sequence[Any] | None
    ) -> "Review | None":
        if row is None:
            return None
        columns = ("id", *NewReview._fields, "is_hidden", "created_at", "updated_at")
        review = Review.from_db(self.db, columns, (row[0], *written, False, now, now))
        review.rating = row[1]
        return review

    def visible_to(self, viewer: User | AnonymousUser) -> Self:
        """What this viewer may see: hidden reviews are for their author and admins."""
        if viewer.is_anonymous:
            return self.filter(is_hidden=False)
        return self if viewer.is_admin else self.filter(Q(is_hidden=False) | Q(user=viewer))

    def saying(self, text: str) -> Self:
        """Reviews with these words, a "phrase" in quotes, or -without some."""
        asked = SearchQuery(text, config="simple", search_type="websearch")
        return self.alias(words=WORDS).filter(words=asked)

    def for_reading(self) -> Self:
        """With the author, and what they rated the film."""
        rated = Rating.objects.filter(movie=OuterRef("movie"), user=OuterRef("user"))
        return self.select_related("user").annotate(rating=Subquery(rated.values("value")[:1]))

    def newest_first(self) -> Self:
        return self.order_by(F("created_at").desc(), F("pk").desc())

    def oldest_first(self) -> Self:
        return self.order_by("created_at", "pk")

    def withdraw(self, user_ids: Sequence[int]) -> int:
        """Delete all reviews of these members in one statement, and count each film down.

        Their films must be locked. Gives the number of reviews.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                """
                WITH rows AS (
                    DELETE FROM reviews_review WHERE user_id = ANY(%s)
                    RETURNING movie_id, is_hidden
                ), gone AS (
                    SELECT movie_id, count(*) FILTER (WHERE NOT is_hidden) AS visible
                    FROM rows GROUP BY movie_id
                ), moved AS (
                    UPDATE movies_moviestats stats SET review_count = review_count - gone.visible
                    FROM gone WHERE stats.movie_id = gone.movie_id
                )
                SELECT count(*) FROM rows
                """,
                [list(user_ids)],
            )
            row = cursor.fetchone()
        return int(row[0]) if row else 0

    def add_all(self, reviews: Sequence["Review"]) -> None:
        """Add new reviews of locked films, with the times that they carry: two statements."""
        models.QuerySet.bulk_create(self, reviews)
        MovieStats.objects.move_reviews_of(Counter(review.movie_id for review in reviews))

    def drop_all(self, reviews: Sequence["Review"]) -> None:
        """Delete reviews of locked films, read after that, and count each film down."""
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM reviews_review WHERE id = ANY(%s)", [[r.pk for r in reviews]]
            )
        gone = Counter(review.movie_id for review in reviews if review.is_counted)
        MovieStats.objects.move_reviews_of({film: -count for film, count in gone.items()})

    def hide(self, *, by: User, reason: str = "") -> int:
        """Hide these reviews as `Review.hide` does; give how many were visible."""
        columns = {"hidden_at": timezone.now(), "hidden_by": by, "hidden_reason": reason}
        return self._set_hidden(True, by=by, reason=reason, **columns)

    def show(self, *, by: User, reason: str = "") -> int:
        """Undo `hide`; give how many were hidden."""
        columns = {"hidden_at": None, "hidden_by": None, "hidden_reason": ""}
        return self._set_hidden(False, by=by, reason=reason, **columns)

    @retried_atomic
    def _set_hidden(self, hidden: bool, *, by: User, reason: str, **columns: Any) -> int:
        changing = self.filter(movie__in=self._lock_films(), is_hidden=not hidden)
        reviews = list(changing.order_by().only("movie", *HIDDEN_STATE))
        Act.objects.record(
            Verb.HIDE if hidden else Verb.SHOW, reviews, by=by, reason=reason, before=HIDDEN_STATE
        )
        chosen = Review.objects.filter(pk__in=[review.pk for review in reviews])
        models.QuerySet.update(chosen, is_hidden=hidden, **columns)
        moved = Counter(review.movie_id for review in reviews)
        MovieStats.objects.move_reviews_of(
            {film: -count if hidden else count for film, count in moved.items()}
        )
        if hidden:
            Report.objects.filter(review__in=chosen).close(Report.Outcome.UPHELD)
        return len(reviews)

    @retried_atomic
    def delete(self, *, by: User | None = None, reason: str = "") -> tuple[int, dict[str, int]]:
        """Delete reviews under the locks of their films, each counted down by its signal.

        `by` is the moderator who does so; authors delete their own.
        """
        chosen = self.filter(movie__in=self._lock_films())
        if by is not None:
            gone = list(chosen)
            Act.objects.record(Verb.DELETE, gone, by=by, reason=reason, before=WHOLE_STATE)
        return models.QuerySet.delete(chosen)

    delete.alters_data = True  # type: ignore[attr-defined]  # Django's mark for templates
    delete.queryset_only = True  # type: ignore[attr-defined]  # as on the method it replaces

    def _lock_films(self) -> Sequence[int]:
        """Lock the films of these reviews; one that gets its first review now is not among them."""
        films = MovieStats.objects.filter(pk__in=self.order_by().values("movie"))
        return list(films.locked_in_order())

    def update(self, **fields: Any) -> int:
        """Change columns that no film counts; bulk_update and related managers come here too."""
        if COUNTED_COLUMNS & fields.keys():
            raise TypeError("A hidden review moves its film's counter: use hide() or show().")
        return super().update(**fields)

    def update_or_create(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("It would lock the review before its film, and deadlock: use save().")

    def bulk_create(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("A new review moves its film's counter: use write() or save().")


# Raises where something that was asked for does not hold.
Requirement = Callable[[], None]


class Review(models.Model):
    # The indexes below begin with these columns, so they need none of their own.
    movie = models.ForeignKey(
        Movie, on_delete=models.DB_CASCADE, related_name="reviews", db_index=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DB_CASCADE,
        related_name="reviews",
        db_index=False,
    )
    content = models.TextField(max_length=MAX_CONTENT_LENGTH)
    is_hidden = models.BooleanField(default=False, editable=False)
    hidden_at = models.DateTimeField(null=True, blank=True, editable=False)
    hidden_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        editable=False,
        on_delete=models.DB_SET_NULL,
        related_name="+",
        db_index=False,
    )
    hidden_reason = models.CharField(max_length=MAX_REASON_LENGTH, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ReviewQuerySet.as_manager()

    # What the author rated the film, where `for_reading()` asked for it.
    rating: int | None
    # Whether the film's counter holds this row.
    is_counted = False

    class Meta:
        base_manager_name = "objects"
        constraints = (
            models.CheckConstraint(
                condition=Q(is_hidden=False, hidden_at=None)
                | Q(is_hidden=True, hidden_at__isnull=False),
                name="review_hidden_since",
            ),
        )
        indexes = (
            models.Index("movie", F("created_at").desc(), F("id").desc(), name="review_of_film"),
            models.Index("user", F("created_at").desc(), name="review_of_member"),
            # Rows come in the order of this column, which makes a few pages of it enough.
            BrinIndex(fields=["created_at"], autosummarize=True, name="review_created"),
            # For moderators, who look for the words of spam.
            GinIndex(WORDS, name="review_words"),
            # Few are hidden: these count them for admins, and find them when an admin leaves.
            models.Index(fields=["movie"], condition=Q(is_hidden=True), name="review_hidden"),
            models.Index(
                fields=["hidden_by"],
                condition=Q(hidden_by__isnull=False),
                name="review_hidden_by",
            ),
        )

    def __str__(self) -> str:
        return f"review {self.pk} of film {self.movie_id}"

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Self:
        review = super().from_db(*args, **kwargs)
        review.is_counted = "is_hidden" not in review.get_deferred_fields() and not review.is_hidden
        return review

    @retried_atomic
    def save(self, **kwargs: Any) -> None:
        """Save the review under the lock of its film, which counts it in the same transaction."""
        self.lock_film()
        super().save(**kwargs)

    @retried_atomic
    def change(
        self,
        *,
        by: User,
        content: str | None = None,
        hidden: bool | None = None,
        reason: str = "",
        require: Requirement | None = None,
    ) -> None:
        """Edit, hide or show it, whichever are asked, all or none. Raises NotFound.

        `require` is asked first, under the lock that every change takes, and may raise.
        """
        if require is not None:
            self.lock_film()
            require()
        if content is not None:
            self.edit(content, by=by.as_moderator_of(self.user_id), reason=reason)
        if hidden:
            self.hide(by=by, reason=reason)
        elif hidden is False:
            self.show(by=by, reason=reason)

    @retried_atomic
    def edit(self, content: str, *, by: User | None = None, reason: str = "") -> None:
        """Change the text; a hidden review stays hidden. Raises NotFound when it is gone.

        `by` is the moderator who does so; authors edit their own.
        """
        if by is not None:
            self._record(Verb.EDIT, ("content", "updated_at"), by=by, reason=reason)
        self.content = content
        self.updated_at = timezone.now()
        self._save_fields("content", "updated_at")

    @retried_atomic
    def hide(self, *, by: User, reason: str = "") -> None:
        """Take the review out of every count and every read but its author's and admins'.

        That is the answer to all reports of it.
        """
        self._record(Verb.HIDE, HIDDEN_STATE, by=by, reason=reason)
        self.is_hidden, self.hidden_at, self.hidden_by = True, timezone.now(), by
        self.hidden_reason = reason
        self._save_fields(*HIDDEN_STATE)
        Report.objects.filter(review=self).close(Report.Outcome.UPHELD)

    @retried_atomic
    def show(self, *, by: User, reason: str = "") -> None:
        """Undo `hide`."""
        self._record(Verb.SHOW, HIDDEN_STATE, by=by, reason=reason)
        self.is_hidden, self.hidden_at, self.hidden_by, self.hidden_reason = False, None, None, ""
        self._save_fields(*HIDDEN_STATE)

    @retried_atomic
    def delete(
        self,
        *args: Any,
        by: User | None = None,
        reason: str = "",
        require: Requirement | None = None,
        **kwargs: Any,
    ) -> tuple[int, dict[str, int]]:
        """Delete the review; of many who do so at once, one does. Raises NotFound for the rest.

        `by` is the moderator who does so; authors delete their own. `require` is asked first, under
        the lock that every change takes, and may raise.
        """
        if not self.lock_film():
            raise NotFound("There is no such review.")
        if require is not None:
            require()
        if by is not None:
            self._record(Verb.DELETE, WHOLE_STATE, by=by, reason=reason)
        return super().delete()

    def lock_film(self) -> bool:
        """Lock the film, then read again what it counts: another may have changed it meanwhile.

        Says whether the review is there.
        """
        Movie.objects.lock(self.movie_id)
        counted = Review.objects.filter(pk=self.pk).values_list("movie", "is_hidden").first()
        if counted and counted[0] != self.movie_id:
            raise ValueError("A review stays with its film.")
        self.is_counted = counted is not None and not counted[1]
        return counted is not None

    def _record(self, verb: Verb, before: Sequence[str], *, by: User, reason: str) -> None:
        """Write down the act with the state before it, as the film's lock holds it."""
        Movie.objects.lock(self.movie_id)
        now = list(Review.objects.filter(pk=self.pk))
        Act.objects.record(verb, now, by=by, reason=reason, before=before)

    def _save_fields(self, *names: str) -> None:
        try:
            self.save(update_fields=names)
        except Review.NotUpdated as exc:
            raise NotFound("There is no such review.") from exc


class OwnThing(InvalidInput):
    default_detail = "This is your own; edit or delete it instead."


class ReportQuerySet(models.QuerySet["Report"]):
    def file(
        self, thing: Review | Movie, *, reporter: User, reason: str, note: str
    ) -> "tuple[Report, bool]":
        """Report a thing to the moderators; give the report, and whether it is new.

        While a member's report is open, a second one of the same thing changes nothing. Raises
        OwnThing.
        """
        owner_id = thing.user_id if isinstance(thing, Review) else thing.created_by_id
        subject: dict[str, Any] = {thing._meta.model_name or "": thing}
        if owner_id == reporter.pk:
            raise OwnThing()
        # The constraint decides between two that arrive together; the second finds the first.
        return self.get_or_create(
            **subject, reporter=reporter, closed_at=None, defaults={"reason": reason, "note": note}
        )

    def open(self) -> Self:
        """Those that no moderator has decided on."""
        return self.filter(closed_at=None)

    def close(self, outcome: "Report.Outcome") -> int:
        """Close the open ones; give how many. The films of what they are about must be locked."""
        return self.open().update(closed_at=timezone.now(), outcome=outcome)


class Report(models.Model):
    """A member's word to the moderators about somebody else's review or film."""

    class Reason(models.TextChoices):
        SPAM = "spam"
        ABUSE = "abuse"
        SPOILER = "spoiler"
        DUPLICATE = "duplicate"
        OTHER = "other"

    class Outcome(models.TextChoices):
        OPEN = ""
        UPHELD = "upheld"
        DISMISSED = "dismissed"

    review = models.ForeignKey(
        Review, null=True, on_delete=models.DB_CASCADE, related_name="reports", db_index=False
    )
    movie = models.ForeignKey(
        Movie, null=True, on_delete=models.DB_CASCADE, related_name="reports", db_index=False
    )
    reporter = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DB_CASCADE, related_name="reports"
    )
    reason = models.CharField(max_length=9, choices=Reason)
    note = models.TextField(max_length=MAX_NOTE_LENGTH, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    closed_at = models.DateTimeField(null=True, editable=False)
    outcome = models.CharField(max_length=9, choices=Outcome, blank=True, editable=False)

    objects = ReportQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["review", "reporter"],
                condition=Q(closed_at=None),
                name="report_of_review_once",
            ),
            models.UniqueConstraint(
                fields=["movie", "reporter"],
                condition=Q(closed_at=None),
                name="report_of_movie_once",
            ),
            models.CheckConstraint(
                condition=Q(review=None, movie__isnull=False) | Q(review__isnull=False, movie=None),
                name="report_of_one_thing",
            ),
            models.CheckConstraint(
                condition=Q(closed_at=None, outcome="")
                | (Q(closed_at__isnull=False) & ~Q(outcome="")),
                name="report_closed_with_outcome",
            ),
        )
        indexes = (
            # With these the database finds the reports of what is deleted, closed ones too.
            models.Index(
                fields=["review"], condition=Q(review__isnull=False), name="report_of_review"
            ),
            models.Index(
                fields=["movie"], condition=Q(movie__isnull=False), name="report_of_movie"
            ),
        )

    def __str__(self) -> str:
        thing = f"review {self.review_id}" if self.review_id else f"film {self.movie_id}"
        return f"{self.reason} report of {thing}"
