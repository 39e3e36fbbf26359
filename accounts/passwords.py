"""Setting another password: known, or forgotten."""

from typing import cast

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Session, User, email_key
from accounts.serializers import (
    AskResetSerializer,
    ConfirmResetSerializer,
    PasswordChangeSerializer,
    check_new_password,
)
from accounts.views import AuthView
from movieshelf.api.ceilings import (
    LOGIN_BY_ACCOUNT,
    PASSWORD_RESET_BY_ACCOUNT,
    PASSWORD_RESET_BY_IP,
)
from movieshelf.api.views import ApiView


class PasswordResetView(AuthView):
    """Ask for a mail with a link; the answer is the same whether the address is known."""

    serializer_class = AskResetSerializer
    ceilings = (PASSWORD_RESET_BY_IP,)

    @extend_schema(operation_id="requestPasswordReset", responses={202: None})
    def post(self, request: Request) -> Response:
        """Ask for a mail with a link to set another password.

        The answer is the same whether somebody has the address or nobody.
        """
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        PASSWORD_RESET_BY_ACCOUNT.check(request, email_key(asked.validated_data["email"]))
        User.objects.send_reset_mail(asked.validated_data["email"])
        return Response(status=202)


class PasswordResetConfirmView(AuthView):
    """Set a password by the token of that link."""

    serializer_class = ConfirmResetSerializer
    ceilings = (PASSWORD_RESET_BY_IP,)

    @extend_schema(operation_id="resetPassword", responses={204: None})
    def post(self, request: Request) -> Response:
        """Set another password by the token of that link.

        A token works once, for an hour, and not after another change of the password. Every login
        of the member ends.
        """
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        token, password = asked.validated_data["token"], asked.validated_data["password"]
        user = User.objects.with_reset_token(token)
        check_new_password("password", password, user)
        user.reset_password(token=token, new=password)
        return Response(status=204)


class PasswordChangeView(ApiView):
    """Set another password; this login goes on, every other ends."""

    serializer_class = PasswordChangeSerializer
    permission_classes = (IsAuthenticated,)
    personal = True

    @extend_schema(operation_id="changeMyPassword", responses={204: None})
    def post(self, request: Request) -> Response:
        """Change one's password.

        The login that asks goes on; every other ends at once, its access tokens included.
        """
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user = cast(User, request.user)
        # Whoever holds a stolen access token must not guess here what they may not at the login.
        LOGIN_BY_ACCOUNT.check(request, user.email_key)
        user.change_password(
            current=asked.validated_data["current_password"],
            new=asked.validated_data["new_password"],
            keep_session=cast(Session, request.auth).pk,
        )
        return Response(status=204)
