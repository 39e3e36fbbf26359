"""Stop, kill and restart Valkey under traffic; count the answers and find the longest one.

    .venv/bin/python benchmarks/redis_outage.py [SECONDS A PHASE]

Serves the shelf of this checkout (two processes, ceilings on) with a Valkey of its own. The figures
in docs/security-transport.md are what this printed.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from movieshelf.embedded import services  # noqa: E402  # needs the path above
from movieshelf.tests.valkey import OwnValkey, own_valkey  # noqa: E402

HOST = "127.0.0.1"
LOGIN = json.dumps({"email": "nobody@shelf.example", "password": "a wrong phrase"})
REQUESTS = [
    ("GET", "/movies", None),
    ("GET", "/movies?sort=rank", None),
    ("POST", "/auth/login", LOGIN),
    ("POST", "/auth/refresh", None),
]


class Traffic:
    """Four clients, each with one kind of request, as fast as it is answered."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []
        self.goes_on = True
        self.threads = [
            threading.Thread(target=self.run, args=request, daemon=True) for request in REQUESTS
        ]
        for thread in self.threads:
            thread.start()

    def run(self, method: str, path: str, body: str | None) -> None:
        while self.goes_on:
            started = time.perf_counter()
            connection = HTTPConnection(HOST, self.port, timeout=30)
            connection.request(method, path, body, {"Content-Type": "application/json"})
            self.statuses[connection.getresponse().status] += 1
            self.seconds.append(time.perf_counter() - started)
            connection.close()
            time.sleep(0.002)

    def report(self, phase: str) -> None:
        seconds, self.seconds = sorted(self.seconds), []
        statuses, self.statuses = self.statuses, Counter()
        middle, longest = seconds[len(seconds) // 2], seconds[-1]
        print(
            f"{phase:<28} {len(seconds):>6} answers  {dict(sorted(statuses.items()))}  "
            f"median {1000 * middle:.0f} ms  longest {1000 * longest:.0f} ms",
            flush=True,
        )


@contextmanager
def served(valkey: OwnValkey) -> Iterator[int]:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        **{"SECRET_KEY": "k" * 64, "JWT_SIGNING_KEY": "j" * 64, "ALLOWED_HOSTS": HOST},
        **{"REDIS_URL": valkey.url, "DATABASE_URL": "", "DEBUG": "false", "LOG_LEVEL": "ERROR"},
    }
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "granian", "--interface", "wsgi"),
            *("movieshelf.wsgi:application", "--host", HOST, "--port", str(port)),
            *("--workers", "2", "--blocking-threads", "4", "--http", "1", "--no-ws"),
        ],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    time.sleep(6)
    yield port
    process.terminate()
    process.wait()


def main(seconds: float) -> None:
    services.start()
    with own_valkey() as valkey:
        valkey.start()
        with served(valkey) as port:
            traffic = Traffic(port)
            for phase, action in (
                ("Valkey runs", lambda: None),
                ("stopped (SIGSTOP)", lambda: valkey.send(signal.SIGSTOP)),
                ("goes on (SIGCONT)", lambda: valkey.send(signal.SIGCONT)),
                ("killed (SIGKILL)", lambda: valkey.send(signal.SIGKILL)),
                ("started anew", valkey.start),
            ):
                action()
                time.sleep(seconds)
                traffic.report(phase)
            traffic.goes_on = False
            for thread in traffic.threads:
                thread.join()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
