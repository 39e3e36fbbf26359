"""If-Match and If-None-Match, as RFC 9110 section 13 compares them."""

from hashlib import blake2b

from django.http import HttpRequest
from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from movieshelf.api.errors import PreconditionFailed

TEXT = {"type": "string"}

# These decorate the handler of an operation, and document what it takes and says.
conditional_write = extend_schema(
    parameters=[
        OpenApiParameter(
            "If-Match",
            TEXT,
            OpenApiParameter.HEADER,
            description="Do it only where the thing was not changed since this `ETag`.",
        )
    ]
)
says_version = extend_schema(
    parameters=[OpenApiParameter("ETag", TEXT, OpenApiParameter.HEADER, response=[200, 201])]
)
says_where = extend_schema(
    parameters=[OpenApiParameter("Location", TEXT, OpenApiParameter.HEADER, response=[201, 202])]
)


def is_known_to_client(request: HttpRequest | Request, etag: str) -> bool:
    """Say whether If-None-Match names this version (weak comparison): the answer is 304."""
    return names(request.META.get("HTTP_IF_NONE_MATCH"), etag)


def names(header: str | None, etag: str) -> bool:
    """Say whether a header If-None-Match names this version; an absent one names none."""
    if header is None:
        return False
    tags = [tag.removeprefix("W/") for tag in parse_etags(header)]
    return "*" in tags or etag in tags


def tag(request: Request, response: Response) -> Response:
    """Put an ETag on what was read, and make a 304 of it for whom it is no news.

    A view that knows the version says so itself; else the tag is a hash of the very bytes, so
    it is strong, and as exact as can be.
    """
    response.render()
    if "ETag" not in response.headers:
        response.headers["ETag"] = etag_of(response.content)
    if is_known_to_client(request, response.headers["ETag"]):
        response.status_code, response.content = 304, b""
        del response.headers["Content-Type"]
    return response


def etag_of(body: bytes) -> str:
    """Give the strong ETag of exactly these bytes."""
    return f'"{blake2b(body, digest_size=16).hexdigest()}"'


def require_match(request: HttpRequest | Request, current: str) -> None:
    """Raise PreconditionFailed, which tells the current ETag, where If-Match names others."""
    tags = if_match_tags(request)
    if tags is not None and "*" not in tags and current not in tags:
        raise PreconditionFailed(headers={"ETag": current})


def if_match_tags(request: HttpRequest | Request) -> list[str] | None:
    """Give the tags that If-Match names, None without the header. Weak ones never match."""
    header = request.META.get("HTTP_IF_MATCH")
    if header is None:
        return None
    return [tag for tag in parse_etags(header) if not tag.startswith("W/")]
