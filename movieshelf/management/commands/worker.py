"""`manage.py worker`: do the background work, until told to stop.

Jobs are rows of PostgreSQL (procrastinate); each app declares its own in `jobs.py`, the periodic
ones too. SIGTERM and SIGINT let the jobs in hand finish. Any number of workers may run. With
READ_ONLY on a worker does nothing but wait for its end: what it does writes.
"""

import asyncio
import logging
import os
import signal
import threading
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from procrastinate.contrib.django import app

logger = logging.getLogger(__name__)

# Enough that a mail does not wait for an image; decoding has its own bound.
JOBS_AT_ONCE = 4
# docker-compose.yml gives it a little longer.
FINISH_SECONDS = 10
# Until it looks for the database again.
AGAIN_SECONDS = 1.0


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
        if until_idle and settings.READ_ONLY:
            raise CommandError("READ_ONLY is on, and jobs write: nothing was done.")
        if with_parent:
            threading.Thread(target=stop_with_parent, args=(os.getppid(),), daemon=True).start()
        asyncio.run(work_once() if until_idle else work_until_told())
        self.stdout.write("The worker has stopped.")


async def work_until_told() -> None:
    """Work until SIGTERM or SIGINT; begin anew whenever the database goes away.

    procrastinate's worker stops, without an error, when one of its connections breaks.
    """
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    told_to_stop = asyncio.ensure_future(told.wait())
    if settings.READ_ONLY:
        logger.warning("READ_ONLY is on: jobs wait until a worker is started without it")
        await told_to_stop
    while not told.is_set():
        work = asyncio.ensure_future(work_once(wait=True))
        await asyncio.wait({work, told_to_stop}, return_when=asyncio.FIRST_COMPLETED)
        if told.is_set():
            # It takes this as a request to finish what it has in hand.
            work.cancel()
        (outcome,) = await asyncio.gather(work, return_exceptions=True)
        if not told.is_set():
            logger.warning("the worker lost the database, and begins anew (%s)", outcome)
            await asyncio.wait({told_to_stop}, timeout=AGAIN_SECONDS)


async def work_once(*, wait: bool = False) -> None:
    """Do what there is to do, and with `wait` what comes then, until something breaks."""
    connector = app.connector.get_worker_connector()  # type: ignore[attr-defined]  # Django's has it
    with app.replace_connector(connector) as worker_app:
        async with worker_app.open_async():
            await worker_app.run_worker_async(
                wait=wait,
                concurrency=JOBS_AT_ONCE,
                install_signal_handlers=False,
                shutdown_graceful_timeout=FINISH_SECONDS,
                delete_jobs="successful",
            )


def stop_with_parent(parent: int) -> None:
    """Send ourselves SIGTERM once somebody else has become our parent."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
