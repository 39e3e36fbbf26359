"""What drf-spectacular is told beyond what it sees in the code.

An operation's name follows from its method and path, its summary is the first line of the handler's
docstring and its description the rest. A view names in `error_statuses` what follows from its own
rules; the other errors, and the headers, follow from the method, the body, the path and the
credentials.
"""

from itertools import pairwise
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import build_array_type, build_object_type
from drf_spectacular.plumbing import get_lib_doc_excludes as spectacular_doc_excludes
from drf_spectacular.utils import Direction
from rest_framework.permissions import SAFE_METHODS, IsAuthenticatedOrReadOnly

from movieshelf.api.errors import BY_STATUS, ApiError, envelope
from movieshelf.api.serializers import (
    CamelCaseMixin,
    CamelCaseModelSerializer,
    CamelCaseSerializer,
    QuerySerializer,
)

COMPONENT = "Error"
KINDS: dict[int, type[ApiError]] = {**BY_STATUS, 500: ApiError}
CODES = sorted(kind.default_code for kind in KINDS.values())
# What any operation may answer with: a query that is not UTF-8, the wrong Accept, our bug, the
# database out of reach.
ALWAYS = (400, 406, 500, 503)
WITH_BODY = (413, 415)
WITH_CREDENTIALS = (401,)
# What a header that an operation takes lets it answer.
WITH_HEADER = {"Idempotency-Key": 422, "If-Match": 412}
NAMED = {
    "200": "Here it is.",
    "201": "It is there now.",
    "202": "It was taken, and is on its way.",
    "204": "Done; there is nothing more to say.",
    "304": "What the client has is still right; there is no body.",
}
VERBS = {"GET": "get", "POST": "create", "PUT": "set", "PATCH": "update", "DELETE": "delete"}
# The subject of a path that is not told by its first part.
TAGS = {"metrics": "operations", "rating": "ratings", "ratings": "ratings", "reviews": "reviews"}

IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "schema": {"type": "string"},
    "description": "What the client has: the `ETag` of an earlier answer, or several, or `*`.",
}


