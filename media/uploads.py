"""Multipart in: one file, measured while it is read, never on disk."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from threading import BoundedSemaphore
from typing import IO, Any, cast

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.db import connections
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from media.door import clean_upload
from media.images import CleanImage
from media.models import MEBIBYTE, Media
from movieshelf.api.bodies import MULTIPART_SLACK_BYTES, declared_length
from movieshelf.api.ceilings import UPLOADS, WRITES
from movieshelf.api.errors import (
    InvalidInput,
    PayloadTooLarge,
    Unavailable,
    UnsupportedMediaType,
)
from movieshelf.api.idempotency import idempotent, takes_idempotency_key
from movieshelf.api.parsing import refuse_encodings
from movieshelf.api.serializers import CamelCaseSerializer
from movieshelf.api.views import ApiView

places = BoundedSemaphore(settings.MEDIA_UPLOADS_AT_ONCE)
MULTIPART = "multipart/form-data"
MAX_PARTS = 10


class BoundedUploadHandler(FileUploadHandler):
    """Keep each file in memory up to MEDIA_MAX_BYTES; one byte more ends the reading."""

    chunk_size = 64 * 1024

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self.file = BytesIO()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        if start + len(raw_data) > settings.MEDIA_MAX_BYTES:
            raise StopUpload(connection_reset=True)
        self.file.write(raw_data)
        return None

    def file_complete(self, file_size: int) -> InMemoryUploadedFile:
        self.file.seek(0)
        return InMemoryUploadedFile(
            self.file, self.field_name, self.file_name, self.content_type, file_size, self.charset
        )


class MeasuringUploadHandler(BoundedUploadHandler):
    """For the API: too many bytes are an answer, not a broken connection."""

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        if start + len(raw_data) > settings.MEDIA_MAX_BYTES:
            raise too_heavy()
        return super().receive_data_chunk(raw_data, start)


class WholeMultiPartParser(MultiPartParser):
    """Django's parser, which would take a body that was cut off behind the image's last byte."""

    def __init__(self, meta: Mapping[str, Any], stream: IO[bytes]) -> None:
        self._ending = Ending(stream)
        # FILE_UPLOAD_HANDLERS is for the admin's forms, and breaks the connection.
        super().__init__(meta, self._ending, [MeasuringUploadHandler(None)])  # type: ignore[arg-type]  # it only reads

    def parse(self) -> Any:
        parts = super().parse()
        boundary: bytes = self._boundary  # type: ignore[attr-defined]  # the stubs do not have it
        if not self._ending.read_last.rstrip().endswith(b"--%b--" % boundary):
            raise MultiPartParserError("No closing boundary.")
        return parts

    def sanitize_file_name(self, file_name: str) -> str:
        """Take any name, since we keep none; Django drops a file whose name it does not like."""
        return "image"


class Ending:
    """A stream that remembers the last of what was read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.read_last = b""

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.read_last = (self.read_last[-512:] + data[-512:])[-512:]
        return data


class UploadParser(BaseParser):
    """Take a multipart body with exactly one file, and give `{field name: [parts]}`.

    Raises PayloadTooLarge without reading the rest (`require_form` has refused what says in advance
    that it is too large), InvalidInput for a body that is no multipart, is cut off, or holds more
    parts than an upload has.
    """

    media_type = MULTIPART

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, list[Any]]:
        request: Request = (parser_context or {})["request"]
        refuse_encodings(request)
        meta = {**request.META, "CONTENT_TYPE": media_type or ""}
        try:
            fields, files = WholeMultiPartParser(meta, stream).parse()
        except (MultiPartParserError, TooManyFieldsSent, TooManyFilesSent, ValueError) as exc:
            raise InvalidInput("The body is not a whole and well-formed multipart upload.") from exc
        except OSError as exc:
            raise InvalidInput("The body ended before it was complete.") from exc
        except RequestDataTooBig as exc:
            raise PayloadTooLarge("The body holds more than an image.") from exc
        names = {*fields, *files}
        return {name: [*fields.getlist(name), *files.getlist(name)] for name in names}


class UploadSerializer(CamelCaseSerializer):
    """The file field `image`: there once, with something in it."""

    image = serializers.FileField(write_only=True, help_text="A JPEG, PNG or WebP.")

    def __init__(self, instance: Any = None, data: Any = serializers.empty, **kwargs: Any) -> None:
        if isinstance(data, Mapping):
            data = {"image": self._only(data)}
        super().__init__(instance, data, **kwargs)

    @staticmethod
    def _only(parts: Mapping[str, list[Any]]) -> Any:
        images = parts.get("image", [])
        if len(images) != 1:
            raise not_one_image(len(images))
        if len(parts) > MAX_PARTS:
            raise InvalidInput(f"The upload has {len(parts)} parts; {MAX_PARTS} are allowed.")
        return images[0]


class UploadAnswerSerializer(CamelCaseSerializer):
    media_id = serializers.UUIDField(source="pk")
    url = serializers.CharField()


class UploadView(ABC, ApiView):
    """The base of a view that takes an image for one thing: a member, a film.

    `get_object` finds the thing, and refuses it, before the body is read; `show` links the image
    to it, in the transaction that keeps the image.
    """

    serializer_class = UploadSerializer
    parser_classes = (UploadParser,)
    permission_classes: Sequence[type[BasePermission]] = (IsAuthenticated,)
    ceilings = (WRITES, UPLOADS)

    @takes_idempotency_key
    @extend_schema(responses={201: UploadAnswerSerializer})
    def post(self, request: Request, **kwargs: Any) -> Response:
        thing = self.get_object()
        require_form(request)
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


def require_form(request: Request) -> None:
    """Refuse, before it is read, a body that is too large, not there, or no form (in this order).

    Raises PayloadTooLarge, InvalidInput, UnsupportedMediaType.
    """
    if declared_length(request) > settings.MEDIA_MAX_BYTES + MULTIPART_SLACK_BYTES:
        raise too_heavy()
    if not declared_length(request):
        raise not_one_image(0)
    if request.content_type.partition(";")[0].strip().lower() != MULTIPART:
        raise UnsupportedMediaType(
            f"An image is sent as {MULTIPART}, in the file field `image`; this is another type."
        )


@contextmanager
def room_for_one_more() -> Iterator[None]:
    """Hold one of the process's places for uploads, and no connection to the database.

    An upload may come in slowly, and then waits for a decoder. If all threads did that, or held
    all connections, nobody could read. Raises Unavailable when every place is taken.
    """
    if not places.acquire(blocking=False):
        raise Unavailable("Too many images are being uploaded just now; try again in a moment.")
    try:
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close()  # which gives it back to the pool
        yield
    finally:
        places.release()


def not_one_image(found: int) -> InvalidInput:
    return InvalidInput.on(
        "image", f"One file in the field `image` is needed; found {found or 'none'}."
    )


def too_heavy() -> PayloadTooLarge:
    return PayloadTooLarge(
        f"The image is over the limit of {settings.MEDIA_MAX_BYTES / MEBIBYTE:g} MiB."
    )
