"""Images for moderators: see what there is and where it is shown, and remove what must not be."""

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.postgres.expressions import ArraySubquery
from django.db import transaction
from django.db.models import OuterRef, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from media.models import Media, MediaQuerySet, pointers
from movieshelf.admin import ShelfAdmin, reason_of
from trail.models import Act, Verb

# A moderator wants to know where; an image shown in more places than this is shown in many.
USES_SHOWN = 3


@admin.register(Media)
class MediaAdmin(ShelfAdmin):
    list_display = ("preview", "dimensions", "size", "content_type", "uploader", "uses", "added")
    list_display_links = ("dimensions",)
    list_filter = ("content_type", "created_at")
    list_select_related = ("uploader",)
    search_fields = ("uploader__name", "uploader__email")
    actions = ("remove_images",)
    fields = ("image", "id", "dimensions", "size", "content_type", "sha256", "uploader", "uses")
    readonly_fields = ("image", "id", "dimensions", "size", "uses")

    def get_queryset(self, request: HttpRequest) -> MediaQuerySet:
        """Images with, for each kind of thing that can show one, the ids of those that do."""
        images = cast(MediaQuerySet, super().get_queryset(request))
        return images.annotate(**{name: ArraySubquery(rows) for name, rows in _uses().items()})

    @admin.display(description="image")
    def preview(self, media: Media) -> SafeString:
        return format_html('<img src="{}?width=160" alt="" loading="lazy" height="80">', media.url)

    @admin.display(description="image")
    def image(self, media: Media) -> SafeString:
        return format_html(
            '<a href="{}"><img src="{}?width=640" alt="" style="max-width: 100%"></a>',
            media.url,
            media.url,
        )

    @admin.display(ordering="width")
    def dimensions(self, media: Media) -> str:
        return f"{media.width} × {media.height}"

    @admin.display(ordering="bytes")
    def size(self, media: Media) -> str:
        return f"{media.bytes / 1024:,.0f} KiB"

    @admin.display(description="added", ordering="pk")
    def added(self, media: Media) -> Any:
        return media.created_at

    @admin.display(description="shown by")
    def uses(self, media: Media) -> str:
        links = [
            (_change_url(field.model._meta.label_lower, pk), field.model._meta.verbose_name, pk)
            for field, name in zip(pointers(), _uses(), strict=True)
            for pk in getattr(media, name)
        ]
        return format_html_join(", ", '<a href="{}">{} {}</a>', links) or "nothing"

    @admin.action(description="Remove selected images", permissions=["remove"])
    def remove_images(self, request: HttpRequest, images: QuerySet[Media]) -> None:
        chosen = Media.objects.filter(pk__in=images.values("pk"))
        with transaction.atomic():
            gone = list(chosen)
            Act.objects.record(
                Verb.DELETE,
                gone,
                by=request.user,
                reason=reason_of(request),
                before=("uploader", "sha256", "content_type", "created_at"),
            )
            removed = chosen.remove()
        self.message_user(request, f"{removed} images were removed.", messages.SUCCESS)

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("media.delete_media"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Media | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Media | None = None) -> bool:
        # Django's own page for this would read along what goes, bytes included.
        return False


def _uses() -> dict[str, QuerySet[Any]]:
    return {
        f"shown_by_{field.model._meta.model_name}_{field.name}": field.model._base_manager.filter(
            **{field.name: OuterRef("pk")}
        ).values("pk")[:USES_SHOWN]
        for field in pointers()
    }


def _change_url(label: str, pk: Any) -> str:
    """Give the page of a row in the admin; a model that has none gets no link."""
    try:
        return reverse(f"admin:{label.replace('.', '_')}_change", args=(pk,))
    except NoReverseMatch:
        return ""
