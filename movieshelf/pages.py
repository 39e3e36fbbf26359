"""Django's middleware for pages with a session and forms, which only the admin has."""

from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponseForbidden
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.deprecation import MiddlewareMixin

from movieshelf.middleware import is_admin


class ForPagesOnly(MiddlewareMixin):
    """Steps over every request that is not for the admin."""

    def __call__(self, request: HttpRequest) -> Any:
        return super().__call__(request) if is_admin(request) else self.get_response(request)


class PageSessionMiddleware(ForPagesOnly, SessionMiddleware):
    """Sessions are the admin's; the API has tokens."""


class PageCsrfMiddleware(ForPagesOnly, CsrfViewMiddleware):
    """Forms are the admin's; the API takes JSON and tokens, which no form can send."""

    def process_view(
        self, request: HttpRequest, callback: Any, callback_args: Any, callback_kwargs: Any
    ) -> HttpResponseForbidden | None:
        if not is_admin(request):
            return None
        return super().process_view(request, callback, callback_args, callback_kwargs)


class PageAuthenticationMiddleware(ForPagesOnly, AuthenticationMiddleware):
    """`request.user` of a session; the API finds out for itself who is asking."""


class PageMessageMiddleware(ForPagesOnly, MessageMiddleware):
    """Messages after a form was sent."""
