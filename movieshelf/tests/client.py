"""A client as a front-end would be: JSON in and out, a bearer token, a cookie jar."""

import json
from typing import Any, Self

from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from accounts.models import Session, User
from accounts.tokens import AccessToken


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
