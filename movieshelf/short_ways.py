"""The writes that are sent most often, done without Django around them where nothing is unusual.

Django answers a `PUT /movies/:id/rating` in a millisecond of this process's time, of which two
statements and a counter take a quarter. A `ShortWay` does just those, in the order of the contract:
credentials, ceilings, the write. What several ask for at once is done with one question for all
their logins and one statement for all their writes (`movieshelf.together`), by what the view calls
for one of them. It answers with the headers that Django gave to the last request of the same kind.

What is not plain goes to Django, whole and untouched: no or bad credentials, a body that is not
right, a header that asks for more (`Idempotency-Key`, an encoding), READ_ONLY, a kind of request
that Django has not answered yet. So there is one place that says no, and it is not here. And what
cannot be done together (a film is locked, one of the writes is refused by a constraint, so that
none is done) is done by Django one by one.

What this may never do: refuse; do a thing twice, so what was counted is not counted again, and what
may have been done is not done again but raised where the view would have raised it
(`movieshelf.api.views`); know a rule that the view does not take from the same place.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings
from django.db import DataError, IntegrityError, close_old_connections
from django.utils.module_loading import import_string
from psycopg.errors import LockNotAvailable
from rest_framework.exceptions import APIException

from movieshelf.api.bodies import WSGIApplication
from movieshelf.api.ceilings import COUNTED_BEFORE, Count, PerUser, headers_for
from movieshelf.api.errors import RAISED_AT_LOGIN, RAISED_BEFORE
from movieshelf.api.parsing import parse_object
from movieshelf.api.rendering import to_json
from movieshelf.api.transactions import TRY_AGAIN
from movieshelf.observing import ID_HEADER, current
from movieshelf.together import Together, TookTooLong

if TYPE_CHECKING:
    from accounts.models import Session, User
    from accounts.tokens import AccessToken

# So many are done together at most.
AT_MOST = 32
# So long those who are done together wait for a film; whoever wants one that is locked for longer
# waits alone.
LOCK_TIMEOUT = "50ms"
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


@dataclass(slots=True, eq=False)
class Asked[Content]:
    """One write while it is done: of which thing, by whose token, and what the body says."""

    environ: dict[str, Any]
    thing: int
    token: "AccessToken"
    content: Content
    # Known when the token's login is.
    user: "User" = field(init=False)
    counts: dict[str, Count] = field(default_factory=dict)


@dataclass(frozen=True)
class ShortWay[Content]:
    """How one operation is done.

    `token` gives the token of the WSGI environ, None where there is none, and raises AuthFailed for
    one that is no good; `logins` gives the logins of several, None for each that has ended.
    `content` gives what a decoded body says, None where that is not right. `perform` does all that
    it takes or nothing, and gives None for what Django has to answer, a thing that is not there.
    """

    method: str
    # With one group, the id.
    path: re.Pattern[str]
    route: str
    status: str
    token: Callable[[Mapping[str, Any]], "AccessToken | None"]
    logins: Callable[[Sequence["AccessToken"]], Sequence["Session | None"]]
    ceilings: Sequence[PerUser]
    content: Callable[[dict[str, Any]], Content | None]
    perform: Callable[[Sequence[Asked[Content]]], Sequence[Done | None]]


class ShortWays:
    """A WSGI application around Django that knows some ways past it."""

    def __init__(self, application: WSGIApplication, ways: Sequence[str]) -> None:
        """Take the ways by their names, as in `ratings.short.RATE`."""
        self.application = application
        self.ways: list[ShortWay[Any]] = [import_string(name) for name in ways]
        self.together = {
            way.route: Together(partial(do_all, way), at_most=AT_MOST, apart=whose)
            for way in self.ways
        }
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
        asked = what_is_asked(way, thing, environ)
        done = self._do(way, asked) if asked else None
        if not asked or not done:
            return self.application(environ, start_response)
        if seen := current.get():
            seen.route, seen.user_id = way.route, asked.user.pk
        body = to_json(done.shown)
        length = ("Content-Length", str(len(body)))
        limits = headers_for(asked.counts.values())
        start_response(way.status, [*headers, *limits.items(), *done.headers, length])
        return (body,)

    def _do(self, way: ShortWay[Any], asked: Asked[Any]) -> Done | None:
        with suppress(TookTooLong):
            return self.together[way.route].do(asked)
        return None

    def _way_of(self, environ: dict[str, Any]) -> tuple[ShortWay[Any] | None, int]:
        for way in self.ways:
            if environ["REQUEST_METHOD"] != way.method:
                continue
            if found := way.path.fullmatch(environ["PATH_INFO"]):
                return (way, int(found[1])) if is_plain(environ) else (None, 0)
        return None, 0

    def _watch_django(
        self,
        kind: Kind,
        way: ShortWay[Any],
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


def what_is_asked(way: ShortWay[Any], thing: int, environ: dict[str, Any]) -> Asked[Any] | None:
    """Give what a request asks for, None where Django has to say something about it."""
    try:
        token = way.token(environ)
    except APIException:
        return None
    document = document_of(environ)
    content = document and way.content(document)
    if token is None or not document or content is None:
        return None
    return Asked(environ, thing, token, content)


def whose(asked: Asked[Any]) -> tuple[int, str]:
    """Give what no two that are done together have in common: the thing, and the member."""
    return asked.thing, asked.token["sub"]


def do_all(way: ShortWay[Any], asked: Sequence[Asked[Any]]) -> list[Done | None]:
    """Do what several ask for; None is left to Django, with what it has to know of what was done.

    This is all that a short way asks of the database, and one thread does it for all of them.
    """
    try:
        admitted = within_ceilings(way, list(let_in(way, asked)))
        done = dict(zip(admitted, perform(way, admitted), strict=True))
        return [done.get(one) for one in asked]
    finally:
        # As at the end of a request of Django's, which this is not.
        close_old_connections()


def let_in(way: ShortWay[Any], asked: Sequence[Asked[Any]]) -> Iterator[Asked[Any]]:
    """Give those whose logins are live, with their members."""
    try:
        sessions = way.logins([one.token for one in asked])
    except Exception as exc:
        # A database that is gone, say: Django would wait for it once more.
        for one in asked:
            one.environ[RAISED_AT_LOGIN] = exc
        return
    for one, session in zip(asked, sessions, strict=True):
        if session is not None:
            one.user = session.user
            yield one


def within_ceilings(way: ShortWay[Any], asked: Sequence[Asked[Any]]) -> list[Asked[Any]]:
    """Count each towards the ceilings, and give those that are not over one."""
    for one in asked:
        one.environ[COUNTED_BEFORE] = one.counts
    try:
        for ceiling in way.ceilings:
            counts = ceiling.count_all([str(one.user.pk) for one in asked])
            for one, number in zip(asked, counts, strict=True):
                if number is not None:
                    one.counts[ceiling.name] = number
    except Exception as exc:
        raise_by_django(exc, asked)
        return []
    return [one for one in asked if not any(n.used > n.quota for n in one.counts.values())]


def perform(way: ShortWay[Any], asked: Sequence[Asked[Any]]) -> Sequence[Done | None]:
    """Write what was let in and counted."""
    if not asked:
        return []
    try:
        return way.perform(asked)
    except Exception as exc:
        if not was_undone(exc):
            raise_by_django(exc, asked)
        return [None] * len(asked)


def raise_by_django(error: Exception, asked: Sequence[Asked[Any]]) -> None:
    """Have Django answer as if its view had raised it: it has the one door for errors."""
    for one in asked:
        one.environ[RAISED_BEFORE] = error


def was_undone(error: Exception) -> bool:
    """Say whether PostgreSQL surely did nothing, so that each may be tried by itself."""
    return isinstance(error, IntegrityError | DataError) or isinstance(
        error.__cause__, (*TRY_AGAIN, LockNotAvailable)
    )


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
