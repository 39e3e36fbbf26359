"""What the moderators' desk keeps: cases, merged films, and batches that can be undone."""

from typing import Any, Self, cast

from django.contrib.postgres.fields import ArrayField
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone

from accounts.models import User
from media.models import Media
from movies.models import Movie
from movieshelf.api.errors import NotFound
from reviews.models import Review
from trail.models import MAX_REASON_LENGTH


class CaseQuerySet(models.QuerySet["Case"]):
    def with_things(self) -> Self:
        """With what was reported, and who wrote or added it."""
        return self.select_related("review__movie", "review__user", "movie__created_by")


class Case(models.Model):
    """A review or a film with open reports, made of those by a view of the database.

    So there is no second account of what is open, and a case is gone with its last open report.
    """

    id = models.TextField(primary_key=True)
    review = models.ForeignKey(Review, null=True, on_delete=models.DO_NOTHING, related_name="+")
    movie = models.ForeignKey(
        Movie, null=True, on_delete=models.DO_NOTHING, related_name="+", verbose_name="film"
    )
    report_count = models.IntegerField("reports")
    first_reported_at = models.DateTimeField()
    reasons = ArrayField(models.TextField())

    objects = CaseQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "moderation_case"
        verbose_name = "case"
        verbose_name_plural = "queue"

    def __str__(self) -> str:
        return str(self.thing)

    @property
    def thing(self) -> Review | Movie:
        """What was reported."""
        return cast(Review | Movie, self.review or self.movie)

    @property
    def author(self) -> User | None:
        """Who wrote the review, or added the film."""
        if self.review:
            return self.review.user
        return self.movie.created_by if self.movie else None


class MergedFilm(models.Model):
    """Where a film is found that was merged into another; always the last one of a chain."""

    old_id = models.BigIntegerField(primary_key=True)
    survivor = models.ForeignKey(Movie, on_delete=models.DB_CASCADE, related_name="+")
    merged_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"film {self.old_id}, now {self.survivor_id}"


class SweepQuerySet(models.QuerySet["Sweep"]):
    def lock(self, pk: int) -> "Sweep":
        """Lock one batch until the transaction ends. Raises NotFound."""
        sweep = self.select_for_update().filter(pk=pk).first()
        if sweep is None:
            raise NotFound("There is no such batch: its member has left.")
        return sweep


class Sweep(models.Model):
    """One batch of what was taken away from a member, or hidden, which can be undone as one.

    It goes with the member, and what it keeps of others goes with those.
    """

    class Kind(models.TextChoices):
        REMOVED = "removed", "removed"
        HIDDEN = "hidden", "hidden"

    member = models.ForeignKey(User, on_delete=models.DB_CASCADE, related_name="sweeps")
    by = models.ForeignKey(
        User, null=True, on_delete=models.DB_SET_NULL, related_name="+", verbose_name="moderator"
    )
    kind = models.CharField(max_length=7, choices=Kind)
    reason = models.CharField(max_length=MAX_REASON_LENGTH, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    films = models.IntegerField(default=0)
    ratings = models.IntegerField(default=0)
    reviews = models.IntegerField(default=0)
    reports = models.IntegerField(default=0)
    undone_at = models.DateTimeField(null=True)
    undone_by = models.ForeignKey(User, null=True, on_delete=models.DB_SET_NULL, related_name="+")

    objects = SweepQuerySet.as_manager()

    def __str__(self) -> str:
        return f"what {self.member} did (batch {self.pk})"

    @property
    def numbers(self) -> dict[str, int]:
        """How many rows of each kind the batch holds."""
        return {name: getattr(self, name) for name in ("films", "ratings", "reviews", "reports")}


class SweptRow(models.Model):
    """One row as the database had it, to the microsecond, kept until its batch is undone."""

    class Kind(models.TextChoices):
        FILM = "film"
        MERGED = "merged"
        RATING = "rating"
        REVIEW = "review"
        REPORT = "report"
        # A review that was hidden and not taken away.
        HIDDEN = "hidden"

    sweep = models.ForeignKey(
        Sweep, on_delete=models.DB_CASCADE, related_name="rows", db_index=False
    )
    kind = models.CharField(max_length=6, choices=Kind)
    # The film that the row counts for, and whose row it is: neither needs to be there any more.
    movie_id = models.BigIntegerField(null=True)
    user_id = models.BigIntegerField(null=True, db_index=True)
    # The poster of a film in the batch is not an unused image.
    poster = models.ForeignKey(Media, null=True, on_delete=models.DB_SET_NULL, related_name="+")
    data = models.JSONField(encoder=DjangoJSONEncoder)

    class Meta:
        indexes = (models.Index(fields=["sweep", "kind"], name="swept_of_sweep"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.data.get('id')} of batch {self.sweep_id}"

    @classmethod
    def forget(cls, user_ids: Any) -> None:
        """Delete what batches keep of members who leave."""
        cls.objects.filter(user_id__in=user_ids).delete()
