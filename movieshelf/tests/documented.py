"""Whether an answer is one that `openapi.json` tells of: status, headers, body to the last key."""

import copy
import functools
import json
import re
from typing import Any

import jsonschema_rs
from django.http.response import HttpResponseBase

from movieshelf.reference.document import COMMITTED, dicts_in

DIALECT = "https://json-schema.org/draft/2020-12/schema"
STALE = "`make openapi` writes openapi.json anew, where the code is right and the document is old."
# The headers that mean something of ours; others belong to HTTP, CORS and helmet.
OURS = (
    "ETag",
    "Idempotent-Replayed",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-Id",
)
# A path template, and a method in lower case.
Operation = tuple[str, str]


@functools.cache
def document() -> dict[str, Any]:
    """Give the committed document."""
    return json.loads(COMMITTED.read_bytes())


def require_documented(
    method: str, path: str, response: HttpResponseBase, body: Any = None
) -> None:
    """Raise AssertionError where an answer, or the JSON body it accepted, is not documented."""
    operation = operation_of("GET" if method == "HEAD" else method, path.partition("?")[0])
    told = f"{method} {path} → {response.status_code}"
    if operation is None:
        is_json = response.headers.get("Content-Type") == "application/json"
        assert response.status_code >= 400 or not is_json, f"{told}: no such operation. {STALE}"
        return
    described = described_answer(operation, str(response.status_code))
    assert described is not None, f"{told}: this status is not in the document. {STALE}"
    _check_headers(told, described.get("headers", {}), response)
    if method != "HEAD":
        _check_body(told, operation, described, response)
    if body is not None and 200 <= response.status_code < 300:
        validator = request_validator(operation)
        assert validator is None or validator.is_valid(body), (
            f"{told}: this body was taken, but is not in the document. {STALE}\n{body}"
        )


def operation_of(method: str, path: str) -> Operation | None:
    """Find what the document has for a request: a path template and a method."""
    for template, pattern in patterns():
        if pattern.fullmatch(path):
            return (template, method.lower()) if method.lower() in paths()[template] else None
    return None


def described_answer(operation: Operation, status: str) -> dict[str, Any] | None:
    template, method = operation
    answer = paths()[template][method]["responses"].get(status)
    return resolved(answer) if answer else None


def _check_headers(told: str, described: dict[str, Any], response: HttpResponseBase) -> None:
    for name in OURS:
        there = name in response.headers
        assert not there or name in described, f"{told}: {name} is not in the document. {STALE}"
        needed = name in described and resolved(described[name]).get("required")
        assert there or not needed, f"{told}: the document promises {name}."
    cookies = getattr(response, "cookies", None)
    assert not cookies or "Set-Cookie" in described, f"{told}: a cookie is not in the document."


def _check_body(
    told: str, operation: Operation, described: dict[str, Any], response: HttpResponseBase
) -> None:
    sent = getattr(response, "content", None)
    if sent is None:
        sent = response.getvalue()
        response.streaming_content = [sent]  # read once; the test may read it again
    kinds = described.get("content", {})
    if not kinds:
        assert not sent, f"{told}: the document has no body here."
        return
    kind = response.headers["Content-Type"].partition(";")[0]
    assert kind in kinds, f"{told}: {kind} is not in the document. {STALE}"
    if kind == "application/json":
        validator = answer_validator(operation, str(response.status_code))
        problem = next(iter(validator.iter_errors(json.loads(sent))), None)
        assert problem is None, f"{told}: {problem}\n{STALE}"


@functools.cache
def patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Give each path template with what it matches, those without ids first."""
    templates = sorted(paths(), key=lambda template: template.count("{"))
    return [(one, re.compile(re.sub(r"\{\w+\}", "[0-9a-f-]+", one))) for one in templates]


def paths() -> dict[str, Any]:
    return document()["paths"]


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference to the thing itself."""
    while "$ref" in node:
        found: Any = document()
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


@functools.cache
def answer_validator(operation: Operation, status: str) -> Any:
    described = described_answer(operation, status) or {}
    return validator(described["content"]["application/json"]["schema"], strict=True)


@functools.cache
def request_validator(operation: Operation) -> Any:
    template, method = operation
    body = paths()[template][method].get("requestBody", {"content": {}})
    kind = body["content"].get("application/json")
    return validator(kind["schema"], strict=False) if kind else None


def validator(schema: dict[str, Any], *, strict: bool) -> Any:
    """Give a validator; a strict one takes no key that the schema does not name."""
    whole = {"$schema": DIALECT, **schema, "components": components(strict)}
    return jsonschema_rs.validator_for(whole, validate_formats=True)


@functools.cache
def components(strict: bool) -> dict[str, Any]:
    schemas = copy.deepcopy(document()["components"]["schemas"])
    for node in dicts_in(schemas) if strict else ():
        if "properties" in node and node.get("type") == "object":
            node.setdefault("additionalProperties", False)
    for node in dicts_in(schemas) if not strict else ():
        # Text is measured after it was trimmed and sanitised.
        node.pop("maxLength", None)
    return {"schemas": schemas}
