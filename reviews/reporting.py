"""Reporting somebody else's review to the moderators."""

from typing import cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from movieshelf.api.fields import TextField
from movieshelf.api.idempotency import idempotent, takes_idempotency_key
from movieshelf.api.serializers import CamelCaseModelSerializer
from movieshelf.api.views import ApiView
from reviews.models import MAX_NOTE_LENGTH, Report, Review, ReviewQuerySet


class ReportSerializer(CamelCaseModelSerializer[Report]):
    review_id = serializers.IntegerField(read_only=True)
    reason = serializers.ChoiceField(Report.Reason.choices)
    note = TextField(max_length=MAX_NOTE_LENGTH, required=False, allow_blank=True)

    class Meta:
        model = Report
        fields = ("id", "review_id", "reason", "note", "created_at")
        read_only_fields = ("id", "created_at")


class ReviewReportView(ApiView):
    serializer_class = ReportSerializer
    permission_classes = (IsAuthenticated,)
    personal = True

    def get_queryset(self) -> ReviewQuerySet:
        return Review.objects.visible_to(self.request.user)

    @takes_idempotency_key
    @extend_schema(responses={200: ReportSerializer, 201: ReportSerializer})
    def post(self, request: Request, pk: int) -> Response:
        review = self.get_object()
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return self.file(review, **asked.validated_data)

    @idempotent
    def file(self, review: Review, *, reason: str, note: str = "") -> Response:
        report, is_new = Report.objects.file(
            review=review, reporter=cast(User, self.request.user), reason=reason, note=note
        )
        return Response(self.get_serializer(report).data, status=201 if is_new else 200)
