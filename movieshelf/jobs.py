"""Background work on what belongs to no app: sweeping idempotency keys, proving the numbers."""

from procrastinate.contrib.django import app

from movieshelf.models import IdempotencyKey
from movieshelf.recomputing import check_numbers as compare_all


@app.periodic(cron="47 * * * *")
@app.task(name="api.sweep_idempotency_keys", queueing_lock="api.sweep_idempotency_keys")
def sweep_idempotency_keys(timestamp: int) -> None:
    """Delete the keys that are older than a day, each hour."""
    IdempotencyKey.objects.sweep()


@app.periodic(cron="7 * * * *")
@app.task(name="movieshelf.check_numbers", queueing_lock="movieshelf.check_numbers")
def check_numbers(timestamp: int) -> None:
    """Compare all numbers with their rows, each hour, and keep how many have drifted."""
    compare_all()
