"""Deleting what is over, in batches that hold up nobody."""

from typing import Any

from django.db import models, transaction

SWEEP_BATCH = 1_000


def swept(rows: models.QuerySet[Any]) -> int:
    """Delete these rows batch by batch, each a transaction; give how many went.

    Two sweeps at once share the work: a row that somebody holds is left to them.
    """
    total = 0
    while batch := _swept_batch(rows):
        total += batch
    return total


def _swept_batch(rows: models.QuerySet[Any]) -> int:
    with transaction.atomic():
        locked = rows.select_for_update(skip_locked=True)
        ids = list(locked.values_list("pk", flat=True)[:SWEEP_BATCH])
        return rows.model._base_manager.filter(pk__in=ids).delete()[0] if ids else 0
