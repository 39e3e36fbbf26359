"""Who you are: the member, and one row for each of their logins."""

import logging
import unicodedata
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import UUID7
from django.utils import timezone
from django.utils.encoding import punycode

from accounts.signals import members_leaving
from movieshelf.api.errors import AuthFailed, Conflict, constraint_raises

if TYPE_CHECKING:
    from media.models import Media

logger = logging.getLogger(__name__)

MAX_NAME_LENGTH = 80
MAX_EMAIL_LENGTH = 254
# The apps whose models an admin of ours works on.
MODERATED_APPS = frozenset({"accounts", "media", "movies", "ratings", "reviews"})


class EmailTaken(Conflict):
    default_detail = "An account with this e-mail address exists already."

    def __init__(self) -> None:
        super().__init__(details={"email": [{"code": "conflict", "message": self.default_detail}]})


def email_key(email: str) -> str:
    """Give what two spellings of one address have in common: NFKC, casefolded, domain in ASCII."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", email).casefold())
    local, at, domain = folded.rpartition("@")
    try:
        return f"{local}{at}{punycode(domain)}"
    except UnicodeError:
        return folded


class UserQuerySet(models.QuerySet["User"]):
    def with_email(self, email: str) -> Self:
        return self.filter(email_key=email_key(email))

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete the members with all they rated and wrote; the films touched stay right.

        Films they added stay, without an owner. The apps above take back what is theirs on
        `members_leaving`, set by set, before the rows go.
        """
        with transaction.atomic():
            ids = list(self.order_by("pk").select_for_update().values_list("pk", flat=True))
            members_leaving.send(sender=User, user_ids=ids)
            deleted, per_model = models.QuerySet.delete(User.objects.filter(pk__in=ids))
        return deleted, per_model

    delete.alters_data = True  # type: ignore[attr-defined]  # Django's mark for templates
    delete.queryset_only = True  # type: ignore[attr-defined]  # as on the method it replaces


class UserManager(BaseUserManager["User"].from_queryset(UserQuerySet)):  # type: ignore[misc]  # made by a call
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

    def get_by_natural_key(self, email: str | None) -> "User":
        return self.get(email_key=email_key(email or ""))


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
    avatar: models.ForeignKey["Media | None"] = models.ForeignKey(
        "media.Media", null=True, blank=True, on_delete=models.DB_SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ("name",)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["email_key"], name="user_email_unique"),
            models.CheckConstraint(
                condition=Q(role="admin") | Q(is_superuser=False), name="user_superuser_is_admin"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def is_staff(self) -> bool:
        return self.is_admin

    @property
    def is_admin(self) -> bool:
        return self.is_active and self.role == self.Role.ADMIN

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

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Self:
        user = super().from_db(*args, **kwargs)
        user._was_active = "is_active" not in user.get_deferred_fields() and user.is_active
        return user

    _was_active = False

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the member; a new password or being switched off ends the logins, at once.

        Raises EmailTaken. `keep_session` on the instance names the one login that may go on.
        """
        self.email_key = email_key(self.email)
        ends_logins = self._password is not None or (self._was_active and not self.is_active)
        with transaction.atomic():
            with constraint_raises("user_email_unique", EmailTaken()):
                super().save(*args, **kwargs)
            if ends_logins:
                reason = "password" if self.is_active else "deactivated"
                self.sessions.exclude(pk=self.keep_session).revoke(reason)
        self._was_active = self.is_active

    keep_session: uuid.UUID | None = None

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        return User.objects.filter(pk=self.pk).delete()

    sessions: "models.Manager[Session]"


class SessionQuerySet(models.QuerySet["Session"]):
    def live(self) -> Self:
        """Logins that still are: not revoked, not over, their member active."""
        return self.filter(revoked_at=None, expires_at__gt=timezone.now(), user__is_active=True)

    def revoke(self, reason: str) -> int:
        """End these logins, access tokens included; give how many were alive."""
        return self.filter(revoked_at=None).update(revoked_at=timezone.now(), revoked_for=reason)

    def start(self, user: User, *, user_agent: str, ip: str | None) -> "Session":
        """Begin a login of this member."""
        now = timezone.now()
        ends_at = now + settings.LOGIN_LIFETIME
        return self.create(
            user=user,
            user_agent=user_agent,
            ip=ip,
            created_at=now,
            last_used_at=now,
            rotated_at=now,
            expires_at=min(now + settings.REFRESH_TOKEN_LIFETIME, ends_at),
            ends_at=ends_at,
        )

    def advance(self, pk: uuid.UUID, *, jti: str) -> "Session":
        """Spend the refresh token `jti` of one login, and give the login as it is then.

        The live token moves the login on by one rotation. Its direct predecessor, for
        REFRESH_GRACE after its rotation, moves nothing: the successor is the same again (two
        tabs, a lost answer). Anything older is theft: the login ends (RFC 9700, 4.14.2).
        Raises AuthFailed.
        """
        with transaction.atomic():
            session = self.lock(pk)
            now = timezone.now()
            if session is None or not session.is_live(now):
                raise AuthFailed("This login has ended.")
            if jti == session.jti(session.generation):
                session.rotate(now)
                return session
            if session.has_just_replaced(jti, now):
                return session
            self.filter(pk=pk).revoke("reuse")
        logger.warning("refresh token reuse: login %s of user %s ended", pk, session.user_id)
        raise AuthFailed("This login has ended.")

    def lock(self, pk: uuid.UUID) -> "Session | None":
        """Lock one login until the transaction ends; its member comes along, unlocked."""
        return (
            self.select_for_update(of=("self",), no_key=True)
            .select_related("user")
            .filter(pk=pk)
            .first()
        )


class Session(models.Model):
    """One login on one device, from the password to the logout.

    The database holds no token. A refresh token is known again by its `jti`, which follows from
    the session and the number of its rotations, and cannot be made without JWT_SIGNING_KEY.
    """

    id = models.UUIDField(primary_key=True, db_default=UUID7(), editable=False)
    user = models.ForeignKey(
        User, on_delete=models.DB_CASCADE, related_name="sessions", db_index=False
    )
    generation = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField()
    rotated_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ends_at = models.DateTimeField(help_text="The login is over then, however active.")
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_for = models.CharField(max_length=20, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    ip = models.GenericIPAddressField(null=True, blank=True)

    objects = SessionQuerySet.as_manager()

    class Meta:
        indexes = (
            models.Index(fields=["user", "revoked_at"], name="session_of_user"),
            models.Index(fields=["expires_at"], name="session_expiry"),
        )

    def __str__(self) -> str:
        return f"login {self.pk}"

    def jti(self, generation: int) -> str:
        """Give the id of the refresh token of one rotation."""
        return uuid.uuid5(self.pk, str(generation)).hex

    def is_live(self, now: datetime) -> bool:
        return self.revoked_at is None and now < self.expires_at and self.user.is_active

    def has_just_replaced(self, jti: str, now: datetime) -> bool:
        """Say whether `jti` is the direct predecessor, within the grace of its rotation."""
        return (
            self.generation > 0
            and jti == self.jti(self.generation - 1)
            and now - self.rotated_at <= settings.REFRESH_GRACE
        )

    def rotate(self, now: datetime) -> None:
        """Move on to the next refresh token. The row must be locked."""
        self.generation += 1
        self.rotated_at = self.last_used_at = now
        self.expires_at = min(now + settings.REFRESH_TOKEN_LIFETIME, self.ends_at)
        self.save(update_fields=["generation", "rotated_at", "last_used_at", "expires_at"])
