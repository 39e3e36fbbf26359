"""Answers given again without asking Django: the same bytes, while what they show is still so.

Django makes every answer. One that a view marked (`movieshelf.api.hot`) is kept in this process,
and given again to whoever sends the same request without credentials, as long as PostgreSQL says
that nothing has changed. It is asked each time, after the request came in:

    SELECT pg_current_snapshot()

A snapshot lists which transactions are over. Two that read the same see the same rows, whoever
wrote them and from wherever: the API, the admin, a command, psql. So there is no version to move
and none to forget, and writes pay nothing. When anything was committed, a film or an image is
compared with its row (`Shown.question`), and a list is made anew.

What this may never do: answer from what was kept without asking after the request came in; keep an
answer under a snapshot taken after the answer was begun; keep what depends on who is asking.
"""

import re
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, NamedTuple
from weakref import WeakSet

import psycopg
from django.db import DatabaseError, close_old_connections

from movieshelf.api.bodies import WSGIApplication
from movieshelf.api.conditional import names
from movieshelf.api.hot import Shown, what_is_shown
from movieshelf.metrics import Lookups
from movieshelf.observing import ID_HEADER, NO_ROUTE, current
from movieshelf.patience import PatientConnection
from movieshelf.postgresql.base import connect
from movieshelf.replica import PRIMARY, REPLICA, reads_from
from movieshelf.together import Together, TookTooLong

PATHS = re.compile(
    r"/movies(/[0-9]{1,19}(/reviews)?)?|/media/[0-9a-f-]{36}|/reviews/[0-9]{1,19}", re.ASCII
)
# What makes a request one of its own kind: never kept, never answered from here.
PERSONAL = ("HTTP_AUTHORIZATION", "HTTP_RANGE", "HTTP_TRANSFER_ENCODING", "HTTP_IF_MODIFIED_SINCE")
# Everything else of a request that an answer may depend on.
TELLING = (
    "PATH_INFO",
    "QUERY_STRING",
    "HTTP_HOST",
    "HTTP_ACCEPT",
    "HTTP_ORIGIN",
    "HTTP_X_FORWARDED_PROTO",
    "CONTENT_TYPE",
)
MAX_TELLING_LENGTH = 1_000
# A 304 says nothing of a body (RFC 9110, 15.4.5).
OF_THE_BODY = frozenset({"content-type", "content-length", "content-disposition", "accept-ranges"})
IF_NONE_MATCH = "HTTP_IF_NONE_MATCH"
NONE = ("", "0", None)
OK, NOT_MODIFIED = "200 OK", "304 Not Modified"
# However sure: a cluster that lost transactions (a failover without them) counts them anew.
MAX_AGE_SECONDS = 60.0
# Whoever makes an answer that others wait for makes it within this, or they make their own.
WAIT_SECONDS = 2.0
# What an entry costs beside its body.
OVERHEAD_BYTES = 4_000

type Key = tuple[str | None, ...]
type Headers = list[tuple[str, str]]


class Kept(NamedTuple):
    """One answer, and what has to be the case for it to be given again."""

    body: bytes
    headers: Headers
    headers_without_body: Headers
    etag: str | None
    route: str
    shown: Shown
    made_at: float


class Current(NamedTuple):
    """An answer and the snapshot in which it was last found right."""

    kept: Kept
    snapshot: str


def now_on(*, is_standby: bool) -> str:
    """Give the SQL for what tells one state of the database from all others.

    A standby does not list the transactions that run; how far it has come says what it shows.
    """
    return "pg_last_wal_replay_lsn()::text" if is_standby else "pg_current_snapshot()::text"


