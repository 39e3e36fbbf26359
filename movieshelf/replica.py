"""Reads from a streaming replica, where there is one and it keeps up; every write to the primary.

Which of the two a request reads from is decided once, when it comes in, and only a request that
changes nothing may read from the replica (`choosing`). A transaction, a row that is locked and a
login are read from the primary whoever asks: an ended login is over at once.

A thread of each process looks at both servers, twice a second. The replica is left alone while it
does not answer, has been promoted, or lacks what the primary had DATABASE_REPLICA_MAX_LAG_SECONDS
ago. A request that finds it gone before the thread does is done again, by the primary.

What a reader may rely on depends on the primary. With `synchronous_commit = remote_apply`, and
every standby synchronous, no write is answered before the replica shows it: what the contract
promises holds whoever asks. Without, a member who wrote reads from the primary until the replica
must have it; others may see it that much later.
"""

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

import psycopg
from django.conf import settings
from django.core.cache import DEFAULT_CACHE_ALIAS, cache, caches
from django.db import DEFAULT_DB_ALIAS, connections, models

from movieshelf.api.cache import ResilientRedisCache
from movieshelf.patience import LOOK_SECONDS, Application, patient
from movieshelf.postgresql.base import connect

logger = logging.getLogger(__name__)

PRIMARY, REPLICA = DEFAULT_DB_ALIAS, "replica"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# The admin's pages show what a moderator just did, and keep their own sessions. A cursor of the
# changes stands where the primary is: what a replica lacks yet would never be told.
FROM_PRIMARY = ("/admin/", "/auth/", "/changes", "/readyz", "/metrics")
# Read from the primary whoever asks, by the label of the model.
NEVER_OLD = frozenset({"accounts.session", "sessions.session"})
PROBE_SECONDS = 0.5
# A server that takes longer to say how it is counts as gone.
ANSWER_SECONDS = 2
# How long it may take until this process knows that the replica has fallen behind.
NOTICING_SECONDS = 2 * (PROBE_SECONDS + ANSWER_SECONDS)
# How long a request listens to the replica, before the primary is asked instead.
LISTENING_SECONDS = 4.0

_reads_from: ContextVar[str] = ContextVar("reads_from", default=PRIMARY)


def reads_from() -> str:
    """Give the alias of the database that this request reads from."""
    return _reads_from.get()


class ReplicaRouter:
    """Django's router for `DATABASES` with a replica."""

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str:
        alias = reads_from()
        if alias == PRIMARY or model._meta.label_lower in NEVER_OLD:
            return PRIMARY
        return PRIMARY if connections[PRIMARY].in_atomic_block else alias

    def db_for_write(self, model: type[models.Model], **hints: Any) -> str:
        return PRIMARY

    def allow_relation(self, one: models.Model, other: models.Model, **hints: Any) -> bool:
        # A login of the primary belongs to a member that was read from the replica.
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == PRIMARY


