"""Two hundred slow clients against the API alone, and with nginx in front (rows 13 and 14).

    .venv/bin/python benchmarks/slow_clients.py [--seconds 20]

A third of them never end the head of their request, a third send a body byte by byte, a third begin
an upload and fall silent. Meanwhile one polite client asks for GET /movies and /healthz, and its
times are what is shown: first with nobody else there, then beside the slow ones. The server is this
checkout's, on its embedded database (`make run` once fills it), with the options of production; all
traffic stays on 127.0.0.1, and everything that was started is ended.
"""

import argparse
import http.client
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "movieshelf.settings")

from movieshelf.tests import nginx  # noqa: E402

SLOW_CLIENTS = 200
BYTE_SECONDS = 0.5
PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 5.0


def main(seconds: float) -> None:
    with server() as api, front(api) as behind_nginx:
        print("| | asked | GET /movies p50 / p95 / max ms | failed | /healthz p95 ms | slow left |")
        print("|---|---|---|---|---|---|")
        for name, port in (("granian alone", api), ("nginx + granian", behind_nginx)):
            report(f"{name}, nobody else", port, seconds / 4, slow=0)
            report(f"{name}, {SLOW_CLIENTS} slow clients", port, seconds, slow=SLOW_CLIENTS)
            until_it_answers(port)


def report(name: str, port: int, seconds: float, slow: int) -> None:
    stop = threading.Event()
    clients = [SlowClient(port, number) for number in range(slow)]
    feeder = threading.Thread(target=feed, args=(clients, stop))
    feeder.start()
    time.sleep(1 if slow else 0)
    films: list[float] = []
    health: list[float] = []
    failed = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for path, times in (("/movies", films), ("/healthz", health)):
            took = ask(port, path)
            times.append(took if took is not None else PATIENCE_SECONDS)
            failed += took is None
        time.sleep(PAUSE_SECONDS)
    left = sum(client.is_open for client in clients)
    stop.set()
    feeder.join()
    for client in clients:
        client.close()
    middle, late, worst = statistics.median(films), percentile(films, 95), max(films)
    print(
        f"| {name} | {len(films) + len(health)} | {middle * 1e3:.1f} / {late * 1e3:.1f} /"
        f" {worst * 1e3:.1f} | {failed} | {percentile(health, 95) * 1e3:.1f} | {left} |",
        flush=True,
    )


class SlowClient:
    """One that holds a connection for as long as it is let."""

    def __init__(self, port: int, number: int) -> None:
        self.drips = number % 3 == 1
        self.is_open = True
        head = f"Host: {nginx.HOST}\r\nUser-Agent: slow\r\n"
        self.first = [
            f"GET /movies HTTP/1.1\r\n{head}X-Never: ",
            f"POST /auth/login HTTP/1.1\r\n{head}Content-Type: application/json\r\n"
            "Content-Length: 5000\r\n\r\n{",
            f"POST /users/me/avatar HTTP/1.1\r\n{head}Content-Type: multipart/form-data;"
            " boundary=x\r\nContent-Length: 5000000\r\n\r\n--x\r\n",
        ][number % 3]
        self.connection = socket.create_connection((nginx.HOST, port), timeout=PATIENCE_SECONDS)
        self.connection.sendall(self.first.encode())
        self.connection.setblocking(False)

    def go_on(self) -> None:
        with suppress(BlockingIOError):
            try:
                if self.drips:
                    self.connection.send(b" ")
                if self.connection.recv(65_536) == b"":
                    self.is_open = False
            except BlockingIOError:
                raise
            except OSError:
                self.is_open = False

    def close(self) -> None:
        self.connection.close()


def feed(clients: list[SlowClient], stop: threading.Event) -> None:
    while not stop.wait(BYTE_SECONDS):
        for client in clients:
            if client.is_open:
                client.go_on()


def ask(port: int, path: str) -> float | None:
    """Give how long an answer of 200 took, None for none."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection(nginx.HOST, port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return time.perf_counter() - started if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def percentile(times: list[float], part: int) -> float:
    return sorted(times)[min(len(times) - 1, len(times) * part // 100)]


def until_it_answers(port: int) -> None:
    deadline = time.monotonic() + 60
    while ask(port, "/healthz") is None and time.monotonic() < deadline:
        time.sleep(0.2)


@contextmanager
def server() -> Iterator[int]:
    port = nginx.free_port()
    environment = {"ALLOWED_HOSTS": nginx.HOST, "DRAIN_SECONDS": "0", "LOG_LEVEL": "WARNING"}
    process = subprocess.Popen(
        [sys.executable, "-m", "movieshelf.serving", "--host", nginx.HOST, "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, **environment, "RATELIMIT_ENABLE": "false", "DEBUG": "false"},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        nginx.wait_for(process, port)
        until_it_answers(port)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        nginx.end(process)


@contextmanager
def front(upstream: int) -> Iterator[int]:
    folder = Path(tempfile.mkdtemp(prefix="movieshelf-nginx-"))
    process, port = nginx.start_nginx(folder, upstream)
    try:
        yield port
    finally:
        nginx.end(process)
        shutil.rmtree(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    main(parser.parse_args().seconds)
