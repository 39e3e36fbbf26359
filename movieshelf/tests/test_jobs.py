"""What is done in the background, and when."""

from datetime import timedelta

import pytest
from django.utils import timezone
from procrastinate.contrib.django import app

from accounts.models import Session
from movieshelf.models import IdempotencyKey


def test_what_is_done_again_and_again_is_a_periodic_job():
    periodic = {task.task.name for task in app.periodic_registry.periodic_tasks.values()}

    assert periodic == {
        "media.sweep",
        "accounts.sweep_sessions",
        "api.sweep_idempotency_keys",
        "movieshelf.check_numbers",
        "movies.keep_marks",
        "imports.sweep",
        "imports.take_over",
        "changes.sweep",
    }


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
