"""`manage.py sweep_media [--dry-run]`: remove the images that nothing points to any more."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from media.models import Media


class Command(BaseCommand):
    help = (
        "Remove the images that nothing has pointed to for a day, and note those that nothing"
        " points to now. The worker does it hourly."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count them")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        if dry_run:
            self.stdout.write(f"{Media.objects.to_sweep().count()} images would be removed.")
        else:
            self.stdout.write(f"{Media.objects.sweep()} images were removed.")
