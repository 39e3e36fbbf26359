"""`manage.py sweep_media [--dry-run]`: remove the images that nothing points to any more."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from media.models import UNUSED_FOR, Media


class Command(BaseCommand):
    help = "Remove the images older than a day that nothing points to. The worker does it hourly."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count them")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        if dry_run:
            unused = Media.objects.older_than(UNUSED_FOR).unused().count()
            self.stdout.write(f"{unused} images would be removed.")
        else:
            self.stdout.write(f"{Media.objects.sweep()} images were removed.")
