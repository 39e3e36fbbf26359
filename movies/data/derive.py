"""Make real_films.csv from films.csv: films with a full date, unique titles, composed synopses.

Run by hand, from the root of the repository, when the source or a rule changes:

    python -m movies.data.derive path/to/films.csv

README.md beside this file says where films.csv comes from and under which licence.
"""

import csv
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from movies.titles import title_key
from movieshelf.api.text import clean_text

REAL_FILMS = Path(__file__).with_name("real_films.csv")
MAX_TITLE_LENGTH = 200

# How a genre reads before "film", in the order in which several of them sound like English:
# "animated musical comedy film", "science-fiction horror film".
ADJECTIVES = {
    "Animation": "animated",
    "Biography": "biographical",
    "History": "historical",
    "Romance": "romantic",
    "Sci-Fi": "science-fiction",
    "Fantasy": "fantasy",
    "Western": "western",
    "Sport": "sports",
    "War": "war",
    "Family": "family",
    "Musical": "musical",
    "Music": "music",
    "Action": "action",
    "Adventure": "adventure",
    "Crime": "crime",
    "Mystery": "mystery",
    "Horror": "horror",
    "Comedy": "comedy",
    "Drama": "drama",
    "Thriller": "thriller",
    "Documentary": "documentary",
}
GENERATED = "(Composed from Wikidata facts.)"


class Film(TypedDict):
    """A row of real_films.csv; the date is YYYY-MM-DD."""

    title: str
    release_date: str
    synopsis: str


def derive(rows: Iterable[dict[str, str]]) -> list[Film]:
    """Choose and describe the films whose day of release is known, oldest first."""
    rows = list(rows)
    uses = Counter(title_key(row["title"]) for row in rows)
    films = [
        Film(
            title=_title(row, is_shared=uses[title_key(row["title"])] > 1),
            release_date=row["release_date"],
            synopsis=synopsis(row),
        )
        for row in rows
        if row["release_precision"] == "day"
    ]
    # Two films of one title and one year: neither could be told from the other.
    uses = Counter(title_key(film["title"]) for film in films)
    unique = [
        film
        for film in films
        if uses[title_key(film["title"])] == 1 and 1 <= len(film["title"]) <= MAX_TITLE_LENGTH
    ]
    return sorted(unique, key=lambda film: (film["release_date"], film["title"]))


def synopsis(row: dict[str, str]) -> str:
    """Compose a synopsis of what is known; unknown facts leave no gap in the sentence."""
    kind = " ".join([row["release_date"][:4], *_adjectives(row["genres"]), "film"])
    if directors := _split(row["directors"]):
        kind += f" directed by {_people(directors, at_most=3)}"
    facts = [kind]
    if row["runtime_minutes"]:
        facts.append(f"{row['runtime_minutes']} minutes")
    if row["countries"]:
        facts.append(row["countries"])
    sentences = ["; ".join(facts)]
    if cast := _split(row["cast"]):
        sentences.append(f"With {_people(cast, at_most=5)}")
    # A name may bring its own full stop: "Charles C. Stevenson Jr."
    return clean_text(" ".join([*(s.removesuffix(".") + "." for s in sentences), GENERATED]))


def _title(row: dict[str, str], *, is_shared: bool) -> str:
    title = clean_text(row["title"])
    return f"{title} ({row['release_date'][:4]})" if is_shared else title


def _adjectives(genres: str) -> list[str]:
    """The first three genres, in the order that reads well."""
    chosen = _split(genres)[:3]
    return [adjective for genre, adjective in ADJECTIVES.items() if genre in chosen]


def _people(names: list[str], *, at_most: int) -> str:
    """Join names as in a sentence: "A", "A and B", "A, B and C", "A, B, C and others"."""
    shown = names if len(names) <= at_most else [*names[:at_most], "others"]
    return " and ".join(part for part in (", ".join(shown[:-1]), shown[-1]) if part)


def _split(joined: str) -> list[str]:
    return [part for part in joined.split(", ") if part]


def main(source: str) -> None:
    with Path(source).open(encoding="utf-8", newline="") as file:
        films = derive(csv.DictReader(file))
    with REAL_FILMS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(Film.__annotations__), lineterminator="\n")
        writer.writeheader()
        writer.writerows(films)
    print(f"{len(films)} films written to {REAL_FILMS}.")


if __name__ == "__main__":
    main(sys.argv[1])
