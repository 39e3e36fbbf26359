"""Imports: a file that a member brings along, what came of each of its rows, and undoing it."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NoReturn, Self, cast

from django.conf import settings
from django.db import connection, models
from django.db.models import Q
from django.utils import timezone
from procrastinate.contrib.django import app as queue

from accounts.models import User
from imports.entries import Reason
from imports.reading import NAMES, Sheet, read
from movieshelf.api.errors import Conflict, NotFound, constraint_raises
from movieshelf.api.sweeping import swept
from movieshelf.api.transactions import retried_atomic

# A batch takes less than a second, and waits for a film a few at most.
LEFT_ALONE_AFTER = timedelta(seconds=30)
# So long its report can be read, and the import be undone.
KEPT_FOR = timedelta(days=90)
COUNTS = (
    *("matched", "created", "skipped", "ambiguous", "failed"),
    *("ratingsAdded", "ratingsChanged", "ratingsUnchanged", "ratingsKept"),
    *("reviewsAdded", "reviewsUnchanged"),
)
UNDONE_COUNTS = (
    *("ratingsRemoved", "ratingsRestored", "ratingsKept"),
    *("reviewsRemoved", "reviewsKept", "moviesRemoved", "moviesKept"),
)


class OneAtATime(Conflict):
    default_detail = "Another import of yours is under way; wait for its end, or undo it."


class ImportQuerySet(models.QuerySet["Import"]):
    def of(self, user: User) -> Self:
        return self.filter(user=user)

    def active(self) -> Self:
        return self.filter(status__in=Import.ACTIVE)

    def newest_first(self) -> Self:
        return self.order_by("-pk")

    @retried_atomic
    def start(
        self, *, user: User, data: bytes, sheet: Sheet, dry_run: bool, create_missing: bool
    ) -> "Import":
        """Keep a file that was read, and have a worker import it. Raises OneAtATime."""
        started = Import(
            user=user,
            format=sheet.format,
            file=data,
            row_count=len(sheet.entries),
            dry_run=dry_run,
            create_missing=create_missing,
        )
        with constraint_raises("import_one_at_a_time", OneAtATime()):
            started.save(force_insert=True)
        started.enqueue()
        return started

    def lock(self, pk: int) -> "Import | None":
        """Lock an import until the transaction ends, and give it as it is now, without its file.

        Its member is locked before, as in an account's deletion, so that neither waits for the
        other; both come after the films. None when it is gone.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT FROM accounts_user"
                " WHERE id = (SELECT user_id FROM imports_import WHERE id = %s) FOR KEY SHARE",
                [pk],
            )
        return self.select_for_update(no_key=True).filter(pk=pk).first()

    def take_over(self) -> int:
        """Have a worker go on with what another has left in the middle; give how many those are.

        One that is only slow loses nothing: of two who do a batch, one does it.
        """
        left_alone = self.active().filter(updated_at__lte=timezone.now() - LEFT_ALONE_AFTER)
        sources = list(left_alone)
        for source in sources:
            source.enqueue()
        return len(sources)

    def sweep(self) -> int:
        """Delete imports that ended long ago, with their reports; give how many rows went."""
        old = self.filter(created_at__lte=timezone.now() - KEPT_FOR).exclude(
            status__in=Import.ACTIVE
        )
        return swept(old.order_by("pk"))

    def update(self, **fields: Any) -> int:
        return super().update(**{**fields, "updated_at": timezone.now()})


_ImportManager = models.Manager.from_queryset(ImportQuerySet)


class ImportManager(_ImportManager):  # type: ignore[type-arg]  # it takes none at run time
    def get_queryset(self) -> ImportQuerySet:
        return cast(ImportQuerySet, super().get_queryset()).defer("file")


