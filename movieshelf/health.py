"""Whether the process lives, and whether it can serve."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

import psycopg
import psycopg_pool
from django.core.cache import DEFAULT_CACHE_ALIAS, caches
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.loader import MigrationLoader
from django.http import HttpRequest, HttpResponse

from movieshelf.api.cache import ResilientRedisCache
from movieshelf.api.errors import MethodNotAllowed
from movieshelf.api.rendering import JSON_TYPE, to_json
from movieshelf.draining import is_draining
from movieshelf.postgresql.base import connect
from movieshelf.queue import QueueState, queue_state

logger = logging.getLogger(__name__)

# A prober asks again soon, and must hear before it gives up.
PATIENCE_SECONDS = 1.5
# Of that, for a connection of the pool. When all are busy, a new one shows whether the database is
# there: to be busy is no reason to be sent away.
POOL_SECONDS = 0.5
# However many ask, the database is asked once in this time.
MAX_AGE_SECONDS = 1.0


class DatabaseState(NamedTuple):
    state: str
    queue: QueueState | None = None


UNREACHABLE = DatabaseState("unreachable")


class Probe[T]:
    """A question that may hang: asked in a thread of its own, by one at a time, now and then."""

    def __init__(self, ask: Callable[[], T], otherwise: T) -> None:
        self._ask = ask
        self._otherwise = otherwise
        self._lock = threading.Lock()
        self._answer = otherwise
        self._answered_at = self._asked_at = float("-inf")
        self._answered = threading.Event()
        self._answered.set()

    def answer(self) -> T:
        """Give an answer of about now, or `otherwise` after PATIENCE_SECONDS."""
        with self._lock:
            now = time.monotonic()
            if now - self._answered_at < MAX_AGE_SECONDS:
                return self._answer
            if self._answered.is_set():
                self._answered.clear()
                self._asked_at = now
                threading.Thread(target=self._find_out, name="health", daemon=True).start()
            patience = self._asked_at + PATIENCE_SECONDS - now
        # Who comes to a question that has hung for long does not wait for it as well.
        return self._answer if self._answered.wait(max(0, patience)) else self._otherwise

    def forget(self) -> None:
        """Ask anew next time."""
        self._answered_at = float("-inf")

    def _find_out(self) -> None:
        try:
            self._answer = self._ask()
        except Exception:
            # The end of a thread: nobody above would hear of it.
            logger.exception("a health check failed")
            self._answer = self._otherwise
        self._answered_at = time.monotonic()
        self._answered.set()


def healthz(request: HttpRequest) -> HttpResponse:
    """The process lives; nothing is touched to find out."""
    refuse_changes(request)
    return _answer({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """The database is reachable and migrated, and the server is not about to end.

    The cache and the background work are told of, not required.
    """
    refuse_changes(request)
    database = database_probe.answer()
    status = "draining" if is_draining() else database.state
    body: dict[str, Any] = {"status": status, "database": database.state, "cache": cache_state()}
    if queue := database.queue:
        body["queue"] = {"waiting": queue.waiting, "oldestSeconds": queue.oldest_seconds}
    return _answer(body, status=200 if status == "ok" else 503)


def database_state() -> DatabaseState:
    """Ask the database what it has applied and what waits in it."""
    wrapper = connections[DEFAULT_DB_ALIAS]
    pool: psycopg_pool.ConnectionPool | None = getattr(wrapper, "pool", None)
    try:
        if pool:
            pool.open()
            with suppress(psycopg_pool.PoolTimeout), pool.connection(POOL_SECONDS) as connection:
                return _state_by(connection)
        with connect(psycopg.Connection, DEFAULT_DB_ALIAS) as connection:
            return _state_by(connection)
    except psycopg.Error:
        return UNREACHABLE


def _state_by(connection: psycopg.Connection[Any]) -> DatabaseState:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('django_migrations')")
        if cursor.fetchone() == (None,):
            return DatabaseState("not migrated")
        cursor.execute("SELECT app, name FROM django_migrations")
        if not migrations_of_code() <= set(cursor.fetchall()):
            return DatabaseState("not migrated")
        return DatabaseState("ok", queue_state(cursor))


@cache
def migrations_of_code() -> frozenset[tuple[str, str]]:
    """Give the migrations that this code was made for; a database that has more is fine."""
    return frozenset(MigrationLoader(None).graph.nodes)


database_probe = Probe(database_state, UNREACHABLE)


def cache_state() -> str:
    """Give `ok` or `unreachable`, or `own` where each process has its own."""
    backend = caches[DEFAULT_CACHE_ALIAS]
    if not isinstance(backend, ResilientRedisCache):
        return "own"
    return "ok" if backend.answers else "unreachable"


def refuse_changes(request: HttpRequest) -> None:
    """Raise MethodNotAllowed unless the request only reads."""
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed(headers={"Allow": "GET, HEAD"})


def _answer(body: dict[str, Any], status: int = 200) -> HttpResponse:
    response = HttpResponse(to_json(body), status=status, content_type=JSON_TYPE)
    response.headers["Cache-Control"] = "no-store"
    response.enveloped = True  # type: ignore[attr-defined]  # the state itself is the answer
    if status == 503:
        response.headers["Retry-After"] = "2"
    return response
