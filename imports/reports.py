"""An import's report as lines of a file."""

from collections.abc import Iterator
from typing import Any

from imports.models import Import, Row

HEADER = (
    *("row", "outcome", "reason", "message", "title", "year", "given", "value"),
    *("movieId", "rating", "oldValue", "review", "candidates"),
)


def lines(source: Import) -> Iterator[tuple[Any, ...]]:
    """Give what came of each row, in the order of the file."""
    for row in source.rows.in_order().iterator():
        yield (
            *(row.number, row.outcome, row.reason, row.message, row.title, row.year, row.given),
            *(row.value, row.movie_id, row.rating_change, row.old_value, row.review_change),
            _candidates(row),
        )


def _candidates(row: Row) -> str:
    return "; ".join(f"{film['id']} {film['title']}" for film in row.candidates or ())
