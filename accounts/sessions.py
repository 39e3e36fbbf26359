"""One row for each login, from the password to the logout."""

import logging
import uuid
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import models, transaction
from django.db.models.functions import UUID7
from django.utils import timezone

from accounts.mails import ask_for_reuse_mail
from movieshelf.api.errors import AuthFailed
from movieshelf.api.statements import Row, fetch_all, fetch_one
from movieshelf.api.sweeping import swept

if TYPE_CHECKING:
    from accounts.models import User

logger = logging.getLogger(__name__)

MAX_USER_AGENT_LENGTH = 300


class SessionQuerySet(models.QuerySet["Session"]):
    def live(self) -> Self:
        """Logins that still are: not revoked, not over, their member active."""
        return self.filter(revoked_at=None, expires_at__gt=timezone.now(), user__is_active=True)

    def live_with_member(self, pk: uuid.UUID) -> "Session | None":
        """Give one login with its member, if it is live, as every request with a token asks."""
        row = fetch_one(_live_with_member("= %s"), [pk, timezone.now()])
        return None if row is None else self._with_member(row)

    def live_with_members(self, pks: Sequence[uuid.UUID]) -> dict[uuid.UUID, "Session"]:
        """Give those of several logins that are live, with their members, by their ids."""
        rows = fetch_all(_live_with_member("= ANY(%s)"), [list(pks), timezone.now()])
        return {session.pk: session for session in map(self._with_member, rows)}

    def _with_member(self, row: Row) -> "Session":
        columns, member = _columns(Session), get_user_model()
        session = Session.from_db(self.db, columns, row[: len(columns)])
        session.user = member.from_db(self.db, _columns(member), row[len(columns) :])
        return session

    def of(self, user: "User") -> Self:
        return self.filter(user=user)

    def latest_used_first(self) -> Self:
        return self.order_by("-last_used_at", "-pk")

    def revoke(self, reason: str) -> int:
        """End these logins, access tokens included; give how many were alive."""
        return self.filter(revoked_at=None).update(revoked_at=timezone.now(), revoked_for=reason)

    def start(self, user: "User", *, user_agent: str, ip: str | None) -> "Session":
        """Begin a login of this member, whose password was checked a moment ago.

        Raises AuthFailed when it was changed since, or the member switched off: a change of
        password ends the logins that it sees, and this one would come after it.
        """
        now = timezone.now()
        ends_at = now + settings.LOGIN_LIFETIME
        with transaction.atomic():
            if not user.lock_unchanged(user.password):
                raise AuthFailed("The e-mail address or the password is wrong.")
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

    def advance(self, pk: uuid.UUID, *, user_id: str, jti: str) -> "Session":
        """Spend the refresh token `jti` of one login, and give the login as it is then.

        The live token moves the login on by one rotation. Its direct predecessor, for
        REFRESH_GRACE after its rotation, moves nothing: the successor is the same again (two
        tabs, a lost answer). Anything older is theft: the login ends (RFC 9700, 4.14.2).
        Raises AuthFailed.
        """
        with transaction.atomic():
            session = self.lock(pk)
            now = timezone.now()
            if session is None or str(session.user_id) != user_id or not session.is_live(now):
                raise AuthFailed("This login has ended.")
            if jti == session.jti(session.generation):
                session.rotate(now)
                return session
            if session.has_just_replaced(jti, now):
                return session
            self.filter(pk=pk).revoke("reuse")
            ask_for_reuse_mail(session)
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

    def over(self) -> Self:
        """Logins whose last token has expired: nothing can be done with them any more."""
        return self.filter(expires_at__lte=timezone.now())

    def sweep(self) -> int:
        """Delete the logins that are over, batch by batch; give how many went."""
        return swept(self.over())


@cache
def _columns(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


@cache
def _live_with_member(is_asked: str) -> str:
    """Say in SQL what `live()` says, for logins whose ids are asked for and the time."""
    member = get_user_model()
    shown = [
        f"{model._meta.db_table}.{field.column}"
        for model in (Session, member)
        for field in model._meta.concrete_fields
    ]
    session, user = Session._meta.db_table, member._meta.db_table
    return (
        f"SELECT {', '.join(shown)} FROM {session} JOIN {user} ON {user}.id = {session}.user_id"
        f" WHERE {session}.id {is_asked} AND {session}.revoked_at IS NULL"
        f" AND {session}.expires_at > %s AND {user}.is_active"
    )


class Session(models.Model):
    """One login on one device, from the password to the logout.

    The database holds no token. A refresh token is known again by its `jti`, which follows from
    the session and the number of its rotations, and cannot be made without JWT_SIGNING_KEY.
    """

    id = models.UUIDField(primary_key=True, db_default=UUID7(), editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DB_CASCADE,
        related_name="sessions",
        db_index=False,
    )
    generation = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField()
    rotated_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ends_at = models.DateTimeField(help_text="The login is over then, however active.")
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_for = models.CharField(max_length=20, blank=True)
    user_agent = models.CharField(max_length=MAX_USER_AGENT_LENGTH, blank=True)
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
