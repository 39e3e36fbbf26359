"""What drf-spectacular is told beyond what it sees in the code: the errors of each operation."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent, build_array_type, build_object_type
from drf_spectacular.utils import Direction

from movieshelf.api.errors import BY_STATUS, ApiError

COMPONENT = "Error"
KINDS: list[type[ApiError]] = [*BY_STATUS.values(), ApiError]
CODES = sorted({kind.default_code for kind in KINDS})
# What any operation may answer with: a query that is not UTF-8, the wrong Accept, our bug, the
# database out of reach.
ALWAYS = (400, 406, 500, 503)
WITH_BODY = (413, 415)
WITH_CREDENTIALS = (401,)


class MovieShelfSchema(AutoSchema):
    """drf-spectacular's schema of one operation, with every code it can fail with.

    A view names in `error_statuses` what follows from its own rules (`{"POST": (409,)}`); the
    rest follows from its method, its body, its path and its credentials.
    """

    def _get_response_bodies(self, direction: Direction = "response") -> dict[str, Any]:
        responses = dict(super()._get_response_bodies(direction))
        component = self._error_component()
        for status in sorted(self.error_statuses()):
            responses.setdefault(str(status), _response(status, component))
        return responses

    def _get_request_body(self, direction: Direction = "request") -> Any:
        """Describe the body of a deletion too, where the view says that it has one.

        drf-spectacular knows bodies of POST, PUT and PATCH only; OpenAPI 3.1 knows no such rule.
        """
        has_body = self.method == "DELETE" and getattr(self.view, "deletes_with_body", False)
        method, self.method = self.method, "POST" if has_body else self.method
        try:
            return super()._get_request_body(direction)  # type: ignore[no-untyped-call]  # untyped there
        finally:
            self.method = method

    def error_statuses(self) -> set[int]:
        """Give the statuses of the errors that this operation can answer with."""
        statuses = set(ALWAYS)
        if self.method in ("POST", "PUT", "PATCH") and self.get_request_serializer():
            statuses |= set(WITH_BODY)
        if self.view.authentication_classes:
            statuses |= set(WITH_CREDENTIALS)
        if self.method != "GET":
            statuses.add(429)
        if any(parameter["name"] == "Idempotency-Key" for parameter in self._get_parameters()):
            statuses.add(422)
        if "{" in self.path:
            statuses.add(404)
        return statuses | set(getattr(self.view, "error_statuses", {}).get(self.method, ()))

    def _error_component(self) -> ResolvedComponent:
        component = ResolvedComponent(  # type: ignore[no-untyped-call]  # it has no types
            name=COMPONENT,
            type=ResolvedComponent.SCHEMA,
            object=COMPONENT,
        )
        component.schema = ERROR_SCHEMA
        self.registry.register_on_missing(component)
        return component


def _response(status: int, component: ResolvedComponent) -> dict[str, Any]:
    error = BY_STATUS.get(status, ApiError)
    return {
        "description": f"`{error.default_code}`: {error.default_detail}",
        "content": {"application/json": {"schema": component.ref}},
    }


_TEXT = {"type": "string"}
_FIELD_ERROR = build_object_type(
    properties={
        "code": _TEXT,
        "message": _TEXT,
        "movieId": {"type": ["integer", "null"], "description": "Who has the title."},
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
                "code": {"type": "string", "enum": CODES},
                "message": {"type": "string", "description": "One plain sentence for a person."},
                "details": {
                    "type": "object",
                    "description": "A field's path, and what is wrong with it.",
                    "additionalProperties": build_array_type(_FIELD_ERROR),
                },
            },
        ),
    },
)
