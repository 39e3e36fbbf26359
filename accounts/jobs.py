"""Background work on accounts: mails, and sweeping logins that are over."""

from uuid import UUID

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from accounts.mails import send_reset_mail, send_reuse_mail
from accounts.models import Session, User

# A mail server may be away for a while: tried again after 4, 16, 64, 256 and 1,024 seconds.
PATIENTLY = RetryStrategy(max_attempts=5, exponential_wait=4)


@app.task(name="accounts.send_reset_mail", retry=PATIENTLY)
def mail_reset(user_id: int | None) -> None:
    """Send the link for a new password, where there is somebody to send it to."""
    for user in User.objects.filter(pk__in=[user_id], is_active=True):
        send_reset_mail(user)


@app.task(name="accounts.send_reuse_mail", retry=PATIENTLY)
def mail_reuse(session_id: str) -> None:
    """Tell a member that a login of theirs was ended; who has left meanwhile needs no mail."""
    for session in Session.objects.select_related("user").filter(pk=UUID(session_id)):
        send_reuse_mail(session)


@app.periodic(cron="37 * * * *")
@app.task(name="accounts.sweep_sessions", queueing_lock="accounts.sweep_sessions")
def sweep_sessions(timestamp: int) -> None:
    """Delete the logins whose last token has expired, each hour."""
    Session.objects.sweep()
