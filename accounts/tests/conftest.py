"""What the tests of accounts may use besides."""

from collections.abc import Callable

import pytest
from django.core import mail
from django.core.mail import EmailMessage

from accounts import hashers
from movieshelf.tests.working import do_jobs

MAILS = ("accounts.send_reset_mail", "accounts.send_reuse_mail")


@pytest.fixture
def mails() -> Callable[..., list[EmailMessage]]:
    """Do something, have the background work done, and give the mails that went out."""

    def sent_by(do: Callable[[], object]) -> list[EmailMessage]:
        do()
        do_jobs(*MAILS)
        return mail.outbox

    return sent_by


@pytest.fixture
def _impatient_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever finds no slot for hashing is told so at once."""
    monkeypatch.setattr(hashers, "WAIT_SECONDS", 0.0)
