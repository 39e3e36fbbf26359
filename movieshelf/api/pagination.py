"""Lists, as contract section 1 has them: `{ items, page, pageSize, total, totalPages }`."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from movieshelf.api.fields import DigitsField
from movieshelf.api.serializers import QuerySerializer

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
# Where the first pages of the usual size begin, which most readers ask for.
USUAL_PAGES = range(0, 5 * DEFAULT_PAGE_SIZE, DEFAULT_PAGE_SIZE)
MAX_PAGE = 2_147_483_647


class PageParams(QuerySerializer):
    page = DigitsField(min_value=1, max_value=MAX_PAGE, default=1)
    page_size = DigitsField(min_value=1, max_value=MAX_PAGE_SIZE, default=DEFAULT_PAGE_SIZE)


class NumberedPagination(BasePagination):
    """Pages by number, with a total that the queryset knows how to find (`total()` or COUNT)."""

    def paginate_queryset(
        self, queryset: QuerySet[Any] | Sequence[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        asked = PageParams.parse(request)
        self.page, self.page_size = asked["page"], asked["page_size"]
        self.total = self.count(queryset)
        offset = (self.page - 1) * self.page_size
        # A page past the end is empty; asking the database would walk the whole list to say so.
        return list(queryset[offset : offset + self.page_size]) if offset < self.total else []

    def count(self, queryset: Any) -> int:
        return int(queryset.total() if hasattr(queryset, "total") else queryset.count())

    def get_paginated_response(self, data: Any) -> Response:
        return Response(page_body(list(data), self.page, self.page_size, self.total))

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        whole = {"type": "integer", "minimum": 0}
        return {
            "type": "object",
            "required": ["items", "page", "pageSize", "total", "totalPages"],
            "properties": {
                "items": schema,
                "page": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE},
                "pageSize": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE},
                "total": whole,
                "totalPages": whole,
            },
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            {
                "name": "page",
                "in": "query",
                "required": False,
                "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 1},
            },
            {
                "name": "pageSize",
                "in": "query",
                "required": False,
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MAX_PAGE_SIZE,
                    "default": DEFAULT_PAGE_SIZE,
                },
            },
        ]


def page_body(items: list[Any], page: int, page_size: int, total: int) -> dict[str, Any]:
    """Give the body of a list."""
    return {
        "items": items,
        "page": page,
        "pageSize": page_size,
        "total": total,
        "totalPages": -(-total // page_size),
    }
