"""Valid images from nothing; `data` may be any file that an upload may be."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import User
from media.door import door
from media.models import Media
from media.tests import pictures

LONG_AGO = timedelta(days=2)


def an_image(
    *,
    uploader: User | None = None,
    data: bytes | None = None,
    age: timedelta = timedelta(0),
    unused_for: timedelta | None = None,
) -> Media:
    """Keep an image as an upload would, as if `age` ago and found unused `unused_for` ago."""
    media = Media.objects.keep(door.clean(data or pictures.jpeg()), uploader=uploader)
    now = timezone.now()
    if age:
        Media.objects.filter(pk=media.pk).update(created_at=now - age)
    if unused_for is not None:
        Media.objects.filter(pk=media.pk).update(unused_since=now - unused_for)
    return Media.objects.get(pk=media.pk)


def a_part(body: bytes, *, name: str = "image", **header: Any) -> bytes:
    """Write one part of a form by hand; `header` replaces or adds to its lines."""
    lines = {
        "content_disposition": f'form-data; name="{name}"; filename="photo.jpg"',
        "content_type": "image/jpeg",
        **header,
    }
    head = "".join(
        f"{key.replace('_', '-')}: {value}\r\n" for key, value in lines.items() if value is not None
    )
    return head.encode("utf-8", "surrogateescape") + b"\r\n" + body


def a_form(*parts: bytes, boundary: str = "frontier", end: str = "--\r\n") -> dict[str, Any]:
    """Put parts together, as the arguments of a request."""
    mark = f"--{boundary}"
    body = b"".join(mark.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return {
        "data": body + (mark + end).encode() if end else body,
        "content_type": f"multipart/form-data; boundary={boundary}",
    }
