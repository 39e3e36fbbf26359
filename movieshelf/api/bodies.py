"""Reading request bodies within a bound, sized in advance or chunked."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from io import BytesIO
from typing import IO, Any

from django.conf import settings
from django.http.request import HttpRequest, UnreadablePostError
from rest_framework.request import Request

from movieshelf.api.errors import InvalidInput, PayloadTooLarge

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# What multipart framing and small fields may add to the bytes of an upload.
MULTIPART_SLACK_BYTES = 64 * 1024


def declared_length(request: HttpRequest | Request) -> int:
    """Give the Content-Length, 0 where there is none."""
    return _length(request.META)


def _length(environ: Mapping[str, Any]) -> int:
    digits: str = environ.get("CONTENT_LENGTH") or "0"
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else 0


def read_bounded(stream: IO[bytes] | None, request: HttpRequest | Request, max_bytes: int) -> bytes:
    """Read a whole body of at most `max_bytes`, refusing a larger one before reading it.

    Raises PayloadTooLarge, or InvalidInput when the client went away in the middle.
    """
    if declared_length(request) > max_bytes:
        raise PayloadTooLarge(f"The body is over the limit of {max_bytes:,} bytes.")
    if stream is None:
        return b""
    try:
        body = stream.read(max_bytes + 1)
    except (UnreadablePostError, OSError) as exc:
        raise InvalidInput("The body ended before it was complete.") from exc
    if len(body) > max_bytes:
        raise PayloadTooLarge(f"The body is over the limit of {max_bytes:,} bytes.")
    if len(body) < declared_length(request):
        raise InvalidInput("The body ended before it was complete.")
    return body


def longest_body() -> int:
    """Give the bytes of the longest body that any endpoint takes."""
    return int(max(settings.MEDIA_MAX_BYTES, settings.IMPORT_MAX_BYTES)) + MULTIPART_SLACK_BYTES


def taken_whole(application: WSGIApplication) -> WSGIApplication:
    """Read what an application left of a body that we could take, before its answer goes out.

    A film that is not there is known before the body is read, and so is who is not logged in. But
    behind an answer that comes before the whole body the server ends the connection, and tells
    nobody: who is still sending hears no answer (a proxy makes a 502 of it), and who sends the next
    request on that connection loses it. A slow client can hold a thread by this, as by any body
    that we need: that is what a proxy is for, which takes bodies whole before it passes them on.
    """

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = application(environ, start_response)
        if 0 < _length(environ) <= longest_body():
            with suppress(OSError):  # gone, and so is whom the answer is for
                while environ["wsgi.input"].read(64 * 1024):
                    pass
        return answer

    return wrapped


def readable_chunked_bodies(application: WSGIApplication) -> WSGIApplication:
    """Give chunked bodies the length that Django needs to see them at all.

    Django reads CONTENT_LENGTH bytes, so a chunked body would look empty. One that is longer than
    anything we take is cut one byte over the bound, and so refused where bodies are measured.
    """

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
            body = _read_up_to(environ["wsgi.input"], longest_body() + 1)
            environ["CONTENT_LENGTH"] = str(len(body))
            environ["wsgi.input"] = BytesIO(body)
        return application(environ, start_response)

    return wrapped


def _read_up_to(stream: IO[bytes], most: int) -> bytes:
    parts, left = [], most
    while left and (part := stream.read(min(left, 64 * 1024))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
