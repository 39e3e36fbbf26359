"""The admin's door: the ceilings of the API's login, which it shares."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from accounts.models import email_key
from movieshelf.api.ceilings import LOGIN_BY_ACCOUNT, LOGIN_BY_IP, tell
from movieshelf.api.errors import RateLimited


def admin_login(request: HttpRequest) -> HttpResponseBase:
    """Django's login page of the admin; each attempt counts as one on `POST /auth/login` would."""
    try:
        if request.method == "POST":
            LOGIN_BY_IP.check(request)
            LOGIN_BY_ACCOUNT.check(request, email_key(request.POST.get("username", "")))
        response = admin.site.login(request)
    except RateLimited as exc:
        # Read by a person, so a sentence and not the envelope.
        response = HttpResponse(
            exc.message, status=exc.status_code, content_type="text/plain", headers=exc.headers
        )
    tell(request, response)
    return response
