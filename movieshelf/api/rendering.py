"""JSON out: one media type, written by orjson."""

from collections.abc import Mapping
from typing import Any

import orjson
from rest_framework.renderers import BaseRenderer

JSON_TYPE = "application/json"


def to_json(data: Any) -> bytes:
    """Give the UTF-8 JSON of plain data; datetimes in UTC end in `Z`, Decimals become numbers."""
    return orjson.dumps(data, default=_plain, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:
    """Bring DRF's wrappers (ReturnDict, ErrorDetail, lazy text) to what orjson knows."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple):
        return list(value)
    return str(value)


class ORJSONRenderer(BaseRenderer):
    media_type = JSON_TYPE
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else to_json(data)


class NonJSONRenderer(ORJSONRenderer):
    """Lets a view be asked for another type, in which it answers itself; its errors are JSON."""

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        (renderer_context or {})["response"].headers["Content-Type"] = JSON_TYPE
        return super().render(data, accepted_media_type, renderer_context)
