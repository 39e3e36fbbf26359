"""CSV out: a whole file, in which no cell is a formula."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes

from movieshelf.api.rendering import NonJSONRenderer

CSV_TYPE = "text/csv"
# What a spreadsheet would take for the beginning of a formula, when it opens the file.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
MAX_BYTES_IN_MEMORY = 1024 * 1024
# For extend_schema.
CSV_ANSWER = {(200, CSV_TYPE): OpenApiTypes.STR}


class CSVRenderer(NonJSONRenderer):
    """Lets a view be asked for CSV; the view answers with `csv_file`."""

    media_type = CSV_TYPE
    format = "csv"


def csv_file(name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> FileResponse:
    """Give a download, complete before its first byte is sent: UTF-8, CRLF, no formulas."""
    document: IO[bytes] = SpooledTemporaryFile(max_size=MAX_BYTES_IN_MEMORY)  # noqa: SIM115  # the answer closes it
    write_csv(document, header, rows)
    document.seek(0)
    return FileResponse(document, as_attachment=True, filename=name, content_type=CSV_TYPE)


def write_csv(document: IO[bytes], header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write the file, and leave it open."""
    text = io.TextIOWrapper(document, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows([cell(value) for value in row] for row in rows)
    text.detach()


def cell(value: Any) -> str:
    """Give a value as it stands in a file: an apostrophe before what would be a formula.

    `without_apostrophe` takes it away again.
    """
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def without_apostrophe(text: str) -> str:
    """Undo what keeps a cell of our own CSV from being a formula."""
    return text[1:] if text[:1] == "'" and text[1:2] in FORMULA else text
