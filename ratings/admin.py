"""Ratings for moderators: look, correct, remove. Members rate for themselves."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from movies.admin import by_film_or_member
from movieshelf.admin import ShelfAdmin
from ratings.models import Rating

# A search gives no more than this; the pages of a film and a member lead to all of theirs.
FOUND_AT_MOST = 2_000


@admin.register(Rating)
class RatingAdmin(ShelfAdmin):
    list_display = ("stars", "movie", "user", "created_at", "updated_at")
    list_filter = ("value", "created_at")
    list_select_related = ("movie", "user")
    sortable_by = ()
    search_fields = ("movie__title",)
    search_help_text = "A film's title, or a member's name or e-mail address."
    fields = ("movie", "user", "value", "created_at", "updated_at")
    readonly_fields = ("movie", "user", "created_at", "updated_at")

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        if not search_term:
            return queryset, False
        # Ids first, in no order: else PostgreSQL walks all ratings from the newest on, in the hope
        # of fifty that match.
        found = Rating.objects.filter(by_film_or_member(search_term)).order_by()
        return queryset.filter(
            pk__in=list(found.values_list("pk", flat=True)[:FOUND_AT_MOST])
        ), False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description="rating")
    def stars(self, rating: Rating) -> str:
        return rating.get_value_display()
