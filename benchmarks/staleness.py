"""Whether a read on one process ever shows less than a write that another has answered.

    .venv/bin/python benchmarks/staleness.py [10000]

Two servers of one process each share a database. Again and again a film is rated through one of
them and read through the other, at once after the write's answer: the film itself, and the list
that it stands on. Beside it three threads read the same pages all the time, on both servers, so
that answers are kept, shared and asked for by many. Exits 1 where a read showed less.
"""

import http.client
import json
import random
import sys
import threading
import time
from typing import Any

from shelves import HOST, free_port, own_shelf

READERS = 3


class Client:
    """One connection, kept open, to one server."""

    def __init__(self, port: int, token: str = "") -> None:
        self.connection = http.client.HTTPConnection(HOST, port, timeout=30)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {**self.headers, **({"Content-Type": "application/json"} if body else {})}
        self.connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")


def main(times: int) -> None:
    with own_shelf() as shelf:
        ports = [free_port(), free_port()]
        for port in ports:
            shelf.start_server(port, GRANIAN_WORKERS="1")
        token = register(ports[0])
        films = [film["id"] for film in Client(ports[0]).ask("GET", "/movies")[1]["items"]]
        done = threading.Event()
        readers = [
            threading.Thread(target=keep_reading, args=(ports, films, done)) for _ in range(READERS)
        ]
        for reader in readers:
            reader.start()
        started = time.monotonic()
        try:
            old = check(ports, token, films, times)
        finally:
            done.set()
            for reader in readers:
                reader.join()
        seconds = time.monotonic() - started
        print(f"{times:,} writes, each read on the other process: {old} reads were old.")
        print(f"{seconds:.0f} s, beside {READERS} readers.")
        sys.exit(1 if old else 0)


def register(port: int) -> str:
    person = {"name": "Writer", "email": "writer@example.org", "password": "a-long-one-2026"}
    status, body = Client(port).ask("POST", "/auth/register", person)
    assert status == 201, body
    return str(body["accessToken"])


def check(ports: list[int], token: str, films: list[int], times: int) -> int:
    """Write and read crosswise; give how many reads were old."""
    writers = [Client(port, token) for port in ports]
    readers = [Client(port) for port in ports]
    old = 0
    for number in range(times):
        side, film = number % 2, random.choice(films)
        status, written = writers[side].ask(
            "PUT", f"/movies/{film}/rating", {"value": random.randint(1, 5)}
        )
        assert status == 200, written
        other = readers[1 - side]
        if number % 4 < 2:
            _, shown = other.ask("GET", f"/movies/{film}")
        else:
            items = other.ask("GET", "/movies")[1]["items"]
            shown = next(item for item in items if item["id"] == film)
        names = ("averageRating", "ratingCount", "ratingDistribution")
        old += any(shown[name] != written[name] for name in names)
    return old


def keep_reading(ports: list[int], films: list[int], done: threading.Event) -> None:
    clients = [Client(port) for port in ports]
    while not done.is_set():
        client = random.choice(clients)
        client.ask("GET", random.choice(("/movies", f"/movies/{random.choice(films)}")))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
