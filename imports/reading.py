"""From the bytes of a file to its rows, whichever service wrote it. Pure Python: no database.

A file that cannot be what it should is refused as a whole (400, 413, 415), with a sentence that
says what is wrong and where. Once a file is taken, whatever is wrong with one row is that row's
`Problem`, and the rows around it are read.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import orjson

from imports.entries import (
    Entry,
    Problem,
    Reason,
    from_export,
    from_imdb,
    from_letterboxd,
    from_own,
    shown,
)
from movieshelf.api.errors import InvalidInput, PayloadTooLarge, UnsupportedMediaType

FIELD = "file"
DELIMITERS = (",", ";", "\t")
# The widest export we know has 18 columns.
MAX_COLUMNS = 100
MAX_HEADER_CHARACTERS = 10_000

BINARY = {
    b"PK": "a zip archive or a spreadsheet; unpack it, and send the CSV file in it",
    b"\x1f\x8b": "a gzip archive; unpack it, and send the CSV file in it",
    b"Rar!": "an archive; unpack it, and send the CSV file in it",
    b"7z\xbc\xaf": "an archive; unpack it, and send the CSV file in it",
    b"%PDF": "a PDF",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"\xd0\xcf\x11\xe0": "a spreadsheet; save it as CSV UTF-8",
}
BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}

Cells = Mapping[str, str]


@dataclass(frozen=True)
class Format:
    """How one service writes its export: the columns that tell it, and how a row is understood."""

    name: str
    columns: frozenset[str]
    read: Callable[[Cells], Entry]


# The first whose columns are all there; an export may have more columns than we know.
FORMATS = (
    Format(
        "letterboxd_reviews",
        frozenset({"Date", "Name", "Year", "Letterboxd URI", "Rating", "Review"}),
        from_letterboxd,
    ),
    Format(
        "letterboxd_ratings",
        frozenset({"Date", "Name", "Year", "Letterboxd URI", "Rating"}),
        from_letterboxd,
    ),
    Format(
        "imdb_ratings",
        frozenset({"Const", "Your Rating", "Date Rated", "Title", "Title Type", "Year"}),
        from_imdb,
    ),
    Format(
        "movieshelf_ratings",
        frozenset({"movieId", "title", "year", "value", "updatedAt"}),
        from_own,
    ),
)
EXPORT = "movieshelf_export"
NAMES = (*(one.name for one in FORMATS), EXPORT)


@dataclass(frozen=True)
class Sheet:
    """A file that was understood: what wrote it, and its rows in order."""

    format: str
    entries: Sequence[Entry] = field(repr=False)


def read(data: bytes, *, max_rows: int) -> Sheet:
    """Give the rows of a file. Raises InvalidInput, PayloadTooLarge, UnsupportedMediaType."""
    text = decoded(data)
    sheet = _read_export(text, max_rows) if text.lstrip()[:1] == "{" else _read_csv(text, max_rows)
    if len(sheet.entries) > max_rows:
        raise PayloadTooLarge(f"The file has more than {max_rows:,} rows; split it.")
    return sheet


def decoded(data: bytes) -> str:
    """Give the text of a file: UTF-8, or UTF-16 that says so by its byte order mark.

    Other encodings are refused and not guessed: what is guessed wrong gets films wrong names.
    """
    for magic, what in BINARY.items():
        if data.startswith(magic):
            raise UnsupportedMediaType(f"A CSV file is needed; this is {what}.")
    encoding = next((e for mark, e in BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as exc:
        line = data[: exc.start].count(b"\n") + 1
        raise refused(
            f"Line {line} is not UTF-8. Save the file as UTF-8 (in a spreadsheet: “CSV UTF-8”)."
        ) from exc
    if not text.strip():
        raise refused("The file is empty.")
    return text


def refused(message: str) -> InvalidInput:
    """The whole file is refused, before anything of it is imported."""
    return InvalidInput.on(FIELD, message)


# --- CSV -----------------------------------------------------------------------------------------


def _read_csv(text: str, max_rows: int) -> Sheet:
    header_line = text.split("\n", 1)[0][: MAX_HEADER_CHARACTERS + 1]
    if len(header_line) > MAX_HEADER_CHARACTERS:
        raise refused("The first line is no header of an export: it is too long.")
    for delimiter in DELIMITERS:
        names = _header(header_line, delimiter)
        for form in FORMATS:
            if form.columns <= set(names):
                _require_single(names, form)
                return Sheet(form.name, _rows(text, delimiter, names, form, max_rows))
    raise refused(
        "The columns are none that we know. Taken are ratings.csv, diary.csv and reviews.csv of"
        " Letterboxd, the ratings of IMDb, and ratings.csv or the export of MovieShelf; the first"
        " line must be the header it came with."
    )


def _header(line: str, delimiter: str) -> list[str]:
    try:
        return [name.strip() for name in _first(line, delimiter)]
    except csv.Error as exc:
        raise refused("The first line is no header of an export.") from exc


def _first(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter, strict=True), [])


def _require_single(names: Sequence[str], form: Format) -> None:
    if len(names) > MAX_COLUMNS:
        raise refused(f"The file has {len(names):,} columns; {MAX_COLUMNS} are allowed.")
    for name in form.columns:
        if names.count(name) > 1:
            raise refused(f"The header names the column {name} twice.")


def _rows(
    text: str, delimiter: str, names: Sequence[str], form: Format, max_rows: int
) -> Sequence[Entry]:
    """Read every record below the header; empty lines are no records."""
    entries: list[Entry] = []
    for record in _records(text, delimiter):
        entries.append(_entry(record, names, form))
        if len(entries) > max_rows:
            break
    return entries


def _records(text: str, delimiter: str) -> Iterator[list[str] | Problem]:
    """Give each record below the header, or why it is none.

    Strict: a lenient reader takes a stray quote for text, and the rows up to the next quote with
    it, without a word.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    next(reader)
    while True:
        first = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            if "unexpected end of data" in str(exc):
                raise refused(
                    f"Line {first} opens a quote that is never closed: the file is damaged or cut"
                    " off there."
                ) from exc
            yield Problem(Reason.UNREADABLE, f"{_lines(first, reader.line_num)} cannot be read.")
            continue
        if record:
            yield record


