"""Multipart in: one file, measured while it is read, never on disk."""

from collections.abc import Mapping
from io import BytesIO
from typing import IO, Any

from django.conf import settings
from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.http.request import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from media.models import Media
from movieshelf.api.bodies import MULTIPART_SLACK_BYTES, declared_length
from movieshelf.api.errors import InvalidInput, PayloadTooLarge
from movieshelf.api.parsing import refuse_encodings
from movieshelf.api.serializers import CamelCaseSerializer

MEGABYTE = 1024 * 1024


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


class UploadParser(BaseParser):
    """Take a multipart body with exactly one file, and give `{field name: [files]}`.

    Raises PayloadTooLarge without reading the rest, InvalidInput for a body that is no multipart,
    is cut off, or holds more parts than an upload has.
    """

    media_type = "multipart/form-data"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, list[Any]]:
        request: Request = (parser_context or {})["request"]
        refuse_encodings(request)
        if declared_length(request) > settings.MEDIA_MAX_BYTES + MULTIPART_SLACK_BYTES:
            raise too_heavy()
        meta = {**request.META, "CONTENT_TYPE": media_type or ""}
        try:
            # Django's own handler of the same name is set for the admin's forms.
            fields, files = MultiPartParser(meta, stream, [MeasuringUploadHandler(None)]).parse()
        except (MultiPartParserError, TooManyFieldsSent, TooManyFilesSent, ValueError) as exc:
            raise InvalidInput("The body is not a well-formed multipart upload.") from exc
        except RequestDataTooBig as exc:
            raise too_heavy() from exc
        return {**dict(fields.lists()), **dict(files.lists())}


class UploadSerializer(CamelCaseSerializer):
    """The file field `image`: there once, with something in it."""

    image = serializers.FileField(write_only=True, help_text="A JPEG, PNG or WebP.")

    def __init__(self, *args: Any, data: Any = serializers.empty, **kwargs: Any) -> None:
        if isinstance(data, Mapping):
            data = {"image": self._only(data)}
        super().__init__(*args, data=data, **kwargs)

    @staticmethod
    def _only(parts: Mapping[str, list[Any]]) -> Any:
        images = parts.get("image", [])
        if len(images) != 1 or len(parts) > 10:
            found = "no file" if not images else f"{len(images)} files"
            raise InvalidInput.on(
                "image", f"One file in the field `image` is needed; found {found}."
            )
        return images[0]


class UploadAnswerSerializer(CamelCaseSerializer):
    media_id = serializers.UUIDField(source="pk")
    url = serializers.CharField()


def upload_answer(media: Media) -> Response:
    return Response(UploadAnswerSerializer(media).data, status=201)


def too_heavy() -> PayloadTooLarge:
    return PayloadTooLarge(
        f"The image is over the limit of {settings.MEDIA_MAX_BYTES / MEGABYTE:g} MiB."
    )
