"""What stands around every request: its id, the headers of every answer, the envelope."""

import sys
from collections.abc import Callable

from corsheaders.conf import conf as cors_settings
from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csp import ContentSecurityPolicyMiddleware
from django.views.defaults import page_not_found

from movieshelf.api.errors import (
    ApiError,
    NotFound,
    ReadOnly,
    error_for_status,
    error_response,
    translate,
)
from movieshelf.api.rendering import JSON_TYPE
from movieshelf.observing import ID_HEADER, Observation, observing, route_name

GetResponse = Callable[[HttpRequest], HttpResponseBase]

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
# The admin's own, of which the API has its counterparts.
WORKS_READ_ONLY = ("/admin/login/", "/admin/logout/")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# Neither may say how long it is (RFC 9110, 8.6).
WITHOUT_BODY = (204, 304)


class EnvelopeMiddleware:
    """The outermost: every answer gets an id and headers, every failure the envelope.

    A failure that was not built by `movieshelf.api.errors` (Django's own 404 page, a refusal of a
    middleware, the debug page) is replaced by the envelope of its status, outside of the admin.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with observing(request.META) as seen:
            response = self.in_envelope(request, self.get_response(request))
            tell(seen, request)
        response.headers[ID_HEADER] = seen.request_id
        # The server in front would name itself.
        response.headers["Server"] = "MovieShelf"
        for name, value in HELMET_HEADERS.items():
            response.headers.setdefault(name, value)
        if isinstance(response, HttpResponse) and response.status_code not in WITHOUT_BODY:
            response.headers.setdefault("Content-Length", str(len(response.content)))
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer what a plain Django view raised; a DRF view has answered for itself."""
        if is_admin(request) and isinstance(exception, Http404 | PermissionDenied):
            return None
        error = translate(exception)
        return error_response(error) if error else None

    def in_envelope(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        # The reference renders even a failure as a page.
        is_json = response.get("Content-Type") == JSON_TYPE
        if response.status_code < 400 or (is_json and getattr(response, "enveloped", False)):
            return response
        if is_admin(request) and response.status_code < 500:
            return response
        replaced = error_response(error_for_status(response.status_code))
        # What the middlewares inside have set stays on it; what told of the old body does not.
        for name, value in response.items():
            if name not in ("Content-Type", "Content-Length", "Content-Encoding", "Cache-Control"):
                replaced.headers.setdefault(name, value)
        return replaced


class PageCspMiddleware(ContentSecurityPolicyMiddleware):
    """Django's CSP; the admin's pages get the policy of pages, answers the one of answers."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if is_admin(request):
            response._csp_config = settings.PAGE_CSP  # type: ignore[attr-defined]  # as csp_override does
            # Under "no-referrer" a browser sends a form with `Origin: null`, which the check
            # against cross-site forms refuses: nobody could log in.
            response.headers["Referrer-Policy"] = "same-origin"
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


def tell(seen: Observation, request: HttpRequest) -> None:
    """Say which route answered, and in the admin to whom; else `accounts.authentication` does."""
    if request.resolver_match:
        seen.route = route_name(request.resolver_match.route)
    # Where AuthenticationMiddleware keeps who was looked up; asking for `user` would look.
    if user := getattr(request, "_cached_user", None):
        seen.user_id = user.pk


class ReadOnlyAdminMiddleware:
    """Refuse what changes something in the admin while READ_ONLY is on; logging in and out goes on.

    The API's views refuse for themselves, after the other checks (movieshelf.api.views).
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if (
            settings.READ_ONLY
            and is_admin(request)
            and request.method not in SAFE_METHODS
            and request.path_info not in WORKS_READ_ONLY
        ):
            return error_response(ReadOnly())
        return self.get_response(request)


def is_admin(request: HttpRequest) -> bool:
    """Whether a person reads the answer as a page."""
    return request.path_info.startswith("/admin/")


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: the envelope, without a word of what happened.

    A middleware that found the database out of reach comes to this too, and is a 503.
    """
    raised = sys.exception()
    error = translate(raised) if raised else None
    return error_response(error or ApiError())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404: no such route."""
    if is_admin(request):
        return page_not_found(request, exception)
    return error_response(NotFound())
