"""`manage.py worker`: do the background work, until told to stop.

Jobs are rows of PostgreSQL (procrastinate); each app declares its own in `jobs.py`, the periodic
ones too. SIGTERM and SIGINT let the jobs in hand finish. Any number of workers may run.
"""

import os
import signal
import threading
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from procrastinate.contrib.django import app

# Enough that a mail does not wait for an image; decoding has its own bound.
JOBS_AT_ONCE = 4
# What granian, too, gives its workers.
FINISH_SECONDS = 10


class Command(BaseCommand):
    help = "Do the background work: images in their widths, mails, sweeping."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--until-idle", action="store_true", help="stop when there is nothing left to do"
        )
        parser.add_argument(
            "--with-parent", action="store_true", help="stop when the parent process ends"
        )

    def handle(self, *args: Any, until_idle: bool, with_parent: bool, **options: Any) -> None:
        if with_parent:
            threading.Thread(target=stop_with_parent, args=(os.getppid(),), daemon=True).start()
        with app.replace_connector(app.connector.get_worker_connector()):  # type: ignore[attr-defined]  # Django's has it
            app.run_worker(
                wait=not until_idle,
                concurrency=JOBS_AT_ONCE,
                shutdown_graceful_timeout=FINISH_SECONDS,
                delete_jobs="successful",
            )
        self.stdout.write("The worker has stopped.")


def stop_with_parent(parent: int) -> None:
    """Send ourselves SIGTERM once somebody else has become our parent."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
