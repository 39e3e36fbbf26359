"""What is known of each request once it is answered: its line in the log, and its numbers.

`observed()` stands outside of everything in wsgi.py, so it sees answers that never reach Django as
well. Whoever answers tells it what it cannot see: `current.get()` is the Observation of the request
that this thread answers, None outside of one.

It runs on each request, hot ones included, so it is short on purpose: about ten microseconds, the
line and the numbers included (benchmarks/observing.py).
"""

import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
from django.conf import settings
from django.db import connections
from django.db.backends.signals import connection_created

from movieshelf.metrics import POOL, QUERIES, SLOW_QUERIES, count_request

StartResponse = Callable[..., Any]
WSGIApplication = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

logger = logging.getLogger("movieshelf.requests")
query_logger = logging.getLogger("movieshelf.queries")

ID_HEADER = "X-Request-Id"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Of requests that no route of ours answers.
NO_ROUTE = "none"
# Asked every few seconds by machines; their lines would bury the others.
QUIET_ROUTES = frozenset({"/healthz", "/readyz", "/metrics"})
MAX_PATH_LENGTH = 200
MAX_SQL_LENGTH = 1_000
POOL_SECONDS = 1.0
STDERR = 2

VARIABLE = re.compile(r"<[^>]*>")


class Observation:
    """One request while it is answered."""

    __slots__ = ("method", "path", "queries", "request_id", "route", "started", "status", "user_id")

    def __init__(self, environ: dict[str, Any]) -> None:
        given = environ.get("HTTP_X_REQUEST_ID")
        self.request_id: str = (
            given if given and REQUEST_ID.fullmatch(given) else os.urandom(16).hex()
        )
        self.method: str = environ["REQUEST_METHOD"]
        self.path: str = environ["PATH_INFO"]
        self.started = time.perf_counter()
        self.status = 500
        # As `/movies/:id`; see route_name().
        self.route = NO_ROUTE
        self.user_id: int | None = None
        self.queries = 0

    def report(self) -> None:
        """Write the line of this request, and count it."""
        seconds = time.perf_counter() - self.started
        count_request(self.method, self.route, self.status, seconds)
        if self.queries:
            QUERIES.inc(self.queries)
        pool_watch.look()
        level = logging.DEBUG if self.route in QUIET_ROUTES else logging.INFO
        if logger.isEnabledFor(level):
            self._write_line(level, seconds)

    def _write_line(self, level: int, seconds: float) -> None:
        milliseconds = round(seconds * 1000, 3)
        if settings.DEBUG:
            logger.log(
                level,
                "%s %s %s in %s ms, %s queries",
                *(self.method, self.path[:MAX_PATH_LENGTH], self.status, milliseconds),
                self.queries,
            )
            return
        # As movieshelf.logs would write it. Going through it would cost several times as much.
        line = {
            "timestamp": datetime.now(UTC),
            "level": "info" if level == logging.INFO else "debug",
            "logger": logger.name,
            "event": "request",
            "request_id": self.request_id,
            "user_id": self.user_id,
            "method": self.method[:MAX_PATH_LENGTH],
            "route": self.route,
            # Without the query string: what people search for is theirs.
            "path": self.path[:MAX_PATH_LENGTH],
            "status": self.status,
            "duration_ms": milliseconds,
            "queries": self.queries,
        }
        # One write a line: those of several processes do not mix.
        os.write(STDERR, orjson.dumps(line, option=LINE_OPTIONS))


LINE_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z

current: ContextVar[Observation | None] = ContextVar("current_observation", default=None)


def observed(application: WSGIApplication) -> WSGIApplication:
    """Watch an application: log and count each request, and put its id on the answer."""

    def wrapped(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        seen = Observation(environ)
        token = current.set(seen)

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            seen.status = int(status[:3])
            for name, _ in headers:
                if name == ID_HEADER:
                    break
            else:
                # Never in place: an answer that is kept may lend its list.
                headers = [*headers, (ID_HEADER, seen.request_id)]
            return start_response(status, headers, *exc_info)

        try:
            return application(environ, start)
        finally:
            current.reset(token)
            seen.report()

    return wrapped


@contextmanager
def observing(environ: dict[str, Any]) -> Iterator[Observation]:
    """Give the observation that is under way, or make one where nobody watches (tests)."""
    seen = current.get()
    if seen is not None:
        yield seen
        return
    seen = Observation(environ)
    token = current.set(seen)
    try:
        yield seen
    finally:
        current.reset(token)


@lru_cache(maxsize=1_000)
def route_name(pattern: str) -> str:
    """Give the name of a route of urls.py: that of `movies/<id:pk>` is `/movies/:id`.

    The admin has one name: its addresses are Django's, and not what anybody tunes.
    """
    return "/admin/" if pattern.startswith("admin/") else "/" + VARIABLE.sub(":id", pattern)


def count_query(
    execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    """Count a statement towards its request, and tell of a slow one; without its parameters,
    which are what people wrote."""
    seen = current.get()
    if seen is not None:
        seen.queries += 1
    started = time.perf_counter()
    try:
        return execute(sql, params, many, context)
    finally:
        milliseconds = (time.perf_counter() - started) * 1000
        if milliseconds >= settings.SLOW_QUERY_MS:
            SLOW_QUERIES.inc()
            query_logger.warning(
                "slow query, %d ms: %s", milliseconds, " ".join(str(sql).split())[:MAX_SQL_LENGTH]
            )


def watch_queries(connection: Any, **kwargs: Any) -> None:
    """Have a connection's statements counted; a pool tells of one connection many times."""
    if count_query not in connection.execute_wrappers:
        connection.execute_wrappers.append(count_query)


connection_created.connect(watch_queries, dispatch_uid="movieshelf.observing")


class PoolWatch:
    """Keeps the numbers of this process's pools up to date, at most once a second."""

    def __init__(self) -> None:
        self._looked_at = 0.0

    def look(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < POOL_SECONDS:
            return
        self._looked_at = now
        for alias in connections:
            # Asking `pool` would make one where nobody has needed it yet.
            pool = getattr(connections[alias], "_connection_pools", {}).get(alias)
            if pool is not None:
                stats = pool.get_stats()
                idle = stats.get("pool_available", 0)
                POOL.labels(alias, "idle").set(idle)
                POOL.labels(alias, "busy").set(stats.get("pool_size", 0) - idle)
                POOL.labels(alias, "waiting").set(stats.get("requests_waiting", 0))


pool_watch = PoolWatch()
