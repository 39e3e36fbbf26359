"""Who you are: the member. Their logins are in accounts.sessions, and named here for Django."""

import unicodedata
import uuid
from collections.abc import Iterable
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import make_password, verify_password
from django.contrib.auth.tokens import default_token_generator
from django.contrib.postgres.indexes import BrinIndex, GinIndex, OpClass
from django.db import models, transaction
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Upper
from django.utils import timezone
from django.utils.encoding import punycode
from django.utils.http import base36_to_int, int_to_base36

from accounts.mails import ask_for_reset_mail
from accounts.sessions import Session as Session
from accounts.sessions import SessionQuerySet as SessionQuerySet
from accounts.signals import members_leaving, members_locking
from media.models import Media
from movieshelf.api.errors import Conflict, InvalidInput, NotFound, constraint_raises
from movieshelf.api.transactions import retried_atomic
from trail.models import Act, Verb

MAX_NAME_LENGTH = 80
MAX_EMAIL_LENGTH = 254
# A number of fewer digits fits into an id.
MAX_ID_DIGITS = 19
# Changing these ends logins, which a bare UPDATE would not.
LOGIN_COLUMNS = frozenset({"password", "is_active"})
# What the trail keeps of a member whom a moderator takes away: the address goes with them.
KEPT_STATE = ("name", "role", "is_superuser", "is_active", "created_at")
# The apps whose models an admin of ours works on.
MODERATED_APPS = frozenset(
    {"accounts", "media", "moderation", "movies", "ratings", "reviews", "trail"}
)


class EmailTaken(Conflict):
    default_detail = "An account with this e-mail address exists already."

    def __init__(self) -> None:
        super().__init__(details={"email": [{"code": "conflict", "message": self.default_detail}]})


class PasswordWrong(InvalidInput):
    """The password that was asked for once more is not the member's."""

    def __init__(self, field: str) -> None:
        message = "This is not your password."
        super().__init__(message, details={field: [{"code": "wrong", "message": message}]})


class ResetTokenRefused(InvalidInput):
    default_detail = "This link is no longer good; ask for a new one."

    def __init__(self) -> None:
        super().__init__(details={"token": [{"code": "invalid", "message": self.default_detail}]})


