"""One row of a file, understood: which film is meant, what it is rated, what is written about it.

Pure Python: no database. Ratings become 1 to 5 by rounding half up: Letterboxd's half stars as they
are, IMDb's 1 to 10 halved.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any

from movies.models import MAX_TITLE_LENGTH
from movieshelf.api.spreadsheets import without_apostrophe
from movieshelf.api.text import ControlCharacter, clean_text, is_blank
from movieshelf.converters import MAX_BIGINT
from reviews.models import MAX_CONTENT_LENGTH
from reviews.sanitising import sanitise

FIRST_YEAR = 1870
# Films are announced, and rated by whoever sees them at a festival.
YEARS_AHEAD = 2
ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# IMDb's types that are no films, without spaces and case: "TV Series" of today, "tvSeries" of old.
NO_FILMS = frozenset(
    {
        *("tvseries", "tvminiseries", "tvepisode", "tvpilot"),
        *("videogame", "podcastseries", "podcastepisode", "musicvideo"),
    }
)


class Reason(StrEnum):
    """Why a row was not imported, for a program; the message beside it is for a person."""

    UNREADABLE = "unreadable"
    COLUMNS = "columns"
    TITLE = "title"
    YEAR = "year"
    DATE = "date"
    RATING = "rating"
    REVIEW = "review"
    NOT_A_FILM = "not_a_film"
    NOTHING = "nothing_to_import"
    NO_FILM = "no_such_film"
    SEVERAL = "several_films"


# These rows hold nothing wrong: they are skipped, and have not failed.
SKIPPED = frozenset({Reason.NOT_A_FILM, Reason.NOTHING, Reason.NO_FILM})


class Problem(Exception):
    """Why a row is not imported."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass
class Entry:
    """A row. With a `problem`, the rest is what could be read, for the report."""

    title: str = ""
    other_title: str = ""
    year: int | None = None
    release_date: date | None = None
    movie_id: int | None = None
    given: str = ""
    value: int | None = None
    rated_at: datetime | None = None
    content: str = ""
    problem: Problem | None = None

    @property
    def release_day(self) -> date | None:
        """The day of its release; of a year alone its first day, so that the film has its year."""
        if self.release_date is None and self.year is not None:
            return date(self.year, 1, 1)
        return self.release_date


def from_letterboxd(cells: Mapping[str, str]) -> Entry:
    """Read a row of ratings.csv, diary.csv or reviews.csv: 0.5 to 5 stars in halves."""
    entry = Entry(title=shown(cells["Name"]), given=shown(cells["Rating"].strip(), 12))
    return _filled(
        entry,
        title=cells["Name"],
        year=cells["Year"],
        dated=cells["Date"],
        value=lambda: rounded(entry.given, step=Decimal("0.5"), most=5, per_star=1),
        content=cells.get("Review", ""),
    )


def from_imdb(cells: Mapping[str, str]) -> Entry:
    """Read a row of IMDb's ratings: 1 to 10."""
    entry = Entry(title=shown(cells["Title"]), given=shown(cells["Your Rating"].strip(), 12))
    entry.other_title = shown(cells.get("Original Title", ""))
    kind = cells["Title Type"].replace(" ", "").casefold()
    if kind in NO_FILMS:
        message = f"This is no film but a {shown(cells['Title Type'], 30)}."
        entry.problem = Problem(Reason.NOT_A_FILM, message)
        return entry
    entry = _filled(
        entry,
        title=cells["Title"],
        year=cells["Year"],
        dated=cells["Date Rated"],
        value=lambda: rounded(entry.given, step=Decimal(1), most=10, per_star=2),
    )
    if entry.year:
        entry.release_date = _release_in(entry.year, cells.get("Release Date", ""))
    return entry


def from_own(cells: Mapping[str, str]) -> Entry:
    """Read a row of our own ratings.csv: 1 to 5, and the film's id on the shelf it came from."""
    title = without_apostrophe(cells["title"])
    entry = Entry(title=shown(title), given=shown(cells["value"].strip(), 12))
    digits = cells["movieId"].strip()
    entry.movie_id = _id(int(digits)) if digits.isdecimal() and len(digits) < 20 else None
    return _filled(
        entry,
        title=title,
        year=cells["year"],
        dated=cells["updatedAt"],
        value=lambda: rounded(entry.given, step=Decimal(1), most=5, per_star=1),
    )


