"""Films by the thousand or the million: real ones from movies/data, or made-up ones."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import islice
from random import Random
from typing import Any, NamedTuple

from movies.data.derive import REAL_FILMS
from movies.models import Movie
from movies.titles import search_fold, title_key
from movieshelf.progress import Advance
from movieshelf.seeding.loading import copy_rows, reserve_ids
from movieshelf.seeding.members import CLOSED, OPENED
from movieshelf.seeding.titles import made_up_titles
from movieshelf.seeding.words import ADJECTIVES, NOUNS, PLACES, VERBS

COLUMNS = (
    "id",
    "title",
    "title_key",
    "title_search",
    "release_date",
    "synopsis",
    "trailer_url",
    "created_by_id",
    "created_at",
    "updated_at",
    "version",
)

FIRST_RELEASE, LAST_RELEASE = date(1920, 1, 1), date(2026, 6, 30)
SHARE_UNDATED, SHARE_WITH_TRAILER, SHARE_WITHOUT_OWNER = 0.01, 0.3, 0.25

HOOKS = (
    "a town that nobody leaves",
    "an impossible debt",
    "the wrong train",
    "a stolen inheritance",
    "a letter forty years late",
    "a war nobody wanted",
    "an old disappearance",
    "the last honest judge",
    "a family secret",
    "one long summer",
    "a rigged election",
    "the strike at the mill",
    "a winter without end",
    "a promise made in childhood",
    "the fall of the old order",
    "a photograph that should not exist",
)
STAKES = (
    "nobody is quite who they said they were",
    "the past turns out to have kept the receipts",
    "every answer costs a friend",
    "the whole town has an opinion",
    "there is one night left to put it right",
    "what began as a joke is no longer funny",
    "the only way out leads home",
    "somebody has to tell the children",
)
MADE_UP = "(Made up by MovieShelf.)"


class Film(NamedTuple):
    title: str
    key: str
    release_date: date | None
    synopsis: str
    trailer_url: str | None = None


def real_films(random: Random) -> list[Film]:
    """Give the films of movies/data in no particular order."""
    with REAL_FILMS.open(encoding="utf-8", newline="") as file:
        films = [
            Film(
                row["title"],
                title_key(row["title"]),
                date.fromisoformat(row["release_date"]),
                row["synopsis"],
            )
            for row in csv.DictReader(file)
        ]
    random.shuffle(films)
    return films


def made_up_films(random: Random) -> Iterator[Film]:
    """Give films that nobody made, without end; no title is on the shelf already."""
    real_titles = [film.title for film in real_films(random)]
    # Asked now, not when the first film is: the connection will be busy with COPY then.
    taken = set(Movie.objects.order_by().values_list("title_key", flat=True).iterator())
    return (
        Film(title, key, _release_date(random), _synopsis(random), _trailer_url(random))
        for title, key in made_up_titles(real_titles, taken, random)
    )


def add_films(
    films: Iterable[Film], count: int, owners: Sequence[int], random: Random, advance: Advance
) -> None:
    """Add the first `count` films, each later than the one before, most with an owner."""
    first_id = reserve_ids(Movie, count)
    rows = _rows(islice(films, count), first_id, count, owners, random)
    copy_rows(Movie._meta.db_table, COLUMNS, rows, advance)


def _rows(
    films: Iterable[Film], first_id: int, total: int, owners: Sequence[int], random: Random
) -> Iterator[tuple[Any, ...]]:
    for place, film in enumerate(films):
        added_at = _added_at((place + random.random()) / total)
        yield (
            first_id + place,
            film.title,
            film.key,
            search_fold(film.title),
            film.release_date,
            film.synopsis,
            film.trailer_url,
            _owner(owners, random),
            added_at,
            added_at,
            1,
        )


def _added_at(share: float) -> datetime:
    """Give the time at which this share of the films was there."""
    return OPENED + (CLOSED - OPENED) * share


def _owner(owners: Sequence[int], random: Random) -> int | None:
    """Choose who added a film: a few members added most, and some films have lost their owner."""
    if not owners or random.random() < SHARE_WITHOUT_OWNER:
        return None
    return owners[int(len(owners) * random.random() ** 3)]


def _release_date(random: Random) -> date | None:
    """Choose a day, the nearer the likelier."""
    if random.random() < SHARE_UNDATED:
        return None
    days = (LAST_RELEASE - FIRST_RELEASE).days
    return FIRST_RELEASE + timedelta(days=int(days * random.random() ** 0.5))


def _synopsis(random: Random) -> str:
    """Compose about 300 characters."""

    def one_of(words: Sequence[str]) -> str:
        return words[int(len(words) * random.random())]

    def someone(*kinds: Sequence[str]) -> str:
        words = " ".join(one_of(kind).lower() for kind in kinds)
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"

    return (
        f"In {one_of(PLACES)}, {someone(ADJECTIVES, NOUNS)} {one_of(VERBS)} {someone(NOUNS)} "
        f"and is drawn into {one_of(HOOKS)}. When {someone(ADJECTIVES, NOUNS)} arrives from "
        f"{one_of(PLACES)}, {one_of(STAKES)}, and {one_of(HOOKS)} comes back to light: "
        f"with only {someone(NOUNS)} to trust, {one_of(STAKES)}. {MADE_UP}"
    )


def _trailer_url(random: Random) -> str | None:
    if random.random() >= SHARE_WITH_TRAILER:
        return None
    return f"https://video.example/watch?v={random.getrandbits(44):011x}"
