"""Python says `release_date`, the wire says `releaseDate`: translated here and nowhere else."""

from functools import cache
from typing import Any
from urllib.parse import unquote_to_bytes

from django.db import models
from rest_framework import serializers
from rest_framework.request import Request

from movieshelf.api.errors import InvalidInput


def camelize(name: str) -> str:
    """`release_date` → `releaseDate`."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


class CamelCaseMixin(serializers.BaseSerializer[Any]):
    """Rename each field to camelCase; validators are named as the client sees the field."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        fields = {}
        for name, field in super().get_fields().items():  # type: ignore[misc]  # of Serializer
            wire_name = camelize(name)
            if wire_name != name and field.source is None:
                field.source = name
            fields[wire_name] = field
        return fields


class CamelCaseSerializer(CamelCaseMixin, serializers.Serializer[Any]):
    """A plain serializer with camelCase on the wire."""


class CamelCaseModelSerializer[M: models.Model](CamelCaseMixin, serializers.ModelSerializer[M]):
    """A model serializer with camelCase on the wire."""


class QuerySerializer(CamelCaseSerializer):
    """The parameters of a query string, validated like a body; unknown ones are ignored."""

    @classmethod
    def parse(cls, request: Request, **context: Any) -> dict[str, Any]:
        """Give the validated parameters.

        Raises InvalidInput or DRF's ValidationError: text that is not UTF-8, a parameter given
        twice, or a value that is not allowed.
        """
        if not request.META.get("QUERY_STRING"):
            return dict(cls._defaults())
        refuse_broken_query(request)
        query = cls(data={}, context={"request": request, **context})
        query.initial_data = query.single_values(request)
        query.is_valid(raise_exception=True)
        return dict(query.validated_data)

    @classmethod
    @cache
    def _defaults(cls) -> dict[str, Any]:
        """What a request without a query asks for, whoever sends it."""
        query = cls(data={})
        query.is_valid(raise_exception=True)
        return dict(query.validated_data)

    def single_values(self, request: Request) -> dict[str, str]:
        values = {}
        for name in self.fields.keys():  # noqa: SIM118  # iterating it gives fields, the stubs say
            given = request.query_params.getlist(name)
            if len(given) > 1:
                raise InvalidInput.on(name, "This parameter is given twice.", code="repeated")
            if given:
                values[name] = given[0]
        return values


def refuse_broken_query(request: Request) -> None:
    """Raise InvalidInput where the query string is not UTF-8; Django would store `\\ufffd`."""
    try:
        # WSGI shows the bytes of the request line as Latin-1.
        raw = str(request.META.get("QUERY_STRING", "")).encode("latin-1", "replace")
        unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise InvalidInput("The query string is not UTF-8.") from exc