def from_export(row: Mapping[str, Any]) -> Entry:
    """Read a rating or a review of the export of an account."""
    title, value = row.get("movieTitle"), row.get("value")
    entry = Entry(title=shown(title if isinstance(title, str) else ""))
    entry.given = "" if value is None else shown(str(value), 12)
    entry.movie_id = _id(row.get("movieId"))
    released, content = row.get("movieReleaseDate"), row.get("content")
    return _filled(
        entry,
        title=title if isinstance(title, str) else "",
        year=released[:4] if isinstance(released, str) else "",
        dated=str(row.get("updatedAt") or "")
        if "value" in row
        else str(row.get("createdAt") or ""),
        value=lambda: rounded(entry.given, step=Decimal(1), most=5, per_star=1),
        content=content if isinstance(content, str) else "",
    )


def _filled(
    entry: Entry, *, title: str, year: str, dated: str, value: Any, content: str = ""
) -> Entry:
    """Check each part in turn; the first that is wrong is the row's problem."""
    try:
        entry.title = _title(title)
        entry.year = _year(year.strip())
        entry.rated_at = _moment(dated.strip())
        entry.value = value() if entry.given else None
        entry.content = _content(content)
        if entry.value is None and not entry.content:
            raise Problem(Reason.NOTHING, "The row holds no rating and no review.")
    except Problem as problem:
        entry.problem = problem
    return entry


def rounded(given: str, *, step: Decimal, most: int, per_star: int) -> int:
    """Give the stars, 1 to 5, that a rating is, rounded half up. Raises Problem."""
    if not re.fullmatch(r"[0-9]{1,2}([.,][0-9]{1,2})?", given):
        raise Problem(Reason.RATING, f"{given!r} is no rating from {step} to {most}.")
    number = Decimal(given.replace(",", "."))
    if not step <= number <= most or number % step:
        raise Problem(Reason.RATING, f"{given} is no rating from {step} to {most} by {step}.")
    stars = (number / per_star).quantize(Decimal(1), ROUND_HALF_UP)
    return max(1, int(stars))


def shown(text: str, most: int = 300) -> str:
    """Give a text as a report can show and PostgreSQL can store it, whatever stood in the file."""
    return "".join(c if c.isprintable() else "�" for c in text[:most])


def _title(text: str) -> str:
    try:
        title = " ".join(clean_text(text).split())
    except ControlCharacter as exc:
        raise Problem(Reason.TITLE, f"The title: {exc}") from exc
    if is_blank(title):
        raise Problem(Reason.TITLE, "The row names no film.")
    if len(title) > MAX_TITLE_LENGTH:
        raise Problem(Reason.TITLE, f"The title is longer than {MAX_TITLE_LENGTH} characters.")
    return title


def _year(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch("[0-9]{4}", text):
        raise Problem(Reason.YEAR, f"{shown(text, 20)!r} is no year.")
    year, latest = int(text), datetime.now(UTC).year + YEARS_AHEAD
    if not FIRST_YEAR <= year <= latest:
        raise Problem(Reason.YEAR, f"{year} is no year of a film: {FIRST_YEAR} to {latest} are.")
    return year


def _moment(text: str) -> datetime | None:
    """Read a day, which is taken as its beginning in UTC, or a time."""
    if not text:
        return None
    try:
        if ISO_DATE.fullmatch(text):
            moment = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        else:
            moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise _no_date(text) from exc
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    if moment.year < FIRST_YEAR:
        raise _no_date(text)
    if moment > datetime.now(UTC) + timedelta(days=1):
        raise Problem(Reason.DATE, f"{shown(text, 30)} lies in the future.")
    return moment


def _no_date(text: str) -> Problem:
    return Problem(Reason.DATE, f"{shown(text, 30)!r} is no date: YYYY-MM-DD is needed.")


def _content(text: str) -> str:
    try:
        content = sanitise(text)
    except ControlCharacter as exc:
        raise Problem(Reason.REVIEW, f"The review: {exc}") from exc
    if len(content) > MAX_CONTENT_LENGTH:
        raise Problem(
            Reason.REVIEW,
            f"The review has {len(content):,} characters; {MAX_CONTENT_LENGTH:,} are allowed.",
        )
    return "" if is_blank(content) else content


def _release_in(year: int, text: str) -> date | None:
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        return None
    return day if day.year == year else None


def _id(given: Any) -> int | None:
    return given if type(given) is int and 0 < given <= MAX_BIGINT else None
