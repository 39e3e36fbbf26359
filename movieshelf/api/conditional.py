"""If-Match and If-None-Match, as RFC 9110 section 13 compares them."""

from django.http import HttpRequest
from django.utils.http import parse_etags
from rest_framework.request import Request


def is_known_to_client(request: HttpRequest | Request, etag: str) -> bool:
    """Say whether If-None-Match names this version (weak comparison): the answer is 304."""
    header = request.META.get("HTTP_IF_NONE_MATCH")
    if header is None:
        return False
    tags = [tag.removeprefix("W/") for tag in parse_etags(header)]
    return "*" in tags or etag in tags


def if_match_tags(request: HttpRequest | Request) -> list[str] | None:
    """Give the tags that If-Match names, None without the header. Weak ones never match."""
    header = request.META.get("HTTP_IF_MATCH")
    if header is None:
        return None
    return [tag for tag in parse_etags(header) if not tag.startswith("W/")]
