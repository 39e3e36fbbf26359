"""`manage.py services start|stop|status`: the embedded PostgreSQL and Valkey of this clone."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from movieshelf import embedded


class Command(BaseCommand):
    help = "Start, stop or show the embedded PostgreSQL and Valkey of this clone."
    # They may ask the database, which is not up yet.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["start", "stop", "status"])

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            lines, went_well = embedded.run(action)
        except (embedded.ServiceError, OSError) as error:
            raise CommandError(str(error)) from error
        for line in lines[:-1]:
            self.stdout.write(line)
        if not went_well:
            raise CommandError(lines[-1])
        self.stdout.write(lines[-1])
