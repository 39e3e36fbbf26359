"""`/media/:id`: bytes that never change, behind headers that say so.

Each request asks the database one small question, by primary key and without the bytes: is there
this image, and what is its hash? That makes a 304 cheap, and a removed image 404 at once and
everywhere, whatever is cached; there is nothing to invalidate and no clock to trust. The bytes
come from Valkey where an image is asked for often (media.hot), else from the row.

None of this looks at who is asking: an image is as public as its id.
"""

from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from media.hot import bytes_of
from media.models import EXTENSIONS, WIDTHS, Derivative, Media
from media.ranges import ByteRange
from movieshelf.api.conditional import is_known_to_client
from movieshelf.api.errors import InvalidInput, MethodNotAllowed
from movieshelf.api.hot import may_be_kept
from movieshelf.api.serializers import CamelCaseSerializer
from movieshelf.api.views import SAFE_METHODS, ApiView

ALLOWED = ", ".join(SAFE_METHODS)
FOR_EVER = {
    "Cache-Control": f"public, max-age={365 * 24 * 60 * 60}, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}


def serve_media(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Give an image, 304 where the client has it, 206 for a part of it.

    Raises MethodNotAllowed, NotFound, InvalidInput (the width), RangeNotSatisfiable.
    """
    if request.method not in SAFE_METHODS:
        raise MethodNotAllowed(headers={"Allow": ALLOWED})
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers={"Allow": ALLOWED})
    picture = asked_picture(request, pk)
    headers = {**FOR_EVER, "ETag": picture.etag}
    if is_known_to_client(request, picture.etag):
        return HttpResponseNotModified(headers=headers)
    return may_be_kept(answer(request, picture, headers), picture.shown)


def asked_picture(request: HttpRequest, pk: UUID) -> Media | Derivative:
    """Find what `?width=` asks for, the image itself without it; the bytes stay where they are.

    Raises NotFound, InvalidInput.
    """
    given = request.GET.getlist("width")
    if given in WIDTHS_AS_GIVEN:
        return Derivative.objects.made(pk, int(given[0]))
    media = Media.objects.require(pk)
    if given:
        allowed = ", ".join(str(width) for width in WIDTHS)
        raise InvalidInput.on("width", f"The width must be one of {allowed}, given once.")
    return media


WIDTHS_AS_GIVEN = [[str(width)] for width in WIDTHS]


def answer(
    request: HttpRequest, picture: Media | Derivative, headers: dict[str, str]
) -> HttpResponse:
    """Give the bytes asked for, all or one range of them; none at all for HEAD."""
    part = asked_part(request, picture)
    headers |= {
        "Content-Type": picture.content_type,
        "Content-Length": str(part.stop - part.start if part else picture.bytes),
        "Content-Disposition": f'inline; filename="{picture.file_name}"',
        "Accept-Ranges": "bytes",
    }
    if request.method == "HEAD":
        return HttpResponse(headers=headers)
    data = bytes_of(picture)
    if part is None:
        return HttpResponse(data, headers=headers)
    headers["Content-Range"] = part.header
    return HttpResponse(memoryview(data)[part.start : part.stop], status=206, headers=headers)


def asked_part(request: HttpRequest, picture: Media | Derivative) -> ByteRange | None:
    """Give the range of a GET that is still good: If-Range, where sent, names this very image."""
    header = request.META.get("HTTP_RANGE")
    if header is None or request.method != "GET":
        return None
    if request.META.get("HTTP_IF_RANGE", picture.etag) != picture.etag:
        return None
    return ByteRange.asked(header, picture.bytes)


class LimitsSerializer(CamelCaseSerializer):
    """What an upload may be, and in which widths it can be had."""

    max_bytes = serializers.IntegerField()
    max_pixels = serializers.IntegerField()
    max_side = serializers.IntegerField()
    types = serializers.ListField(child=serializers.CharField())
    widths = serializers.ListField(child=serializers.IntegerField())


class MediaLimitsView(ApiView):
    """The limits, in advance; like all of /media it does not look at credentials."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(responses=LimitsSerializer)
    def get(self, request: Request) -> Response:
        """Get the limits of uploads.

        What an image may weigh and measure, which types are taken, and in which widths one can be
        had.
        """
        limits = {
            "max_bytes": settings.MEDIA_MAX_BYTES,
            "max_pixels": settings.MEDIA_MAX_PIXELS,
            "max_side": settings.MEDIA_MAX_SIDE,
            "types": list(EXTENSIONS),
            "widths": list(WIDTHS),
        }
        return Response(LimitsSerializer(limits).data)
