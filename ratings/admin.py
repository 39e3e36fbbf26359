"""Ratings for moderators: look, correct, remove. Members rate for themselves."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from movies.admin import by_film_or_member
from movieshelf.admin import ShelfAdmin
from ratings.models import Rating


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
        return queryset.filter(by_film_or_member(search_term)) if search_term else queryset, False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description="rating")
    def stars(self, rating: Rating) -> str:
        return rating.get_value_display()