def email_key(email: str) -> str:
    """Give what two spellings of one address have in common: NFKC, casefolded, domain in ASCII."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", email).casefold())
    local, at, domain = folded.rpartition("@")
    try:
        return f"{local}{at}{punycode(domain)}"
    except UnicodeError:
        return folded


class UserQuerySet(models.QuerySet["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Add a member. Raises EmailTaken when somebody has that address, in any spelling."""
        user = User(email=email, **fields)
        user.set_password(password)
        user.save()
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Add an admin who may also make others admin."""
        fields.setdefault("name", email.partition("@")[0][:MAX_NAME_LENGTH])
        return self.create_user(
            email, password, **{**fields, "role": User.Role.ADMIN, "is_superuser": True}
        )

    def register(
        self, *, name: str, email: str, password: str, user_agent: str, ip: str | None
    ) -> "Session":
        """Add a member and begin their first login. Raises EmailTaken."""
        user = User(name=name, email=email)
        # Before the transaction: the hash may have to wait for its turn.
        user.set_password(password)
        with transaction.atomic():
            user.save()
            return Session.objects.start(user, user_agent=user_agent, ip=ip)

    def get_by_natural_key(self, email: str | None) -> "User":
        return self.get(email_key=email_key(email or ""))

    def with_email(self, email: str) -> Self:
        return self.filter(email_key=email_key(email))

    def found_by(self, text: str) -> Self:
        """Members by a part of the name, the whole e-mail address, or the id; all by an index."""
        found = Q(name__icontains=text) | Q(email_key=email_key(text))
        if text.isdecimal() and len(text) < MAX_ID_DIGITS:
            found |= Q(pk=int(text))
        return self.filter(found)

    def send_reset_mail(self, email: str) -> None:
        """Write to the member with this address, if there is one."""
        ask_for_reset_mail(self.with_email(email).filter(is_active=True).first())

    def with_reset_token(self, token: str) -> "User":
        """Give the member whose good reset token this is. Raises ResetTokenRefused."""
        member, _, proof = token.partition("-")
        try:
            user = self.filter(pk=base36_to_int(member), is_active=True).first()
        except ValueError:
            user = None
        if user is None or not default_token_generator.check_token(user, proof):
            raise ResetTokenRefused()
        return user

    def with_counts(self) -> Self:
        """With how many films, visible reviews and ratings each has, in the same query."""
        return self.annotate(
            movie_count=_how_many("movies"),
            review_count=_how_many("reviews", Q(reviews__is_hidden=False)),
            rating_count=_how_many("ratings"),
        )

    def deactivate(self) -> int:
        """Switch these members off and end their logins, at once; give how many they are."""
        with transaction.atomic():
            ids = list(self.order_by("pk").select_for_update().values_list("pk", flat=True))
            members = User.objects.filter(pk__in=ids)
            switched_off = models.QuerySet.update(members, is_active=False)
            Session.objects.filter(user__in=ids).revoke("deactivated")
        return switched_off

    @retried_atomic
    def suspend(self, *, by: "User", reason: str = "") -> "list[User]":
        """Switch off those of these members whom this moderator may, and give them.

        Nobody suspends themselves, and superusers alone suspend admins.
        """
        members = self.filter(is_active=True).exclude(pk=by.pk)
        if not by.is_superuser:
            members = members.exclude(role=User.Role.ADMIN)
        suspended = list(members.order_by("pk").select_for_update())
        Act.objects.record(Verb.SUSPEND, suspended, by=by, reason=reason, before=["is_active"])
        User.objects.filter(pk__in=[member.pk for member in suspended]).deactivate()
        return suspended

    @retried_atomic
    def reinstate(self, *, by: "User", reason: str = "") -> int:
        """Undo `suspend`, as far as this moderator may; give how many members it was."""
        members = self.filter(is_active=False)
        if not by.is_superuser:
            members = members.exclude(role=User.Role.ADMIN)
        reinstated = list(members.order_by("pk").select_for_update())
        Act.objects.record(Verb.REINSTATE, reinstated, by=by, reason=reason, before=["is_active"])
        chosen = User.objects.filter(pk__in=[member.pk for member in reinstated])
        return models.QuerySet.update(chosen, is_active=True)

    def rehash(self, *, old: str, new: str) -> bool:
        """Replace a hash by another of the same password: no login ends by that."""
        return bool(models.QuerySet.update(self.filter(password=old), password=new))

    def update(self, **fields: Any) -> int:
        if LOGIN_COLUMNS & fields.keys():
            raise TypeError("This ends logins: use deactivate(), or save() on each member.")
        return super().update(**fields)

    def bulk_update(
        self, objs: Iterable["User"], fields: Iterable[str], *args: Any, **kwargs: Any
    ) -> int:
        if LOGIN_COLUMNS & set(fields):
            raise TypeError("This ends logins: use deactivate(), or save() on each member.")
        return super().bulk_update(objs, fields, *args, **kwargs)

    @retried_atomic
    def delete(self, *, by: "User | None" = None, reason: str = "") -> tuple[int, dict[str, int]]:
        """Delete the members with all they rated and wrote; the films touched stay right.

        Films they added stay, without an owner; an avatar that nothing else shows goes too. The
        apps above lock what will change on `members_locking` and take back what is theirs on
        `members_leaving`, set by set, before the rows go. `by` is the moderator who deletes them,
        where they do not leave by themselves.
        """
        ids = list(self.order_by("pk").values_list("pk", flat=True))
        # Films first: one who is rating holds a film, and waits for the member's row.
        members_locking.send(sender=User, user_ids=ids)
        leaving = User.objects.filter(pk__in=ids)
        locked = list(leaving.order_by("pk").select_for_update())
        ids = [member.pk for member in locked]
        Act.objects.record(Verb.DELETE, locked, by=by, reason=reason, before=KEPT_STATE)
        members_leaving.send(sender=User, user_ids=ids)
        deleted, per_model = models.QuerySet.delete(leaving)
        avatars = [member.avatar_id for member in locked if member.avatar_id]
        if avatars:
            Media.objects.filter(pk__in=avatars).remove_unused()
        return deleted, per_model

    delete.alters_data = True  # type: ignore[attr-defined]  # Django's mark for templates
    delete.queryset_only = True  # type: ignore[attr-defined]  # as on the method it replaces


def _how_many(relation: str, condition: Q | None = None) -> Subquery:
    """Count a member's rows of an app above: it knows us, and we know it by this name only."""
    member = User.objects.filter(pk=OuterRef("pk")).order_by()
    return Subquery(member.annotate(number=Count(relation, filter=condition)).values("number"))


