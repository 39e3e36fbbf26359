"""Views and a middleware that fail, beside the real routes: for the tests of what is said then."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response

from movieshelf.api.views import ApiView
from movieshelf.urls import handler404, handler500
from movieshelf.urls import urlpatterns as real

__all__ = ["handler404", "handler500", "urlpatterns"]

SECRET = "hunter2 in /srv/secret.py"


class CrashView(ApiView):
    def get(self, request: Request) -> Response:
        raise RuntimeError(SECRET)


class SqlView(ApiView):
    """Runs the SQL it is given, as a fault of the database would come about."""

    def get(self, request: Request) -> Response:
        with connection.cursor() as cursor:
            cursor.execute(request.query_params["sql"])
        return Response({})


def crash(request: HttpRequest) -> HttpResponse:
    raise RuntimeError(SECRET)


class FullDiskView(ApiView):
    """Fails as a temporary file does that finds no room (an export, a CSV)."""

    def get(self, request: Request) -> Response:
        raise OSError(int(request.query_params["errno"]), SECRET)


def gone(request: HttpRequest) -> HttpResponse:
    raise Http404(SECRET)


def denied(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied(SECRET)


def suspicious(request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation(SECRET)


def streamed(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse([SECRET], status=502)


def plain(request: HttpRequest) -> HttpResponse:
    """What a careless view or middleware answers: a page with a status."""
    return HttpResponse(SECRET, status=int(request.GET["status"]))


class FailingMiddleware:
    """Stands innermost, and fails for one path."""

    def __init__(self, get_response: Callable[..., Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        if request.path == "/middleware":
            raise RuntimeError(SECRET)
        if request.path == "/middleware-sql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return self.get_response(request)


urlpatterns = [
    path("crash", crash),
    path("crash-api", CrashView.as_view()),
    path("sql", SqlView.as_view()),
    path("disk", FullDiskView.as_view()),
    path("gone", gone),
    path("denied", denied),
    path("suspicious", suspicious),
    path("streamed", streamed),
    path("plain", plain),
    *real,
]
