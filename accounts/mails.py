"""Mails to members: plain, short, and sent by the background work (accounts.jobs).

A mail is asked for by a row of the very transaction that is its reason, so none is lost and none
goes out too early; the worker tries again while the mail server is away. The row names the member
and nothing else: no address, no token and no text wait in a queue.

No text comes from the account itself: whoever registers somebody else's address could otherwise
write to them through us.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.template.loader import render_to_string
from procrastinate.contrib.django import app as queue

if TYPE_CHECKING:
    from accounts.models import Session, User

logger = logging.getLogger(__name__)


class NowhereBackend(BaseEmailBackend):
    """Stands in where EMAIL_URL is not set: says that a mail was not sent, never what was in it."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            logger.warning("EMAIL_URL is not set, so a mail was not sent: %s", message.subject)
        return 0


def ask_for_reset_mail(user: "User | None") -> None:
    """Have a member sent the link that sets a new password.

    Without a member there is a job too, which does nothing: an unknown address takes as long.
    """
    queue.configure_task("accounts.send_reset_mail").defer(user_id=user.pk if user else None)


def ask_for_reuse_mail(session: "Session") -> None:
    """Have a member told that a stolen token ended one of their logins."""
    queue.configure_task("accounts.send_reuse_mail").defer(session_id=str(session.pk))


def send_reset_mail(user: "User") -> None:
    """Send the link now, with a token made now. Raises what the mail server's backend raises."""
    url = settings.PASSWORD_RESET_URL.replace("{token}", user.reset_token)
    _send(user, "Choose a new MovieShelf password", "reset", {"url": url})


def send_reuse_mail(session: "Session") -> None:
    """Send the news now. Raises what the mail server's backend raises."""
    _send(session.user, "A MovieShelf login of yours was ended", "reuse", {"session": session})


def _send(user: "User", subject: str, template: str, context: dict[str, object]) -> None:
    body = render_to_string(f"accounts/mails/{template}.txt", context)
    EmailMessage(subject, body, to=[user.email]).send()
