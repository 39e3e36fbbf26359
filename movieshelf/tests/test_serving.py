"""How the real server starts and ends (rows 154 and 159)."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.conf import settings

HOST = "127.0.0.1"
TOKEN = "a-token-for-whoever-scrapes-0123456789"


class Running:
    def __init__(self, port: int, process: subprocess.Popen[str]) -> None:
        self.port = port
        self.process = process

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(f"http://{HOST}:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def half_an_upload(self) -> socket.socket:
        """Begin a login and leave its body unfinished: it is in flight until it is complete."""
        connection = socket.create_connection((HOST, self.port), timeout=30)
        connection.sendall(
            f"POST /auth/login HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
            "Content-Length: 2\r\n\r\n{".encode()
        )
        return connection

    def finish(self) -> tuple[int, list[dict[str, object]]]:
        """Wait for its end; give its code and what it logged."""
        _, log = self.process.communicate(timeout=40)
        return self.process.returncode, [json.loads(line) for line in log.splitlines()]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "movieshelf.serving", "--host", HOST, "--port", str(port)],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "ALLOWED_HOSTS": HOST,
            "WEB_PROCESSES": "2",
            "GRANIAN_BLOCKING_THREADS": "4",
            "DRAIN_SECONDS": "2",
            "METRICS_TOKEN": TOKEN,
            "TMPDIR": str(tmp_path),
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
            "DATABASE_POOL_TIMEOUT_SECONDS": "0.5",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A group, so that no worker outlives a test that failed.
        start_new_session=True,
    )
    running = Running(port, process)
    deadline = time.monotonic() + 60
    while True:
        with suppress(OSError):
            if running.get("/healthz")[0] == 200:
                break
        assert process.poll() is None, "the server did not start"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield running
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_sigterm_is_announced_then_lets_requests_finish_and_ends_well(server, tmp_path):
    """Row 154."""
    in_flight = server.half_an_upload()

    server.process.send_signal(signal.SIGTERM)

    until(lambda: '"draining"' in server.get("/readyz")[1])
    assert server.get("/readyz")[0] == 503
    # Whoever has not heard yet is served.
    assert server.get("/healthz")[0] == 200
    until(lambda: is_refused(server.port))
    in_flight.sendall(b"}")
    answer = in_flight.makefile().read()
    assert answer.startswith("HTTP/1.1 400")
    assert '"validation_error"' in answer
    code, _ = server.finish()
    assert code == 0
    assert list(tmp_path.iterdir()) == []


def test_its_numbers_are_added_up_and_its_log_is_json_without_probes(server):
    for number in range(20):
        server.get("/nope", **{"X-Request-Id": f"caller-{number}"})
        server.get("/healthz")

    _, text = server.get("/metrics", Authorization=f"Bearer {TOKEN}")
    server.process.send_signal(signal.SIGINT)
    code, log = server.finish()

    series = 'movieshelf_request_seconds_count{method="GET",route="none",status="404"} 20.0'
    assert series in text
    assert "movieshelf_database_up 0.0" in text
    assert code == 0
    logged = {line["request_id"] for line in log if line["event"] == "request"}
    assert logged == {f"caller-{number}" for number in range(20)}
    assert any(line["logger"] == "_granian" for line in log)


def test_an_unsafe_setting_is_one_line():
    """Row 159."""
    refused = subprocess.run(
        [sys.executable, "-m", "movieshelf.serving"],
        cwd=settings.BASE_DIR,
        env={**os.environ, "SECRET_KEY": "short"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert refused.returncode != 0
    assert refused.stderr == ("MovieShelf does not start: SECRET_KEY is shorter than 32 bytes.\n")


def until(is_so: object) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_refused(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0
