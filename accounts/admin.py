"""Members and their logins, for moderators."""

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import BaseUserCreationForm
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import (
    MAX_NAME_LENGTH,
    EmailTaken,
    Session,
    SessionQuerySet,
    User,
    UserQuerySet,
)
from movieshelf.admin import (
    KnownValuesFilter,
    PlainTextField,
    ShelfAdmin,
    reason_of,
    thumbnail,
)
from trail.models import Act, Verb

# Our rights follow from the role alone.
admin.site.unregister(Group)


class MemberForm(forms.ModelForm):  # type: ignore[type-arg]  # it takes none at run time
    """What may be changed of a member, checked as the API does."""

    name = PlainTextField(
        max_length=MAX_NAME_LENGTH, widget=forms.TextInput(attrs={"class": "vTextField"})
    )

    class Meta:
        model = User
        fields = ("name", "email", "avatar", "role", "is_superuser", "is_active")

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        if User.objects.with_email(email).exclude(pk=self.instance.pk).exists():
            raise ValidationError(str(EmailTaken.default_detail))
        return email

    def clean(self) -> dict[str, Any]:
        super().clean()
        role = self.cleaned_data.get("role", self.instance.role)
        if self.cleaned_data.get("is_superuser") and role != User.Role.ADMIN:
            raise ValidationError({"is_superuser": "Only an admin may change roles."})
        return self.cleaned_data


