"""Background work on accounts: sweeping logins that are over."""

from procrastinate.contrib.django import app

from accounts.models import Session


@app.periodic(cron="37 * * * *")
@app.task(name="accounts.sweep_sessions", queueing_lock="accounts.sweep_sessions")
def sweep_sessions(timestamp: int) -> None:
    """Delete the logins whose last token has expired, each hour."""
    Session.objects.sweep()
