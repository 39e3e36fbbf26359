"""A server with short ways, which tells what it left to Django."""

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

from django.conf import settings
from django.test import RequestFactory

from movieshelf.short_ways import ShortWays
from movieshelf.wsgi import UTF8Handler

RATING, REVIEWS = "/movies/{film}/rating", "/movies/{film}/reviews"
WRITES_OF = [("PUT", RATING, {"value": 4}), ("POST", REVIEWS, {"content": "Fine."})]


class Answer(NamedTuple):
    status: str
    headers: dict[str, str]
    body: Any


class Server:
    """Short ways around Django, and how often Django was asked."""

    def __init__(self) -> None:
        self.asked_django = 0
        self.django = UTF8Handler()
        self.short = ShortWays(self._ask_django, settings.SHORT_WAYS)

    def _ask_django(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        self.asked_django += 1
        return self.django(environ, start_response)

    def send(self, method: str, path: str, body: Any = b"", **environ: Any) -> Answer:
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        asked = RequestFactory().generic(method, path, body, "application/json", **environ).environ
        asked["wsgi.input"] = BytesIO(body)
        started: list[Any] = []
        response = self.short(asked, lambda *answer: started.extend(answer))
        content = b"".join(response)
        getattr(response, "close", lambda: None)()
        status, headers, *_ = started
        assert len(dict(headers)) == len(headers)
        return Answer(status, dict(headers), json.loads(content) if content else None)


def taught(server: Server, film: int, login: dict[str, Any], **environ: Any) -> Server:
    """Have Django answer one of each kind, as it does the first time."""
    for method, path, body in WRITES_OF:
        answer = server.send(method, path.format(film=film), body, **{**login, **environ})
        assert answer.status[0] == "2", answer
    server.asked_django = 0
    return server