class NewMemberForm(MemberForm, BaseUserCreationForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("name", "email")
        field_classes: ClassVar[dict[str, type[forms.Field]]] = {}


@admin.register(User)
class UserAdmin(ShelfAdmin, DjangoUserAdmin):  # type: ignore[type-arg]
    form = MemberForm
    add_form = NewMemberForm
    add_form_template = "admin/change_form.html"
    list_display = ("avatar_preview", "name", "email", "role", "is_active", "created_at")
    list_display_links = ("name",)
    list_filter = ("role", "is_active", "created_at")
    sortable_by = ()
    ordering = ("-pk",)
    search_fields = ("name", "email")
    search_help_text = "A part of the name, the whole e-mail address, or an id."
    autocomplete_fields = ("avatar",)
    filter_horizontal = ()
    readonly_fields = ("avatar_large", "password_link", "activity", "created_at")
    fieldsets = (
        (None, {"fields": ("name", "email", "password_link")}),
        ("Avatar", {"fields": ("avatar_large", "avatar")}),
        ("Rights", {"fields": ("role", "is_superuser", "is_active")}),
        ("On the shelf", {"fields": ("activity", "created_at")}),
    )
    add_fieldsets = ((None, {"fields": ("name", "email", "password1", "password2")}),)
    actions = ("suspend_members", "reinstate_members")

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[UserQuerySet, bool]:
        return (queryset.found_by(search_term) if search_term else queryset), False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        rights = () if _asks(request).is_superuser else ("role", "is_superuser")
        return (*self.readonly_fields, *rights)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save what was changed and nothing else: others may have changed the rest meanwhile."""
        if not change:
            obj.save()
        elif form.changed_data:
            obj.edit(**{name: form.cleaned_data[name] for name in form.changed_data})

    def construct_change_message(self, *args: Any, **kwargs: Any) -> Any:
        """Keep the address out of the trail, which outlives the account."""
        before = super().construct_change_message(*args, **kwargs)
        return {**before, "email": "another"} if "email" in before else before

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> Any:
        """Write down what kind of act it was, the gravest of what the form has changed."""
        if {"role", "is_superuser"} & set(message):
            self.record(request, Verb.ROLE, obj, message)
        elif "is_active" in message:
            verb = Verb.REINSTATE if obj.is_active else Verb.SUSPEND
            self.record(request, verb, obj, message)
        else:
            super().log_change(request, obj, message)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Superusers alone change other admins: a new password would be a way to their rights."""
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        may = super().has_delete_permission(request, obj) and _may_touch(request, obj)
        return may and (obj is None or obj.pk != request.user.pk)

    def goes_along(self, rows: Sequence[User]) -> dict[str, int]:
        # `Any`: django-stubs does not know what with_counts() adds.
        members: Any = User.objects.filter(pk__in=[member.pk for member in rows]).with_counts()
        counted = [(member.rating_count, member.review_count) for member in members]
        return {
            "ratings": sum(ratings for ratings, _ in counted),
            "reviews": sum(reviews for _, reviews in counted),
        }

    @admin.action(description="Suspend selected members", permissions=["change"])
    def suspend_members(self, request: HttpRequest, members: UserQuerySet) -> None:
        chosen = User.objects.filter(pk__in=members.order_by().values("pk"))
        number = len(chosen.suspend(by=_asks(request), reason=reason_of(request)))
        self.message_user(request, f"{number} members were suspended.", messages.SUCCESS)

    @admin.action(description="Reinstate selected members", permissions=["change"])
    def reinstate_members(self, request: HttpRequest, members: UserQuerySet) -> None:
        chosen = User.objects.filter(pk__in=members.order_by().values("pk"))
        number = chosen.reinstate(by=_asks(request), reason=reason_of(request))
        self.message_user(request, f"{number} members were reinstated.", messages.SUCCESS)

    @admin.display(description="avatar")
    def avatar_preview(self, member: User) -> SafeString | str:
        return thumbnail(member.avatar_id, height=40)

    @admin.display(description="image")
    def avatar_large(self, member: User) -> SafeString | str:
        return thumbnail(member.avatar_id, height=160)

    @admin.display(description="password")
    def password_link(self, member: User) -> SafeString:
        return format_html(
            '<a href="{}">Set another password</a>; it ends every login.', "../password/"
        )

    @admin.display(description="films, ratings, reviews")
    def activity(self, member: User) -> SafeString:
        counted: Any = User.objects.with_counts().get(pk=member.pk)
        return format_html(
            '<a href="{}?created_by__id__exact={pk}">{} films</a>, '
            '<a href="{}?user__id__exact={pk}">{} ratings</a>, '
            '<a href="{}?user__id__exact={pk}">{} visible reviews</a>, '
            '<a href="{}?user__id__exact={pk}">logins</a>',
            reverse("admin:movies_movie_changelist"),
            counted.movie_count,
            reverse("admin:ratings_rating_changelist"),
            counted.rating_count,
            reverse("admin:reviews_review_changelist"),
            counted.review_count,
            reverse("admin:accounts_session_changelist"),
            pk=member.pk,
        )


def _asks(request: HttpRequest) -> User:
    """Give the admin who asks; nobody else gets this far."""
    return cast(User, request.user)


def _may_touch(request: HttpRequest, member: User | None) -> bool:
    is_other_admin = (
        member is not None and member.role == User.Role.ADMIN and member.pk != request.user.pk
    )
    return _asks(request).is_superuser or not is_other_admin


class RevokedForFilter(KnownValuesFilter):
    title = "why it ended"
    parameter_name = "revoked_for__exact"
    values = ("logout", "ended", "password", "deactivated", "reuse", "admin")


@admin.register(Session)
class SessionAdmin(ShelfAdmin):
    """Who is logged in, from where; ending a login is all there is to do."""

    list_display = ("user", "is_live", "last_used_at", "user_agent", "ip", "created_at")
    list_filter = ("created_at", RevokedForFilter)
    list_select_related = ("user",)
    sortable_by = ()
    search_fields = ("user__name",)
    search_help_text = "A part of a member's name, their whole e-mail address, or id."
    actions = ("end_logins",)

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        if not search_term:
            return queryset, False
        return queryset.filter(user__in=User.objects.found_by(search_term).values("pk")), False

    @admin.display(description="live", boolean=True)
    def is_live(self, session: Session) -> bool:
        return session.is_live(timezone.now())

    @admin.action(description="End selected logins", permissions=["end"])
    def end_logins(self, request: HttpRequest, sessions: SessionQuerySet) -> None:
        chosen = Session.objects.filter(pk__in=sessions.order_by().values("pk"))
        with transaction.atomic():
            ended = list(chosen.select_related("user"))
            members = {login.user.pk: login.user for login in ended}.values()
            Act.objects.record(
                Verb.EDIT,
                list(members),
                by=_asks(request),
                reason=reason_of(request),
                before={"logins": "ended by a moderator"},
            )
            number = chosen.revoke("admin")
        self.message_user(request, f"{number} logins were ended.", messages.SUCCESS)

    def has_end_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("accounts.change_session"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        return False
