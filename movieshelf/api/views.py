"""What every view of the API does the same way: the order of checks, and caching headers."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.cache import patch_vary_headers
from rest_framework import generics, viewsets
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from movieshelf.api.bodies import declared_length
from movieshelf.api.ceilings import WRITES, PerIP, PerUser, tell
from movieshelf.api.conditional import tag
from movieshelf.api.errors import RAISED_AT_LOGIN, RAISED_BEFORE, MethodNotAllowed, ReadOnly
from movieshelf.api.pagination import NumberedPagination
from movieshelf.api.serializers import refuse_broken_query

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class ApiMixin(APIView):
    """The ground rules of contract section 1 for one view."""

    pagination_class: type[BasePagination] | None = NumberedPagination
    # Answers that belong to one person are never kept, whoever asks.
    personal = False
    # Reads, login, refresh and logout go on while READ_ONLY is on.
    works_read_only = False
    # What is read as a file, sent while it is read from somewhere, has no version.
    is_download = False
    # What a request counts towards before the thing it is about is looked for.
    ceilings: Sequence[PerIP | PerUser] = (WRITES,)

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Let the parser see an empty body too, and refuse it; DRF would make `{}` of it."""
        asked = super().initialize_request(request, *args, **kwargs)
        if not declared_length(request):
            asked._stream = BytesIO()
        return asked

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse a method before asking who is there; DRF would ask first."""
        if request.method not in self.allowed_methods:
            raise MethodNotAllowed(headers={"Allow": ", ".join(self.allowed_methods)})
        super().initial(request, *args, **kwargs)
        if settings.READ_ONLY and request.method not in SAFE_METHODS and not self.works_read_only:
            raise ReadOnly()
        refuse_broken_query(request)
        if RAISED_BEFORE in request.META:
            raise request.META[RAISED_BEFORE]

    def perform_authentication(self, request: Request) -> None:
        if RAISED_AT_LOGIN in request.META:
            raise request.META[RAISED_AT_LOGIN]
        super().perform_authentication(request)

    def check_throttles(self, request: Request) -> None:
        """Count the request; DRF asks after the credentials and before the thing."""
        for ceiling in self.ceilings:
            ceiling.check(request)

    def get_authenticate_header(self, request: Request) -> str:
        """Name the scheme on every 401; DRF would turn one without a scheme into a 403."""
        return "Bearer"

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """Say what is allowed here; a CORS preflight is answered before it comes to this."""
        return Response(status=204, headers={"Allow": ", ".join(self.allowed_methods)})

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        patch_vary_headers(response, ["Authorization"])
        response.headers.setdefault("Cache-Control", self.cache_control(request, response))
        tell(request, response)
        is_read = request.method in ("GET", "HEAD") and response.status_code == 200
        return tag(request, response) if is_read and not self.is_download else response

    def cache_control(self, request: Request, response: Response) -> str:
        if self.personal or response.status_code >= 400 or request.method not in SAFE_METHODS:
            return "no-store"
        # Kept by the browser at most, and shown only after asking us.
        return "private, no-cache" if _has_credentials(request) else "no-cache"

    @property
    def allowed_methods(self) -> list[str]:
        return [method.upper() for method in self.http_method_names if hasattr(self, method)]


class ApiView(ApiMixin, generics.GenericAPIView[Any]):
    """The base of a view that is one verb on one thing."""


class ApiViewSet(ApiMixin, viewsets.GenericViewSet[Any]):
    """The base of a view over a kind of thing."""


def _has_credentials(request: HttpRequest | Request) -> bool:
    return "HTTP_AUTHORIZATION" in request.META
