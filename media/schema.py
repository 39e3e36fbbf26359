"""`/media/{id}` in the OpenAPI document: a plain view, which drf-spectacular does not see."""

from typing import Any

from media.models import EXTENSIONS, WIDTHS
from movieshelf.api.schema import error_ref, header

BYTES = {"schema": {"type": "string", "format": "binary"}}
TEXT = {"schema": {"type": "string"}}


def add_images(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Add the operation; one of SPECTACULAR_SETTINGS' hooks."""
    result["paths"]["/media/{id}"] = {"get": OPERATION}
    return result


def _parameter(place: str, name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {
        "in": place,
        "name": name,
        "description": description,
        "required": place == "path",
        "schema": {"type": "string", **schema},
    }


def _images(description: str, *headers: str) -> dict[str, Any]:
    return {
        "description": description,
        "headers": _headers(*headers),
        "content": dict.fromkeys(EXTENSIONS, BYTES),
    }


def _headers(*more: str) -> dict[str, Any]:
    shared = {name: header(name) for name in ("X-Request-Id", "ETag")}
    return shared | dict.fromkeys(("Cache-Control", *more), TEXT)


OPERATION: dict[str, Any] = {
    "operationId": "getImage",
    "summary": "Get an image",
    "description": "The bytes, which never change. Credentials are not looked at.",
    "tags": ["media"],
    "parameters": [
        _parameter("path", "id", "The id of the image.", format="uuid"),
        _parameter(
            "query", "width", "A WebP no wider than that.", type="integer", enum=list(WIDTHS)
        ),
        _parameter("header", "If-None-Match", "The ETag of what the client has."),
        _parameter("header", "Range", "One range of bytes; several are answered by the whole."),
        _parameter("header", "If-Range", "The ETag that the range is of."),
    ],
    "security": [{}],
    "responses": {
        "200": _images("The image."),
        "206": _images("The range of it.", "Content-Range"),
        "304": {"description": "The client has it.", "headers": _headers()},
        **{str(status): error_ref(status) for status in (400, 404, 416, 500, 503)},
    },
}
