"""The OpenAPI document, beyond what each view says of itself."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from drf_spectacular.generators import SchemaGenerator

from movieshelf.api.schema import COMPONENTS, HEADERS, NAMED, error_ref, header
from movieshelf.api.serializers import camelize
from movieshelf.converters import MAX_BIGINT
from movieshelf.reference.examples import EXAMPLES

Document = dict[str, Any]

# What the generated clients and the tests read; `make openapi` writes it.
COMMITTED: Path = settings.BASE_DIR / "openapi.json"
REF = "#/components/schemas/"
ID = {"type": "integer", "format": "int64", "minimum": 1, "maximum": MAX_BIGINT}
# Enums of parameters, named for clients as those of bodies are.
PARAMETER_ENUMS = {
    ("listMovies", "scope"): "MovieScope",
    ("listMovies", "sort"): "MovieSort",
    ("listMovieReviews", "sort"): "ReviewSort",
    ("getImage", "width"): "ImageWidth",
    ("getImport", "outcome"): "RowOutcome",
}
# What a file in a form may be, by its field; its content tells which of them it is.
FILES = {"image": "image/jpeg, image/png, image/webp", "file": "text/csv, application/json"}
TAGS = {
    "auth": "Register, log in and out, renew a login, set a password.",
    "users": "Oneself, and what others see of a member.",
    "movies": "The catalogue: films, their numbers, lists, search and ranks.",
    "reviews": "Reviews of films, and reports about them.",
    "ratings": "One rating a member and film, from 1 to 5.",
    "imports": "Bringing one's ratings and reviews along from elsewhere.",
    "changes": "What changed since, for search engines and caches.",
    "media": "Images that never change, and smaller ones.",
    "operations": "What a load balancer and a program that starts here ask.",
}


def openapi_json() -> bytes:
    """Give the document as `openapi.json` holds it and `/openapi.json` sends it."""
    document = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]  # untyped there
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def finish(result: Document, generator: Any, **kwargs: Any) -> Document:
    """Bring drf-spectacular's document to the one we publish; a POSTPROCESSING_HOOK, the last."""
    # A document made twice must not find what the first one changed.
    result["paths"] = copy.deepcopy({**result["paths"], **OPERATIONS})
    components = result["components"]
    for kind, named in COMPONENTS.items():
        components[kind] = {**components.get(kind, {}), **named}
    components["securitySchemes"] |= {
        "refreshCookie": REFRESH_COOKIE,
        "metricsToken": METRICS_TOKEN,
    }
    for schema in dicts_in(components["schemas"]):
        simplify(schema)
    result["paths"] = {
        re.sub(r"\{(\w+)\}", lambda found: "{" + camelize(found[1]) + "}", path): operations
        for path, operations in result["paths"].items()
    }
    for operation in operations_of(result):
        name_parameters(operation, components["schemas"])
        share_headers(operation)
        name_files(operation, components["schemas"])
        add_examples(operation, components["schemas"])
    components["examples"] = {name: {"value": value} for name, value in EXAMPLES.items()}
    drop_unused(result)
    used = {tag for operation in operations_of(result) for tag in operation["tags"]}
    named_tags = {**TAGS, **dict.fromkeys(sorted(used - TAGS.keys()), "")}
    result["tags"] = [
        {"name": name, **({"description": text} if text else {})}
        for name, text in named_tags.items()
        if name in used
    ]
    return result


def operations_of(document: Document) -> Iterator[Document]:
    """Give every operation."""
    for operations in document["paths"].values():
        yield from operations.values()


def dicts_in(node: Any) -> Iterator[dict[str, Any]]:
    """Give every object within a piece of JSON, itself included."""
    if isinstance(node, dict):
        yield node
    for child in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from dicts_in(child)


def drop_unused(document: Document) -> None:
    """Drop components that nothing refers to: a nested serializer has one for bodies too."""
    kinds, components = ("schemas", "responses", "examples", "headers"), document["components"]
    while True:
        used = {node["$ref"] for node in dicts_in(document) if isinstance(node.get("$ref"), str)}
        names = [(kind, name) for kind in kinds for name in components[kind]]
        unused = [(kind, name) for kind, name in names if f"#/components/{kind}/{name}" not in used]
        if not unused:
            return
        for kind, name in unused:
            del components[kind][name]


def simplify(schema: dict[str, Any]) -> None:
    """Drop what says nothing where bodies in and out are schemas of their own; name ids as such."""
    for name, property_schema in schema.get("properties", {}).items():
        property_schema.pop("readOnly", None)
        property_schema.pop("writeOnly", None)
        match property_schema:
            case {"allOf": [reference], **rest} if not rest.keys() - {"minimum", "maximum"}:
                property_schema.clear()
                property_schema |= reference
            case {"type": "integer" | ["integer", "null"]} if is_id(name):
                property_schema["format"] = "int64"


def is_id(name: str) -> bool:
    return name == "id" or name.endswith("Id") or name == "createdBy"


def name_parameters(operation: Document, schemas: Document) -> None:
    """Give parameters the names and types that clients see, and their enums a name."""
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        if parameter["in"] == "path":
            parameter["name"] = camelize(parameter["name"])
            parameter["schema"] = schema = schema if schema.get("format") == "uuid" else dict(ID)
            parameter.setdefault(
                "description", "The id of the thing that the path names before it."
            )
        named = PARAMETER_ENUMS.get((operation["operationId"], parameter["name"]))
        if named:
            default = {"default": schema["default"]} if "default" in schema else {}
            schemas[named] = {"type": schema["type"], "enum": schema["enum"]}
            parameter["schema"] = {"$ref": REF + named, **default}


