"""Background work on what belongs to no app: idempotency keys, the numbers, the jobs themselves."""

from procrastinate import JobContext
from procrastinate.contrib.django import app
from procrastinate.jobs import Status

from movieshelf.models import IdempotencyKey
from movieshelf.recomputing import check_numbers as compare_all

# A job that takes its worker along each time must not do so for ever.
MAX_ATTEMPTS = 5
KEPT_HOURS = 30 * 24


@app.periodic(cron="*/2 * * * *")
@app.task(
    name="movieshelf.retry_stalled", queueing_lock="movieshelf.retry_stalled", pass_context=True
)
async def retry_stalled(context: JobContext, timestamp: int) -> None:
    """Have the jobs done again whose worker was killed: it has not been heard of for 30 s."""
    jobs = context.app.job_manager
    for job in await jobs.get_stalled_jobs():
        if job.attempts < MAX_ATTEMPTS:
            await jobs.retry_job(job)
        else:
            await jobs.finish_job(job, Status.FAILED, delete_job=False)


@app.periodic(cron="27 4 * * *")
@app.task(name="movieshelf.forget_jobs", queueing_lock="movieshelf.forget_jobs", pass_context=True)
async def forget_jobs(context: JobContext, timestamp: int) -> None:
    """Delete jobs that failed a month ago; those that went well are deleted at once."""
    await context.app.job_manager.delete_old_jobs(nb_hours=KEPT_HOURS, include_failed=True)


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
