"""Signing and knowing again: access tokens in the body, refresh tokens in a cookie."""

import re
import time
import uuid
from collections.abc import Hashable
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

from django.conf import settings
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenError
from rest_framework_simplejwt.tokens import AccessToken as SimpleAccessToken
from rest_framework_simplejwt.tokens import RefreshToken as SimpleRefreshToken
from rest_framework_simplejwt.tokens import Token

from accounts.models import Session
from movieshelf.api.errors import AuthFailed

MAX_TOKEN_LENGTH = 4096
REMEMBERED_TOKENS = 4096
# PyJWT overlooks padding after the signature; a token of ours has one spelling.
SPELLING = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


class RotatingKeyBackend(TokenBackend):
    """simplejwt's backend; tokens signed with one of JWT_OLD_SIGNING_KEYS are still known."""

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        try:
            return dict(super().decode(token, verify))
        except TokenBackendError:
            for key in settings.JWT_OLD_SIGNING_KEYS:
                old = TokenBackend(
                    "HS256", key, audience=self.audience, issuer=self.issuer, leeway=self.leeway
                )
                try:
                    return dict(old.decode(token, verify))
                except TokenBackendError:
                    continue
            raise


class SessionBound(Token):
    """What both kinds share: the backend, and the login they belong to."""

    _token_backend = RotatingKeyBackend(
        "HS256", settings.JWT_SIGNING_KEY, audience="movieshelf", issuer="movieshelf"
    )

    @property
    def session_id(self) -> uuid.UUID:
        return uuid.UUID(self["sid"])

    def carry(self, session: Session, *, jti: str, now: datetime, until: datetime) -> None:
        self.payload["jti"] = jti
        self["sub"] = str(session.user_id)
        self["sid"] = str(session.pk)
        self.set_iat(at_time=now)
        self.set_exp(from_time=now, lifetime=until - now)


class AccessToken(SessionBound, SimpleAccessToken):
    """Fifteen minutes of one login."""

    @classmethod
    def of(cls, session: Session, now: datetime) -> "AccessToken":
        token = cls()
        until = min(now + settings.ACCESS_TOKEN_LIFETIME, session.expires_at)
        token.carry(session, jti=uuid.uuid4().hex, now=now, until=until)
        return token

    @property
    def seconds_left(self) -> int:
        return int(self["exp"]) - int(self["iat"])


class RefreshToken(SessionBound, SimpleRefreshToken):  # type: ignore[misc]  # simplejwt's own bases differ
    """The one live successor of a login; the same again for the same rotation."""

    @classmethod
    def of(cls, session: Session) -> "RefreshToken":
        token = cls()
        token.carry(
            session,
            jti=session.jti(session.generation),
            now=session.rotated_at,
            until=session.expires_at,
        )
        return token


def read[T: SessionBound](kind: type[T], raw: str) -> T:
    """Give the token that `raw` is, signature, times, issuer, audience and type checked.

    Raises AuthFailed for anything else, however strange.
    """
    if len(raw) > MAX_TOKEN_LENGTH or not SPELLING.fullmatch(raw):
        raise AuthFailed("The token is not valid.")
    try:
        token = cast(T, _checked(cast(Hashable, kind), raw, tuple(settings.JWT_OLD_SIGNING_KEYS)))
    except (TokenError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as exc:
        raise AuthFailed("The token is not valid or has expired.") from exc
    # What was right once is remembered, and goes on being right until then.
    if token["exp"] <= time.time():
        raise AuthFailed("The token is not valid or has expired.")
    return token


@lru_cache(maxsize=REMEMBERED_TOKENS)
def _checked(kind: Hashable, raw: str, old_keys: tuple[str, ...]) -> SessionBound:
    """Check all of a token that does not change with time.

    A client sends one token with each request of a quarter of an hour. Raises what simplejwt does.
    """
    token = cast(type[SessionBound], kind)(raw)  # type: ignore[arg-type]  # it takes text
    uuid.UUID(token["sid"])
    int(token["sub"])
    str(token["jti"])
    return token
