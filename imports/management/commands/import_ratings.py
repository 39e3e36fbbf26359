"""`manage.py import_ratings`: a file of a member's ratings or reviews, from a terminal."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from imports.models import Import
from imports.reading import read
from imports.reports import HEADER, lines
from imports.running import carry_on
from movieshelf.api.errors import ApiError
from movieshelf.api.spreadsheets import write_csv
from movieshelf.progress import Silence, bars


class Command(BaseCommand):
    help = (
        "Import ratings or reviews of Letterboxd, IMDb or MovieShelf for a member: what POST "
        "/imports does. Running it twice changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="The CSV file, or the export of an account.")
        parser.add_argument("--user", required=True, metavar="EMAIL", help="Whose ratings it has.")
        parser.add_argument("--dry-run", action="store_true", help="Report, and change nothing.")
        parser.add_argument(
            "--create-missing", action="store_true", help="Add films that are not on the shelf."
        )
        parser.add_argument(
            "--report", type=Path, metavar="FILE", help="Write what came of each row to a CSV file."
        )

    def handle(
        self, *args: Any, file: Path, user: str, report: Path | None, **options: Any
    ) -> None:
        try:
            data = file.read_bytes()
            sheet = read(data, max_rows=settings.IMPORT_MAX_ROWS)
            source = Import.objects.start(
                user=self.member(user),
                data=data,
                sheet=sheet,
                dry_run=options["dry_run"],
                create_missing=options["create_missing"],
            )
            self.do(source)
            if report is not None:
                with report.open("wb") as document:
                    write_csv(document, HEADER, lines(source))
        except ApiError as exc:
            raise CommandError(exc.message) from exc
        except OSError as exc:
            raise CommandError(f"{exc.filename}: {exc.strerror}.") from exc
        self.stdout.write(summary(Import.objects.get(pk=source.pk)))

    def member(self, email: str) -> User:
        member = User.objects.with_email(email).first()
        if member is None:
            raise CommandError(f"There is no member with the address {email}.")
        return member

    def do(self, source: Import) -> None:
        """Do all of it here; a worker that takes its job finds it done, or shares the work."""
        with bars() if sys.stderr.isatty() else nullcontext(Silence()) as reporter:
            advance, done = reporter.stage("rows", source.row_count), [0]

            def tell(rows: int) -> None:
                advance(rows - done[0])
                done[0] = rows

            while carry_on(source.pk, report=tell):
                pass


def summary(source: Import) -> str:
    """Say in one line what came of it."""
    counts = {name: source.counts.get(name, 0) for name in ("matched", "created", "skipped")}
    counts |= {name: source.counts.get(name, 0) for name in ("ambiguous", "failed")}
    told = ", ".join(f"{number:,} {name}" for name, number in counts.items())
    verb = "Would import" if source.dry_run else "Imported"
    return f"{verb} {source.row_count:,} rows of {source.format} as import {source.pk}: {told}."
