"""The trail for moderators: to be searched and read."""

import json
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from movieshelf.admin import KnownValuesFilter, ShelfAdmin
from trail.models import Act

APPS = {
    "user": "accounts",
    "media": "media",
    "movie": "movies",
    "rating": "ratings",
    "review": "reviews",
    "sweep": "moderation",
}


class ThingTypeFilter(KnownValuesFilter):
    title = "kind of thing"
    parameter_name = "thing_type__exact"
    values = tuple(APPS)


@admin.register(Act)
class ActAdmin(ShelfAdmin):
    list_display = ("at", "moderator", "verb", "link", "reason")
    list_display_links = ("at",)
    list_filter = ("verb", ThingTypeFilter, "at")
    sortable_by = ()
    search_fields = ("reason", "thing")
    search_help_text = "Words of the reason, or of what it was done to."
    fields = ("at", "moderator", "verb", "link", "reason", "state_before")
    readonly_fields = ("moderator", "link", "state_before")

    @admin.display
    def moderator(self, act: Act) -> SafeString:
        """Lead to all that this moderator did; the name is what it was then."""
        here = reverse("admin:trail_act_changelist")
        return format_html('<a href="{}?by__id__exact={}">{}</a>', here, act.by_id, act.by_name)

    @admin.display(description="thing")
    def link(self, act: Act) -> SafeString | str:
        try:
            page = f"admin:{APPS[act.thing_type]}_{act.thing_type}_change"
            return format_html(
                '<a href="{}">{}</a>', reverse(page, args=(act.thing_id,)), act.thing
            )
        except (KeyError, NoReverseMatch):
            return act.thing

    @admin.display
    def state_before(self, act: Act) -> SafeString:
        text = json.dumps(act.before, indent=2, ensure_ascii=False)
        return format_html('<pre class="state">{}</pre>', text)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
