"""Who is asking: the access token, and the one query that reads its login and member."""

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.models import Session, User
from accounts.tokens import AccessToken, read
from movieshelf.api.errors import AuthFailed
from movieshelf.observing import current


class SessionTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer …`; one that is there but unusable is 401, on public paths too."""

    def authenticate(self, request: Request) -> tuple[User, Session] | None:
        raw = bearer_token(request)
        if raw is None:
            return None
        token = read(AccessToken, raw)
        session = Session.objects.live_with_member(token.session_id)
        if session is None or str(session.user_id) != token["sub"]:
            raise AuthFailed("This login has ended.")
        if seen := current.get():
            seen.user_id = session.user_id
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def bearer_token(request: HttpRequest | Request) -> str | None:
    """Give the token of the Authorization header, None without the header.

    Raises AuthFailed for another scheme, two tokens, or bytes that no token has.
    """
    header: str | None = request.META.get("HTTP_AUTHORIZATION")
    if header is None:
        return None
    scheme, _, raw = header.partition(" ")
    if scheme.lower() != "bearer" or not raw or not raw.isascii() or " " in raw or "," in raw:
        raise AuthFailed("The Authorization header must be `Bearer` and one access token.")
    return raw
