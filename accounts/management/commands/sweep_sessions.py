"""Delete the logins that are over."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from accounts.models import Session


class Command(BaseCommand):
    help = "Delete the logins whose last token has expired, in batches; safe to run at any time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count them")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        if dry_run:
            self.stdout.write(f"{Session.objects.over().count()} logins are over.")
        else:
            self.stdout.write(f"Deleted {Session.objects.sweep()} logins that were over.")
