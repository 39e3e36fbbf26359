"""OpenAPI from the code at `/openapi.json`, and the reference at `/docs`."""

from django.conf import settings
from django.utils.decorators import method_decorator
from django.views.decorators.csp import csp_override
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

# OPTIONS would have DRF describe a page as if it were data.
READ = ("get", "head")


class JSONDocumentRenderer(OpenApiJsonRenderer):
    media_type = "application/json"


class OpenAPIView(SpectacularAPIView):
    """The OpenAPI document."""

    renderer_classes = [JSONDocumentRenderer]  # noqa: RUF012  # drf-spectacular's is a list
    http_method_names = READ


@method_decorator(csp_override(settings.PAGE_CSP), name="dispatch")
class DocsView(SpectacularSwaggerSplitView):
    """The reference; its script is a request of its own, so the CSP needs no exception."""

    url_name = "openapi"
    http_method_names = READ
