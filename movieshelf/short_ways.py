"""The writes that are sent most often, done without Django around them where nothing is unusual.

Django answers a `PUT /movies/:id/rating` in a millisecond of this process's time, of which two
statements and a counter take a quarter. A `ShortWay` does just those, by the very functions that
the view calls, in the order of the contract: credentials, ceilings, body, the write. It answers
with the headers that Django gave to the last request of the same kind.

What is not plain goes to Django, whole and untouched: no or bad credentials, a body that is not
right, a header that asks for more (`Idempotency-Key`, an encoding), READ_ONLY, a kind of request
that Django has not answered yet. So there is one place that says no, and it is not here.

What this may never do: refuse; do a thing twice, so what was counted is not counted again, and what
failed once it was begun is not begun again but raised where the view would have raised it
(`movieshelf.api.views`); know a rule that the view does not take from the same place.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings
from django.db import close_old_connections
from django.http import HttpRequest
from django.utils.module_loading import import_string
from rest_framework.exceptions import APIException

from movieshelf.api.bodies import WSGIApplication
from movieshelf.api.ceilings import COUNTED_BEFORE, PerUser, counted, headers_of
from movieshelf.api.errors import RAISED_AT_LOGIN, RAISED_BEFORE
from movieshelf.api.parsing import parse_object
from movieshelf.api.rendering import to_json
from movieshelf.observing import ID_HEADER, current

if TYPE_CHECKING:
    from accounts.models import Session, User

# Longer ones are rare, and Django reads them as well as we do.
MAX_BODY_LENGTH = 16 * 1024
# What a request has that wants more than the plain answer.
UNUSUAL = (
    "HTTP_TRANSFER_ENCODING",
    "HTTP_CONTENT_ENCODING",
    "HTTP_IDEMPOTENCY_KEY",
    "HTTP_EXPECT",
)
# What else the headers of an answer depend on.
TELLING = (
    "wsgi.url_scheme",
    "HTTP_HOST",
    "HTTP_ORIGIN",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_ACCEPT",
    "CONTENT_TYPE",
)
MAX_TELLING_LENGTH = 1_000
MAX_KINDS = 1_000
# What each answer has of its own.
OWN_HEADERS = frozenset(
    {ID_HEADER, "Content-Length", "RateLimit", "RateLimit-Policy", "ETag", "Location"}
)

type Kind = tuple[str | None, ...]
type Headers = list[tuple[str, str]]


class Done(NamedTuple):
    """A write that was done: what its answer shows, and the headers it has of its own."""

    shown: Any
    headers: Headers = []  # noqa: RUF012  # of a NamedTuple, and never changed


class ShortWay(NamedTuple):
    """How one operation is done.

    `credentials` gives the login of the WSGI environ, None or an APIException where there is none
    that is good. `perform` takes who asks, the id in the path and the decoded body. It gives None
    for a body that is not right, before anything is done; what it raises is answered as if the view
    had raised it.
    """

    method: str
    # With one group, the id.
    path: re.Pattern[str]
    route: str
    status: str
    credentials: Callable[[Mapping[str, Any]], "Session | None"]
    ceilings: Sequence[PerUser]
    perform: Callable[["User", int, dict[str, Any]], Done | None]


class ShortWays:
    """A WSGI application around Django that knows some ways past it."""

    def __init__(self, application: WSGIApplication, ways: Sequence[str]) -> None:
        """Take the ways by their names, as in `ratings.short.RATE`."""
        self.application = application
        self.ways: list[ShortWay] = [import_string(name) for name in ways]
        self._headers: dict[Kind, Headers] = {}

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        way, thing = self._way_of(environ)
        if way is None or settings.READ_ONLY:
            return self.application(environ, start_response)
        kind = (way.route, way.method, *map(environ.get, TELLING))
        headers = self._headers.get(kind)
        if headers is None:
            return self._watch_django(kind, way, environ, start_response)
        try:
            answer = self._go(way, thing, environ)
        finally:
            # As at the end of a request of Django's, which this is not.
            close_old_connections()
        if answer is None:
            return self.application(environ, start_response)
        body = to_json(answer.shown)
        length = ("Content-Length", str(len(body)))
        start_response(way.status, [*headers, *answer.headers, length])
        return (body,)

    def _way_of(self, environ: dict[str, Any]) -> tuple[ShortWay | None, int]:
        for way in self.ways:
            if environ["REQUEST_METHOD"] != way.method:
                continue
            if found := way.path.fullmatch(environ["PATH_INFO"]):
                return (way, int(found[1])) if is_plain(environ) else (None, 0)
        return None, 0

    def _watch_django(
        self,
        kind: Kind,
        way: ShortWay,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
    ) -> Iterable[bytes]:
        """Let Django answer, and see which headers an answer of this kind has."""

        def start(status: str, headers: Headers, *exc_info: Any) -> Any:
            is_short = sum(map(len, filter(None, kind))) < MAX_TELLING_LENGTH
            if status == way.status and is_short and len(self._headers) < MAX_KINDS:
                self._headers[kind] = [pair for pair in headers if pair[0] not in OWN_HEADERS]
            return start_response(status, headers, *exc_info)

        return self.application(environ, start)

    def _go(self, way: ShortWay, thing: int, environ: dict[str, Any]) -> Done | None:
        """Do it; None leaves it to Django, with what it has to know of what was done already."""
        try:
            session = way.credentials(environ)
        except APIException:
            return None
        except Exception as exc:
            # A database that is gone, say: Django would wait for it once more.
            environ[RAISED_AT_LOGIN] = exc
            return None
        if session is None:
            return None
        asked = HttpRequest()
        asked.META, asked.method, asked.user = environ, way.method, session.user
        try:
            for ceiling in way.ceilings:
                ceiling.check(asked)
            document = document_of(environ)
            done = document and way.perform(session.user, thing, document)
        except Exception as exc:
            # Django has the one door for errors; what happened so far it need not do again.
            environ[RAISED_BEFORE] = exc
            done = None
        if not done:
            environ[COUNTED_BEFORE] = {count.name: count for count in counted(asked)}
            return None
        if seen := current.get():
            seen.route = way.route
        return Done(done.shown, [*headers_of(asked).items(), *done.headers])


def is_plain(environ: dict[str, Any]) -> bool:
    """Say whether a request asks for nothing but what is in its path and its body."""
    length = environ.get("CONTENT_LENGTH") or ""
    return (
        length.isascii()
        and length.isdigit()
        and len(length) < 10
        and 0 < int(length) <= MAX_BODY_LENGTH
        and not environ.get("QUERY_STRING")
        and not any(name in environ for name in UNUSUAL)
    )


def document_of(environ: dict[str, Any]) -> dict[str, Any] | None:
    """Give the decoded body, None for one that Django has to say something about.

    The environ has it to be read once more.
    """
    length = int(environ["CONTENT_LENGTH"])
    try:
        body = environ["wsgi.input"].read(length)
    except OSError:
        body = b""
    environ["wsgi.input"] = BytesIO(body)
    try:
        return parse_object(body) if len(body) == length else None
    except APIException:
        return None
