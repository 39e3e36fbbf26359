"""What the tests of accounts may use besides."""

from collections.abc import Callable

import pytest
from django.core import mail
from django.core.mail import EmailMessage

from accounts import hashers
from accounts.mails import wait_until_sent


@pytest.fixture
def mails(django_capture_on_commit_callbacks) -> Callable[..., list[EmailMessage]]:
    """Do something, commit it, and give the mails that went out."""

    def sent_by(do: Callable[[], object]) -> list[EmailMessage]:
        with django_capture_on_commit_callbacks(execute=True):
            do()
        wait_until_sent()
        return mail.outbox

    return sent_by


@pytest.fixture
def _impatient_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever finds no slot for hashing is told so at once."""
    monkeypatch.setattr(hashers, "WAIT_SECONDS", 0.0)
