"""The JSON of an import and of its report, and the form that begins one."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from imports.models import COUNTS, UNDONE_COUNTS, Import, Row
from imports.reading import FIELD
from movieshelf.api.fields import SpellingOutChoiceField
from movieshelf.api.multipart import FileParser, FileSerializer
from movieshelf.api.serializers import (
    CamelCaseModelSerializer,
    CamelCaseSerializer,
    QuerySerializer,
)

SWITCH = {"true": True, "false": False}


class ImportParser(FileParser):
    """Take a form with one file of ratings or reviews, and switches beside it."""

    field = FIELD
    noun = "import file"

    @property
    def max_file_bytes(self) -> int:
        return int(settings.IMPORT_MAX_BYTES)


@extend_schema_field(OpenApiTypes.BOOL)
class SwitchField(SpellingOutChoiceField):
    """`true` or `false` in a form or a query."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=[*SWITCH], **kwargs)

    def to_internal_value(self, data: Any) -> bool:  # type: ignore[override]  # from text
        return SWITCH[super().to_internal_value(data)]


class Switches(QuerySerializer):
    """What may be said in the query as well as in the form."""

    dry_run = SwitchField(default=False, help_text="Report, and change nothing.")
    create_missing = SwitchField(default=False, help_text="Add films that are not on the shelf.")


class ImportFormSerializer(FileSerializer):
    """The file, and what to do with it."""

    parser = ImportParser
    file = serializers.FileField(
        write_only=True,
        help_text=(
            "`ratings.csv`, `diary.csv` or `reviews.csv` of Letterboxd, the ratings of IMDb,"
            " `ratings.csv` or the export of MovieShelf; known by their headers."
        ),
    )
    dry_run = SwitchField(default=False, help_text="Report, and change nothing.")
    create_missing = SwitchField(default=False, help_text="Add films that are not on the shelf.")

    def other_parts(self, parts: Mapping[str, list[Any]]) -> dict[str, Any]:
        """Give the switches; one that is there twice is no switch."""
        return {
            name: parts[name][0] if len(parts[name]) == 1 else parts[name]
            for name in ("dryRun", "createMissing")
            if name in parts
        }


class CountsSerializer(CamelCaseSerializer):
    """How many rows came to what, and what was done to ratings and reviews."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {name: serializers.IntegerField(min_value=0) for name in self.names}

    names: Sequence[str] = COUNTS

    def to_representation(self, instance: dict[str, int]) -> dict[str, int]:
        return {name: instance.get(name, 0) for name in self.names}


class UndoneCountsSerializer(CountsSerializer):
    """What undoing removed, restored, and kept because it was changed since."""

    names = UNDONE_COUNTS


class ImportSerializer(CamelCaseModelSerializer[Import]):
    """An import, how far it is, and what came of it so far."""

    counts = CountsSerializer()
    undone_counts = UndoneCountsSerializer()
    error = serializers.SerializerMethodField()

    class Meta:
        model = Import
        fields: tuple[str, ...] = (
            "id",
            "format",
            "status",
            "dry_run",
            "create_missing",
            "row_count",
            "rows_done",
            "counts",
            "undone_counts",
            "error",
            "created_at",
            "updated_at",
            "finished_at",
        )
        read_only_fields = fields

    def get_error(self, source: Import) -> str | None:
        """Why it was given up."""
        return source.error or None


class CandidateSerializer(CamelCaseSerializer):
    id = serializers.IntegerField(allow_null=True)
    title = serializers.CharField()
    year = serializers.IntegerField(allow_null=True)


class RowSerializer(CamelCaseModelSerializer[Row]):
    """One row of the file: which film it meant, and what was done."""

    row = serializers.IntegerField(source="number", help_text="1 is the first below the header.")
    reason = serializers.SerializerMethodField()
    message = serializers.SerializerMethodField()
    given = serializers.CharField(help_text="The rating as it stands in the file.")
    value = serializers.IntegerField(allow_null=True, help_text="The stars it became, 1 to 5.")
    movie_id = serializers.IntegerField(allow_null=True)
    rating = serializers.SerializerMethodField()
    review = serializers.SerializerMethodField()
    candidates = CandidateSerializer(many=True, allow_null=True)

    class Meta:
        model = Row
        fields = (
            "row",
            "outcome",
            "reason",
            "message",
            "title",
            "year",
            "given",
            "value",
            "movie_id",
            "rating",
            "old_value",
            "review",
            "review_id",
            "candidates",
        )

    def get_reason(self, row: Row) -> str | None:
        """Why it was not imported, for a program."""
        return row.reason or None

    def get_message(self, row: Row) -> str | None:
        """The same for a person; for a rating that was kept, why."""
        return row.message or None

    def get_rating(self, row: Row) -> str | None:
        """`added`, `changed`, `unchanged`, or `kept` where one's own was newer."""
        return row.rating_change or None

    def get_review(self, row: Row) -> str | None:
        """`added`, or `unchanged` where one has written the same about the film."""
        return row.review_change or None


class ReportSerializer(CamelCaseSerializer):
    """A page of the report, in the order of the file."""

    items = RowSerializer(many=True)
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()
    total = serializers.IntegerField()
    total_pages = serializers.IntegerField()


class ReportedImportSerializer(ImportSerializer):
    """An import, with a page of its report."""

    report = ReportSerializer()

    class Meta(ImportSerializer.Meta):
        fields = (*ImportSerializer.Meta.fields, "report")
        read_only_fields = fields


class ReportParams(QuerySerializer):
    outcome = SpellingOutChoiceField(choices=Row.Outcome.values, required=False)
