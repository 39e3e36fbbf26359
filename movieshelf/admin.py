"""What the pages of the admin share: its name, and lists that stay quick at a million rows."""

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME, ActionForm
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString

from movieshelf.api.text import ControlCharacter, clean_text, is_blank
from trail.models import MAX_REASON_LENGTH, Act, Verb

admin.site.site_title = admin.site.site_header = "MovieShelf"
admin.site.index_title = "On the shelf"
admin.site.site_url = "/docs"
admin.site.empty_value_display = NOTHING = "–"
# The lists need the room, and the front page is one step away.
admin.site.enable_nav_sidebar = False

COUNTED_AT_MOST = 50_000
# What one action may touch: so much fits into one transaction that others can wait for.
CHANGED_AT_MOST = 10_000
# The name of the field for the reason, on every page on which something can be done.
REASON = "why"


class AtLeast(int):
    """A number that was not counted to the end."""

    def __str__(self) -> str:
        return f"{int(self):,}+"


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # it takes none at run time
    """Counts and pages through so many rows and no more: nobody reads a thousand pages.

    A count of ten million ratings would take a second on each page; a search finds the rest.
    """

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        counted = rows.order_by()[:COUNTED_AT_MOST].count()
        return AtLeast(counted) if counted == COUNTED_AT_MOST else counted


class ReasonedActionForm(ActionForm):
    """The choice of an action, with the reason for it."""

    why = forms.CharField(
        required=False,
        label="Why:",
        max_length=MAX_REASON_LENGTH,
        widget=forms.TextInput(attrs={"placeholder": "A reason, for the trail", "class": "why"}),
    )


def reason_of(request: HttpRequest) -> str:
    """Give the reason that a moderator typed on the page, as clean as the API's texts."""
    typed = request.POST.get(REASON, "")
    try:
        return clean_text(typed)[:MAX_REASON_LENGTH]
    except ControlCharacter:
        return "".join(letter for letter in typed if letter.isprintable())[:MAX_REASON_LENGTH]


class ShelfAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # it takes none at run time
    """The base of our pages for moderators."""

    paginator = BoundedPaginator
    show_full_result_count = False
    # A count for each choice of each filter would read the table a dozen times.
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 200
    delete_confirmation_max_display = 50
    action_form = ReasonedActionForm
    delete_confirmation_template = "moderation/delete_confirmation.html"
    delete_selected_confirmation_template = "moderation/delete_selected_confirmation.html"
    # Newest first, on the primary key: an order that each table has an index for.
    ordering: ClassVar[tuple[str, ...]] = ("-pk",)

    class Media:
        css: ClassVar[dict[str, tuple[str, ...]]] = {"all": ("movieshelf/admin.css",)}

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Refuse what is too much for one transaction, before anything of it is done."""
        chosen = queryset
        if request.POST.get("select_across") in (None, "", "0"):
            chosen = queryset.filter(pk__in=request.POST.getlist(ACTION_CHECKBOX_NAME))
        if chosen.order_by()[: CHANGED_AT_MOST + 1].count() > CHANGED_AT_MOST:
            self.message_user(
                request,
                f"An action takes at most {CHANGED_AT_MOST:,} {self.opts.verbose_name_plural};"
                " nothing was changed. Filter the list further.",
                messages.ERROR,
            )
            return None
        answer: HttpResponse | None = super().response_action(request, queryset, *args, **kwargs)
        return answer

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        obj.delete(by=request.user, reason=reason_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete the chosen rows without what the list read along with them."""
        rows = self.model._default_manager.filter(pk__in=queryset.order_by().values("pk"))
        rows.delete(by=request.user, reason=reason_of(request))

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Give the state before, as `log_change` takes it."""
        return {} if add else {name: form.initial.get(name) for name in form.changed_data}

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self.record(request, Verb.ADD, obj, {})

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        if message:
            self.record(request, Verb.EDIT, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Leave it to the models, which write their deletions down under their locks."""

    def record(self, request: HttpRequest, verb: Verb, obj: Any, before: Any) -> None:
        """Write into the trail what a form has changed; Django does so inside of its save."""
        moderator = cast(Any, request.user)
        Act.objects.record(verb, [obj], by=moderator, reason=reason_of(request), before=before)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """Lead to the trail of the thing."""
        trail = reverse("admin:trail_act_changelist")
        kind = self.opts.model_name
        return HttpResponseRedirect(f"{trail}?thing_type__exact={kind}&thing_id__exact={object_id}")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Leave out the buttons that add, change or delete what a field only points to."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget.can_add_related = field.widget.can_change_related = False
            field.widget.can_delete_related = False
        return field

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Name what was chosen, and count what goes along.

        Django's own reads every row that goes along to name it, a million ratings of a film too,
        and asks whether we may delete each, logins included, which nobody may by themselves.
        """
        rows = list(objs)
        lacking = any(not self.has_delete_permission(request, row) for row in rows)
        counts = {str(self.opts.verbose_name_plural): len(rows), **self.goes_along(rows)}
        return list(map(str, rows)), counts, {self.opts.verbose_name} if lacking else set(), []

    def goes_along(self, rows: Sequence[Any]) -> dict[str, int]:
        """Give how many rows of what the database deletes along with these."""
        return {}


class KnownValuesFilter(admin.SimpleListFilter):
    """By the values a column is known to have.

    Django's own filter, where a column has no `choices`, reads all rows to learn which there are.
    """

    values: ClassVar[Sequence[str]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value) for value in self.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset.filter(**{str(self.parameter_name): chosen}) if chosen else queryset


class PlainTextField(forms.CharField):
    """Text for people, as the API takes it: trimmed, NFC, LF line ends, no control characters."""

    def to_python(self, value: Any) -> str:
        text = super().to_python(value) or ""
        try:
            text = clean_text(text)
        except ControlCharacter as exc:
            raise ValidationError(str(exc)) from exc
        return "" if is_blank(text) else text


def thumbnail(media_id: object, *, width: int = 160, height: int = 64) -> SafeString | str:
    """Show an image by its address, so that no page of ours reads its bytes."""
    if media_id is None:
        return NOTHING
    return format_html(
        '<img src="/media/{}?width={}" alt="" loading="lazy" style="max-height: {}px">',
        media_id,
        width,
        height,
    )
