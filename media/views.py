"""`/media/:id`: bytes that never change, behind headers that say so."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.cache import patch_cache_control
from django.views.decorators.http import condition

from media.models import Media
from movieshelf.api.errors import MethodNotAllowed

ONE_YEAR = 365 * 24 * 60 * 60
CSP = "default-src 'none'; sandbox"


def media_etag(request: HttpRequest, pk: UUID) -> str | None:
    media = Media.objects.only("sha256").filter(pk=pk).first()
    return media.etag if media else None


@condition(etag_func=media_etag)
def _conditional(request: HttpRequest, pk: UUID) -> HttpResponse:
    media = get_object_or_404(Media, pk=pk)
    return HttpResponse(
        bytes(media.data),
        content_type=media.content_type,
        headers={
            "Content-Length": str(media.bytes),
            "Content-Disposition": f'inline; filename="{media.file_name}"',
        },
    )


def serve_media(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give the image, 304 where the client has it. Raises Http404, MethodNotAllowed."""
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        raise MethodNotAllowed(headers={"Allow": "GET, HEAD, OPTIONS"})
    response = _conditional(request, pk)
    if response.status_code < 400:
        patch_cache_control(response, public=True, max_age=ONE_YEAR, immutable=True)
        response.headers["Content-Security-Policy"] = CSP
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response
