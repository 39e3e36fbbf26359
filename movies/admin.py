"""The catalogue for moderators."""

from collections.abc import Sequence
from datetime import date
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db.models import Q, QuerySet, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.models import MAX_ID_DIGITS, User
from movies.models import (
    MAX_SYNOPSIS_LENGTH,
    MAX_TITLE_LENGTH,
    STARS,
    Movie,
    MovieQuerySet,
    MovieStats,
    TitleTaken,
)
from movies.titles import search_fold
from movieshelf.admin import NOTHING, PlainTextField, ShelfAdmin, thumbnail

# A search for opinions takes no more films and members than these along.
FOUND_AT_MOST = 200
# A search for films lists no more than this; whoever gets so many types another word.
LISTED_AT_MOST = 2_000


class StarsFilter(admin.SimpleListFilter):
    title = "average rating"
    parameter_name = "stars"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(stars), f"{'★' * stars} and up") for stars in reversed(STARS)]

    def queryset(self, request: HttpRequest, queryset: Any) -> MovieQuerySet:
        movies: MovieQuerySet = queryset
        chosen = self.value() or ""
        return movies.rated_at_least(int(chosen)) if chosen in map(str, STARS) else movies


class MovieForm(forms.ModelForm):  # type: ignore[type-arg]  # it takes none at run time
    title = PlainTextField(
        max_length=MAX_TITLE_LENGTH, widget=forms.TextInput(attrs={"class": "vTextField"})
    )
    synopsis = PlainTextField(
        max_length=MAX_SYNOPSIS_LENGTH,
        required=False,
        widget=forms.Textarea(attrs={"class": "vLargeTextField"}),
    )

    class Meta:
        model = Movie
        fields = ("title", "release_date", "synopsis", "trailer_url", "poster", "created_by")

    def clean_title(self) -> str:
        title: str = self.cleaned_data["title"]
        if Movie.objects.titled(title).exclude(pk=self.instance.pk).exists():
            raise ValidationError(str(TitleTaken.default_detail))
        return title

    def clean_trailer_url(self) -> str | None:
        url: str | None = self.cleaned_data["trailer_url"]
        if url:
            URLValidator(schemes=["http", "https"], message="An http or https address is needed.")(
                url
            )
        return url


@admin.register(Movie)
class MovieAdmin(ShelfAdmin):
    form = MovieForm
    list_display = (
        "poster_preview",
        "title",
        "release_date",
        "average",
        "rating_count",
        "review_count",
        "created_by",
        "added",
    )
    list_display_links = ("title",)
    list_filter = (StarsFilter, ("poster", admin.EmptyFieldListFilter), "created_at")
    sortable_by = ("release_date", "average", "review_count", "added")
    ordering = ("-created_at", "-pk")
    search_fields = ("title",)
    search_help_text = "Any part of a title, without regard to case and accents; or an id."
    autocomplete_fields = ("poster", "created_by")
    readonly_fields = ("poster_large", "numbers", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("title", "release_date", "synopsis", "trailer_url")}),
        ("Poster", {"fields": ("poster_large", "poster")}),
        ("On the shelf", {"fields": ("numbers", "created_by", "created_at", "updated_at")}),
    )

    def get_queryset(self, request: HttpRequest) -> MovieQuerySet:
        movies = cast(MovieQuerySet, super().get_queryset(request))
        # The list adds what it wants joined only where nothing is joined yet.
        return movies.with_stats().select_related("created_by")

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[MovieQuerySet, bool]:
        if not search_term:
            return queryset, False
        # Ids first, in no order: a word that a tenth of all titles has would be sorted as a whole.
        found = Movie.objects.titled_like(search_fold(search_term).strip()).order_by()
        ids = list(found.values_list("pk", flat=True)[:LISTED_AT_MOST])
        return queryset.filter(pk__in=[*ids, *as_id(search_term)]), False

    def save_model(self, request: HttpRequest, obj: Movie, form: Any, change: bool) -> None:
        """Save what was changed and nothing else: others may have changed the rest meanwhile."""
        if not change:
            obj.created_by = obj.created_by or cast(User, request.user)
            obj.save()
        elif form.changed_data:
            obj.save(update_fields=form.changed_data)

    def goes_along(self, rows: Sequence[Movie]) -> dict[str, int]:
        return MovieStats.objects.filter(pk__in=[movie.pk for movie in rows]).aggregate(
            ratings=Sum("rating_count", default=0), reviews=Sum("review_count", default=0)
        )

    @admin.display(description="poster")
    def poster_preview(self, movie: Movie) -> SafeString | str:
        return thumbnail(movie.poster_id)

    @admin.display(description="image")
    def poster_large(self, movie: Movie) -> SafeString | str:
        return thumbnail(movie.poster_id, width=320, height=320)

    @admin.display(description="average", ordering="stats__average_rating")
    def average(self, movie: Movie) -> str | None:
        return f"{movie.stats.shown_average:.2f}" if movie.stats.rating_count else None

    @admin.display(ordering="created_at")
    def added(self, movie: Movie) -> date:
        return movie.created_at.date()

    @admin.display(description="ratings")
    def rating_count(self, movie: Movie) -> int:
        return int(movie.stats.rating_count)

    @admin.display(description="reviews", ordering="stats__review_count")
    def review_count(self, movie: Movie) -> int:
        return movie.stats.review_count

    @admin.display(description="ratings and reviews")
    def numbers(self, movie: Movie) -> SafeString | str:
        if movie.pk is None:
            return NOTHING
        stats = movie.stats
        lines = format_html_join(
            "", "<li>{}: {}</li>", (("★" * star, stats.distribution[str(star)]) for star in STARS)
        )
        return format_html(
            '<a href="{}?movie__id__exact={pk}">{} ratings</a>, {} on average, and '
            '<a href="{}?movie__id__exact={pk}">{} visible reviews</a><ul>{}</ul>',
            reverse("admin:ratings_rating_changelist"),
            stats.rating_count,
            f"{stats.shown_average:.2f}",
            reverse("admin:reviews_review_changelist"),
            stats.review_count,
            lines,
            pk=movie.pk,
        )


def by_film_or_member(text: str) -> Q:
    """Find opinions by a film's title or a member's name or e-mail address.

    By ids, so that the database goes to its indexes with them instead of reading every rating.
    """
    films = Movie.objects.titled_like(search_fold(text).strip())
    members = User.objects.found_by(text)
    return Q(movie__in=first_ids(films)) | Q(user__in=first_ids(members))


def as_id(text: str) -> list[int]:
    """Give the id that a search may mean, if it is a number that can be one."""
    return [int(text)] if text.isdecimal() and len(text) < MAX_ID_DIGITS else []


def first_ids(rows: QuerySet[Any]) -> list[int]:
    """Give so many ids of these rows that a search can go on with them."""
    return list(rows.order_by().values_list("pk", flat=True)[:FOUND_AT_MOST])
