"""JSON in, strictly: what two parsers could read differently is refused (contract section 1)."""

import json
import re
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from movieshelf.api.bodies import read_bounded
from movieshelf.api.errors import InvalidInput, UnsupportedMediaType

MAX_DEPTH = 100
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class StrictJSONParser(BaseParser):
    """Take one UTF-8 JSON object within BODY_MAX_BYTES, and nothing that only looks like one."""

    media_type = "application/json"

    @property
    def max_bytes(self) -> int:
        return int(settings.BODY_MAX_BYTES)

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        request: Request = (parser_context or {})["request"]
        refuse_encodings(request)
        return parse_object(read_bounded(stream, request, self.max_bytes))


def refuse_encodings(request: Request) -> None:
    """Refuse charsets other than UTF-8 and every compressed body (it may be a bomb)."""
    parameters = request.content_type.lower().split(";")[1:]
    charsets = [
        p.split("=", 1)[1].strip(' "') for p in parameters if p.strip().startswith("charset=")
    ]
    if any(charset not in ("utf-8", "utf8") for charset in charsets):
        raise UnsupportedMediaType("JSON is taken in UTF-8 only.")
    if request.META.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise UnsupportedMediaType("A compressed body is not taken; send it as it is.")


def parse_object(body: bytes) -> dict[str, Any]:
    """Give the JSON object in `body`.

    Raises InvalidInput for anything else: another encoding, a BOM, a duplicate key, a second
    document, NaN or Infinity, nesting beyond 100 levels, text that PostgreSQL cannot store.
    """
    try:
        document = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except (UnicodeDecodeError, RecursionError, ValueError) as exc:
        raise InvalidInput("The body is not well-formed JSON.") from exc
    if not isinstance(document, dict):
        raise InvalidInput("The body must be a JSON object.")
    _inspect(document)
    return document


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise InvalidInput("The body names a key twice.")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidInput(f"{name} is not JSON.")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise InvalidInput("The body holds a number that is too large.")
    return number


def _inspect(document: dict[str, Any]) -> None:
    """Walk the document without recursion: depth bounded, every string storable."""
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for node in level:
            children = [*node.keys(), *node.values()] if isinstance(node, dict) else node
            for child in children:
                if isinstance(child, str):
                    if UNSTORABLE.search(child):
                        raise InvalidInput("The body holds text that cannot be stored.")
                elif isinstance(child, dict | list):
                    below.append(child)
        if not below:
            return
        level = below
    raise InvalidInput(f"The body is nested more than {MAX_DEPTH} levels deep.")
