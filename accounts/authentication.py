"""Who is asking: the access token, and the one query that reads its login and member."""

from collections.abc import Mapping, Sequence
from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.models import Session, User
from accounts.tokens import AccessToken, read
from movieshelf.api.errors import AuthFailed
from movieshelf.observing import current


class SessionTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer …`; one that is there but unusable is 401, on public paths too."""

    def authenticate(self, request: Request) -> tuple[User, Session] | None:
        session = login_of(request.META)
        return None if session is None else (session.user, session)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def login_of(environ: Mapping[str, Any]) -> Session | None:
    """Give the login whose token the Authorization header has, with its member.

    None without the header. Raises AuthFailed for one that is unusable, or whose login has ended.
    """
    token = access_token(environ)
    if token is None:
        return None
    session = Session.objects.live_with_member(token.session_id)
    if session is None or not is_of(session, token):
        raise AuthFailed("This login has ended.")
    if seen := current.get():
        seen.user_id = session.user_id
    return session


def logins_of(tokens: Sequence[AccessToken]) -> list[Session | None]:
    """Give the logins of several tokens, with their members; None for each that has ended."""
    live = Session.objects.live_with_members([token.session_id for token in tokens])
    sessions = (live.get(token.session_id) for token in tokens)
    return [
        session if session and is_of(session, token) else None
        for session, token in zip(sessions, tokens, strict=True)
    ]


def is_of(session: Session, token: AccessToken) -> bool:
    """Say whether a login is that of the member whom the token names."""
    member: str = token["sub"]
    return str(session.user_id) == member


def access_token(environ: Mapping[str, Any]) -> AccessToken | None:
    """Give the token of the Authorization header, None without the header.

    Raises AuthFailed for one that is unusable.
    """
    raw = bearer_token(environ)
    return None if raw is None else read(AccessToken, raw)


def bearer_token(environ: Mapping[str, Any]) -> str | None:
    """Give the token of the Authorization header, None without the header.

    Raises AuthFailed for another scheme, two tokens, or bytes that no token has.
    """
    header: str | None = environ.get("HTTP_AUTHORIZATION")
    if header is None:
        return None
    scheme, _, raw = header.partition(" ")
    if scheme.lower() != "bearer" or not raw or not raw.isascii() or " " in raw or "," in raw:
        raise AuthFailed("The Authorization header must be `Bearer` and one access token.")
    return raw
