"""Bringing one's shelf along: imports, their reports, and undoing them."""

from typing import Any, ClassVar, cast

from django.conf import settings
from django.http import FileResponse
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from accounts.models import User
from imports.models import Import, ImportQuerySet
from imports.reading import Sheet, read
from imports.reports import HEADER, lines
from imports.serializers import (
    ImportFormSerializer,
    ImportParser,
    ImportSerializer,
    ReportedImportSerializer,
    ReportParams,
    RowSerializer,
    Switches,
)
from media.uploads import room_for_one_more
from movieshelf.api.ceilings import IMPORTS, WRITES
from movieshelf.api.conditional import says_where
from movieshelf.api.idempotency import idempotent, takes_idempotency_key
from movieshelf.api.pagination import PageParams
from movieshelf.api.spreadsheets import CSV_ANSWER, CSVRenderer, csv_file
from movieshelf.api.views import ApiView


class OwnImportsView(ApiView):
    """The base of the views on one's own imports."""

    serializer_class: type[BaseSerializer[Any]] = ImportSerializer
    permission_classes = (IsAuthenticated,)
    lookup_url_kwarg = "import_id"
    personal = True

    def get_queryset(self) -> ImportQuerySet:
        return Import.objects.of(cast(User, self.request.user)).newest_first()


class ImportsView(OwnImportsView):
    """One's imports, newest first, and beginning one."""

    parser_classes = (ImportParser,)
    ceilings = (WRITES, IMPORTS)
    error_statuses: ClassVar = {"POST": (409,)}

    @extend_schema(operation_id="listImports", responses=ImportSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List one's imports.

        The newest stands first.
        """
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @takes_idempotency_key
    @says_where
    @extend_schema(
        parameters=[Switches], request=ImportFormSerializer, responses={202: ImportSerializer}
    )
    def post(self, request: Request) -> Response:
        """Begin an import.

        It goes on in the background: `Location` says where to see how far it is.
        """
        in_query = Switches.parse(request)
        ImportParser().require_form(request)
        with room_for_one_more():
            form = ImportFormSerializer(data=request.data)
            form.is_valid(raise_exception=True)
            data = form.validated_data["file"].read()
        sheet = read(data, max_rows=settings.IMPORT_MAX_ROWS)
        switches = {
            name: in_query[name] or form.validated_data[name]
            for name in ("dry_run", "create_missing")
        }
        return self.begin(data, sheet, switches)

    @idempotent
    def begin(self, data: bytes, sheet: Sheet, switches: dict[str, bool]) -> Response:
        user = cast(User, self.request.user)
        source = Import.objects.start(user=user, data=data, sheet=sheet, **switches)
        headers = {"Location": f"/imports/{source.pk}"}
        return Response(ImportSerializer(source).data, status=202, headers=headers)


class ImportView(OwnImportsView):
    """One import: how far it is, what came of each row, and undoing it."""

    error_statuses: ClassVar = {"DELETE": (409,)}

    @extend_schema(parameters=[ReportParams, PageParams], responses=ReportedImportSerializer)
    def get(self, request: Request, import_id: int) -> Response:
        """Get an import.

        How far it is, and in `report` a list of what came of each row, in the order of the file;
        `outcome` chooses among them.
        """
        source, asked = self.get_object(), ReportParams.parse(request)
        rows = source.rows.in_order()
        if "outcome" in asked:
            rows = rows.filter(outcome=asked["outcome"])
        page = self.paginate_queryset(rows)
        report = self.get_paginated_response(RowSerializer(page, many=True).data)
        return Response({**self.get_serializer(source).data, "report": report.data})

    @extend_schema(responses={202: ImportSerializer})
    def delete(self, request: Request, import_id: int) -> Response:
        """Undo an import.

        In the background; one that runs is stopped first. What was changed by hand since then
        stays. Again: 202, and nothing more is done.
        """
        return Response(ImportSerializer(self.get_object().undo()).data, status=202)


class ImportReportView(OwnImportsView):
    """The whole report, as a file for a spreadsheet."""

    renderer_classes = (CSVRenderer,)
    is_download = True

    @extend_schema(operation_id="getImportReport", responses=CSV_ANSWER)
    def get(self, request: Request, import_id: int) -> FileResponse:
        """Download the report of an import.

        All its rows, as a file for a spreadsheet.
        """
        source = self.get_object()
        return csv_file(f"import-{source.pk}.csv", HEADER, lines(source))