class Import(models.Model):
    """One file of a member, and how far it is."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        UNDOING = "undoing"
        UNDONE = "undone"

    ACTIVE = (Status.WAITING, Status.RUNNING, Status.UNDOING)

    # The constraint and the index below begin with this column.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DB_CASCADE,
        related_name="imports",
        db_index=False,
    )
    format = models.CharField(max_length=20, choices=[(name, name) for name in NAMES])
    status = models.CharField(max_length=7, choices=Status, default=Status.WAITING)
    dry_run = models.BooleanField(default=False)
    create_missing = models.BooleanField(default=False)
    # Until it is done, or undone: a worker that takes over reads it again.
    file = models.BinaryField(null=True)
    row_count = models.PositiveIntegerField()
    rows_done = models.PositiveIntegerField(default=0)
    # While it is being undone: the rows below this number are still to come, from the last on.
    rows_left = models.PositiveIntegerField(default=0)
    counts = models.JSONField(default=dict)
    undone_counts = models.JSONField(default=dict)
    error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ImportManager()

    class Meta:
        base_manager_name = "objects"
        constraints = (
            models.UniqueConstraint(
                fields=["user"],
                condition=Q(status__in=["waiting", "running", "undoing"]),
                name="import_one_at_a_time",
            ),
        )
        indexes = (
            models.Index("user", models.F("id").desc(), name="import_of_member"),
            models.Index(fields=["created_at"], name="import_age"),
        )

    def __str__(self) -> str:
        return f"import {self.pk} of member {self.user_id}"

    @property
    def is_active(self) -> bool:
        return self.status in self.ACTIVE

    def enqueue(self) -> None:
        """Have a worker go on with it, as a part of this transaction."""
        # By name: imports.jobs imports this module.
        queue.configure_task("imports.run").defer(import_id=self.pk)

    def sheet(self) -> Sheet:
        """Read its file again."""
        data = Import.objects.values_list("file", flat=True).get(pk=self.pk)
        return read(bytes(data or b""), max_rows=settings.IMPORT_MAX_ROWS)

    @retried_atomic
    def undo(self) -> "Import":
        """Stop it if it runs, and have a worker take back what it did; give it as it is then.

        Raises NotFound, OneAtATime. What is being undone, or was, stays as it is.
        """
        current = Import.objects.lock(self.pk)
        if current is None:
            raise NotFound("There is no such import.")
        if current.status in (self.Status.UNDOING, self.Status.UNDONE):
            return current
        current.status, current.finished_at = self.Status.UNDOING, None
        current.rows_left = current.rows_done
        with constraint_raises("import_one_at_a_time", OneAtATime()):
            current.keep("status", "rows_left", "finished_at")
        current.enqueue()
        return current

    @retried_atomic
    def fail(self, error: str) -> None:
        """Give it up, with the rows that are done and their report."""
        current = Import.objects.lock(self.pk)
        if current is not None and current.is_active:
            current.status, current.error = self.Status.FAILED, error
            current.finished_at = timezone.now()
            current.keep("status", "error", "finished_at")

    def keep(self, *fields: str) -> None:
        """Save these columns of a locked import."""
        self.updated_at = timezone.now()
        self.save(update_fields=[*fields, "updated_at"])


def added_up(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """Give the sums of two counts."""
    return dict(Counter(counts) + Counter(more))


class RowQuerySet(models.QuerySet["Row"]):
    def in_order(self) -> Self:
        return self.order_by("number")

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("A report says what was done; it does not change.")


class Row(models.Model):
    """What came of one row of the file."""

    class Outcome(models.TextChoices):
        MATCHED = "matched"
        CREATED = "created"
        SKIPPED = "skipped"
        AMBIGUOUS = "ambiguous"
        FAILED = "failed"

    class Change(models.TextChoices):
        """What was done to the rating, or to the review."""

        ADDED = "added"
        CHANGED = "changed"
        UNCHANGED = "unchanged"
        KEPT = "kept"

    # The constraint begins with this column.
    source = models.ForeignKey(
        Import, on_delete=models.DB_CASCADE, related_name="rows", db_index=False
    )
    number = models.PositiveIntegerField()
    outcome = models.CharField(max_length=9, choices=Outcome)
    reason = models.CharField(max_length=20, blank=True, choices=[(r, r) for r in Reason])
    message = models.TextField(blank=True)
    title = models.TextField(blank=True)
    year = models.PositiveSmallIntegerField(null=True)
    given = models.CharField(max_length=12, blank=True)
    value = models.PositiveSmallIntegerField(null=True)
    # A number and no reference: a film or a review may go, and the report stays.
    movie_id = models.BigIntegerField(null=True)
    rating_change = models.CharField(max_length=9, blank=True, choices=Change)
    rated_at = models.DateTimeField(null=True)
    old_value = models.PositiveSmallIntegerField(null=True)
    old_rated_at = models.DateTimeField(null=True)
    review_change = models.CharField(max_length=9, blank=True, choices=Change)
    review_id = models.BigIntegerField(null=True)
    reviewed_at = models.DateTimeField(null=True)
    candidates = models.JSONField(null=True)

    objects = RowQuerySet.as_manager()

    class Meta:
        base_manager_name = "objects"
        constraints = (
            models.UniqueConstraint(fields=["source", "number"], name="import_row_once"),
        )

    def __str__(self) -> str:
        return f"row {self.number} of import {self.source_id}"