class User(AbstractBaseUser):
    class Role(models.TextChoices):
        USER = "user"
        ADMIN = "admin"

    last_login = None
    email = models.EmailField(max_length=MAX_EMAIL_LENGTH)
    email_key = models.TextField(editable=False)
    name = models.CharField(max_length=MAX_NAME_LENGTH)
    role = models.CharField(max_length=5, choices=Role, default=Role.USER)
    is_superuser = models.BooleanField(
        "may change roles", default=False, help_text="Superusers alone make others admin."
    )
    is_active = models.BooleanField(default=True, help_text="Off: no login, and out at once.")
    avatar: models.ForeignKey[Media | None] = models.ForeignKey(
        Media, null=True, blank=True, on_delete=models.DB_SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = UserQuerySet.as_manager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["email_key"], name="user_email_unique"),
            models.CheckConstraint(
                condition=Q(role="admin") | Q(is_superuser=False), name="user_superuser_is_admin"
            ),
        )
        indexes = (
            GinIndex(OpClass(Upper("name"), name="gin_trgm_ops"), name="user_name_trigrams"),
            # Rows come in the order of this column, which makes a few pages of it enough.
            BrinIndex(fields=["created_at"], autosummarize=True, name="user_created"),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def is_staff(self) -> bool:
        return self.is_admin

    @property
    def is_admin(self) -> bool:
        return self.is_active and self.role == self.Role.ADMIN

    def as_moderator_of(self, owner_id: int | None) -> "User | None":
        """Oneself where the thing is somebody else's, which is the trail's business; else None."""
        return None if owner_id == self.pk else self

    def has_perm(self, perm: str, obj: models.Model | None = None) -> bool:
        """An admin has every right on our models; other apps' are for superusers."""
        return self.is_admin and (self.is_superuser or perm.partition(".")[0] in MODERATED_APPS)

    def has_perms(self, perms: list[str], obj: models.Model | None = None) -> bool:
        return all(self.has_perm(perm, obj) for perm in perms)

    def has_module_perms(self, app_label: str) -> bool:
        return self.has_perm(f"{app_label}.")

    def get_short_name(self) -> str:
        return self.name

    @property
    def avatar_url(self) -> str | None:
        return f"/media/{self.avatar_id}" if self.avatar_id else None

    @property
    def reset_token(self) -> str:
        """Give a token that sets a new password: for an hour, until the password is another."""
        return f"{int_to_base36(self.pk)}-{default_token_generator.make_token(self)}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the member; a new password or being switched off ends the logins, at once.

        Raises EmailTaken. `keep_session` on the instance names the one login that may go on.
        """
        self.email_key = email_key(self.email)
        fields = kwargs.get("update_fields")
        if fields is not None and "email" in fields:
            kwargs["update_fields"] = {*fields, "email_key"}
        is_new = self._state.adding
        # Django's own mark of a password that was set since the last save.
        is_password_new = getattr(self, "_password", None) is not None
        ends_logins = not is_new and (is_password_new or not self.is_active)
        with transaction.atomic():
            with constraint_raises("user_email_unique", EmailTaken()):
                super().save(*args, **kwargs)
            if ends_logins:
                self._end_logins("password" if self.is_active else "deactivated")

    keep_session: uuid.UUID | None = None

    def _end_logins(self, reason: str) -> None:
        logins = self.sessions.all()
        if self.keep_session is not None:
            logins = logins.exclude(pk=self.keep_session)
        logins.revoke(reason)

    def delete(
        self, *args: Any, by: "User | None" = None, reason: str = "", **kwargs: Any
    ) -> tuple[int, dict[str, int]]:
        return User.objects.filter(pk=self.pk).delete(by=by, reason=reason)

    def edit(self, **fields: Any) -> None:
        """Change these columns and no others. Raises NotFound when the member is gone.

        A whole save would also write back the password, role and standing that were read before,
        and undo what somebody else has changed since.
        """
        for name, value in fields.items():
            setattr(self, name, value)
        try:
            self.save(update_fields=list(fields))
        except User.NotUpdated as exc:
            raise NotFound("There is no such member.") from exc

    def check_password(self, raw_password: str | None) -> bool:
        """Tell whether this is the password; an old hash of it is made anew (no login ends)."""
        is_right, is_old = verify_password(raw_password, self.password)
        if raw_password is not None and is_right and is_old:
            return self._rehash(raw_password)
        return is_right

    def _rehash(self, raw_password: str) -> bool:
        """Hash the password as the settings ask now, and tell whether it is the password still."""
        members, fresh = User.objects.filter(pk=self.pk), make_password(raw_password)
        if members.rehash(old=self.password, new=fresh):
            self.password = fresh
            return True
        # Another was faster: the same upgrade by another login, or a new password.
        self.password = members.values_list("password", flat=True).first() or ""
        return verify_password(raw_password, self.password)[0]

    def require_password(self, raw_password: str, *, field: str) -> None:
        """Raise PasswordWrong on `field` unless this is the member's password."""
        if not self.check_password(raw_password):
            raise PasswordWrong(field)

    def lock_unchanged(self, password: str) -> bool:
        """Lock the member until the transaction ends; tell whether this still is their hash.

        A password that is being changed decides first: the row is read as it is after the wait.
        False for one who was switched off, too.
        """
        standing = User.objects.select_for_update(no_key=True).filter(pk=self.pk, is_active=True)
        return standing.filter(password=password).values_list("pk").first() is not None

    def change_password(
        self, *, current: str, new: str, keep_session: uuid.UUID | None = None
    ) -> None:
        """Set another password and end every login but one. Raises PasswordWrong."""
        self.require_password(current, field="currentPassword")
        checked = self.password
        self.set_password(new)
        self.keep_session = keep_session
        with transaction.atomic():
            if not self.lock_unchanged(checked):
                raise PasswordWrong("currentPassword")
            self.save(update_fields=["password"])

    def reset_password(self, *, token: str, new: str) -> None:
        """Set another password by a reset token and end every login. Raises ResetTokenRefused."""
        self.set_password(new)
        with transaction.atomic():
            # Asked again under the lock: of two who come at once with one token, one is late.
            User.objects.select_for_update(no_key=True).with_reset_token(token)
            self.save(update_fields=["password"])
