"""A client as a front-end would be: JSON in and out, a bearer token, a cookie jar.

It takes no answer that the OpenAPI document does not tell of (movieshelf.tests.documented).
"""

import json
from typing import Any, Self

from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from accounts.models import Session, User
from accounts.tokens import AccessToken
from movieshelf.tests.documented import require_documented


class ApiClient(Client):
    """Sends JSON; `as_(user)` logs in by a real session, without the cost of a password."""

    def as_(self, user: User) -> Self:
        session = Session.objects.start(user, user_agent="tests", ip="127.0.0.1")
        return self.with_token(str(AccessToken.of(session, timezone.now())))

    def with_token(self, token: str) -> Self:
        other = type(self)(raise_request_exception=False)
        other.cookies = self.cookies
        other.defaults["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        return other

    def generic(self, method: str, path: str, data: Any = "", *args: Any, **extra: Any) -> Any:
        if path.startswith("//"):  # Django would take what follows for a host, and ask for `/`.
            extra["PATH_INFO"] = path
        response = super().generic(method, path, data, *args, **extra)
        if method != "OPTIONS":
            require_documented(method, path, response, json_of(data, response.status_code))
        return response

    def _json(self, method: str, path: str, data: Any = None, **extra: Any) -> HttpResponse:
        if not isinstance(data, bytes | str):
            data = json.dumps({} if data is None else data)
        extra.setdefault("content_type", "application/json")
        return self.generic(method, path, data, **extra)

    def post(self, path: str, data: Any = None, **extra: Any) -> HttpResponse:
        return self._json("POST", path, data, **extra)

    def put(self, path: str, data: Any = None, **extra: Any) -> HttpResponse:
        return self._json("PUT", path, data, **extra)

    def patch(self, path: str, data: Any = None, **extra: Any) -> HttpResponse:
        return self._json("PATCH", path, data, **extra)

    def upload(self, path: str, *images: bytes, field: str = "image", **extra: Any) -> HttpResponse:
        """Send files as a browser's form would."""
        from django.core.files.uploadedfile import SimpleUploadedFile

        files = [SimpleUploadedFile("photo.png", image, "image/png") for image in images]
        return Client.post(self, path, {field: files}, **extra)


def json_of(data: Any, status: int) -> Any:
    """Give what a JSON body says that was taken, None for no body and for other bodies."""
    if not isinstance(data, bytes | str) or not data or status >= 300:
        return None
    try:
        return json.loads(data)
    except ValueError:
        return None
