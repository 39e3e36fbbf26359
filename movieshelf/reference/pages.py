"""`/openapi.json`, the pages at `/docs`, and what stands at the root."""

from functools import cache

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.csp import csp_override
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from movieshelf import __version__
from movieshelf.api.conditional import etag_of, is_known_to_client
from movieshelf.api.errors import MethodNotAllowed, NotAcceptable
from movieshelf.api.rendering import JSON_TYPE, to_json
from movieshelf.api.views import SAFE_METHODS, ApiView
from movieshelf.reference.document import COMMITTED
from movieshelf.reference.guides import guide, guides

# The reference sets styles by script, which needs no exception; nothing comes from elsewhere.
DOCS_CSP = {**settings.PAGE_CSP, "style-src": ["'self'"]}
WHERE = {
    "name": "MovieShelf",
    "version": __version__,
    "openapi": "/openapi.json",
    "docs": "/docs",
    "movies": "/movies",
    "changes": "/changes",
}
CACHED = "public, max-age=300"
PAGE_TYPE = "text/html"


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


def home(request: HttpRequest) -> HttpResponse:
    """Send a browser to the pages, and tell a program where things are.

    Raises MethodNotAllowed, NotAcceptable.
    """
    allow = {"Allow": ", ".join(SAFE_METHODS)}
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers=allow)
    if request.method not in SAFE_METHODS:
        raise MethodNotAllowed(headers=allow)
    # An empty `Accept` asks for nothing in particular (RFC 9110, 12.5.1).
    asked = request.headers.get("Accept", "").strip()
    kind = request.get_preferred_type([JSON_TYPE, PAGE_TYPE]) if asked else JSON_TYPE
    if kind is None:
        raise NotAcceptable.but_for(JSON_TYPE, PAGE_TYPE)
    response = HttpResponseRedirect("/docs") if kind == PAGE_TYPE else _where(request)
    response.headers["Cache-Control"] = CACHED
    patch_vary_headers(response, ["Accept"])
    return response


def _where(request: HttpRequest) -> HttpResponse:
    body = to_json(WHERE)
    headers = {"ETag": etag_of(body)}
    if is_known_to_client(request, headers["ETag"]):
        return HttpResponse(status=304, headers=headers)
    return HttpResponse(body, content_type=JSON_TYPE, headers=headers)


def docs(request: HttpRequest) -> HttpResponse:
    """The reference, with the guides before it. Raises MethodNotAllowed."""
    return _page(request, "reference/reference.html")


def docs_guide(request: HttpRequest, slug: str) -> HttpResponse:
    """One guide. Raises MethodNotAllowed, NotFound."""
    return _page(request, "reference/guide.html", guide=guide(slug))


@csp_override(DOCS_CSP)
def _page(request: HttpRequest, template: str, **context: object) -> HttpResponse:
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed(headers={"Allow": "GET, HEAD"})
    return render(request, template, {"guides": guides(), "version": __version__, **context})
