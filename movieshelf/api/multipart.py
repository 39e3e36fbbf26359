"""Multipart in: one file, measured while it is read, never on disk."""

from abc import abstractmethod
from collections.abc import Mapping
from io import BytesIO
from typing import IO, Any, ClassVar

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from movieshelf.api.bodies import MULTIPART_SLACK_BYTES, declared_length
from movieshelf.api.errors import InvalidInput, PayloadTooLarge, UnsupportedMediaType
from movieshelf.api.parsing import refuse_encodings
from movieshelf.api.serializers import CamelCaseSerializer

MULTIPART = "multipart/form-data"
MAX_PARTS = 10


class BoundedUploadHandler(FileUploadHandler):
    """Keep each file in memory up to so many bytes; one byte more ends the reading."""

    chunk_size = 64 * 1024

    @property
    @abstractmethod
    def max_bytes(self) -> int: ...

    def refuse(self) -> Exception:
        """Give what ends the reading."""
        return StopUpload(connection_reset=True)

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self.file = BytesIO()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        if start + len(raw_data) > self.max_bytes:
            raise self.refuse()
        self.file.write(raw_data)
        return None

    def file_complete(self, file_size: int) -> InMemoryUploadedFile:
        self.file.seek(0)
        return InMemoryUploadedFile(
            self.file, self.field_name, self.file_name, self.content_type, file_size, self.charset
        )


class MeasuringUploadHandler(BoundedUploadHandler):
    """For the API: too many bytes are an answer, not a broken connection."""

    def __init__(self, parser: "FileParser") -> None:
        super().__init__(None)
        self.parser = parser

    @property
    def max_bytes(self) -> int:
        return self.parser.max_file_bytes

    def refuse(self) -> Exception:
        return self.parser.too_heavy()


class WholeMultiPartParser(MultiPartParser):
    """Django's parser, which would take a body that was cut off behind the file's last byte."""

    def __init__(
        self, meta: Mapping[str, Any], stream: IO[bytes], handler: BoundedUploadHandler
    ) -> None:
        self._ending = Ending(stream)
        # FILE_UPLOAD_HANDLERS is for the admin's forms, and breaks the connection.
        super().__init__(meta, self._ending, [handler])  # type: ignore[arg-type]  # it only reads

    def parse(self) -> Any:
        parts = super().parse()
        boundary: bytes = self._boundary  # type: ignore[attr-defined]  # the stubs do not have it
        if not self._ending.read_last.rstrip().endswith(b"--%b--" % boundary):
            raise MultiPartParserError("No closing boundary.")
        return parts

    def sanitize_file_name(self, file_name: str) -> str:
        """Take any name, since we keep none; Django drops a file whose name it does not like."""
        return "upload"


class Ending:
    """A stream that remembers the last of what was read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.read_last = b""

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.read_last = (self.read_last[-512:] + data[-512:])[-512:]
        return data


class FileParser(BaseParser):
    """Take a multipart body with exactly one file, and give `{field name: [parts]}`.

    A subclass says in which field the file comes, what it is called to a person, and how many bytes
    it may have. Raises PayloadTooLarge without reading the rest (`require_form` has refused what
    says in advance that it is too large), InvalidInput for a body that is no multipart, is cut off,
    or holds more parts than an upload has.
    """

    media_type = MULTIPART
    field: ClassVar[str]
    noun: ClassVar[str]

    @property
    @abstractmethod
    def max_file_bytes(self) -> int: ...

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
            handler = MeasuringUploadHandler(self)
            fields, files = WholeMultiPartParser(meta, stream, handler).parse()
        except (MultiPartParserError, TooManyFieldsSent, TooManyFilesSent, ValueError) as exc:
            raise InvalidInput("The body is not a whole and well-formed multipart upload.") from exc
        except OSError as exc:
            raise InvalidInput("The body ended before it was complete.") from exc
        except RequestDataTooBig as exc:
            raise PayloadTooLarge(f"The body holds more than an {self.noun}.") from exc
        names = {*fields, *files}
        return {name: [*fields.getlist(name), *files.getlist(name)] for name in names}

    def require_form(self, request: Request) -> None:
        """Refuse, before it is read, a body that is too large, not there, or no form (in order).

        Raises PayloadTooLarge, InvalidInput, UnsupportedMediaType.
        """
        if declared_length(request) > self.max_file_bytes + MULTIPART_SLACK_BYTES:
            raise self.too_heavy()
        if not declared_length(request):
            raise self.not_one(0)
        if request.content_type.partition(";")[0].strip().lower() != MULTIPART:
            raise UnsupportedMediaType(
                f"An {self.noun} is sent as {MULTIPART}, in the file field `{self.field}`; "
                "this is another type."
            )

    def only(self, parts: Mapping[str, list[Any]]) -> Any:
        """Give the one file among the parts. Raises InvalidInput."""
        found = parts.get(self.field, [])
        if len(found) != 1:
            raise self.not_one(len(found))
        if len(parts) > MAX_PARTS:
            raise InvalidInput(f"The upload has {len(parts)} parts; {MAX_PARTS} are allowed.")
        return found[0]

    def not_one(self, found: int) -> InvalidInput:
        return InvalidInput.on(
            self.field, f"One file in the field `{self.field}` is needed; found {found or 'none'}."
        )

    def too_heavy(self) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"The {self.noun} is over the limit of {self.max_file_bytes / 2**20:g} MiB."
        )


class FileSerializer(CamelCaseSerializer):
    """The base of a form with one file, there once, with something in it."""

    parser: ClassVar[type[FileParser]]

    def __init__(self, instance: Any = None, data: Any = serializers.empty, **kwargs: Any) -> None:
        if isinstance(data, Mapping):
            parser = self.parser()
            data = {**self.other_parts(data), parser.field: parser.only(data)}
        super().__init__(instance, data, **kwargs)

    def other_parts(self, parts: Mapping[str, list[Any]]) -> dict[str, Any]:
        """Give what the form holds beside the file; nothing of it, unless a form says so."""
        return {}
