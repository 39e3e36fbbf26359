"""All that is held about a member, as one JSON document."""

from collections.abc import Iterable, Mapping
from tempfile import SpooledTemporaryFile
from typing import IO, Any, cast

from django.db import transaction
from django.db.models import F

from accounts.models import User
from accounts.serializers import UserSerializer
from accounts.signals import exporting
from media.models import Media
from movieshelf.api.rendering import to_json

# Rows of one part, ready for JSON.
Rows = Iterable[Mapping[str, Any]]

PARTS = ("sessions", "movies", "ratings", "reviews", "reports", "media", "imports")
# A shelf of some thousand rows stays in memory; a larger one waits on the disk.
MAX_BYTES_IN_MEMORY = 1024 * 1024
ROWS_AT_ONCE = 1_000


def export(user: User) -> IO[bytes]:
    """Give the document, complete and ready to be read, whatever its size.

    It is written down before the first byte is sent: an error is an error then and no torn
    document, and no connection to the database waits for a slow reader.
    """
    document = SpooledTemporaryFile(max_size=MAX_BYTES_IN_MEMORY)  # noqa: SIM115  # the answer closes it
    # One transaction: that is where the cursors, which read some rows at a time, can live.
    with transaction.atomic():
        _write(document, user)
    document.seek(0)
    return document


def _write(document: IO[bytes], user: User) -> None:
    parts = _parts(user)
    document.write(b'{"user":' + to_json(UserSerializer(user).data))
    for name in PARTS:
        document.write(f',"{name}":['.encode())
        for index, row in enumerate(parts.get(name, ())):
            document.write(b"," * (index > 0) + to_json(row))
        document.write(b"]")
    document.write(b"}")


def _parts(user: User) -> Mapping[str, Rows]:
    """Ask the apps above for theirs, and add ours and that of the app below."""
    answers = cast(Iterable[tuple[object, tuple[str, Rows]]], exporting.send(User, user=user))
    above = dict(part for _, part in answers)
    return {"sessions": _sessions(user), "media": _media(user), **above}


def _sessions(user: User) -> Rows:
    """Every login we still know of, ended ones too."""
    return (
        user.sessions.order_by("pk")
        .values(
            "id",
            "ip",
            createdAt=F("created_at"),
            lastUsedAt=F("last_used_at"),
            expiresAt=F("expires_at"),
            endedAt=F("revoked_at"),
            userAgent=F("user_agent"),
        )
        .iterator(ROWS_AT_ONCE)
    )


def _media(user: User) -> Rows:
    """The images they uploaded; the bytes are at each one's `url`."""
    rows = Media.objects.usable_by(user).order_by("pk")
    columns = rows.values(
        "id", "width", "height", "bytes", contentType=F("content_type"), createdAt=F("created_at")
    )
    return ({**row, "url": f"/media/{row['id']}"} for row in columns.iterator(ROWS_AT_ONCE))