class MovieShelfSchema(AutoSchema):
    """drf-spectacular's schema of one operation, with every header and error that it can have."""

    def get_operation_id(self) -> str:
        """Give a method name for clients: `listMovies`, `getMovie`, `deleteMySession`."""
        is_list = self.method == "GET" and self._is_list_view()
        words = path_words(self.path, singular_end=self.method == "POST")
        verb = "list" if is_list else VERBS[self.method]
        return verb + "".join(word[:1].upper() + word[1:] for word in words)

    def get_summary(self) -> str:
        return self._documented()[0]

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular does
        summary, text = self._documented()
        return text or summary

    def get_tags(self) -> list[str]:
        segments = self.path.strip("/").split("/")
        return [next((TAGS[s] for s in reversed(segments) if s in TAGS), segments[0])]

    def get_auth(self) -> list[dict[str, Any]]:
        """Say too that anybody reads, where drf-spectacular does not know the permission."""
        auth: list[dict[str, Any]] = super().get_auth()
        permissions = self.view.get_permissions()
        is_public = self.method in SAFE_METHODS and all(
            isinstance(one, IsAuthenticatedOrReadOnly) for one in permissions
        )
        return [*auth, {}] if is_public and {} not in auth else auth

    def _documented(self) -> tuple[str, str]:
        """Give summary and description: of the handler, else of the view."""
        text = super().get_description()
        summary, _, rest = text.partition("\n\n")
        return " ".join(summary.split()).rstrip("."), rest

    def get_paginated_name(self, serializer_name: str) -> str:
        return f"{serializer_name}List"

    def _postprocess_serializer_schema(
        self, schema: Any, serializer: Any, direction: Direction
    ) -> Any:
        """Say that an answer has every field; those that are there sometimes are named as such."""
        schema = super()._postprocess_serializer_schema(schema, serializer, direction)  # type: ignore[no-untyped-call]  # untyped there
        if direction == "response" and "properties" in schema:
            sometimes = getattr(serializer, "sometimes", ())
            schema["required"] = sorted(set(schema["properties"]) - set(sometimes))
        return schema

    def _get_parameters(self) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super()._get_parameters()
        return [*parameters, IF_NONE_MATCH] if self._has_version() else parameters

    def _get_response_bodies(self, direction: Direction = "response") -> dict[str, Any]:
        responses = dict(super()._get_response_bodies(direction))
        if self._has_version():
            responses["304"] = {"description": ""}
        for response in responses.values():
            response["headers"] = {**self._headers(), **response.get("headers", {})}
        for status, response in responses.items():
            if not str(response.get("description") or "") or "content" not in response:
                response["description"] = NAMED.get(status, "")
        for status_code in sorted(self.error_statuses()):
            responses.setdefault(str(status_code), error_ref(status_code))
        return responses

    def _headers(self) -> dict[str, Any]:
        """Give the headers of a success that follow from the operation's place."""
        counted = self.method not in SAFE_METHODS and bool(getattr(self.view, "ceilings", None))
        names = ("X-Request-Id", *(("RateLimit", "RateLimit-Policy") if counted else ()))
        return {
            name: header(name) for name in (*names, *(("ETag",) if self._has_version() else ()))
        }

    def _has_version(self) -> bool:
        """Whether what is read carries an ETag: everything but a download."""
        return self.method == "GET" and not getattr(self.view, "is_download", True)

    def _header_names(self) -> set[str]:
        return {one["name"] for one in self._get_parameters() if one["in"] == "header"}

    def _get_request_body(self, direction: Direction = "request") -> Any:
        """Describe the body of a deletion too, where the view says that it has one.

        drf-spectacular knows bodies of POST, PUT and PATCH only; OpenAPI 3.1 knows no such rule.
        Every body is required, also one in which nothing is: an empty body is no JSON.
        """
        has_body = self.method == "DELETE" and getattr(self.view, "deletes_with_body", False)
        method, self.method = self.method, "POST" if has_body else self.method
        try:
            body = super()._get_request_body(direction)  # type: ignore[no-untyped-call]  # untyped there
        finally:
            self.method = method
        return {**body, "required": True} if body else body

    def error_statuses(self) -> set[int]:
        """Give the statuses of the errors that this operation can answer with."""
        statuses = set(ALWAYS)
        if self.method in ("POST", "PUT", "PATCH") and self.get_request_serializer():
            statuses |= set(WITH_BODY)
        if self.view.authentication_classes:
            statuses |= set(WITH_CREDENTIALS)
        if self.method != "GET":
            statuses.add(429)
        statuses |= {WITH_HEADER[name] for name in self._header_names() if name in WITH_HEADER}
        if "{" in self.path:
            statuses.add(404)
        return statuses | set(getattr(self.view, "error_statuses", {}).get(self.method, ()))


def path_words(path: str, *, singular_end: bool) -> list[str]:
    """Give the words of a path that name a thing, one of many where an id follows.

    `/movies/{id}/reviews` → `["movie", "reviews"]`, `/users/me/sessions` → `["my", "sessions"]`.
    """
    words = []
    for segment, following in pairwise([*path.strip("/").split("/"), ""]):
        if segment.startswith("{") or following == "me":
            continue
        if segment == "me" and following:
            words.append("my")
        elif following.startswith("{") or (singular_end and not following):
            words.append(segment.removesuffix("s"))
        else:
            words.append(segment)
    return [part for word in words for part in word.replace(".", "-").split("-")]


def undescribing_classes() -> list[type]:
    """Give the classes whose docstrings say nothing about what is derived from them.

    drf-spectacular's GET_LIB_DOC_EXCLUDES.
    """
    # Imported here, or this module could not be DRF's DEFAULT_SCHEMA_CLASS.
    from movieshelf.api.views import ApiMixin, ApiView, ApiViewSet

    ours = (CamelCaseMixin, CamelCaseSerializer, CamelCaseModelSerializer, QuerySerializer)
    theirs = spectacular_doc_excludes()  # type: ignore[no-untyped-call]  # untyped there
    return [*theirs, *ours, ApiMixin, ApiView, ApiViewSet]


def header(name: str) -> dict[str, str]:
    """Refer to a header of HEADERS."""
    return {"$ref": f"#/components/headers/{name}"}


def error_ref(status: int) -> dict[str, str]:
    """Refer to the answer of all errors with this status."""
    return {"$ref": f"#/components/responses/{KINDS[status].__name__}"}


