"""How an operation that is to go says so: in the document, and in its answers (RFC 9745, 8594)."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import wraps
from typing import Any

from django.utils.http import http_date
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.response import Response

from movieshelf.api.conditional import TEXT

Handler = Callable[..., Response]


def deprecated(*, since: date, gone_on: date) -> Callable[[Handler], Handler]:
    """Mark the handler of an operation: since when it is to go, and the day on which it is gone.

    There is at least one minor version between the two (CHANGELOG.md).
    """
    headers = {"Deprecation": f"@{midnight(since):.0f}", "Sunset": http_date(midnight(gone_on))}
    described = [
        OpenApiParameter(name, TEXT, OpenApiParameter.HEADER, response=True) for name in headers
    ]

    def decorate(handler: Handler) -> Handler:
        @extend_schema(deprecated=True, parameters=described)
        @wraps(handler)
        def answer(*args: Any, **kwargs: Any) -> Response:
            response = handler(*args, **kwargs)
            for name, value in headers.items():
                response[name] = value
            return response

        return answer

    return decorate


def midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
