"""What the moderators' desk keeps: the cases that wait for a decision."""

from typing import Self, cast

from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.models import User
from movies.models import Movie
from reviews.models import Review


class CaseQuerySet(models.QuerySet["Case"]):
    def with_things(self) -> Self:
        """With what was reported, and who wrote or added it."""
        return self.select_related("review__movie", "review__user", "movie__created_by")

    def most_reported_first(self) -> Self:
        return self.order_by("-report_count", "first_reported_at", "pk")


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
