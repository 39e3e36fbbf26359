"""`manage.py restore FILE`: fill an empty database from a backup, and prove it right."""

import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection
from psycopg_pool import PoolTimeout

from movieshelf.backups import BackupError, damaged_images, migrations_apart, restore
from movieshelf.progress import Silence, bars


class Command(BaseCommand):
    help = (
        "Fill the empty database of DATABASE_URL from a file of `manage.py backup`, wholly or not "
        "at all; then compare the films' numbers with their rows and every image with its SHA-256."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="A file that `manage.py backup` wrote.")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        started = time.monotonic()
        with bars() if sys.stderr.isatty() else nullcontext(Silence()) as report:
            try:
                restore(connection, file, report)
            except BackupError as error:
                raise CommandError(str(error)) from error
            except (OperationalError, PoolTimeout) as error:
                raise CommandError(f"The database does not answer: {error}") from error
        self.prove_images()
        missing, beyond = migrations_apart(connection)
        if beyond:
            raise CommandError(
                f"It was restored, and has {beyond} migrations that this version of MovieShelf "
                "does not know: run the version that the backup is from, or a later one."
            )
        if missing:
            self.stdout.write(
                f"{missing} migrations are to come: `manage.py migrate`, then `recompute --check`."
            )
        else:
            call_command("recompute", check=True, stdout=self.stdout)
        self.stdout.write(f"Restored {file} in {time.monotonic() - started:.1f} s.")

    def prove_images(self) -> None:
        if damaged := damaged_images(connection):
            raise CommandError(
                f"It was restored, and {len(damaged)} images are not what their SHA-256 says: "
                f"{', '.join(damaged[:10])}."
            )
        self.stdout.write("Every image is what its SHA-256 says.")