def name_files(operation: Document, schemas: Document) -> None:
    """Say which types the file in a form may have."""
    form = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data")
    if form:
        fields = schemas[form["schema"]["$ref"].removeprefix(REF)]["properties"]
        form["encoding"] = {
            name: {"contentType": kinds} for name, kinds in FILES.items() if name in fields
        }


def share_headers(operation: Document) -> None:
    """Refer to the headers that are described once for all."""
    for status, response in operation["responses"].items():
        if "$ref" not in response:
            told = ("RateLimit", "RateLimit-Policy") if status == "307" else ()
            for name in ("X-Request-Id", *told):
                response.setdefault("headers", {}).setdefault(name, {})
        for name in response.get("headers", {}).keys() & HEADERS.keys():
            response["headers"][name] = header(name)


def add_examples(operation: Document, schemas: Document) -> None:
    """Add to each JSON body the example of its schema."""
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    for content in (body.get("content", {}).get("application/json") for body in bodies):
        if content is None:
            continue
        name = content["schema"].get("$ref", "").removeprefix(REF)
        if name in EXAMPLES:
            content["examples"] = {name: {"$ref": f"#/components/examples/{name}"}}
        elif items := schemas.get(name, {}).get("properties", {}).get("items"):
            example = EXAMPLES.get(items["items"]["$ref"].removeprefix(REF))
            if example is not None:
                content["examples"] = {name: {"value": list_of(example, schemas[name])}}


def list_of(example: Any, schema: Document) -> Document:
    """Give a list, as the contract has them, of one thing."""
    whole = {"items": [example], "page": 1, "pageSize": 20, "total": 1, "totalPages": 1}
    return {name: value for name, value in whole.items() if name in schema["properties"]}


def _plain(name: str, summary: str, text: str, answers: dict[str, Any], *errors: int) -> Document:
    """Describe a GET that no view of DRF answers."""
    return {
        "get": {
            "operationId": name,
            "summary": summary,
            "description": text,
            "tags": ["operations"],
            "security": [{}],
            "responses": {**answers, **{str(status): error_ref(status) for status in errors}},
        }
    }


def _json(description: str, schema: Document, example: Any, *headers: str) -> Document:
    return {
        "description": description,
        "headers": {name: header(name) for name in ("X-Request-Id", *headers)},
        "content": {"application/json": {"schema": schema, "example": example}},
    }


def _states(**states: list[str]) -> Document:
    return {
        "type": "object",
        "required": list(states),
        "properties": {name: {"type": "string", "enum": enum} for name, enum in states.items()},
    }


_WHERE = {
    "type": "object",
    "required": list(EXAMPLES["Home"]),
    "properties": {name: {"type": "string"} for name in EXAMPLES["Home"]},
}
_READY = _states(
    status=["ok", "unreachable", "not migrated", "draining"],
    database=["ok", "unreachable", "not migrated"],
    cache=["ok", "unreachable", "own"],
)
_READY["properties"]["queue"] = {
    "type": "object",
    "description": "The background work; there where the database answers.",
    "required": ["waiting", "oldestSeconds"],
    "properties": {
        "waiting": {"type": "integer", "minimum": 0},
        "oldestSeconds": {"type": "number", "minimum": 0},
    },
}
OPERATIONS: dict[str, Document] = {
    "/": _plain(
        "getHome",
        "Where things are",
        "For a program. A browser, which asks for a page, is sent to `/docs`.",
        {
            "200": _json("The addresses to begin with.", _WHERE, EXAMPLES["Home"], "ETag"),
            "302": {
                "description": "To the pages, for who asks for one.",
                "headers": {name: header(name) for name in ("X-Request-Id", "Location")},
            },
            "304": {
                "description": NAMED["304"],
                "headers": {name: header(name) for name in ("X-Request-Id", "ETag")},
            },
        },
        406,
        500,
    ),
    "/healthz": _plain(
        "getHealth",
        "Whether the process lives",
        "Nothing is touched to find out.",
        {
            "200": _json("It does.", _states(status=["ok"]), {"status": "ok"}),
        },
        500,
    ),
    "/readyz": _plain(
        "getReadiness",
        "Whether it can serve",
        "The database is reachable and migrated; the cache's state is told, not required.",
        {
            "200": _json("It can.", _READY, {"status": "ok", "database": "ok", "cache": "ok"}),
            "503": _json(
                "It cannot, yet or any more.",
                _READY,
                {"status": "unreachable", "database": "unreachable", "cache": "ok"},
                "Retry-After",
            ),
        },
        500,
    ),
    "/openapi.json": _plain(
        "getOpenApiDocument",
        "This document",
        "OpenAPI 3.1. Clients are generated from it; its examples are checked against it.",
        {
            "200": _json("The document.", {"type": "object"}, {"openapi": "3.1.1"}, "ETag"),
            "304": {
                "description": NAMED["304"],
                "headers": {name: header(name) for name in ("X-Request-Id", "ETag")},
            },
        },
        400,
        406,
        500,
    ),
}
METRICS_TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "The operator's `METRICS_TOKEN`.",
}
REFRESH_COOKIE = {
    "type": "apiKey",
    "in": "cookie",
    "name": "__Secure-refresh_token",
    "description": "Set by logging in, and changed by each refresh; no script can read it. Where"
    " cookies are not secure (a server for development) its name is `refresh_token`.",
}
