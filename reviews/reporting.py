"""Reporting somebody else's review, or film, to the moderators."""

from typing import cast

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from movies.models import Movie
from movieshelf.api.fields import TextField
from movieshelf.api.idempotency import idempotent, takes_idempotency_key
from movieshelf.api.serializers import CamelCaseModelSerializer
from movieshelf.api.views import ApiView
from reviews.models import MAX_NOTE_LENGTH, Report, Review, ReviewQuerySet

Reason = Report.Reason
ONCE = (
    "Once a member and thing: again, the first report is given again, unchanged, with 200. What is"
    " one's own is 400."
)


class ReportSerializer(CamelCaseModelSerializer[Report]):
    """What the reports of all kinds of things have in common."""

    note = TextField(max_length=MAX_NOTE_LENGTH, required=False, allow_blank=True)


class ReviewReportSerializer(ReportSerializer):
    """A word to the moderators about somebody else's review."""

    review_id = serializers.IntegerField(read_only=True)
    reason = serializers.ChoiceField([Reason.SPAM, Reason.ABUSE, Reason.SPOILER, Reason.OTHER])

    class Meta:
        model = Report
        fields = ("id", "review_id", "reason", "note", "created_at")
        read_only_fields = ("id", "created_at")


class MovieReportSerializer(ReportSerializer):
    """A word to the moderators about a film."""

    movie_id = serializers.IntegerField(read_only=True)
    reason = serializers.ChoiceField([Reason.DUPLICATE, Reason.SPAM, Reason.ABUSE, Reason.OTHER])

    class Meta:
        model = Report
        fields = ("id", "movie_id", "reason", "note", "created_at")
        read_only_fields = ("id", "created_at")


class ReportView(ApiView):
    """The base of a view that takes reports of one kind of thing."""

    permission_classes = (IsAuthenticated,)
    personal = True

    @takes_idempotency_key
    def post(self, request: Request, pk: int) -> Response:
        thing = self.get_object()
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return self.file(thing, **asked.validated_data)

    @idempotent
    def file(self, thing: Review | Movie, *, reason: str, note: str = "") -> Response:
        reporter = cast(User, self.request.user)
        report, is_new = Report.objects.file(thing, reporter=reporter, reason=reason, note=note)
        return Response(self.get_serializer(report).data, status=201 if is_new else 200)


@extend_schema_view(
    post=extend_schema(
        operation_id="reportReview",
        summary="Report a review to the moderators",
        description=ONCE,
        responses={200: ReviewReportSerializer, 201: ReviewReportSerializer},
    )
)
class ReviewReportView(ReportView):
    serializer_class = ReviewReportSerializer

    def get_queryset(self) -> ReviewQuerySet:
        return Review.objects.visible_to(self.request.user)


@extend_schema_view(
    post=extend_schema(
        operation_id="reportMovie",
        summary="Report a film to the moderators",
        description=ONCE,
        responses={200: MovieReportSerializer, 201: MovieReportSerializer},
    )
)
class MovieReportView(ReportView):
    queryset = Movie.objects.all()
    serializer_class = MovieReportSerializer
