"""How the OpenAPI document names our authentication."""

from typing import Any, Final

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, extend_schema

# As `auth` of extend_schema has it; the document describes the scheme.
REFRESH_COOKIE: Final[dict[str, list[str]]] = {"refreshCookie": []}

# Decorates the handler of an operation that sets or clears the cookie.
sets_refresh_cookie = extend_schema(
    parameters=[
        OpenApiParameter("Set-Cookie", str, OpenApiParameter.HEADER, response=[200, 201, 204])
    ]
)


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # untyped there
    target_class = "accounts.authentication.SessionTokenAuthentication"
    name = "accessToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
