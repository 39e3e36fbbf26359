"""Members as they see themselves and as others do, and what is held about them."""

from typing import ClassVar, cast
from uuid import UUID

from django.http import FileResponse
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.cookies import clear_refresh_cookie
from accounts.exporting import export
from accounts.models import Session, SessionQuerySet, User
from accounts.schema import sets_refresh_cookie
from accounts.serializers import (
    DeletionSerializer,
    ExportSerializer,
    ProfileSerializer,
    SessionListSerializer,
    SessionSerializer,
    UserSerializer,
)
from media.models import Media
from media.uploads import UPLOADS_IN_SHORT, UploadView
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
        """Get oneself."""
        return Response(self.get_serializer(self.member).data)

    def patch(self, request: Request) -> Response:
        """Change one's name or avatar.

        `avatarMediaId` is an image that one uploaded oneself, or null for none.
        """
        asked = self.get_serializer(self.member, data=request.data, partial=True)
        asked.is_valid(raise_exception=True)
        self.member.edit(**asked.validated_data)
        return Response(self.get_serializer(self.member).data)

    @sets_refresh_cookie
    @extend_schema(request=DeletionSerializer, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Delete one's account.

        Ratings, reviews, logins and an avatar that nothing else shows go at once, and the averages
        and counts of films follow. Films that one added stay, with `createdBy: null`.
        """
        asked = DeletionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        # Whoever holds a stolen access token must not guess here what they may not at the login.
        LOGIN_BY_ACCOUNT.check(request, self.member.email_key)
        self.member.require_password(asked.validated_data["password"], field="password")
        self.member.delete()
        response = Response(status=204)
        clear_refresh_cookie(response)
        return response


@extend_schema_view(
    post=extend_schema(
        operation_id="uploadMyAvatar",
        summary="Upload one's avatar",
        description="It is the avatar from then on. " + UPLOADS_IN_SHORT,
    )
)
class AvatarView(UploadView):
    """One's avatar, from a file."""

    error_statuses: ClassVar = {"POST": (404,)}
    personal = True

    def get_object(self) -> User:
        return cast(User, self.request.user)

    def show(self, thing: User, media: Media) -> None:
        thing.edit(avatar=media)


class SessionsView(OwnView):
    """One's live logins."""

    serializer_class = SessionSerializer

    @extend_schema(operation_id="listMySessions", responses=SessionListSerializer)
    def get(self, request: Request) -> Response:
        """List one's live logins.

        The one last used stands first; `current` is the one that asks.
        """
        live = Session.objects.live().of(self.member).latest_used_first()
        return Response({"items": self.get_serializer(live, many=True).data})


class SessionView(OwnView):
    """One of them, to be ended."""

    def get_queryset(self) -> SessionQuerySet:
        return Session.objects.live().of(self.member)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        """End one of one's logins.

        Its tokens die at once, access tokens included.
        """
        if not self.get_queryset().filter(pk=pk).revoke("ended"):
            raise NotFound("You have no such login.")
        return Response(status=204)


class ExportView(OwnView):
    """All that is held about oneself, in one document."""

    is_download = True

    @extend_schema(responses=ExportSerializer)
    def get(self, request: Request) -> FileResponse:
        """Export all that is held about oneself.

        One document, as a download.
        """
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
        """Get a member's page.

        E-mail addresses are shown to nobody but their owners.
        """
        user = User.objects.with_counts().filter(pk=pk).first()
        if user is None:
            raise NotFound("There is no such member.")
        return Response(self.get_serializer(user).data)
