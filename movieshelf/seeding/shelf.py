"""What a shelf lacks, and adding it: all of it in one transaction, or nothing."""

from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from random import Random

from django.db import transaction

from accounts.models import User
from media.models import Media
from movies import marks, texts
from movies.models import Movie, MovieStats
from movies.titles import title_key
from movieshelf.progress import Reporter
from movieshelf.seeding.films import Film, add_films, made_up_films, real_films
from movieshelf.seeding.loading import (
    lock_out_writers,
    prepare_session,
    run,
    without_indexes,
)
from movieshelf.seeding.members import DOMAIN, add_demo_logins, add_members
from movieshelf.seeding.opinions import add_ratings, add_reviews, count_opinions
from movieshelf.seeding.pictures import add_pictures
from ratings.models import Rating
from reviews.models import Review

RANDOM_SEED = 2026
WELL_KNOWN = Path(__file__).with_name("well_known.txt")
TABLES = (User, Movie, MovieStats, Rating, Review, Media)


@dataclass(frozen=True)
class Numbers:
    """How many of each."""

    movies: int = 0
    users: int = 0
    ratings: int = 0
    reviews: int = 0
    images: int = 0

    def __bool__(self) -> bool:
        return any(astuple(self))

    def __str__(self) -> str:
        names = ("films", "members", "ratings", "reviews", "images")
        return ", ".join(
            f"{count:,} {name}" for name, count in zip(names, astuple(self), strict=True) if count
        )

    def missing_to(self, wanted: "Numbers") -> "Numbers":
        """Give what has to be added to reach what is wanted; nothing is ever taken away."""
        return Numbers(
            *(
                max(0, want - have)
                for have, want in zip(astuple(self), astuple(wanted), strict=True)
            )
        )


# The shelf of `make run`, beside every real film there is.
REAL_SHELF = Numbers(users=300, ratings=40_000, reviews=4_000, images=160)


def numbers_now() -> Numbers:
    return Numbers(
        movies=Movie.objects.count(),
        users=User.objects.count(),
        ratings=Rating.objects.count(),
        reviews=Review.objects.count(),
        images=Media.objects.count(),
    )


def fill_empty_shelf(report: Reporter, *, random_seed: int = RANDOM_SEED) -> Numbers:
    """Put the real films on a shelf that has none, with members and opinions; give what was added.

    A shelf with a film on it is left alone.
    """
    with transaction.atomic():
        prepare_session(random_seed)
        lock_out_writers(*TABLES)
        before = numbers_now()
        if before.movies:
            return Numbers()
        films = real_films(Random(random_seed))
        wanted = replace(REAL_SHELF, movies=len(films))
        _add(before.missing_to(wanted), report, random_seed, films=iter(films))
        return before.missing_to(numbers_now())


def bring_to(wanted: Numbers, report: Reporter, *, random_seed: int = RANDOM_SEED) -> Numbers:
    """Bring the shelf to these numbers with made-up films, members and opinions.

    Gives what was added. Raises movieshelf.seeding.opinions.TooMany.
    """
    with transaction.atomic():
        prepare_session(random_seed)
        lock_out_writers(*TABLES)
        before = numbers_now()
        if missing := before.missing_to(wanted):
            _add(missing, report, random_seed)
        return before.missing_to(numbers_now())


def _add(
    missing: Numbers, report: Reporter, random_seed: int, films: Iterator[Film] | None = None
) -> None:
    """Add this many of each; made-up films unless others are given."""
    random = Random(random_seed)
    strangers = missing.users - add_demo_logins()
    if strangers > 0:
        add_members(strangers, random, report.stage("Members", strangers))
    to_add = {
        Movie: missing.movies,
        MovieStats: missing.movies,
        Rating: missing.ratings,
        Review: missing.reviews,
    }
    rebuild_indexes = without_indexes(to_add)
    if missing.movies:
        advance = report.stage("Films", missing.movies)
        films = films or made_up_films(random)
        add_films(films, missing.movies, _owners(random), random, advance)
    if missing.ratings:
        add_ratings(missing.ratings, _well_known(), report.stage("Ratings", missing.ratings))
    if missing.reviews:
        add_reviews(missing.reviews, random, report.stage("Reviews", missing.reviews))
    if any(to_add.values()):
        count_opinions()
    rebuild_indexes(report)
    if missing.images:
        add_pictures(missing.images, random_seed, report.stage("Images", missing.images))
    for table in TABLES:
        run(f"ANALYZE {table._meta.db_table}")
    transaction.on_commit(_vacuum)
    # A load of this size makes both unknown; the worker would know them in a minute.
    transaction.on_commit(marks.rebuild)
    transaction.on_commit(texts.build)


def _owners(random: Random) -> list[int]:
    """Give the made-up members in no order; those in front add the most films."""
    made_up = User.objects.filter(email_key__endswith=f"@{DOMAIN}", role=User.Role.USER)
    owners = list(made_up.order_by("pk").values_list("pk", flat=True))
    random.shuffle(owners)
    return owners


def _well_known() -> list[str]:
    """Give the keys of films that most people have seen, so that they have the most ratings."""
    lines = WELL_KNOWN.read_text(encoding="utf-8").splitlines()
    return [title_key(line) for line in lines if line and not line.startswith("#")]


def _vacuum() -> None:
    """Mark the new pages as visible to all, which lets lists be read from indexes alone."""
    run("SET statement_timeout = 0")
    for table in TABLES:
        run(f"VACUUM {table._meta.db_table}")
    run("RESET statement_timeout")
