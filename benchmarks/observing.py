"""What watching a request costs: `observed()` around an application that does nothing.

    .venv/bin/python benchmarks/observing.py 2>/dev/null

The log goes to standard error, as when serving; a file there costs a microsecond more than nothing.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["DJANGO_SETTINGS_MODULE"] = "movieshelf.settings"
os.environ["DEBUG"] = "false"
os.environ["ALLOWED_HOSTS"] = "localhost"
os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp()

from movieshelf import observing, wsgi  # noqa: F401  # wsgi sets Django up

ROUNDS = 50_000
ENVIRON = {"REQUEST_METHOD": "GET", "PATH_INFO": "/movies"}
HEADERS = [(f"X-Header-{number}", "value") for number in range(15)]


def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", HEADERS)
    return [b""]


def named(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    observing.current.get().route = "/movies"
    return answer(environ, start_response)


def microseconds(application: Callable[..., Any]) -> float:
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(ROUNDS):
            application(ENVIRON, print_nothing)
        best = min(best, time.perf_counter() - started)
    return best / ROUNDS * 1e6


def print_nothing(status: str, headers: list[tuple[str, str]]) -> None:
    return None


bare, watched = microseconds(answer), microseconds(observing.observed(named))
observing.logger.disabled = True
quiet = microseconds(observing.observed(named))
print(
    f"watched, counted and logged: {watched - bare:.1f} us a request; without the line:"
    f" {quiet - bare:.1f} us"
)
