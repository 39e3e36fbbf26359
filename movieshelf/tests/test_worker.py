"""`manage.py worker` as a process of its own: it outlives its connections, and ends when told."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from movieshelf.jobs import sweep_idempotency_keys
from movieshelf.tests.valkey import until


def rows(sql: str) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


@contextmanager
def working(log: Path, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    place = connection.settings_dict
    process = subprocess.Popen(
        [sys.executable, "manage.py", "worker"],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "DATABASE_URL": f"postgresql://{place['USER']}@/{place['NAME']}"
            f"?host={place['HOST']}&port={place['PORT']}",
            **environment,
        },
        stderr=log.open("wb"),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def worker(empty_queue, tmp_path):
    with working(tmp_path / "log") as process:
        yield process


def listens() -> bool:
    return bool(
        rows(
            "SELECT 1 FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN %procrastinate%' AND datname = current_database()"
        )
    )


def test_it_goes_on_after_its_connections_were_cut_and_ends_with_0_when_told(worker):
    until(listens, seconds=30)
    rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    # The worker may just have queued this job itself, as it does each hour.
    own = sweep_idempotency_keys.configure(queueing_lock="another than the hourly one's")
    job = own.defer(timestamp=0)

    until(lambda: not rows(f"SELECT 1 FROM procrastinate_jobs WHERE id = {job}"), seconds=30)

    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=20) == 0


def test_with_read_only_it_waits_for_its_end_and_leaves_the_jobs(empty_queue, tmp_path):
    sweep_idempotency_keys.defer(timestamp=0)
    with working(tmp_path / "log", READ_ONLY="true") as worker:
        until(lambda: "READ_ONLY is on" in (tmp_path / "log").read_text(), seconds=30)
        worker.send_signal(signal.SIGTERM)

        assert worker.wait(timeout=20) == 0

    assert rows("SELECT status::text, attempts FROM procrastinate_jobs") == [("todo", 0)]


def test_with_read_only_nothing_is_done_until_idle_either(empty_queue, settings):
    settings.READ_ONLY = True
    sweep_idempotency_keys.defer(timestamp=0)

    with pytest.raises(CommandError, match="READ_ONLY is on"):
        call_command("worker", "--until-idle")

    assert rows("SELECT status::text, attempts FROM procrastinate_jobs") == [("todo", 0)]