def _lines(first: int, last: int) -> str:
    return f"Line {first}" if first == last else f"The text from line {first} to {last}"


def _entry(record: list[str] | Problem, names: Sequence[str], form: Format) -> Entry:
    if isinstance(record, Problem):
        return Entry(problem=record)
    if len(record) > len(names) and not any(cell.strip() for cell in record[len(names) :]):
        record = record[: len(names)]  # a spreadsheet's empty columns
    if len(record) != len(names):
        more = "too many" if len(record) > len(names) else "cut off"
        message = f"The row has {len(record):,} of {len(names)} columns: it is {more}."
        return Entry(title=_shown_title(record, names), problem=Problem(Reason.COLUMNS, message))
    return form.read(dict(zip(names, record, strict=True)))


def _shown_title(record: Sequence[str], names: Sequence[str]) -> str:
    """Find the title in a row that is cut off behind it, for the report."""
    cells = dict(zip(names, record, strict=False))
    return shown(cells.get("Name") or cells.get("Title") or cells.get("title") or "")


# --- The export of an account --------------------------------------------------------------------


def _read_export(text: str, max_rows: int) -> Sheet:
    try:
        document = orjson.loads(text.encode())
    except ValueError as exc:
        raise refused("The file begins like the export of an account, and is cut off.") from exc
    parts = [document.get(part) for part in ("ratings", "reviews")]
    if not all(isinstance(part, list) for part in parts):
        raise refused("The file is no export of an account: it lacks `ratings` or `reviews`.")
    rows = islice(chain.from_iterable(parts), max_rows + 1)
    return Sheet(EXPORT, [_of_export(row) for row in rows])


def _of_export(row: Any) -> Entry:
    if not isinstance(row, dict):
        return Entry(problem=Problem(Reason.UNREADABLE, "The row is no rating and no review."))
    return from_export(row)