def error_response_object(kind: type[ApiError]) -> dict[str, Any]:
    """Give the OpenAPI response object of one error: its one code, its headers, an example."""
    names = ("X-Request-Id", *ERROR_HEADERS.get(kind.status_code, ()))
    code = {"properties": {"error": {"properties": {"code": {"const": kind.default_code}}}}}
    return {
        "description": f"`{kind.default_code}`: {kind.default_detail}",
        "headers": {name: header(name) for name in names},
        "content": {
            "application/json": {
                "schema": {"allOf": [{"$ref": f"#/components/schemas/{COMPONENT}"}, code]},
                "example": envelope(kind()),
            }
        },
    }


def _header(description: str, example: str, **more: Any) -> dict[str, Any]:
    schema = {"type": "string", **more.pop("schema", {})}
    return {"description": description, "schema": schema, "example": example, **more}


HEADERS: dict[str, Any] = {
    "X-Request-Id": _header(
        "The request's id: the caller's own, where it sent a good one. Our logs carry it too.",
        "5f0c2d6a4b8e4f0f9b1f6f0a3c7d2e11",
        required=True,
        schema={"pattern": "^[A-Za-z0-9._-]{1,64}$"},
    ),
    "ETag": _header(
        "The version of what is shown, to be sent as `If-None-Match` or `If-Match`.",
        '"3.5d4c1f0a9b2e.8a7b6c5d4e3f"',
    ),
    "Location": _header("The path of what is there now.", "/movies/7"),
    "Retry-After": _header(
        "Wait so many seconds.", "2", required=True, schema={"pattern": "^[0-9]+$"}
    ),
    "RateLimit-Policy": _header(
        "The ceilings that the request counted towards: their names, how many (`q`), in how many"
        " seconds (`w`).",
        '"writes";q=300;w=60',
    ),
    "RateLimit": _header(
        "What is left of those ceilings (`r`), and in how many seconds they start anew (`t`).",
        '"writes";r=299;t=60',
    ),
    "WWW-Authenticate": _header(
        "The scheme of the credentials.", "Bearer", required=True, schema={"const": "Bearer"}
    ),
    "Set-Cookie": _header(
        "The refresh token, for `/auth` alone; out of reach of scripts.",
        "__Secure-refresh_token=eyJhbGciOi…; HttpOnly; Max-Age=1209600; Path=/auth;"
        " SameSite=Strict; Secure",
    ),
}
# Whatever is refused after the request was counted says so; what comes before it cannot.
ERROR_HEADERS: dict[int, tuple[str, ...]] = {
    **dict.fromkeys(
        (400, 403, 404, 409, 412, 413, 415, 422, 500), ("RateLimit", "RateLimit-Policy")
    ),
    401: ("WWW-Authenticate", "RateLimit", "RateLimit-Policy"),
    412: ("ETag", "RateLimit", "RateLimit-Policy"),
    429: ("Retry-After", "RateLimit", "RateLimit-Policy"),
    503: ("Retry-After", "RateLimit", "RateLimit-Policy"),
}

_TEXT = {"type": "string"}
_FIELD_ERROR = build_object_type(
    properties={
        "code": _TEXT,
        "message": _TEXT,
        "movieId": {
            "type": ["integer", "null"],
            "format": "int64",
            "description": "Which film has the title.",
        },
    },
    required=["code", "message"],
)
ERROR_SCHEMA = build_object_type(
    description="Every failure, on every path outside the admin.",
    required=["success", "error"],
    properties={
        "success": {"type": "boolean", "const": False},
        "error": build_object_type(
            required=["code", "message"],
            properties={
                "code": {"$ref": "#/components/schemas/ErrorCode"},
                "message": {"type": "string", "description": "One plain sentence for a person."},
                "details": {
                    "type": "object",
                    "description": "A field's path, and what is wrong with it.",
                    "additionalProperties": build_array_type(
                        {"$ref": "#/components/schemas/FieldError"}
                    ),
                },
            },
        ),
    },
)
# What every operation refers to; one of SPECTACULAR_SETTINGS.
COMPONENTS: dict[str, dict[str, Any]] = {
    "schemas": {
        COMPONENT: ERROR_SCHEMA,
        "ErrorCode": {"type": "string", "enum": CODES},
        "FieldError": _FIELD_ERROR,
    },
    "headers": HEADERS,
    "responses": {kind.__name__: error_response_object(kind) for kind in KINDS.values()},
}
