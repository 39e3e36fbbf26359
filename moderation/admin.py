"""The moderators' desk: the queue, what one member did, merging films, and batches to undo."""

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import User
from moderation.deciding import Verdict, decide
from moderation.dossiers import open_dossiers
from moderation.merging import merge
from moderation.models import Case, CaseQuerySet, MergedFilm, Sweep
from moderation.sweeping import preview, suspend, sweep
from moderation.undoing import undo
from movies.admin import as_id, by_film_or_member, first_ids
from movies.models import Movie
from movies.titles import search_fold
from movieshelf.admin import ShelfAdmin, reason_of
from movieshelf.api.errors import ApiError, Unavailable
from reviews.models import Report, Review

# So many films are offered to be merged with; a better search finds the one that is not there.
CANDIDATES = 12


class DeskAdmin(ShelfAdmin):
    """The base of what is looked at and worked on, but not edited field by field."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Who may work here: every admin."""
        return self.has_view_permission(request)

    def attempt(self, request: HttpRequest, work: Callable[[], str | None]) -> bool:
        """Do the work and say what became of it, or why not; tell whether it was done."""
        try:
            said = work()
        except ApiError as exc:
            self.message_user(request, exc.message, messages.ERROR)
            return False
        except OperationalError:
            busy = f"{Unavailable.default_detail} Nothing was changed."
            self.message_user(request, busy, messages.ERROR)
            return False
        if said:
            self.message_user(request, said, messages.SUCCESS)
        return True

    def page(self, request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
        """Show a page of the desk."""
        if not self.has_decide_permission(request):
            raise PermissionDenied
        base = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, template, {**base, **context})


class ThingFilter(admin.SimpleListFilter):
    title = "kind of thing"
    parameter_name = "what"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("reviews", "Reviews"), ("films", "Films")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Case]) -> QuerySet[Case]:
        match self.value():
            case "reviews":
                return queryset.filter(movie=None)
            case "films":
                return queryset.filter(review=None)
            case _:
                return queryset


class ReasonFilter(admin.SimpleListFilter):
    title = "reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(label)) for value, label in Report.Reason.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Case]) -> QuerySet[Case]:
        return queryset.filter(reasons__contains=[self.value()]) if self.value() else queryset


