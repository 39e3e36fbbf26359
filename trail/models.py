"""The trail: what each moderator did, to what, when, why, and how it was before.

Append-only, and the database sees to that: a trigger refuses to change or delete a row of it.
It stands below all other apps, so that whatever changes something for a moderator writes the act
down in the same transaction.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models.functions import Upper
from django.utils import timezone

MAX_THING_LENGTH = 200
MAX_REASON_LENGTH = 500


class Verb(models.TextChoices):
    HIDE = "hide", "hid"
    SHOW = "show", "showed again"
    DISMISS = "dismiss", "dismissed the reports on"
    UPHOLD = "uphold", "agreed with the reports on"
    SUSPEND = "suspend", "suspended"
    REINSTATE = "reinstate", "reinstated"
    ROLE = "role", "changed the role of"
    SWEEP = "sweep", "swept"
    UNDO = "undo", "undid"
    MERGE = "merge", "merged"
    ADD = "add", "added"
    EDIT = "edit", "edited"
    DELETE = "delete", "deleted"


class ActQuerySet(models.QuerySet["Act"]):
    def record(
        self,
        verb: Verb,
        things: Sequence[models.Model],
        *,
        by: Any,
        reason: str = "",
        before: Mapping[str, Any] | Sequence[str] = (),
    ) -> None:
        """Write down one act on each of these things, inside the transaction that does it.

        `by` is a member, whose app stands above this one; without one (members act on what is
        theirs) nothing is written. `before` is the state the things had, or the names of the fields
        in which they still hold it.
        """
        if by is None:
            return
        super().bulk_create(
            Act(
                by=by,
                by_name=str(by),
                verb=verb,
                thing_type=str(thing._meta.model_name),
                thing_id=str(thing.pk),
                thing=str(thing)[:MAX_THING_LENGTH],
                reason=reason[:MAX_REASON_LENGTH],
                before=before if isinstance(before, Mapping) else state_of(thing, before),
            )
            for thing in things
        )

    def on(self, thing: models.Model) -> Self:
        """What was done to this thing, the latest first."""
        acts = self.filter(thing_type=str(thing._meta.model_name), thing_id=str(thing.pk))
        return acts.order_by("-pk")


class Act(models.Model):
    """One act of one moderator on one thing."""

    at = models.DateTimeField(default=timezone.now)
    # No constraint: an act outlives the account of whoever did it, and its row never changes.
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
        db_index=False,
        verbose_name="moderator",
    )
    by_name = models.TextField("name of the moderator")
    verb = models.CharField(max_length=9, choices=Verb)
    thing_type = models.CharField("kind of thing", max_length=20)
    thing_id = models.CharField("its id", max_length=36)
    thing = models.CharField(max_length=MAX_THING_LENGTH)
    reason = models.CharField(max_length=MAX_REASON_LENGTH, blank=True)
    before = models.JSONField("state before", default=dict, encoder=DjangoJSONEncoder)

    objects = ActQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "trail"
        indexes = (
            models.Index("thing_type", "thing_id", models.F("id").desc(), name="act_on_thing"),
            models.Index("by", models.F("id").desc(), name="act_of_moderator"),
            GinIndex(OpClass(Upper("reason"), name="gin_trgm_ops"), name="act_reason_trigrams"),
            GinIndex(OpClass(Upper("thing"), name="gin_trgm_ops"), name="act_thing_trigrams"),
        )

    def __str__(self) -> str:
        return f"{self.by_name} {self.get_verb_display()} {self.thing}"


def state_of(thing: models.Model, fields: Sequence[str]) -> dict[str, Any]:
    """Give these fields of a thing as the trail keeps them: a reference by its id."""
    columns = [thing._meta.get_field(name).attname for name in fields]  # type: ignore[union-attr]  # ours are columns
    return {column: getattr(thing, column) for column in columns}
