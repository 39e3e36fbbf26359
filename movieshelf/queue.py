"""How the background work stands: what waits, for how long, and what came to nothing."""

from typing import Any, NamedTuple

# What is due, and since when: a job for later, or one that is tried again, waits from then on.
STATE = """
    SELECT
        count(*) FILTER (WHERE is_due),
        coalesce(extract(epoch FROM now() - min(due_at) FILTER (WHERE is_due)), 0),
        count(*) FILTER (WHERE NOT is_due),
        count(*) FILTER (WHERE status = 'doing'),
        count(*) FILTER (WHERE status = 'failed')
    FROM (
        SELECT job.status, due_at, due_at <= now() AS is_due
        FROM procrastinate_jobs job
        LEFT JOIN LATERAL (
            SELECT coalesce(job.scheduled_at, min(event.at), now()) AS due_at
            FROM procrastinate_events event
            WHERE event.job_id = job.id AND event.type = 'deferred'
        ) due ON job.status = 'todo'
        WHERE job.status IN ('todo', 'doing', 'failed')
    ) jobs
"""


class QueueState(NamedTuple):
    """Numbers of jobs, and how long the oldest that is due has been waiting."""

    waiting: int
    oldest_seconds: float
    scheduled: int
    running: int
    failed: int


def queue_state(cursor: Any) -> QueueState:
    """Read it by a cursor of Django or of psycopg. Raises what the database raises."""
    cursor.execute(STATE)
    waiting, oldest_seconds, *others = cursor.fetchone()
    return QueueState(waiting, round(float(oldest_seconds), 1), *others)