@admin.register(Case)
class CaseAdmin(DeskAdmin):
    """What was reported and waits: each thing once, decided in one click or in bulk."""

    list_display = ("__str__",)
    list_display_links = None
    list_filter = (ThingFilter, ReasonFilter)
    list_per_page = 20
    sortable_by = ()
    ordering = ("-report_count", "first_reported_at", "pk")
    search_fields = ("review__content",)
    search_help_text = "A film's title, or a member's name or e-mail address."
    actions = ("hide_things", "dismiss_reports", "suspend_authors")

    class Media:
        js = ("moderation/queue.js",)

    def get_queryset(self, request: HttpRequest) -> CaseQuerySet:
        return cast(CaseQuerySet, super().get_queryset(request)).with_things()

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        if not search_term:
            return queryset, False
        # Few are open, so they are looked at, and not everything that was ever written.
        reviews = Review.objects.filter(pk__in=queryset.order_by().values("review"))
        films = Movie.objects.titled_like(search_fold(search_term).strip())
        found = Q(review__in=reviews.filter(by_film_or_member(search_term)).values("pk"))
        return queryset.filter(found | Q(movie__in=first_ids(films))), False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.method == "POST" and "decide" in request.POST:
            return self.decide_one(request)
        context = {"title": "Queue", **(extra_context or {})}
        response: HttpResponse = super().changelist_view(request, context)
        if isinstance(response, TemplateResponse) and response.context_data:
            shown = response.context_data["cl"]
            cases = list(shown.result_list)
            shown.dossiers = list(zip(cases, open_dossiers(cases), strict=True))
        return response

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kw: Any) -> Any:
        """Lead to the thing itself: a case has no page of its own."""
        kind, _, pk = object_id.partition("-")
        if kind not in ("review", "movie") or not as_id(pk):
            raise Http404
        return HttpResponseRedirect(reverse(f"admin:{kind}s_{kind}_change", args=(pk,)))

    def decide_one(self, request: HttpRequest) -> HttpResponse:
        """Do what a button of one case says, for the reason typed beside it."""
        if not self.has_decide_permission(request):
            raise PermissionDenied
        verdict, _, case = request.POST["decide"].partition(" ")
        if verdict not in Verdict.values:
            raise Http404
        typed = request.POST.copy()
        typed["why"] = typed.get(f"why-{case}", "")
        request.POST = typed  # type: ignore[assignment]  # it is not immutable, and need not be
        self.decide(request, Verdict(verdict), [case])
        return HttpResponseRedirect(request.get_full_path())

    def decide(self, request: HttpRequest, verdict: Verdict, cases: list[str]) -> None:
        """Decide on these cases, and say what became of them."""
        chosen: dict[str, list[int]] = {"review": [], "movie": []}
        for case in cases:
            kind, _, pk = case.partition("-")
            if kind in chosen:
                chosen[kind] += as_id(pk)

        def work() -> None:
            decision = decide(
                verdict,
                by=cast(User, request.user),
                reason=reason_of(request),
                reviews=chosen["review"],
                movies=chosen["movie"],
            )
            level = messages.SUCCESS if decision.is_whole else messages.WARNING
            self.message_user(request, str(decision), level)

        self.attempt(request, work)

    @admin.action(description="Hide", permissions=["decide"])
    def hide_things(self, request: HttpRequest, cases: CaseQuerySet) -> None:
        self.decide(request, Verdict.HIDE, _ids(cases, request))

    @admin.action(description="Dismiss the reports", permissions=["decide"])
    def dismiss_reports(self, request: HttpRequest, cases: CaseQuerySet) -> None:
        self.decide(request, Verdict.DISMISS, _ids(cases, request))

    @admin.action(description="Hide, and suspend the authors", permissions=["decide"])
    def suspend_authors(self, request: HttpRequest, cases: CaseQuerySet) -> None:
        self.decide(request, Verdict.SUSPEND, _ids(cases, request))


def _ids(cases: CaseQuerySet, request: HttpRequest) -> list[str]:
    """Give the chosen ids: as they were ticked, since some may be decided by now."""
    if request.POST.get("select_across") not in (None, "", "0"):
        return list(cases.order_by().values_list("pk", flat=True))
    return request.POST.getlist("_selected_action")


