"""Send one POST forty times at once, and kill the server between its commit and its answer.

    .venv/bin/python benchmarks/retries.py

Serves the shelf of this checkout with two processes, ceilings off. Two client processes send twenty
identical `POST /movies` each, with one Idempotency-Key: there must be one film, and forty equal
answers. Then a process is killed with SIGKILL after the work was committed, and before a byte of
the answer went out: the retry must get the answer, and there must be no twin. Exits 1 otherwise.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

HOST = "127.0.0.1"
CLIENTS, POSTS = 2, 20
DIE = "HTTP_X_DIE_BEFORE_ANSWERING"


class Answer(NamedTuple):
    status: int
    body: bytes
    location: str | None
    is_replayed: bool


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve MovieShelf, and die where asked to: all is committed, and nothing was answered."""
    from movieshelf.wsgi import application as movieshelf

    answer = movieshelf(environ, start_response)
    if DIE in environ:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer


def ask(port: int, path: str, body: Any = None, **headers: str) -> Answer:
    connection = HTTPConnection(HOST, port, timeout=30)
    connection.request(
        "GET" if body is None else "POST",
        path,
        None if body is None else json.dumps(body),
        {"Content-Type": "application/json", **headers},
    )
    answer = connection.getresponse()
    is_replayed = answer.getheader("Idempotent-Replayed") == "true"
    return Answer(answer.status, answer.read(), answer.getheader("Location"), is_replayed)


def twenty_at_once(port: int, title: str, headers: dict[str, str]) -> list[Answer]:
    with ThreadPoolExecutor(POSTS) as threads:
        sent = [
            threads.submit(ask, port, "/movies", {"title": title}, **headers) for _ in range(POSTS)
        ]
        return [answer.result() for answer in sent]


@contextmanager
def served() -> Iterator[int]:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "granian", "--interface", "wsgi", "--http", "1", "--no-ws"),
            *("benchmarks.retries:application", "--host", HOST, "--port", str(port)),
            *("--workers", "2", "--blocking-threads", "16", "--respawn-failed-workers"),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            **{"SECRET_KEY": "k" * 64, "JWT_SIGNING_KEY": "j" * 64, "ALLOWED_HOSTS": HOST},
            **{"DEBUG": "false", "LOG_LEVEL": "CRITICAL", "RATELIMIT_ENABLE": "false"},
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until_it_answers(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def until_it_answers(port: int) -> None:
    for _ in range(300):
        try:
            if ask(port, "/healthz").status == 200:
                return
        except (OSError, HTTPException):
            time.sleep(0.1)
    raise SystemExit("The server does not answer.")


def how_many(port: int, title: str) -> int:
    return int(json.loads(ask(port, f"/movies?q={title}").body)["total"])


def main() -> int:
    from movieshelf.embedded import services

    services.start()
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"], cwd=ROOT, check=True
    )
    with served() as port:
        run = uuid.uuid4().hex[:12]
        member = {"name": "Ada", "email": f"{run}@example.com", "password": "a shelf of my own"}
        token = json.loads(ask(port, "/auth/register", member).body)["accessToken"]
        me = {"Authorization": f"Bearer {token}"}
        return at_once(port, run, me) | killed(port, run, me)


def at_once(port: int, run: str, me: dict[str, str]) -> int:
    title, headers = f"once-{run}", {**me, "Idempotency-Key": f"once-{run}"}
    send = partial(twenty_at_once, port, title, headers)
    with ProcessPoolExecutor(CLIENTS) as clients:
        answers = [
            one for sent in [clients.submit(send) for _ in range(CLIENTS)] for one in sent.result()
        ]
    statuses = Counter(answer.status for answer in answers)
    bodies = {(answer.body, answer.location) for answer in answers}
    replayed, films = sum(answer.is_replayed for answer in answers), how_many(port, title)
    print(
        f"{CLIENTS} x {POSTS} identical POSTs at once: {films} film, answers {dict(statuses)},"
        f" {len(bodies)} different, {replayed} marked as replayed"
    )
    return int((films, dict(statuses), len(bodies), replayed) != (1, {201: 40}, 1, 39))


def killed(port: int, run: str, me: dict[str, str]) -> int:
    title, headers = f"killed-{run}", {**me, "Idempotency-Key": f"killed-{run}"}
    body = {"title": title}
    try:
        first = str(ask(port, "/movies", body, **headers, **{"X-Die-Before-Answering": "1"}))
    except (OSError, HTTPException) as lost:
        first = type(lost).__name__
    until_it_answers(port)
    committed = how_many(port, title)
    again = ask(port, "/movies", body, **headers)
    films = how_many(port, title)
    print(
        f"Killed between commit and answer: the client saw {first}, {committed} film was committed;"
        f" the retry got {again.status}, replayed: {again.is_replayed}; {films} film"
    )
    return int((committed, again.status, again.is_replayed, films) != (1, 201, True, 1))


if __name__ == "__main__":
    sys.exit(main())
