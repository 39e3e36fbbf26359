"""The refresh cookie: how it is set, cleared, and kept from being used across sites."""

import math

from django.conf import settings
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.request import Request

from accounts.models import Session
from accounts.tokens import RefreshToken
from movieshelf.api.errors import Forbidden

PATH = "/auth"


def set_refresh_cookie(response: HttpResponseBase, token: RefreshToken, session: Session) -> None:
    response.set_cookie(
        settings.REFRESH_COOKIE_NAME,
        str(token),
        max_age=max(0, math.ceil((session.expires_at - timezone.now()).total_seconds())),
        path=PATH,
        secure=settings.COOKIE_SECURE,
        httponly=True,
        samesite=settings.REFRESH_COOKIE_SAMESITE,
    )


def clear_refresh_cookie(response: HttpResponseBase) -> None:
    response.set_cookie(
        settings.REFRESH_COOKIE_NAME,
        "",
        max_age=0,
        expires="Thu, 01 Jan 1970 00:00:00 GMT",
        path=PATH,
        secure=settings.COOKIE_SECURE,
        httponly=True,
        samesite=settings.REFRESH_COOKIE_SAMESITE,
    )


def refuse_cross_site(request: Request) -> None:
    """Raise Forbidden where another site made the browser send the cookie.

    A browser names the origin of every POST; where one does not, Fetch Metadata decides
    (https://www.w3.org/TR/fetch-metadata/). Programs send neither and may pass.
    """
    origin = request.META.get("HTTP_ORIGIN")
    if origin is not None:
        ours = f"{request.scheme}://{request.get_host()}"
        if origin != ours and origin not in settings.CORS_ALLOWED_ORIGINS:
            raise Forbidden("This origin may not use the refresh cookie.")
    elif request.META.get("HTTP_SEC_FETCH_SITE") in ("cross-site", "same-site"):
        raise Forbidden("Another site may not use the refresh cookie.")