@admin.register(Sweep)
class SweepAdmin(DeskAdmin):
    """Batches of what was taken away or hidden, each undone as one."""

    list_display = ("created_at", "member", "kind", "what", "by", "reason", "is_undone")
    list_filter = ("kind", ("undone_at", admin.EmptyFieldListFilter), "created_at")
    list_select_related = ("member", "by")
    sortable_by = ()
    search_fields = ("member__name",)
    search_help_text = "A member's name, e-mail address or id."
    fields = ("member", "kind", "what", "reason", "by", "created_at", "undone_at", "undone_by")
    readonly_fields = ("what",)
    change_form_template = "moderation/batch.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("member/<int:pk>/", view(self.member_view), name="moderation_member"),
            path("<int:pk>/undo/", view(self.undo_view), name="moderation_undo"),
            *super().get_urls(),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        if not search_term:
            return queryset, False
        return queryset.filter(member__in=first_ids(User.objects.found_by(search_term))), False

    @admin.display
    def what(self, batch: Sweep) -> str:
        named = [f"{number} {name}" for name, number in batch.numbers.items() if number]
        return ", ".join(named) or "nothing"

    @admin.display(boolean=True, description="undone")
    def is_undone(self, batch: Sweep) -> bool:
        return batch.undone_at is not None

    def undo_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Undo a batch; asked for by its page."""
        if not self.has_decide_permission(request) or request.method != "POST":
            raise PermissionDenied
        by, reason = cast(User, request.user), reason_of(request)
        self.attempt(request, lambda: str(undo(pk, by=by, reason=reason)))
        return HttpResponseRedirect(reverse("admin:moderation_sweep_change", args=(pk,)))

    def member_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what one member did and what taking it away would change, and do so."""
        if not self.has_decide_permission(request):
            raise PermissionDenied
        member = User.objects.filter(pk=pk).first()
        if member is None:
            raise Http404
        here = reverse("admin:moderation_member", args=(pk,))
        if request.method == "POST":
            return self.act_on_member(request, member, here)
        with_films = request.GET.get("films") == "1"
        return self.page(
            request,
            "moderation/member.html",
            title=f"What {member} did",
            member=member,
            with_films=with_films,
            preview=preview(member, with_films=with_films),
            batches=member.sweeps.order_by("-pk")[:10],
        )

    def act_on_member(self, request: HttpRequest, member: User, here: str) -> HttpResponse:
        by, reason = cast(User, request.user), reason_of(request)
        made: list[Sweep | None] = []

        def work() -> str | None:
            match request.POST.get("do"):
                case "sweep":
                    with_films = request.POST.get("films") == "1"
                    made.append(sweep(member.pk, by=by, reason=reason, with_films=with_films))
                    return "All of it is gone, as one batch."
                case "suspend":
                    and_hide = request.POST.get("hide") == "1"
                    made.append(suspend(member.pk, by=by, reason=reason, and_hide=and_hide))
                    return f"{member} is suspended."
                case "reinstate":
                    User.objects.filter(pk=member.pk).reinstate(by=by, reason=reason)
                    return f"{member} may come back."
            raise Http404

        self.attempt(request, work)
        if made and made[0] is not None:
            here = reverse("admin:moderation_sweep_change", args=(made[0].pk,))
        return HttpResponseRedirect(here)


@admin.register(MergedFilm)
class MergedFilmAdmin(DeskAdmin):
    """Films that were merged: where their old addresses lead."""

    list_display = ("old_id", "leads_to", "merged_at")
    list_display_links = None
    list_select_related = ("survivor",)
    ordering = ("-pk",)
    sortable_by = ()

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("film/<int:pk>/", view(self.merge_view), name="moderation_merge"),
            *super().get_urls(),
        ]

    @admin.display(description="leads to")
    def leads_to(self, merged: MergedFilm) -> SafeString:
        page = reverse("admin:movies_movie_change", args=(merged.survivor_id,))
        return format_html('<a href="{}">{}</a>', page, merged.survivor)

    def merge_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Find the other entry of a film, choose which survives, and merge."""
        if not self.has_decide_permission(request):
            raise PermissionDenied
        film = Movie.objects.with_stats().filter(pk=pk).first()
        if film is None:
            raise Http404
        if request.method == "POST":
            return self.merge_chosen(request, pk)
        asked = request.GET.get("q", film.title)
        found = Movie.objects.with_stats().exclude(pk=pk)
        folded = search_fold(asked).strip()
        by_title = found.titled_like(folded) if folded else found.none()
        candidates = list(by_title.order_by("pk")[:CANDIDATES])
        candidates += found.filter(pk__in=as_id(asked.strip()))
        return self.page(
            request,
            "moderation/merge.html",
            title=f"Merge “{film}”",
            film=film,
            asked=asked,
            candidates=candidates,
        )

    def merge_chosen(self, request: HttpRequest, pk: int) -> HttpResponse:
        chosen = request.POST.get("merge", "").split()
        ids = [film_id for word in chosen for film_id in as_id(word)]
        if len(ids) != 2 or pk not in ids:
            raise Http404
        film, into = ids
        by, reason = cast(User, request.user), reason_of(request)

        def work() -> str:
            survivor = merge(film, into=into, by=by, reason=reason)
            return f"Merged. “{survivor}” has everything, and film {film} leads there."

        if self.attempt(request, work):
            return HttpResponseRedirect(reverse("admin:movies_movie_change", args=(into,)))
        return HttpResponseRedirect(request.get_full_path())
