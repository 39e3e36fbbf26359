"""What belongs to no app: answers kept for those who ask twice, and the last look at numbers."""

from datetime import timedelta
from typing import Any, Self

from django.conf import settings
from django.db import connection, models
from django.utils import timezone

from movieshelf.api.errors import IdempotencyMismatch
from movieshelf.api.sweeping import swept

MAX_KEY_LENGTH = 255
KEPT_FOR = timedelta(hours=24)
# Who comes second waits for the whole work of the first, which may itself wait for a film: longer
# than for any other lock, and less than a statement may take at all.
WAIT_FOR_FIRST_MS = 8_000


class IdempotencyKeyQuerySet(models.QuerySet["IdempotencyKey"]):
    def claim(
        self, *, user_id: int, key: str, method: str, path: str, body_sha256: str
    ) -> tuple["IdempotencyKey", bool]:
        """Give a member's key, and whether it is new: then it is the caller's to answer.

        Who comes while another's transaction has the key waits in the unique index: once that is
        committed the key is not new and has its answer, once it is rolled back the key is free.
        Raises IdempotencyMismatch when the key came with another request.
        """
        asked = {"method": method, "path": path, "body_sha256": body_sha256}
        set_lock_timeout(str(WAIT_FOR_FIRST_MS))
        self.filter(user=user_id, key=key).expired().delete()
        first, is_new = self.get_or_create(user_id=user_id, key=key, defaults=asked)
        set_lock_timeout("DEFAULT")
        if any(getattr(first, name) != value for name, value in asked.items()):
            raise IdempotencyMismatch()
        return first, is_new

    def expired(self) -> Self:
        """Keys that count no more: with the next request they come with, they begin anew."""
        return self.filter(created_at__lte=timezone.now() - KEPT_FOR)

    def sweep(self) -> int:
        """Delete the keys that have expired, batch by batch; give how many went."""
        return swept(self.expired().order_by("created_at"))


def set_lock_timeout(milliseconds: str) -> None:
    """Wait so long for a lock at most, until the transaction ends or this is set again."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {milliseconds}")


class IdempotencyKey(models.Model):
    """One member's key: the request it first came with, and what that was answered.

    Inserted before the work and answered after it, in the work's own transaction: nobody ever sees
    the one without the other.
    """

    # The unique index below begins with this column.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DB_CASCADE, related_name="+", db_index=False
    )
    key = models.CharField(max_length=MAX_KEY_LENGTH)
    method = models.CharField(max_length=10)
    path = models.TextField()
    body_sha256 = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.BinaryField(default=b"")
    created_at = models.DateTimeField(default=timezone.now)

    objects = IdempotencyKeyQuerySet.as_manager()

    class Meta:
        constraints = (
            # Without the path: one key for two paths is a client's mistake, and told as one (422).
            models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_unique"),
        )
        indexes = (models.Index(fields=["created_at"], name="idempotency_key_age"),)

    def __str__(self) -> str:
        return f"{self.method} {self.path} by member {self.user_id}"

    def keep_answer(self, *, status: int, headers: dict[str, Any], body: bytes) -> None:
        """Keep what the request was answered, to be sent again."""
        self.status, self.headers, self.body = status, headers, body
        self.save(update_fields=["status", "headers", "body"])


class NumbersCheck(models.Model):
    """What the last comparison of all films' numbers with their rows found: one row at most."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    checked_at = models.DateTimeField(help_text="When the comparison began.")
    drifted_films = models.PositiveBigIntegerField()
    drifted_totals = models.PositiveBigIntegerField()

    class Meta:
        constraints = (models.CheckConstraint(condition=models.Q(id=1), name="numbers_check_once"),)

    def __str__(self) -> str:
        return f"{self.drifted} drifted at {self.checked_at:%Y-%m-%d %H:%M:%S}"

    @property
    def drifted(self) -> int:
        """How many numbers were not what their rows say: films and totals of the lists."""
        return self.drifted_films + self.drifted_totals
