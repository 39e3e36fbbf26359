"""What is done in the background, and when."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from accounts.models import Session
from movieshelf.models import IdempotencyKey


def test_what_is_done_again_and_again_is_a_periodic_job():
    periodic = {task.task.name for task in app.periodic_registry.periodic_tasks.values()}

    assert periodic == {
        "media.sweep",
        "accounts.sweep_sessions",
        "api.sweep_idempotency_keys",
        "movieshelf.check_numbers",
        "movieshelf.retry_stalled",
        "movieshelf.forget_jobs",
        "movies.keep_marks",
        "movies.keep_texts",
        "imports.sweep",
        "imports.take_over",
        "changes.sweep",
    }


@pytest.mark.usefixtures("empty_queue")
def test_a_job_whose_worker_was_killed_is_done_by_another(user):
    """Row 153, for the background work; one that kills each worker is given up."""
    session = Session.objects.start(user, user_agent="", ip=None)
    Session.objects.filter(pk=session.pk).update(expires_at=timezone.now() - timedelta(days=1))
    stalled = job_of_a_killed_worker("accounts.sweep_sessions", attempts=1)
    killer = job_of_a_killed_worker("accounts.sweep_sessions", attempts=5)
    app.configure_task("movieshelf.retry_stalled").defer(timestamp=0)

    call_command("worker", until_idle=True)
    # It may have found nothing more to do before that one was done.
    call_command("worker", until_idle=True)

    assert not Session.objects.exists()
    assert not ProcrastinateJob.objects.filter(pk=stalled).exists()
    assert ProcrastinateJob.objects.get(pk=killer).status == "failed"


@pytest.mark.usefixtures("empty_queue")
def test_a_job_in_hand_is_left_to_its_worker():
    running = job_of_a_killed_worker("accounts.sweep_sessions", attempts=1, silent="5 seconds")
    app.configure_task("movieshelf.retry_stalled").defer(timestamp=0)

    call_command("worker", until_idle=True)

    assert ProcrastinateJob.objects.get(pk=running).status == "doing"


def job_of_a_killed_worker(name: str, *, attempts: int, silent: str = "1 minute") -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat)"
            " VALUES (now() - %s::interval) RETURNING id",
            [silent],
        )
        [worker] = cursor.fetchone()
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status, attempts,"
            " worker_id) VALUES ('default', %s, '{\"timestamp\": 0}', 'doing', %s, %s)"
            " RETURNING id",
            [name, attempts, worker],
        )
        [job] = cursor.fetchone()
    return int(job)


@pytest.mark.django_db
def test_the_job_deletes_logins_that_are_over(user):
    session = Session.objects.start(user, user_agent="", ip=None)
    Session.objects.filter(pk=session.pk).update(expires_at=timezone.now() - timedelta(days=1))

    app.tasks["accounts.sweep_sessions"](timestamp=0)

    assert not Session.objects.exists()


@pytest.mark.django_db
def test_the_job_keeps_keys_of_today(api, user):
    api.as_(user).post("/movies", {"title": "Dune"}, headers={"Idempotency-Key": "one"})

    app.tasks["api.sweep_idempotency_keys"](timestamp=0)

    assert IdempotencyKey.objects.count() == 1
