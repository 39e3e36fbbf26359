"""Who may come in, and who works: bounds on what is asked for at once (contract section 1, 503).

`Door`, outermost, knows how many requests are here. When no more can wait for their turn, whoever
comes is told 503 with `Retry-After` at once, instead of being answered when it has long gone. So no
request is queued where nobody counts it, and health always answers.

`Places` stands around Django. One Python process runs one thread at a time, and each that works
holds a connection of the pool. So a few work, and the others wait in line, first come, first
served, instead of taking the interpreter from each other and waiting for a connection.

A place is for work. Uploads and logins mostly wait (for the rest of a body, for a turn to decode or
to hash), within bounds of their own, so they take none. Whoever waits while no place is given back
(a film is locked, the database stands still) goes in without one: what holds some requests up holds
up no others.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import closing
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, cast

from movieshelf.api.bodies import WSGIApplication
from movieshelf.api.errors import RAISED_BEFORE, Overloaded
from movieshelf.metrics import REFUSED_AT_THE_DOOR
from movieshelf.observing import ID_HEADER

# Asked by machines that must not take a full line for a dead process.
ALWAYS = frozenset({"/healthz", "/readyz", "/metrics"})
# When no place was given back for so long, those who wait go in without.
STUCK_SECONDS = 0.02
# However it goes on: nobody waits in line for longer.
LINE_SECONDS = 2.0
# What the headers of a refusal depend on.
TELLING = ("wsgi.url_scheme", "HTTP_HOST", "HTTP_ORIGIN", "HTTP_X_FORWARDED_PROTO")
MAX_KINDS = 100
MAX_KIND_LENGTH = 500
PERSONAL = frozenset({"HTTP_AUTHORIZATION", "HTTP_COOKIE", "HTTP_ACCEPT", "CONTENT_LENGTH"})
# A view that anybody may ask, to refuse in its name.
ANY_VIEW = {"REQUEST_METHOD": "GET", "PATH_INFO": "/movies", "QUERY_STRING": ""}


class Refusal(NamedTuple):
    status: str
    headers: list[tuple[str, str]]
    body: bytes


class Door:
    """A WSGI application that has room for so many requests at once in another."""

    def __init__(self, application: WSGIApplication, *, room: int) -> None:
        self.application = application
        # Counted in C, without a lock that a thread may hold while it is not running.
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(room):
            self._room.put(None)
        self._refusals: dict[tuple[str | None, ...], Refusal] = {}

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environ["PATH_INFO"] in ALWAYS:
            return self.application(environ, start_response)
        try:
            self._room.get_nowait()
        except Empty:
            return self._refuse(environ, start_response)
        try:
            return self.application(environ, start_response)
        finally:
            self._room.put(None)

    def _refuse(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        REFUSED_AT_THE_DOOR.inc()
        kind = tuple(map(environ.get, TELLING))
        refusal = self._refusals.get(kind) or self._ask_for_refusal(environ)
        if len(self._refusals) < MAX_KINDS and sum(map(len, filter(None, kind))) < MAX_KIND_LENGTH:
            self._refusals[kind] = refusal
        start_response(refusal.status, refusal.headers)
        return () if environ["REQUEST_METHOD"] == "HEAD" else (refusal.body,)

    def _ask_for_refusal(self, environ: dict[str, Any]) -> Refusal:
        """Have a view refuse, with all that an answer of this kind carries."""
        started: list[Any] = []
        asked = {name: environ[name] for name in environ if name not in PERSONAL}
        asked |= {**ANY_VIEW, RAISED_BEFORE: Overloaded()}
        response = self.application(asked, lambda *answer: started.extend(answer))
        with closing(cast(Any, response)):
            body = b"".join(response)
        status, headers, *_ = started
        return Refusal(status, [pair for pair in headers if pair[0] != ID_HEADER], body)


class Places:
    """A WSGI application around another that so many requests work in at once."""

    def __init__(self, application: WSGIApplication, *, at_once: int) -> None:
        self.application = application
        self._free = at_once
        # Who waits, each behind a lock of its own that is released when a place is handed over.
        self._line: deque[threading.Lock] = deque()
        self._changing = threading.Lock()
        self._given_back_at = 0.0

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if mostly_waits(environ) or not self._take():
            return self.application(environ, start_response)
        try:
            return self.application(environ, start_response)
        finally:
            self._give_back()

    def _take(self) -> bool:
        """Wait for a place, and take it; False to go in without."""
        with self._changing:
            if self._free:
                self._free -= 1
                return True
            turn = threading.Lock()
            turn.acquire()
            self._line.append(turn)
        since = time.monotonic()
        while not turn.acquire(timeout=STUCK_SECONDS):
            now = time.monotonic()
            if now - self._given_back_at < STUCK_SECONDS and now - since < LINE_SECONDS:
                continue
            with self._changing:
                if turn in self._line:
                    self._line.remove(turn)
                    return False
            return True  # it was handed over just now
        return True

    def _give_back(self) -> None:
        with self._changing:
            self._given_back_at = time.monotonic()
            if self._line:
                self._line.popleft().release()
            else:
                self._free += 1


def mostly_waits(environ: dict[str, Any]) -> bool:
    """Say whether a request spends its time waiting, for its body or for a turn."""
    path: str = environ["PATH_INFO"]
    content_type: str = environ.get("CONTENT_TYPE", "")
    return path.startswith("/auth/") or content_type.startswith("multipart/")
