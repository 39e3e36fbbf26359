"""Which film each row means, and which films are missing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from imports.entries import SKIPPED, Entry, Problem, Reason
from imports.models import Import, Row
from imports.reading import Sheet
from movies.matching import Candidate, films_by_key, likeliest, match_keys
from movies.models import MAX_TITLE_LENGTH
from movies.titles import title_key

# A report names so many films that a row may mean.
MAX_CANDIDATES = 10

Outcome = Row.Outcome


@dataclass
class Found:
    """A row of the file, and what was found for it."""

    number: int
    entry: Entry
    outcome: str = ""
    film: Candidate | None = None
    problem: Problem | None = None
    candidates: list[dict[str, Any]] | None = None

    @classmethod
    def all_of(cls, sheet: Sheet) -> list[Self]:
        return [cls(number, entry) for number, entry in enumerate(sheet.entries, start=1)]

    def fail(self, problem: Problem) -> None:
        self.film, self.candidates, self.problem = None, None, problem
        is_skipped = problem.reason in SKIPPED
        self.outcome = Outcome.SKIPPED if is_skipped else Outcome.FAILED

    def mean(self, film: Candidate, *, is_new: bool = False) -> None:
        self.film, self.candidates, self.problem = film, None, None
        self.outcome = Outcome.CREATED if is_new else Outcome.MATCHED

    def mean_one_of(self, films: Sequence[Candidate]) -> None:
        self.film, self.outcome = None, Outcome.AMBIGUOUS
        self.problem = Problem(
            Reason.SEVERAL, f"{len(films)} films have this title; none was chosen."
        )
        self.candidates = [
            {"id": film.movie_id, "title": film.title, "year": film.year}
            for film in films[:MAX_CANDIDATES]
        ]


@dataclass
class Matcher:
    """Finds the films of some rows: two queries, however many rows they are."""

    source: Import
    rows: Sequence[Found]
    wanted: list[Candidate] = field(default_factory=list)

    def find(self) -> None:
        """Fill in what each row means; `wanted` are then the films to be added."""
        self.wanted = []
        readable = [found for found in self.rows if found.entry.problem is None]
        for found in self.rows:
            if found.entry.problem is not None:
                found.fail(found.entry.problem)
        earlier = self._added_by_earlier_rows()
        titles = {found.entry.title for found in readable}
        titles |= {found.entry.other_title for found in readable if found.entry.other_title}
        self.keys = match_keys([*titles, *(film.title for film in earlier)])
        self.films = films_by_key(self.keys.values())
        for film in earlier:
            self.films[self.keys[film.title]].append(film)
        for found in readable:
            self._find_one(found)

    def _added_by_earlier_rows(self) -> list[Candidate]:
        """Give the films that earlier rows of a dry run would have added."""
        if not (self.source.dry_run and self.source.create_missing):
            return []
        rows = self.source.rows.filter(outcome=Outcome.CREATED)
        return [Candidate(None, title, year) for title, year in rows.values_list("title", "year")]

    def _find_one(self, found: Found) -> None:
        entry = found.entry
        candidates = self.films[self.keys[entry.title]]
        for film in candidates:
            if film.movie_id == entry.movie_id is not None and _same(film.title, entry.title):
                return found.mean(film)
        films = likeliest(entry.title, entry.year, candidates)
        if not films and entry.other_title:
            others = self.films[self.keys[entry.other_title]]
            films = likeliest(entry.other_title, entry.year, others)
        if len(films) == 1:
            return found.mean(films[0])
        if films:
            return found.mean_one_of(films)
        if not self.source.create_missing:
            return found.fail(Problem(Reason.NO_FILM, "No film here has this title and year."))
        return self._want(found, candidates)

    def _want(self, found: Found, candidates: list[Candidate]) -> None:
        """Have the film added: with its year in the title where another has the title alone."""
        entry, taken = found.entry, {title_key(film.title) for film in candidates}
        title = entry.title
        if title_key(title) in taken and entry.year:
            title = f"{title} ({entry.year})"
        if title_key(title) in taken or len(title) > MAX_TITLE_LENGTH:
            return found.fail(Problem(Reason.TITLE, "Another film has this title."))
        film = Candidate(None, title, entry.year, entry.release_day)
        candidates.append(film)
        self.wanted.append(film)
        return found.mean(film, is_new=True)


def _same(one: str, other: str) -> bool:
    return title_key(one) == title_key(other)
