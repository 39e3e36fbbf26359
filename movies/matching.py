"""Finding the film that somebody means by a title and a year, wherever they wrote them down.

`movies_match_key` (a function of the database, with an index on it) folds what two catalogues write
differently: accents and case are gone from `title_search` already; articles at the beginning, or at
the end behind a comma, punctuation and a year in brackets go here. So `The Matrix`, `Matrix, The`
and `MATRIX (1999)` have one key. The year tells apart what has the same key.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Self

from django.db import connection

from movies.titles import search_fold

YEAR_IN_TITLE = re.compile(r"\s*\(((?:18|19|20)[0-9]{2})\)\s*$")
# Catalogues date a film by its first festival or by its release: a year apart is the same film.
YEARS_APART = 1


@dataclass(frozen=True)
class Candidate:
    """A film that may be meant; `movie_id` is None while it is only going to be added."""

    movie_id: int | None
    title: str
    year: int | None
    release_date: date | None = None

    @classmethod
    def of(cls, movie_id: int | None, title: str, release_date: date | None) -> Self:
        return cls(movie_id, title, year_of(title, release_date), release_date)

    @property
    def folded(self) -> str:
        """The title as it is searched for, without its year: articles tell apart here."""
        return folded_name(self.title)


def folded_name(title: str) -> str:
    """Fold a title as a search does, without a year in brackets at its end."""
    return search_fold(YEAR_IN_TITLE.sub("", title))


def year_of(title: str, release_date: date | None) -> int | None:
    """Give the year in the title, which remakes carry, or else that of the release."""
    if found := YEAR_IN_TITLE.search(title):
        return int(found[1])
    return release_date.year if release_date else None


def match_keys(titles: Sequence[str]) -> dict[str, str]:
    """Give the key of each title."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT given.title, movies_match_key(given.folded)"
            " FROM unnest(%s::text[], %s::text[]) AS given (title, folded)",
            [list(titles), [search_fold(title) for title in titles]],
        )
        return dict(cursor.fetchall())


def films_by_key(keys: Iterable[str]) -> dict[str, list[Candidate]]:
    """Give the films that have each key, oldest on the shelf first; one look into the index a key.

    The list of keys is joined, not `= ANY`: PostgreSQL then looks each up, however many there are.
    """
    films: dict[str, list[Candidate]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT given.key, film.id, film.title, film.release_date
            FROM unnest(%s::text[]) AS given (key)
            JOIN movies_movie film ON movies_match_key(film.title_search) = given.key
            ORDER BY film.id
            """,
            [sorted(set(keys))],
        )
        for key, movie_id, title, release_date in cursor:
            films[key].append(Candidate.of(movie_id, title, release_date))
    return films


def likeliest(title: str, year: int | None, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Give the one film that is meant, several where it cannot be told, none where it is missing.

    All candidates have the title's key. With a year: those of that year; else those a year apart;
    else the one film of unknown year, if no other has the title. Without a year: all of them. Of
    several, those whose title is the same with its article are preferred.
    """
    if year is None:
        return _closest(title, candidates)
    for apart in range(YEARS_APART + 1):
        near = [c for c in candidates if c.year is not None and abs(c.year - year) == apart]
        if near:
            return _closest(title, near)
    undated = [candidate for candidate in candidates if candidate.year is None]
    if not undated:
        return ()
    # Others have the title, of other years: the undated one may be any of them, or this.
    return candidates if len(candidates) > 1 else undated


def _closest(title: str, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    same = [candidate for candidate in candidates if candidate.folded == folded_name(title)]
    return same if len(same) == 1 else candidates
