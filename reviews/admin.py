"""Reviews for moderators: read, hide and show, correct, remove."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, linebreaks
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from accounts.models import User
from movies.admin import by_film_or_member, first_ids
from movies.models import Movie
from movies.titles import search_fold
from movieshelf.admin import PlainTextField, ShelfAdmin, reason_of
from movieshelf.api.text import ControlCharacter
from reviews.models import (
    MAX_CONTENT_LENGTH,
    Report,
    Review,
    ReviewQuerySet,
)
from reviews.sanitising import sanitise
from trail.models import MAX_REASON_LENGTH

EXCERPT_LENGTH = 120


class ReviewForm(forms.ModelForm):  # type: ignore[type-arg]  # it takes none at run time
    content = forms.CharField(widget=forms.Textarea(attrs={"class": "vLargeTextField"}))
    hidden = forms.BooleanField(
        required=False,
        help_text="Only its author and admins see a hidden review; it is in no count.",
    )
    reason = PlainTextField(
        max_length=MAX_REASON_LENGTH,
        required=False,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text="Why it is hidden; nobody but admins sees it.",
    )

    class Meta:
        model = Review
        fields = ("content",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["hidden"].initial = self.instance.is_hidden
        self.fields["reason"].initial = self.instance.hidden_reason

    def clean_content(self) -> str:
        try:
            content = sanitise(self.cleaned_data["content"])
        except ControlCharacter as exc:
            raise ValidationError(str(exc)) from exc
        if not 1 <= len(content) <= MAX_CONTENT_LENGTH:
            raise ValidationError(f"A review has 1 to {MAX_CONTENT_LENGTH:,} characters.")
        return content


@admin.register(Review)
class ReviewAdmin(ShelfAdmin):
    form = ReviewForm
    list_display = ("excerpt", "movie", "user", "state", "created_at")
    list_filter = ("is_hidden", "created_at")
    list_select_related = ("movie", "user", "hidden_by")
    sortable_by = ()
    search_fields = ("content",)
    search_help_text = "A film's title, a member's name or e-mail address, or words of the review."
    fields = (
        "movie",
        "user",
        "content",
        "hidden",
        "reason",
        "hidden_by",
        "hidden_at",
        "created_at",
        "updated_at",
    )
    readonly_fields = ("movie", "user", "hidden_by", "hidden_at", "created_at", "updated_at")
    actions = ("hide_reviews", "show_reviews")

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        if not search_term:
            return queryset, False
        # Ids first, each from its own index: PostgreSQL would walk all reviews from the newest on.
        opinions = Review.objects.filter(by_film_or_member(search_term))
        found = {*first_ids(opinions), *first_ids(Review.objects.saying(search_term))}
        return queryset.filter(pk__in=found), False

    def save_model(self, request: HttpRequest, obj: Review, form: Any, change: bool) -> None:
        changed = set(form.changed_data)
        asked = form.cleaned_data
        # A new reason for what is hidden already is hiding it again.
        is_moved = "hidden" in changed or ("reason" in changed and asked["hidden"])
        obj.change(
            by=cast(User, request.user),
            content=asked["content"] if "content" in changed else None,
            hidden=asked["hidden"] if is_moved else None,
            reason=asked["reason"],
        )

    def log_change(self, request: HttpRequest, obj: Review, message: Any) -> Any:
        """Leave it to the review, which writes down what was done to it."""

    @admin.action(description="Hide selected reviews", permissions=["change"])
    def hide_reviews(self, request: HttpRequest, reviews: ReviewQuerySet) -> None:
        hidden = self._chosen(reviews).hide(by=cast(User, request.user), reason=reason_of(request))
        self.message_user(request, f"{hidden} reviews were hidden.", messages.SUCCESS)

    @admin.action(description="Show selected reviews", permissions=["change"])
    def show_reviews(self, request: HttpRequest, reviews: ReviewQuerySet) -> None:
        shown = self._chosen(reviews).show(by=cast(User, request.user), reason=reason_of(request))
        self.message_user(request, f"{shown} reviews are shown again.", messages.SUCCESS)

    @staticmethod
    def _chosen(reviews: ReviewQuerySet) -> ReviewQuerySet:
        """Give the chosen rows without what the list read along with them."""
        return Review.objects.filter(pk__in=reviews.order_by().values("pk"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description="review")
    def excerpt(self, review: Review) -> str:
        return Truncator(review.content).chars(EXCERPT_LENGTH)

    @admin.display(description="hidden")
    def state(self, review: Review) -> str | None:
        if not review.is_hidden:
            return None
        return f"by {review.hidden_by}" if review.hidden_by else "yes"


@admin.register(Report)
class ReportAdmin(ShelfAdmin):
    """All that members reported, decided or not; the queue is where it is decided."""

    list_display = ("reason", "thing", "author", "note", "reporter", "created_at", "decision")
    list_display_links = ("thing",)
    list_filter = ("outcome", "reason", "created_at")
    list_select_related = ("review__movie", "review__user", "movie__created_by", "reporter")
    sortable_by = ()
    search_fields = ("reporter__name",)
    search_help_text = "A film's title, or a member's name or e-mail address."
    fields = ("reason", "note", "reporter", "created_at", "author", "content", "decision")
    readonly_fields = ("author", "content", "decision")

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        if not search_term:
            return queryset, False
        reviews = Review.objects.filter(by_film_or_member(search_term))
        films = Movie.objects.titled_like(search_fold(search_term).strip())
        found = Q(review__in=first_ids(reviews)) | Q(movie__in=first_ids(films))
        return queryset.filter(found), False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Report | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Report | None = None) -> bool:
        return False

    @admin.display
    def thing(self, report: Report) -> str:
        return Truncator(text_of(report)).chars(EXCERPT_LENGTH)

    @admin.display(description="reported")
    def content(self, report: Report) -> SafeString:
        page = "reviews_review" if report.review_id else "movies_movie"
        return format_html(
            '{}<p><a href="{}">Go there</a></p>',
            linebreaks(text_of(report), autoescape=True),
            reverse(f"admin:{page}_change", args=(report.review_id or report.movie_id,)),
        )

    @admin.display
    def author(self, report: Report) -> User | None:
        if report.review:
            return report.review.user
        return report.movie.created_by if report.movie else None

    @admin.display
    def decision(self, report: Report) -> str:
        return report.get_outcome_display() or "open"


def text_of(report: Report) -> str:
    """Give what was reported: a review's text after its film, or a film's title."""
    if report.review:
        return f"{report.review.movie}: {report.review.content}"
    return str(report.movie)
