"""`/openapi.json`, `/docs` and what stands at the root."""

from functools import cache

import orjson
from django.conf import settings
from django.utils.decorators import method_decorator
from django.views.decorators.csp import csp_override
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from movieshelf.api.views import ApiView
from movieshelf.reference.document import COMMITTED

# OPTIONS would have DRF describe a page as if it were data.
READ = ("get", "head")


class OpenAPIView(ApiView):
    """The OpenAPI document as it was committed; a test keeps it the one of the code."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(exclude=True)  # described in movieshelf.reference.document
    def get(self, request: Request) -> Response:
        return Response(orjson.Fragment(committed_document()))


@cache
def committed_document() -> bytes:
    """Give the bytes of openapi.json."""
    return COMMITTED.read_bytes()


@method_decorator(csp_override(settings.PAGE_CSP), name="dispatch")
class DocsView(SpectacularSwaggerSplitView):
    """The reference; its script is a request of its own, so the CSP needs no exception."""

    url_name = "openapi"
    http_method_names = READ
