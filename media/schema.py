"""`/media/{id}` in the OpenAPI document: a plain view, which drf-spectacular does not see."""

from typing import Any

from media.models import EXTENSIONS, WIDTHS
from movieshelf.api.errors import BY_STATUS
from movieshelf.api.schema import COMPONENT

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
        "headers": dict.fromkeys(("ETag", "Cache-Control", *headers), TEXT),
        "content": dict.fromkeys(EXTENSIONS, BYTES),
    }


def _error(status: int) -> dict[str, Any]:
    error = BY_STATUS[status]
    schema = {"$ref": f"#/components/schemas/{COMPONENT}"}
    return {
        "description": f"`{error.default_code}`: {error.default_detail}",
        "content": {"application/json": {"schema": schema}},
    }


OPERATION: dict[str, Any] = {
    "operationId": "media_retrieve",
    "summary": "An image",
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
        "304": {"description": "The client has it."},
        **{str(status): _error(status) for status in (400, 404, 416, 503)},
    },
}
