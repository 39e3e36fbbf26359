"""An operation that is to go says so. None of ours does, so the one here is made for it."""

from datetime import date

from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory

from movieshelf.api.deprecation import deprecated
from movieshelf.api.serializers import CamelCaseSerializer
from movieshelf.api.views import ApiView


class OldSerializer(CamelCaseSerializer):
    name = serializers.CharField()


class OldView(ApiView):
    serializer_class = OldSerializer

    @deprecated(since=date(2027, 1, 1), gone_on=date(2027, 7, 1))
    def get(self, request: Request) -> Response:
        """Get what is to go."""
        return Response({"name": "old"})


def test_its_answers_say_since_when_and_until_when():
    response = OldView.as_view()(APIRequestFactory().get("/old"))

    assert response["Deprecation"] == "@1798761600"
    assert response["Sunset"] == "Thu, 01 Jul 2027 00:00:00 GMT"


def test_the_document_marks_it_and_its_headers():
    generator = SchemaGenerator(patterns=[path("old", OldView.as_view())])

    operation = generator.get_schema(request=None, public=True)["paths"]["/old"]["get"]

    assert operation["deprecated"] is True
    assert {"Deprecation", "Sunset"} <= operation["responses"]["200"]["headers"].keys()
    assert operation["summary"] == "Get what is to go"
