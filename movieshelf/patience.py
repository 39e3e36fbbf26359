"""No request waits for ever for a database that took the question and stands still.

PostgreSQL's own time limits are kept by PostgreSQL: they end nothing while it is frozen, while the
way to it swallows every packet, or while a commit waits for a standby that is gone. So a request
listens for so long at most; then the connection is given up, and the client is told 503.
"""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

import psycopg
from psycopg.errors import _WaitTimeout

type Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# psycopg's own: how often a wait looks up, so that Ctrl-C gets through.
LOOK_SECONDS = 0.1
# How long one answer of the database may take; commands and workers wait as long as it takes.
_listens_for: ContextVar[float | None] = ContextVar("listens_for", default=None)


class PatientConnection(psycopg.Connection[Any]):
    """A connection that a request gives up when no answer comes."""

    def wait(self, gen: Any, interval: float = LOOK_SECONDS, timeout: float | None = None) -> Any:
        if timeout is not None or (seconds := _listens_for.get()) is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, seconds)
        except _WaitTimeout as exc:
            # What was asked may still be answered, and would be taken for the next answer.
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {seconds:g} s") from exc


def patient(application: Application, *, seconds: float) -> Application:
    """Let each request of a WSGI application listen for so long to each answer at most."""

    def listening(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        token = _listens_for.set(seconds)
        try:
            return application(environ, start_response)
        finally:
            _listens_for.reset(token)

    return listening
