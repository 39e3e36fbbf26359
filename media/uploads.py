"""Images in: a form with one file, decoded and kept."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import BoundedSemaphore
from typing import Any, cast

from django.conf import settings
from django.db import connections
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from media.door import clean_upload
from media.images import CleanImage
from media.models import Media
from movieshelf.api.ceilings import UPLOADS, WRITES
from movieshelf.api.errors import Unavailable
from movieshelf.api.idempotency import idempotent, takes_idempotency_key
from movieshelf.api.multipart import BoundedUploadHandler, FileParser, FileSerializer
from movieshelf.api.serializers import CamelCaseSerializer
from movieshelf.api.views import ApiView

UPLOADS_IN_SHORT = (
    "A JPEG, PNG or WebP, recognised by its content, is kept as a clean re-encoding: the right way"
    " up, first frame only, without what a camera writes into it. `GET /media/limits` has the"
    " limits."
)
places = BoundedSemaphore(settings.MEDIA_UPLOADS_AT_ONCE)


class AdminUploadHandler(BoundedUploadHandler):
    """For the admin's forms: one of FILE_UPLOAD_HANDLERS."""

    @property
    def max_bytes(self) -> int:
        return int(settings.MEDIA_MAX_BYTES)


class ImageParser(FileParser):
    """Take a form with one image."""

    field = "image"
    noun = "image"

    @property
    def max_file_bytes(self) -> int:
        return int(settings.MEDIA_MAX_BYTES)


class UploadSerializer(FileSerializer):
    """The file field `image`: there once, with something in it."""

    parser = ImageParser
    image = serializers.FileField(write_only=True, help_text="A JPEG, PNG or WebP.")


class UploadAnswerSerializer(CamelCaseSerializer):
    media_id = serializers.UUIDField(source="pk")
    url = serializers.CharField()


class UploadView(ABC, ApiView):
    """The base of a view that takes an image for one thing: a member, a film.

    `get_object` finds the thing, and refuses it, before the body is read; `show` links the image
    to it, in the transaction that keeps the image.
    """

    serializer_class = UploadSerializer
    parser_classes = (ImageParser,)
    permission_classes: Sequence[type[BasePermission]] = (IsAuthenticated,)
    ceilings = (WRITES, UPLOADS)

    @takes_idempotency_key
    @extend_schema(responses={201: UploadAnswerSerializer})
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Upload an image.

        It is there now, under an id that will always mean this image.
        """
        thing = self.get_object()
        ImageParser().require_form(request)
        with room_for_one_more():
            upload = self.get_serializer(data=request.data)
            upload.is_valid(raise_exception=True)
            image = clean_upload(upload.validated_data["image"])
        return self.keep(thing, image)

    @idempotent
    def keep(self, thing: Any, image: CleanImage) -> Response:
        media = Media.objects.keep(
            image, uploader=cast(Any, self.request.user), show=partial(self.show, thing)
        )
        return Response(UploadAnswerSerializer(media).data, status=201)

    @abstractmethod
    def show(self, thing: Any, media: Media) -> object:
        """Link the image to what it was uploaded for."""


@contextmanager
def room_for_one_more() -> Iterator[None]:
    """Hold one of the process's places for uploads, and no connection to the database.

    An upload may come in slowly, and then waits for a decoder. If all threads did that, or held
    all connections, nobody could read. Raises Unavailable when every place is taken.
    """
    if not places.acquire(blocking=False):
        raise Unavailable("Too many files are being uploaded just now; try again in a moment.")
    try:
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close()  # which gives it back to the pool
        yield
    finally:
        places.release()
