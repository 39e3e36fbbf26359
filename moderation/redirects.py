"""The old address of a merged film leads to the survivor's, whatever is asked of it."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from moderation.models import MergedFilm
from movieshelf.api.views import SAFE_METHODS
from movieshelf.converters import NO_ID

PREFIX = "/movies/"
# What told of the body that is not sent.
OF_THE_BODY = ("Content-Type", "Content-Length", "Content-Encoding", "Cache-Control")


class MergedFilmMiddleware:
    """Turn the 404 of a film that was merged into a redirect; nothing else costs anything.

    301 for reads, 307 for writes: the method and the body stay. It comes where the 404 would have,
    after the credentials and the ceilings.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code != 404 or not request.path_info.startswith(PREFIX):
            return response
        if request.resolver_match is None:
            return response
        values = request.resolver_match.kwargs
        film_id: int = values.get("pk") or values.get("movie_id", NO_ID)
        merged = MergedFilm.objects.filter(old_id=film_id).first()
        if merged is None:
            return response
        rest = request.get_full_path().removeprefix(f"{PREFIX}{film_id}")
        return lead_to(f"{PREFIX}{merged.survivor_id}{rest}", request, response)


def lead_to(address: str, request: HttpRequest, response: HttpResponseBase) -> HttpResponse:
    """Give the redirect, with the headers that the answer it stands for has."""
    is_read = request.method in SAFE_METHODS
    answer = HttpResponse(status=301 if is_read else 307, headers={"Location": address})
    del answer["Content-Type"]
    for name, value in response.items():
        if name not in OF_THE_BODY:
            answer.headers.setdefault(name, value)
    scope = "private, " if "Authorization" in request.headers else ""
    answer["Cache-Control"] = f"{scope}no-cache" if is_read else "no-store"
    return answer
