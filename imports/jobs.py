"""Background work on imports: doing them, undoing them, and sweeping."""

from procrastinate import JobContext, RetryStrategy
from procrastinate.contrib.django import app

from imports.models import Import
from imports.running import carry_on

# The database may be away, or a film be held for long: tried again after 3, 9, 27 and 81 seconds.
MAX_ATTEMPTS = 4
GAVE_UP = "Something went wrong on our side, and the import was stopped; what is reported is done."


@app.task(
    name="imports.run",
    retry=RetryStrategy(max_attempts=MAX_ATTEMPTS, exponential_wait=3),
    pass_context=True,
)
def run(context: JobContext, import_id: int) -> None:
    """Do an import, or its undoing, for some seconds, and leave the rest to the next job."""
    try:
        if carry_on(import_id):
            app.configure_task("imports.run").defer(import_id=import_id)
    except Exception:
        if context.job.attempts >= MAX_ATTEMPTS:
            for source in Import.objects.filter(pk=import_id):
                source.fail(GAVE_UP)
        raise


@app.periodic(cron="* * * * *")
@app.task(name="imports.take_over", queueing_lock="imports.take_over")
def take_over(timestamp: int) -> None:
    """Go on with what a worker that was killed has left, each minute."""
    Import.objects.take_over()


@app.periodic(cron="57 3 * * *")
@app.task(name="imports.sweep", queueing_lock="imports.sweep")
def sweep(timestamp: int) -> None:
    """Delete imports that ended long ago, each night."""
    Import.objects.sweep()
