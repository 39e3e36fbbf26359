"""`manage.py recompute`: rebuild the films' numbers from their rows, or prove them right."""

import sys
from contextlib import nullcontext
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from movies.models import CommonTexts, Movie, PageMarks
from movieshelf.progress import Silence, bars
from movieshelf.recomputing import (
    drifted_films,
    drifted_totals,
    keep_check,
    recompute,
    recount_totals,
)


class Command(BaseCommand):
    help = (
        "Rebuild the counters of films from their ratings and reviews, beside traffic. With "
        "--check only compare, locking nobody, and exit 1 where something differs."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="Only compare and report.")
        parser.add_argument("--movie", type=int, metavar="ID", help="Only this film.")

    def handle(self, *args: Any, check: bool, movie: int | None, **options: Any) -> None:
        if movie is not None and not Movie.objects.filter(pk=movie).exists():
            raise CommandError(f"There is no film {movie}.")
        if check:
            self.check_only(movie)
        else:
            self.repair(movie)

    def check_only(self, movie: int | None) -> None:
        began, drifted = timezone.now(), 0
        for drift in drifted_films(movie):
            self.stdout.write(str(drift))
            drifted += 1
        totals = [] if movie else drifted_totals()
        for total in totals:
            self.stdout.write(str(total))
        if movie is None:
            keep_check(began, films=drifted, totals=len(totals))
        if drifted or totals:
            what = f"{films(drifted)} and {len(totals)} totals" if totals else films(drifted)
            raise CommandError(f"{what} drifted; `manage.py recompute` repairs that.")
        self.stdout.write(f"Compared {self.count(movie)}: no number differs from its rows.")

    def repair(self, movie: int | None) -> None:
        with bars() if sys.stderr.isatty() else nullcontext(Silence()) as report:
            repaired = recompute(movie, report)
        corrected = 0 if movie else recount_totals()
        if corrected:
            # Where rows came without what keeps the totals, the marks and texts have missed it too.
            PageMarks.objects.update(version=None)
            CommonTexts.objects.update(version=None, building=None)
        totals = f" Corrected {corrected} totals." if corrected else ""
        self.stdout.write(
            f"Compared {self.count(movie)}, rebuilt the numbers of {repaired}.{totals}"
        )

    @staticmethod
    def count(movie: int | None) -> str:
        return films(1 if movie else Movie.objects.count())


def films(count: int) -> str:
    return "1 film" if count == 1 else f"{count:,} films"
