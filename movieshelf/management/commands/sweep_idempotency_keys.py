"""Delete the idempotency keys that have expired."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from movieshelf.models import IdempotencyKey


class Command(BaseCommand):
    help = "Delete the idempotency keys older than 24 hours, in batches; safe to run at any time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count them")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        if dry_run:
            self.stdout.write(f"{IdempotencyKey.objects.expired().count()} keys have expired.")
        else:
            self.stdout.write(f"Deleted {IdempotencyKey.objects.sweep()} keys that had expired.")
