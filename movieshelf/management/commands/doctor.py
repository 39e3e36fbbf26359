"""`manage.py doctor`: one look at everything that goes wrong in practice."""

import json
import logging
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from movieshelf.doctor import Question, Result, Severity, examine_all

COLUMNS = "{:<8} {:<13} {}"


class Command(BaseCommand):
    help = (
        "Look at settings, database, numbers, images, logins, queue, cache, disk and clock; change "
        "nothing. Exits 1 where something is broken (error); warnings and notes exit 0."
    )
    # What they say is among the findings, and the database may be away.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="One JSON document, for machines.")
        parser.add_argument(
            "--nginx", metavar="FILE", help="Compare what `nginx -T` printed with ours."
        )
        parser.add_argument(
            "--thoroughly", action="store_true", help="Also compare every image with its SHA-256."
        )

    def handle(
        self, *args: Any, nginx: str | None, thoroughly: bool, verbosity: int, **options: Any
    ) -> None:
        if verbosity > 2:
            logging.getLogger("movieshelf.doctor").setLevel(logging.DEBUG)
        results = []
        for result in examine_all(Question(nginx, thoroughly)):
            results.append(result)
            if not options["json"]:
                self.show(result)
        findings = [finding for result in results for finding in result.findings]
        counts = {s: sum(f.severity == s for f in findings) for s in Severity}
        if options["json"]:
            self.stdout.write(json.dumps(document(results, counts), indent=2))
        else:
            told = ", ".join(
                f"{count} {severity}{'s' * (count > 1)}"
                for severity, count in counts.items()
                if count
            )
            self.stdout.write(f"{len(results)} examinations: {told or 'all is well'}.")
        if counts[Severity.ERROR]:
            sys.exit(1)

    def show(self, result: Result) -> None:
        if not result.findings:
            self.stdout.write(COLUMNS.format("ok", result.name, "").rstrip())
        for finding in result.findings:
            self.stdout.write(COLUMNS.format(finding.severity, result.name, finding.told))
            if finding.hint:
                self.stdout.write(COLUMNS.format("", "", f"→ {finding.hint}"))


def document(results: list[Result], counts: dict[Severity, int]) -> dict[str, Any]:
    """Give what machines read: each examination with its findings, and how many there are."""
    return {
        "ok": not counts[Severity.ERROR],
        "counts": counts,
        "examinations": [
            {
                "name": result.name,
                "severity": result.severity or "ok",
                "findings": [finding._asdict() for finding in result.findings],
            }
            for result in results
        ],
    }
