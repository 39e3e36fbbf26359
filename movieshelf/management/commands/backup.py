"""`manage.py backup FILE`: the whole shelf, images included, in one file."""

import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection
from psycopg_pool import PoolTimeout

from movieshelf.backups import BackupError, back_up
from movieshelf.progress import Silence, bars


class Command(BaseCommand):
    help = (
        "Write the whole shelf, images and logins included, into one new file, beside traffic: "
        "everything that was committed when it began. `manage.py restore` reads it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="Where to; it must not be there yet.")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        started = time.monotonic()
        with bars() if sys.stderr.isatty() else nullcontext(Silence()) as report:
            try:
                size = back_up(connection, file, report)
            except BackupError as error:
                raise CommandError(str(error)) from error
            except (OperationalError, PoolTimeout) as error:
                raise CommandError(f"The database does not answer: {error}") from error
        seconds = time.monotonic() - started
        self.stdout.write(f"Wrote {size / 1_000_000:,.1f} MB to {file} in {seconds:.1f} s.")