class Witness:
    """PostgreSQL, asked what is the case now, over connections of its own.

    They are in autocommit, so each question has its own snapshot. Few are needed: a question takes
    some fifty microseconds.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._idle: deque[tuple[psycopg.Connection[Any], str]] = deque()
        self._together = Together[None, str](lambda asked: [self._ask()] * len(asked))
        _witnesses.add(self)

    def snapshot(self) -> str:
        """Give what tells this state of the database from all others. Raises psycopg.Error.

        Who asks while another's question is under way waits for the next one, which is asked once
        for all who wait: so it is asked after each of them came.
        """
        with suppress(TookTooLong):
            return self._together.do(None)
        return self._ask()

    def _ask(self) -> str:
        with self._connection() as (connection, now):
            row = psycopg.RawCursor(connection).execute(f"SELECT {now}".encode()).fetchone()
        assert row is not None
        return str(row[0])

    def look(self, shown: Shown) -> tuple[str, bool]:
        """Give the snapshot, and whether what is shown is so in it. Raises psycopg.Error."""
        with self._connection() as (connection, now):
            # One statement: both halves see the same.
            both = f"SELECT {now}, asked.* FROM (SELECT) LEFT JOIN ({shown.question}) asked ON true"
            row = connection.execute(both.encode(), shown.parameters).fetchone()
        assert row is not None
        return str(row[0]), row[1:] == shown.answer

    def close(self) -> None:
        """Let go of the connections; the next question opens another."""
        while self._idle:
            self._idle.pop()[0].close()

    @contextmanager
    def _connection(self) -> Iterator[tuple[psycopg.Connection[Any], str]]:
        taken = self._idle.pop() if self._idle else _connect(self._alias)
        try:
            yield taken
        except psycopg.Error:
            taken[0].close()
            self.close()  # they lead to the same server
            raise
        self._idle.append(taken)


def _connect(alias: str) -> tuple[psycopg.Connection[Any], str]:
    connection = connect(PatientConnection, alias)
    row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    return connection, now_on(is_standby=bool(row and row[0]))


_witnesses: WeakSet[Witness] = WeakSet()


def let_go() -> None:
    """Close the connections of all witnesses, as tests do before a database is dropped."""
    for witness in _witnesses:
        witness.close()


class Shelf:
    """The answers of this process, the least asked for given up first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._answers: OrderedDict[Key, Current] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def bytes(self) -> int:
        return self._bytes

    def get(self, key: Key) -> Current | None:
        with self._lock:
            found = self._answers.get(key)
            if found is not None:
                self._answers.move_to_end(key)
            return found

    def put(self, key: Key, answer: Current) -> None:
        """Keep an answer; one that would take more than a tenth of the room is not kept."""
        size = _size(answer)
        if size * 10 > self._max_bytes:
            return
        with self._lock:
            self._drop(key)
            self._answers[key] = answer
            self._bytes += size
            while self._bytes > self._max_bytes:
                self._drop(next(iter(self._answers)))

    def drop(self, key: Key) -> None:
        with self._lock:
            self._drop(key)

    def clear(self) -> None:
        with self._lock:
            self._answers.clear()
            self._bytes = 0

    def _drop(self, key: Key) -> None:
        dropped = self._answers.pop(key, None)
        if dropped is not None:
            self._bytes -= _size(dropped)


