"""Background work on what every endpoint shares: sweeping idempotency keys."""

from procrastinate.contrib.django import app

from movieshelf.models import IdempotencyKey


@app.periodic(cron="47 * * * *")
@app.task(name="api.sweep_idempotency_keys", queueing_lock="api.sweep_idempotency_keys")
def sweep_idempotency_keys(timestamp: int) -> None:
    """Delete the keys that are older than a day, each hour."""
    IdempotencyKey.objects.sweep()
