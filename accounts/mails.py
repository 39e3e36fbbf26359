"""Mails to members: plain, short, and sent beside the request that causes them.

No text comes from the account itself: whoever registers somebody else's address could otherwise
write to them through us.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.template.loader import render_to_string

if TYPE_CHECKING:
    from accounts.models import Session, User

logger = logging.getLogger(__name__)

# How many may wait for a slow mail server; more are dropped, and can be asked for again.
MAX_WAITING = 1_000

# One thread, so that a request neither waits for a mail server nor tells by its time that a mail
# went out.
_postman = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")
_waiting = BoundedSemaphore(MAX_WAITING)


class NowhereBackend(BaseEmailBackend):
    """Stands in where EMAIL_URL is not set: says that a mail was not sent, never what was in it."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            logger.warning("EMAIL_URL is not set, so a mail was not sent: %s", message.subject)
        return 0


def send_reset_mail(user: "User") -> None:
    """Send a member the link that sets a new password, once this transaction is committed."""
    url = settings.PASSWORD_RESET_URL.replace("{token}", user.reset_token)
    _send_after_commit(user, "Choose a new MovieShelf password", "reset", {"url": url})


def send_reuse_mail(session: "Session") -> None:
    """Tell a member that a stolen token ended one of their logins, once that is committed."""
    subject = "A MovieShelf login of yours was ended"
    _send_after_commit(session.user, subject, "reuse", {"session": session})


def wait_until_sent() -> None:
    """Wait for the mails handed over so far."""
    _postman.submit(lambda: None).result()


def _send_after_commit(
    user: "User", subject: str, template: str, context: dict[str, object]
) -> None:
    body = render_to_string(f"accounts/mails/{template}.txt", context)
    transaction.on_commit(partial(_hand_over, EmailMessage(subject, body, to=[user.email])))


def _hand_over(message: EmailMessage) -> None:
    if not _waiting.acquire(blocking=False):
        logger.error("a mail was dropped: %s wait for the mail server already", MAX_WAITING)
        return
    _postman.submit(_send, message)


def _send(message: EmailMessage) -> None:
    try:
        message.send()
    except Exception:
        # The end of a thread: nobody above would hear of it.
        logger.exception("a mail could not be sent: %s", message.subject)
    finally:
        _waiting.release()
