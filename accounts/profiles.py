"""Members as they see themselves and as others do, and what is held about them."""

from typing import ClassVar, cast
from uuid import UUID

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.cookies import clear_refresh_cookie
from accounts.exporting import export
from accounts.models import Session, SessionQuerySet, User
from accounts.serializers import (
    DeletionSerializer,
    ProfileSerializer,
    SessionListSerializer,
    SessionSerializer,
    UserSerializer,
)
from media.models import Media
from media.uploads import UploadView
from movieshelf.api.ceilings import LOGIN_BY_ACCOUNT
from movieshelf.api.errors import NotFound
from movieshelf.api.rendering import JSON_TYPE
from movieshelf.api.views import ApiView


class OwnView(ApiView):
    """The base of all under /users/me."""

    permission_classes = (IsAuthenticated,)
    personal = True

    @property
    def member(self) -> User:
        return cast(User, self.request.user)

    @property
    def login(self) -> Session:
        return cast(Session, self.request.auth)


class MeView(OwnView):
    """Oneself: shown, edited, deleted with all that is one's own."""

    serializer_class = UserSerializer
    deletes_with_body = True
    error_statuses: ClassVar = {"PATCH": (404,), "DELETE": (413, 415)}

    def get(self, request: Request) -> Response:
        return Response(self.get_serializer(self.member).data)

    def patch(self, request: Request) -> Response:
        asked = self.get_serializer(self.member, data=request.data, partial=True)
        asked.is_valid(raise_exception=True)
        self.member.edit(**asked.validated_data)
        return Response(self.get_serializer(self.member).data)

    @extend_schema(request=DeletionSerializer, responses={204: None})
    def delete(self, request: Request) -> Response:
        asked = DeletionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        # Whoever holds a stolen access token must not guess here what they may not at the login.
        LOGIN_BY_ACCOUNT.check(request, self.member.email_key)
        self.member.require_password(asked.validated_data["password"], field="password")
        self.member.delete()
        response = Response(status=204)
        clear_refresh_cookie(response)
        return response


class AvatarView(UploadView):
    """One's avatar, from a file."""

    personal = True

    def get_object(self) -> User:
        return cast(User, self.request.user)

    def show(self, thing: User, media: Media) -> None:
        thing.edit(avatar=media)


class SessionsView(OwnView):
    """One's live logins."""

    serializer_class = SessionSerializer

    @extend_schema(responses=SessionListSerializer)
    def get(self, request: Request) -> Response:
        live = Session.objects.live().of(self.member).latest_used_first()
        return Response({"items": self.get_serializer(live, many=True).data})


class SessionView(OwnView):
    """One of them, to be ended."""

    def get_queryset(self) -> SessionQuerySet:
        return Session.objects.live().of(self.member)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        if not self.get_queryset().filter(pk=pk).revoke("ended"):
            raise NotFound("You have no such login.")
        return Response(status=204)


class ExportView(OwnView):
    """All that is held about oneself, in one document."""

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> FileResponse:
        return FileResponse(
            export(self.member),
            as_attachment=True,
            filename="movieshelf.json",
            content_type=JSON_TYPE,
        )


class ProfileView(ApiView):
    """A member as anybody sees them."""

    serializer_class = ProfileSerializer
    permission_classes = (AllowAny,)
    queryset = User.objects.all()

    def get(self, request: Request, pk: int) -> Response:
        user = User.objects.with_counts().filter(pk=pk).first()
        if user is None:
            raise NotFound("There is no such member.")
        return Response(self.get_serializer(user).data)
