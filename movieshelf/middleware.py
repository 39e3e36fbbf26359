"""What stands around every request: its id, the headers of every answer, the envelope."""

import re
import uuid
from collections.abc import Callable

from corsheaders.conf import conf as cors_settings
from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csp import ContentSecurityPolicyMiddleware

from movieshelf.api.errors import (
    ApiError,
    NotFound,
    envelope,
    error_for_status,
    error_response,
    translate,
)
from movieshelf.api.rendering import JSON_TYPE, to_json
from movieshelf.logs import request_id

GetResponse = Callable[[HttpRequest], HttpResponseBase]

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# The defaults of helmet 8 that Django has no setting for.
HELMET_HEADERS = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Origin-Agent-Cluster": "?1",
    "X-DNS-Prefetch-Control": "off",
    "X-Download-Options": "noopen",
    "X-Frame-Options": "DENY",
    "X-Permitted-Cross-Domain-Policies": "none",
    "X-XSS-Protection": "0",
}
PAGES = ("/admin/", "/static/", "/docs")


class EnvelopeMiddleware:
    """The outermost: every answer gets an id and headers, every failure the envelope.

    A failure that was not built by `movieshelf.api.errors` (Django's own 404 page, a refusal of a
    middleware, the debug page) is replaced by the envelope of its status, outside of pages.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        current = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        token = request_id.set(current)
        try:
            response = self.get_response(request)
            response = self.in_envelope(request, response)
        finally:
            request_id.reset(token)
        response.headers["X-Request-Id"] = current
        for name, value in HELMET_HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer what a plain Django view raised; a DRF view has answered for itself."""
        error = translate(exception)
        return error_response(error) if error else None

    def in_envelope(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.status_code < 400 or getattr(response, "enveloped", False):
            return response
        if request.path_info.startswith(PAGES) and response.status_code < 500:
            return response
        error = error_for_status(response.status_code)
        if not isinstance(response, HttpResponse):
            return error_response(error)
        # In place: the headers that the middlewares inside have set stay on it.
        response.content = to_json(envelope(error))
        response.headers["Content-Type"] = JSON_TYPE
        response.headers["Cache-Control"] = "no-store"
        response.headers.pop("Content-Length", None)
        return response


class PageCspMiddleware(ContentSecurityPolicyMiddleware):
    """Django's CSP; the admin's pages get the policy of pages, answers the one of answers."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if request.path_info.startswith("/admin/"):
            response._csp_config = settings.PAGE_CSP  # type: ignore[attr-defined]  # as csp_override does
        return super().process_response(request, response)


class ExactOriginCorsMiddleware(CorsMiddleware):
    """django-cors-headers, comparing origins to the letter: `HTTP://LOCALHOST` is another."""

    def origin_found_in_white_lists(self, origin: str, url: object) -> bool:
        return origin in cors_settings.CORS_ALLOWED_ORIGINS


class HostCheckMiddleware:
    """Refuse a host that is not ours (CommonMiddleware would, and redirect besides)."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.get_host()  # raises DisallowedHost, a 400
        return self.get_response(request)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: the envelope, without a word of what happened."""
    return error_response(ApiError())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404: no such route."""
    return error_response(NotFound())