class Replica:
    """What this process knows of the replica; one thread finds it out, the others look."""

    def __init__(self, *, max_lag_seconds: float) -> None:
        self.max_lag_seconds = max_lag_seconds
        self.is_usable = False
        # Whether no write is answered before the replica shows it.
        self.is_exact = False
        self.trouble = "it was not looked at yet"
        # Where the primary was, and when: oldest first.
        self._positions: deque[tuple[float, int]] = deque()
        self._servers: dict[str, psycopg.Connection[Any]] = {}

    def watch(self) -> None:
        """Look at both servers from now on, in a thread of its own."""
        threading.Thread(target=self._watch, name="replica", daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.look()
            time.sleep(PROBE_SECONDS)

    def look(self) -> None:
        """Find out whether the replica may be read from, and what is promised then."""
        trouble = self._find_trouble()
        if trouble != self.trouble:
            logger.warning("reading from the replica: %s", trouble or "it keeps up")
        self.trouble = trouble
        self.is_usable = not trouble

    def leave(self) -> None:
        """Do not read from it until the next look finds it well."""
        self.is_usable = False

    def _find_trouble(self) -> str:
        replayed = self._ask(
            REPLICA, "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn() - '0/0'"
        )
        if replayed is None:
            return "it does not answer"
        if not replayed[0]:
            return "it is no standby any more"
        now = time.monotonic()
        written = self._ask(
            PRIMARY,
            """
            SELECT pg_current_wal_lsn() - '0/0', current_setting('synchronous_commit'),
                (SELECT bool_and(sync_state = 'sync') FROM pg_stat_replication
                    WHERE state = 'streaming')
            WHERE NOT pg_is_in_recovery()
            """,
        )
        if written is None:
            # Nothing is written meanwhile, so what the replica has does not get older.
            return self.trouble
        self._positions.append((now, int(written[0])))
        self.is_exact = written[1] == "remote_apply" and written[2] is True
        return self._lag_trouble(now, int(replayed[1]))

    def _lag_trouble(self, now: float, replayed: int) -> str:
        """Compare with where the primary was so long ago; what is written now does not matter."""
        while len(self._positions) > 1 and self._positions[1][0] <= now - self.max_lag_seconds:
            self._positions.popleft()
        since, position = self._positions[0]
        is_old_enough = since <= now - self.max_lag_seconds
        if is_old_enough and replayed < position:
            return f"it is more than {self.max_lag_seconds:g} s behind"
        return "" if is_old_enough or replayed >= position or self.is_usable else "it catches up"

    def _ask(self, alias: str, question: str) -> tuple[Any, ...] | None:
        try:
            server = self._servers.get(alias) or self._connect(alias)
            return server.execute(question.encode()).fetchone()
        except (psycopg.Error, OSError) as exc:
            logger.debug("%s does not answer: %s", alias, exc)
            if alias in self._servers:
                self._servers.pop(alias).close()
            return None

    def _connect(self, alias: str) -> psycopg.Connection[Any]:
        self._servers[alias] = connect(_Impatient, alias, connect_timeout=ANSWER_SECONDS)
        return self._servers[alias]


class _Impatient(psycopg.Connection[Any]):
    """A connection to a server that says at once how it is, or counts as gone."""

    def wait(self, gen: Any, interval: float = LOOK_SECONDS, timeout: float | None = None) -> Any:
        return super().wait(gen, interval, timeout or ANSWER_SECONDS)


def read_from_replica(application: Application) -> Application:
    """Let a WSGI application read from the replica of the settings, where they name one."""
    if REPLICA not in connections:
        return application
    replica = Replica(max_lag_seconds=settings.DATABASE_REPLICA_MAX_LAG_SECONDS)
    replica.watch()
    return choosing(application, replica)


def choosing(application: Application, replica: Replica) -> Application:
    """Choose where each request of a WSGI application reads from."""
    from_replica = patient(application, seconds=LISTENING_SECONDS)

    def reading(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        writer = _writer(environ)
        if environ["REQUEST_METHOD"] not in SAFE_METHODS:
            body = application(environ, start_response)
            if writer and not replica.is_exact:
                # Before the answer goes out; for as long as the replica may be behind.
                cache.set(writer, 1, timeout=replica.max_lag_seconds + NOTICING_SECONDS)
            return body
        if not may_read_replica(environ["PATH_INFO"], writer, replica):
            return application(environ, start_response)
        token = _reads_from.set(REPLICA)
        given: list[Any] = []
        try:
            body = from_replica(environ, lambda *answer: given.append(answer))
        finally:
            _reads_from.reset(token)
        if given[-1][0].startswith("503"):
            # Perhaps it went a moment ago. The primary can tell, and nothing was changed yet.
            replica.leave()
            return application(environ, start_response)
        start_response(*given[-1])
        return body

    return reading


def may_read_replica(path: str, writer: str, replica: Replica) -> bool:
    """Say whether who asks may see what the replica shows."""
    if not replica.is_usable or path.startswith(FROM_PRIMARY):
        return False
    if replica.is_exact or not writer:
        return True
    # Without the cache nobody knows who has just written.
    return remembers() and cache.get(writer) is None


def remembers() -> bool:
    """Whether the cache is there to remember who wrote."""
    shared = caches[DEFAULT_CACHE_ALIAS]
    return not isinstance(shared, ResilientRedisCache) or not shared.line.is_down


def _writer(environ: dict[str, Any]) -> str:
    """Give the name under which the cache knows who asks, '' for nobody in particular."""
    header = environ.get("HTTP_AUTHORIZATION", "")
    return f"wrote:{hashlib.sha256(header.encode('latin-1')).hexdigest()}" if header else ""
