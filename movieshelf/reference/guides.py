"""The guides of `docs/guides`, as pages."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from movieshelf.api.errors import NotFound

FOLDER: Path = settings.BASE_DIR / "docs" / "guides"
# The files are ours; HTML in them is shown, not taken, all the same.
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


class Guide(NamedTuple):
    """One guide: its address is its file's name without the number that orders it."""

    slug: str
    title: str
    html: SafeString


@cache
def guides() -> list[Guide]:
    """Give all guides, in their order."""
    return [_read(path) for path in sorted(FOLDER.glob("*.md"))]


def guide(slug: str) -> Guide:
    """Give one guide. Raises NotFound."""
    for one in guides():
        if one.slug == slug:
            return one
    raise NotFound("There is no such guide.")


def _read(path: Path) -> Guide:
    text = path.read_text()
    title = text.partition("\n")[0].removeprefix("# ")
    html = mark_safe(MARKDOWN.render(text))  # escaped by the renderer
    return Guide(path.stem.partition("-")[2], title, html)
