"""The four calls that begin, renew and end a login."""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth import authenticate
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.cookies import clear_refresh_cookie, refuse_cross_site, set_refresh_cookie
from accounts.models import User, email_key
from accounts.schema import REFRESH_COOKIE, sets_refresh_cookie
from accounts.serializers import (
    LoginAnswerSerializer,
    LoginSerializer,
    RegisterSerializer,
    TokenSerializer,
    UserSerializer,
)
from accounts.sessions import MAX_USER_AGENT_LENGTH, Session
from accounts.tokens import AccessToken, RefreshToken, read
from movieshelf.api.addresses import client_ip
from movieshelf.api.ceilings import (
    LOGIN_BY_ACCOUNT,
    LOGIN_BY_IP,
    REFRESHES,
    REGISTER_BY_ACCOUNT,
    REGISTER_BY_IP,
)
from movieshelf.api.errors import AuthFailed
from movieshelf.api.views import ApiView


class AuthView(ApiView):
    """The base of all under /auth: no access token is looked at, nothing is kept."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    personal = True


class RegisterView(AuthView):
    """Become a member, and be logged in."""

    error_statuses: ClassVar = {"POST": (409,)}
    serializer_class = RegisterSerializer
    ceilings = (REGISTER_BY_IP,)

    @sets_refresh_cookie
    @extend_schema(operation_id="register", responses={201: LoginAnswerSerializer})
    def post(self, request: Request) -> Response:
        """Register.

        Makes an account and logs in: the access token is in the body, the refresh token in a cookie
        that no script can read. An e-mail address that is taken, in any spelling, is 409.
        """
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        REGISTER_BY_ACCOUNT.check(request, email_key(asked.validated_data["email"]))
        session = User.objects.register(**asked.validated_data, **device_of(request))
        return login_answer(session, status=201)


class LoginView(AuthView):
    """Begin a login."""

    error_statuses: ClassVar = {"POST": (401,)}
    serializer_class = LoginSerializer
    works_read_only = True
    ceilings = (LOGIN_BY_IP,)

    @sets_refresh_cookie
    @extend_schema(operation_id="login", responses=LoginAnswerSerializer)
    def post(self, request: Request) -> Response:
        """Log in.

        An unknown address, a wrong password and a deactivated account get one and the same 401.
        """
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        LOGIN_BY_ACCOUNT.check(request, email_key(asked.validated_data["email"]))
        user = authenticate(request, **asked.validated_data)
        if user is None:
            raise AuthFailed("The e-mail address or the password is wrong.")
        return login_answer(Session.objects.start(user, **device_of(request)), status=200)


class RefreshView(AuthView):
    """Spend the refresh token of the cookie for a new one and an access token."""

    error_statuses: ClassVar = {"POST": (401, 403)}
    works_read_only = True
    ceilings = (REFRESHES,)

    @sets_refresh_cookie
    @extend_schema(
        operation_id="refresh",
        auth=[REFRESH_COOKIE],  # type: ignore[list-item]  # the stubs say str
        request=None,
        responses=TokenSerializer,
    )
    def post(self, request: Request) -> Response:
        """Renew the access token.

        Spends the refresh token of the cookie for a new one. Each works once; the one before is
        honoured for ten seconds more (two tabs, a lost answer), and what is older ends the login.
        A call from another site is 403, and nothing is spent.
        """
        refuse_cross_site(request)
        token = read(RefreshToken, request.COOKIES.get(settings.REFRESH_COOKIE_NAME, ""))
        session = Session.objects.advance(token.session_id, user_id=token["sub"], jti=token["jti"])
        response = Response(access_answer(session))
        set_refresh_cookie(response, RefreshToken.of(session), session)
        return response


class LogoutView(AuthView):
    """End the login of the cookie."""

    error_statuses: ClassVar = {"POST": (403,)}
    works_read_only = True

    @sets_refresh_cookie
    @extend_schema(
        operation_id="logout",
        auth=[REFRESH_COOKIE, {}],  # type: ignore[list-item]  # the stubs say str
        request=None,
        responses={204: None},
    )
    def post(self, request: Request) -> Response:
        """Log out.

        Ends the login of the cookie, its access tokens included, and clears the cookie. Without a
        cookie there is nothing to end, which is 204 too.
        """
        refuse_cross_site(request)
        response = Response(status=204)
        clear_refresh_cookie(response)
        try:
            token = read(RefreshToken, request.COOKIES.get(settings.REFRESH_COOKIE_NAME, ""))
        except AuthFailed:
            return response
        Session.objects.filter(pk=token.session_id).revoke("logout")
        return response


def device_of(request: Request) -> dict[str, Any]:
    """What a login keeps of the device it began on."""
    return {
        "user_agent": request.META.get("HTTP_USER_AGENT", "")[:MAX_USER_AGENT_LENGTH],
        "ip": client_ip(request),
    }


def access_answer(session: Session) -> dict[str, Any]:
    token = AccessToken.of(session, timezone.now())
    return {"accessToken": str(token), "expiresIn": token.seconds_left}


def login_answer(session: Session, *, status: int) -> Response:
    body = {**access_answer(session), "user": UserSerializer(session.user).data}
    response = Response(body, status=status)
    set_refresh_cookie(response, RefreshToken.of(session), session)
    return response
