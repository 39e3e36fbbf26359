"""`manage.py seed`: films, members and opinions for an empty shelf, or a shelf of any size."""

import sys
import time
from argparse import ArgumentTypeError
from contextlib import nullcontext
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from movieshelf.progress import Silence, bars
from movieshelf.seeding.opinions import TooMany
from movieshelf.seeding.shelf import (
    RANDOM_SEED,
    Numbers,
    bring_to,
    fill_empty_shelf,
    numbers_now,
)


def whole_number(text: str) -> int:
    """Read a number from 0 up; `1_000_000` is fine."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return number


class Command(BaseCommand):
    help = (
        "Fill an empty shelf with real films and made-up opinions; with numbers, bring the shelf "
        "to so many of each with made-up films too. Safe to run twice."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        for name, things in (
            ("movies", "films"),
            ("users", "members, the two demo logins among them"),
            ("ratings", "ratings"),
            ("reviews", "reviews"),
            ("images", "drawn posters and avatars"),
        ):
            parser.add_argument(
                f"--{name}", type=whole_number, metavar="N", help=f"Have N {things} in the end."
            )
        parser.add_argument(
            "--random-seed",
            type=whole_number,
            default=RANDOM_SEED,
            metavar="N",
            help="Another number makes another shelf; the same one, the same again.",
        )
        parser.add_argument(
            "--demo",
            action="store_true",
            help="Seed although DEBUG is off: everybody knows the passwords of the demo logins.",
        )

    def handle(self, *args: Any, random_seed: int, demo: bool, **options: Any) -> None:
        if not settings.DEBUG and not demo:
            raise CommandError(
                "Seeding adds an admin whose password everybody knows, so with DEBUG off it wants "
                "to be told --demo."
            )
        asked = {name: options[name] for name in Numbers.__annotations__ if options[name]}
        started = time.monotonic()
        with bars() if sys.stderr.isatty() else nullcontext(Silence()) as report:
            try:
                added = (
                    bring_to(Numbers(**asked), report, random_seed=random_seed)
                    if asked
                    else fill_empty_shelf(report, random_seed=random_seed)
                )
            except TooMany as exc:
                raise CommandError(str(exc)) from exc
        if added:
            seconds = time.monotonic() - started
            self.stdout.write(f"Added {added} in {seconds:.1f} s.")
        else:
            self.stdout.write(f"Nothing was added: the shelf has {numbers_now()} already.")
