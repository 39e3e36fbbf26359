"""Background work on the feed of changes: forgetting what has been gone for long."""

from django.conf import settings
from procrastinate.contrib.django import app

from changes.feed import sweep_tombstones


@app.periodic(cron="27 3 * * *")
@app.task(name="changes.sweep", queueing_lock="changes.sweep")
def sweep(timestamp: int) -> None:
    """Delete old tombstones, each night."""
    sweep_tombstones(settings.CHANGES_KEPT_DAYS)