class HotAnswers:
    """A WSGI application around Django that gives again what is still right."""

    def __init__(self, application: WSGIApplication, *, max_bytes: int) -> None:
        self.application = application
        self.shelf = Shelf(max_bytes)
        # By the alias of the database that a request reads from.
        self.witnesses = {PRIMARY: Witness(PRIMARY), REPLICA: Witness(REPLICA)}
        self.lookups = Lookups("answers")
        self._being_made: dict[Key, threading.Event] = {}

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        key = key_of(environ)
        if key is None:
            return self.application(environ, start_response)
        try:
            kept = self._still_right(key) or self._made_by_another(key)
        except (psycopg.Error, DatabaseError):
            # Whatever the matter is, Django meets it as well and has an answer to it.
            self.shelf.clear()
            return self.application(environ, start_response)
        if kept is None:
            return self._make(key, environ, start_response)
        self.lookups.hit()
        return _give(kept, environ, start_response)

    @property
    def witness(self) -> Witness:
        return self.witnesses[reads_from()]

    def _still_right(self, key: Key) -> Kept | None:
        found = self.shelf.get(key)
        if found is None:
            return None
        kept, shown = found.kept, found.kept.shown
        if time.monotonic() - kept.made_at < MAX_AGE_SECONDS:
            is_right, snapshot = True, self.witness.snapshot()
            if snapshot != found.snapshot:
                if shown.question is None:
                    is_right = False
                else:
                    snapshot, is_right = self.witness.look(shown)
                    if is_right:
                        self.shelf.put(key, Current(kept, snapshot))
            if is_right and (shown.is_current is None or self._agrees(shown.is_current)):
                return kept
        self.shelf.drop(key)
        return None

    @staticmethod
    def _agrees(is_current: Callable[[], bool]) -> bool:
        try:
            return is_current()
        finally:
            # It may have asked the database, as a view does; there is no request to end here.
            close_old_connections()

    def _made_by_another(self, key: Key) -> Kept | None:
        """Wait for the one who is making this answer, if there is one, and see whether it is right.

        It may have been begun before this request came in, so it is looked at like any other.
        """
        being_made = self._being_made.get(key)
        if being_made is None or not being_made.wait(WAIT_SECONDS):
            return None
        return self._still_right(key)

    def _make(
        self, key: Key, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        made = threading.Event()
        is_first = self._being_made.setdefault(key, made) is made
        try:
            return self._ask_django(key, environ, start_response)
        finally:
            if is_first:
                del self._being_made[key]
            made.set()

    def _ask_django(
        self, key: Key, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        self.lookups.miss()
        snapshot = self._snapshot_before()
        if snapshot is None:
            return self.application(environ, start_response)
        # The whole answer is what is worth keeping, whatever part of it this request wants.
        plain = {**environ, "REQUEST_METHOD": "GET"}
        plain.pop(IF_NONE_MATCH, None)
        started: list[Any] = []
        response = self.application(
            plain, lambda *status_and_headers: started.extend(status_and_headers)
        )
        status, headers, *_ = started
        shown = what_is_shown(response)
        if shown is not None and status == OK:
            kept = _kept(_read(response), headers, shown)
            self.shelf.put(key, Current(kept, snapshot))
            return _give(kept, environ, start_response)
        if environ["REQUEST_METHOD"] == "GET" and IF_NONE_MATCH not in environ:
            start_response(status, headers)
            return response
        _read(response)
        return self.application(environ, start_response)

    def _snapshot_before(self) -> str | None:
        try:
            return self.witness.snapshot()
        except psycopg.Error:
            return None


def key_of(environ: dict[str, Any]) -> Key | None:
    """Give what tells requests for the same answer from others, None for one not to be kept."""
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return None
    if not PATHS.fullmatch(environ["PATH_INFO"]):
        return None
    if any(name in environ for name in PERSONAL) or environ.get("CONTENT_LENGTH", "") not in NONE:
        return None
    key = (reads_from(), environ["wsgi.url_scheme"], *map(environ.get, TELLING))
    return key if sum(map(len, filter(None, key))) < MAX_TELLING_LENGTH else None


def _kept(body: bytes, headers: Headers, shown: Shown) -> Kept:
    lasting = [(name, value) for name, value in headers if name != ID_HEADER]
    without_body = [(name, value) for name, value in lasting if name.lower() not in OF_THE_BODY]
    etag = next((value for name, value in lasting if name.lower() == "etag"), None)
    route = seen.route if (seen := current.get()) else NO_ROUTE
    return Kept(body, lasting, without_body, etag, route, shown, time.monotonic())


def _give(
    kept: Kept, environ: dict[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    if (seen := current.get()) is not None:
        seen.route = kept.route
    if kept.etag is not None and names(environ.get(IF_NONE_MATCH), kept.etag):
        start_response(NOT_MODIFIED, kept.headers_without_body)
        return ()
    start_response(OK, kept.headers)
    return () if environ["REQUEST_METHOD"] == "HEAD" else (kept.body,)


def _read(response: Any) -> bytes:
    """Read an answer to its end, as a server does."""
    with closing(response):
        return b"".join(response)


def _size(answer: Current) -> int:
    return len(answer.kept.body) + OVERHEAD_BYTES
