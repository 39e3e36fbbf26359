"""Registering, logging in and out, and one's own profile."""

from typing import Any, cast

from django.conf import settings
from django.contrib.auth import authenticate
from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.cookies import clear_refresh_cookie, refuse_cross_site, set_refresh_cookie
from accounts.models import Session, User
from accounts.serializers import (
    LoginAnswerSerializer,
    LoginSerializer,
    RegisterSerializer,
    TokenSerializer,
    UserSerializer,
)
from accounts.tokens import AccessToken, RefreshToken, read
from media.models import Media
from media.uploads import UploadAnswerSerializer, UploadParser, UploadSerializer, upload_answer
from movieshelf.api.addresses import client_ip
from movieshelf.api.errors import AuthFailed
from movieshelf.api.views import ApiView


class AuthView(ApiView):
    """The base of the four calls: no access token is looked at, nothing is kept."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    personal = True
    works_read_only = True


class RegisterView(AuthView):
    serializer_class = RegisterSerializer
    works_read_only = False

    @extend_schema(responses={201: LoginAnswerSerializer})
    def post(self, request: Request) -> Response:
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        with transaction.atomic():
            user = User.objects.create_user(**asked.validated_data)
            session = begin_login(request, user)
        return login_answer(session, user, status=201)


class LoginView(AuthView):
    serializer_class = LoginSerializer

    @extend_schema(responses=LoginAnswerSerializer)
    def post(self, request: Request) -> Response:
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user = cast("User | None", authenticate(request, **asked.validated_data))
        if user is None:
            raise AuthFailed("The e-mail address or the password is wrong.")
        return login_answer(begin_login(request, user), user, status=200)


class RefreshView(AuthView):
    @extend_schema(request=None, responses=TokenSerializer)
    def post(self, request: Request) -> Response:
        refuse_cross_site(request)
        token = read(RefreshToken, request.COOKIES.get(settings.REFRESH_COOKIE_NAME, ""))
        session = Session.objects.advance(token.session_id, jti=token["jti"])
        response = Response(access_answer(session))
        set_refresh_cookie(response, RefreshToken.of(session), session)
        return response


class LogoutView(AuthView):
    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        refuse_cross_site(request)
        response = Response(status=204)
        clear_refresh_cookie(response)
        try:
            token = read(RefreshToken, request.COOKIES.get(settings.REFRESH_COOKIE_NAME, ""))
        except AuthFailed:
            return response
        Session.objects.filter(pk=token.session_id).revoke("logout")
        return response


class MeView(mixins.RetrieveModelMixin, mixins.UpdateModelMixin, ApiView):
    serializer_class = UserSerializer
    permission_classes = (IsAuthenticated,)
    personal = True

    def get_object(self) -> User:
        return cast(User, self.request.user)

    def get(self, request: Request) -> Response:
        return self.retrieve(request)

    def patch(self, request: Request) -> Response:
        return self.partial_update(request)


class AvatarView(ApiView):
    serializer_class = UploadSerializer
    permission_classes = (IsAuthenticated,)
    parser_classes = (UploadParser,)
    personal = True

    @extend_schema(responses={201: UploadAnswerSerializer})
    def post(self, request: Request) -> Response:
        upload = self.get_serializer(data=request.data)
        upload.is_valid(raise_exception=True)
        user = cast(User, request.user)
        with transaction.atomic():
            user.avatar = Media.objects.take(upload.validated_data["image"], uploader=user)
            user.save(update_fields=["avatar"])
        return upload_answer(user.avatar)


def begin_login(request: Request, user: User) -> Session:
    return Session.objects.start(
        user, user_agent=request.META.get("HTTP_USER_AGENT", "")[:300], ip=client_ip(request)
    )


def access_answer(session: Session) -> dict[str, Any]:
    token = AccessToken.of(session, timezone.now())
    return {"accessToken": str(token), "expiresIn": token.seconds_left}


def login_answer(session: Session, user: User, *, status: int) -> Response:
    body = {**access_answer(session), "user": UserSerializer(user).data}
    response = Response(body, status=status)
    set_refresh_cookie(response, RefreshToken.of(session), session)
    return response
