"""The parts of `make bench` that can be wrong without a load."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.conf import settings

from benchmarks import crowd, report, wrk

WRK = """Running 2s test @ http://127.0.0.1:8000
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     6.93ms    9.47ms 112.40ms   93.86%

TOLD {"requests": 3000, "microseconds": 2000000, "p50": 69, "p99": 6120, "refused": 4, "broken": 3}
Requests/sec:   1500.00
"""


def test_what_wrk_tells_is_read_in_seconds_and_milliseconds():
    told = wrk.read(WRK)

    assert told == wrk.Told(requests=3000, seconds=2, p50=0.069, p99=6.12, errors=7)
    assert told.a_second == 1500


@pytest.mark.parametrize("output", ["unable to connect", WRK.replace("3000", "0")])
def test_a_wrk_that_got_no_answers_ends_the_run_with_what_it_said(output):
    with pytest.raises(SystemExit) as caught:
        wrk.read(output)

    assert output in str(caught.value)


def test_only_what_stands_between_the_markers_is_replaced():
    page = "# A\n<!-- x: begin -->\nold\n<!-- x: end -->\n# B\n"

    once = report.put_between(page, "x", "new\n\n| a |\n")

    assert once == "# A\n<!-- x: begin -->\n\nnew\n\n| a |\n\n<!-- x: end -->\n# B\n"
    assert report.put_between(once, "x", "new\n\n| a |\n") == once


@pytest.mark.parametrize(
    "page",
    [
        "nothing",
        "<!-- x: begin -->",
        "<!-- x: end --><!-- x: begin -->",
        "<!-- x: begin --><!-- x: begin --><!-- x: end -->",
    ],
)
def test_a_page_without_its_markers_is_left_alone(page):
    with pytest.raises(ValueError, match="<!-- x: begin -->"):
        report.put_between(page, "x", "new")


def test_the_page_has_the_markers():
    page = (settings.BASE_DIR / "docs" / "performance.md").read_text()

    assert "new" in report.put_between(page, "make bench", "new")


def test_a_crowd_counts_answers_by_status_and_times_only_the_good_ones():
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine",
        b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\ncontent-length: 0\r\nConnection: close\r\n\r\n",
        b"",
    ]
    with answering(answers) as base:
        request = wrk.request(base, "GET", "/movies")
        how = {"connections": 2, "seconds": 0.5, "pause": 0.01}
        met = crowd.result(crowd.ask(base, [request], **how))

    assert met.statuses["200"] == len(met.times) == met.good > 0
    assert met.statuses["503"] > 0
    assert set(met.others) == {crowd.BROKEN}


def test_a_patient_crowd_waits_as_it_is_told():
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n"
    with answering([busy]) as base:
        request = wrk.request(base, "GET", "/movies")
        how = {"connections": 3, "seconds": 0.5, "patient": True}
        met = crowd.result(crowd.ask(base, [request], **how))

    assert met.statuses == {"503": 3}


@contextmanager
def answering(answers: list[bytes]) -> Iterator[str]:
    """Listen, and answer with these in turn; close where one says so, or is empty."""
    server = socket.create_server(("127.0.0.1", 0))
    turn = iter(range(10**9))

    def serve(connection: socket.socket) -> None:
        with connection:
            while connection.recv(65_536):
                answer = answers[next(turn) % len(answers)]
                connection.sendall(answer)
                if not answer or b"close" in answer:
                    return

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        accepting.join()


def test_a_request_goes_out_with_its_body_and_length():
    request = wrk.request("http://h:1", "PUT", "/x", {"A": "b"}, json.dumps({"é": 1}))

    head, _, body = request.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"PUT /x HTTP/1.1",
        b"Host: h:1",
        b"A: b",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
    ]


def test_the_command_says_what_it_takes():
    done = subprocess.run(
        [sys.executable, "benchmarks/bench.py", "--help"],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "BASELINE" in done.stdout
