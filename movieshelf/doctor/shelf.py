"""What is on the shelf: numbers that follow from rows, and what should have been swept or done."""

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.hashers import verify_password
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from accounts.models import Session, User
from media.models import UNUSED_FOR, Media
from movieshelf.backups import damaged_images
from movieshelf.doctor import Finding, Question, error, examination, note, warning
from movieshelf.doctor.database import rows
from movieshelf.models import KEPT_FOR, IdempotencyKey
from movieshelf.recomputing import drifted_films, drifted_totals
from movieshelf.seeding.members import ADMIN_LOGIN, DEMO_LOGIN

# Sweeping runs each hour; what is older than this was forgotten.
SWEPT_WITHIN = timedelta(hours=3)
NO_SWEEP = "Is `manage.py worker` running? It sweeps each hour; `manage.py {}` does it now."
# A job waits seconds. A worker sends a heartbeat every ten.
JOB_WAITS = timedelta(minutes=5)
HEARTBEAT = timedelta(minutes=1)


@examination("numbers")
def numbers(question: Question) -> Iterator[Finding]:
    films = [drift.movie_id for drift in drifted_films()]
    if films:
        some = ", ".join(map(str, films[:5]))
        yield error(
            f"The numbers of {len(films)} films are not what their rows say ({some}"
            f"{' …' if len(films) > 5 else ''}).",
            "`manage.py recompute` repairs that; somebody wrote past MovieShelf.",
        )
    for total in drifted_totals():
        yield error(str(total), "`manage.py recompute` repairs that.")


@examination("images")
def images(question: Question) -> Iterator[Finding]:
    limit = timezone.now() - UNUSED_FOR - SWEPT_WITHIN
    # One without a mark was never seen by the sweep.
    is_forgotten = Q(unused_since__lte=limit) | Q(unused_since=None, created_at__lte=limit)
    forgotten = Media.objects.filter(is_forgotten).unused().count()
    if forgotten:
        yield warning(f"{forgotten} images are shown nowhere.", NO_SWEEP.format("sweep_media"))
    if question.thoroughly and (damaged := damaged_images(connection)):
        yield error(
            f"{len(damaged)} images are not what their SHA-256 says: {', '.join(damaged[:5])}.",
            "Restore them from a backup, and look at the disk.",
        )


@examination("logins")
def logins(question: Question) -> Iterator[Finding]:
    over = Session.objects.filter(expires_at__lte=timezone.now() - SWEPT_WITHIN).count()
    if over:
        yield warning(f"{over} logins are over and still kept.", NO_SWEEP.format("sweep_sessions"))
    if not settings.DEBUG:
        for email, password in (ADMIN_LOGIN, DEMO_LOGIN):
            member = User.objects.with_email(email).filter(is_active=True).first()
            if member is not None and verify_password(password, member.password)[0]:
                yield error(
                    f"{email} logs in with a password that everybody knows.",
                    "Give it another one, or deactivate it in the admin.",
                )


@examination("retries")
def retries(question: Question) -> Iterator[Finding]:
    limit = timezone.now() - KEPT_FOR - SWEPT_WITHIN
    kept = IdempotencyKey.objects.filter(created_at__lte=limit).count()
    if kept:
        yield warning(
            f"{kept} idempotency keys have expired and are still kept.",
            NO_SWEEP.format("sweep_idempotency_keys"),
        )


@examination("queue")
def queue(question: Question) -> Iterator[Finding]:
    (failed,) = rows("SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed'")[0]
    if failed:
        names = rows(
            "SELECT DISTINCT task_name FROM procrastinate_jobs WHERE status = 'failed' LIMIT 5"
        )
        yield warning(
            f"{failed} jobs failed for good ({', '.join(sorted(name for (name,) in names))}).",
            "The worker's log says why; the admin's Procrastinate jobs can try them again.",
        )
    waiting, oldest = rows(
        """
        SELECT count(*), coalesce(max(clock_timestamp() - greatest(job.scheduled_at, since.at)),
            interval '0')
        FROM procrastinate_jobs job
        CROSS JOIN LATERAL (
            SELECT max(event.at) AS at FROM procrastinate_events event WHERE event.job_id = job.id
        ) since
        WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= clock_timestamp())
        """
    )[0]
    if oldest > JOB_WAITS:
        yield error(
            f"{waiting} jobs wait, the oldest for {oldest.total_seconds() / 60:.0f} minutes.",
            "Is `manage.py worker` running, and is one enough?",
        )
    (stalled,) = rows(
        """
        SELECT count(*) FROM procrastinate_jobs job
        LEFT JOIN procrastinate_workers worker ON worker.id = job.worker_id
        WHERE job.status = 'doing'
            AND coalesce(worker.last_heartbeat < clock_timestamp() - %s, true)
        """,
        HEARTBEAT,
    )[0]
    if stalled:
        yield warning(
            f"{stalled} jobs are in the hands of workers that died.",
            "A running `manage.py worker` picks them up again.",
        )
    (alive,) = rows(
        "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > clock_timestamp() - %s",
        HEARTBEAT,
    )[0]
    if not alive:
        yield note("No worker is running.", "`manage.py worker` does what waits.")
