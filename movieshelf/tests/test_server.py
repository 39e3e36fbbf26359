"""The real server, spoken to by the byte (rows 10 to 13, 17, 98 and 160).

Its database is out of reach, which most of this does not need, and which two tests are about.
"""

import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from django.conf import settings

HOST = "127.0.0.1"
JSON = "Content-Type: application/json\r\n"
MEBIBYTE = 1024 * 1024


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str
    seconds: float
    # What came after the first answer: more answers, or nothing.
    rest: str


class Server:
    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process

    def connect(self) -> socket.socket:
        return socket.create_connection((HOST, self.port), timeout=10)

    def send(self, *parts: str, hang_up: bool = False) -> Answer:
        """Send bytes as they are, and read until the server closes the connection."""
        started = time.perf_counter()
        with self.connect() as connection:
            # It may answer and hang up before it has read all.
            with suppress(OSError):
                for part in parts:
                    connection.sendall(part.encode("latin-1"))
                if hang_up:
                    connection.shutdown(socket.SHUT_WR)
            return parsed(read_all(connection), time.perf_counter() - started)

    def ask(self, line: str, headers: str = "") -> Answer:
        """Send one request without a body, the last of its connection."""
        common = f"Host: {HOST}:{self.port}\r\nConnection: close\r\n"
        return self.send(f"{line} HTTP/1.1\r\n{common}{headers}\r\n")

    def peak_mebibytes(self) -> float:
        """Give the most memory that the server and its workers have held, each at its worst."""
        root = psutil.Process(self.process.pid)
        peaks = [
            int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{p.pid}/status").read_text())[1])
            for p in [root, *root.children(recursive=True)]
        ]
        return sum(peaks) / 1024


def read_all(connection: socket.socket) -> str:
    received = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            received += part
    return received.decode("latin-1")


def parsed(text: str, seconds: float) -> Answer:
    head, _, body = text.partition("\r\n\r\n")
    status_line, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    length = int(headers.get("content-length", "0"))
    return Answer(int(status_line.split()[1]), headers, body[:length], seconds, body[length:])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "granian", "--interface", "wsgi"),
            *("movieshelf.wsgi:application", "--host", HOST, "--port", str(port)),
            *("--workers", "1", "--blocking-threads", "4", "--http", "1", "--no-ws"),
        ],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "ALLOWED_HOSTS": HOST,
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
            "DATABASE_POOL_TIMEOUT_SECONDS": "0.5",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = Server(port, process)
    deadline = time.monotonic() + 60
    while not answers(server):
        assert process.poll() is None, "the server did not start"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield server
    process.terminate()
    process.wait(timeout=20)


def answers(server: Server) -> bool:
    try:
        return server.ask("GET /healthz").status == 200
    except OSError:
        return False


@pytest.fixture(autouse=True)
def _it_goes_on_serving(server: Server) -> Iterator[None]:
    """Whatever a test sent, the next client is served by the same worker."""
    yield
    assert server.ask("GET /healthz").status == 200


def chunked(*chunks: str) -> str:
    return "".join(f"{len(chunk):x}\r\n{chunk}\r\n" for chunk in chunks) + "0\r\n\r\n"


def post(server: Server, headers: str) -> str:
    """The head of a login, which looks at its body and needs no database to refuse one."""
    return f"POST /auth/login HTTP/1.1\r\nHost: {HOST}:{server.port}\r\n{JSON}{headers}\r\n"


def test_it_tells_nothing_of_what_it_is_made_of(server):
    """Row 1."""
    answer = server.ask("GET /healthz")

    assert answer.headers["server"] == "MovieShelf"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert not re.search("granian|django|python", str(answer), re.IGNORECASE)


def test_a_chunked_body_is_read_like_any_other(server):
    answer = server.send(
        post(server, "Transfer-Encoding: chunked\r\nConnection: close\r\n"),
        chunked('{"email": "ada@', 'shelf.example"}'),
    )

    assert answer.status == 400
    assert '"password"' in answer.body
    assert '"email"' not in answer.body


def test_a_chunked_body_over_the_limit_is_413(server):
    """Row 98."""
    answer = server.send(
        post(server, "Transfer-Encoding: chunked\r\nConnection: close\r\n"),
        chunked(*["a" * 65_536] * 48),
    )

    assert answer.status == 413
    assert '"payload_too_large"' in answer.body


def test_an_endless_chunked_body_is_cut_off_and_memory_stays_flat(server):
    """Row 98: 200 MB are offered; what is read is the bound of an upload and a few buffers."""
    before = server.peak_mebibytes()
    started = time.perf_counter()
    sent = 0
    with server.connect() as connection:
        connection.sendall(post(server, "Transfer-Encoding: chunked\r\n").encode())
        with suppress(BrokenPipeError, ConnectionResetError):
            while sent < 200 * MEBIBYTE:
                connection.sendall(b"10000\r\n" + b"a" * 65_536 + b"\r\n")
                sent += 65_536
        answer = read_all(connection)

    assert sent < 100 * MEBIBYTE
    assert answer == "" or answer.startswith("HTTP/1.1 413 ")
    assert time.perf_counter() - started < 5
    assert server.peak_mebibytes() - before < 40


def test_a_length_over_the_limit_is_413_before_the_body_comes(server):
    """Row 98."""
    answer = server.send(post(server, "Content-Length: 20000000\r\n"))

    assert answer.status == 413
    assert answer.seconds < 2


@pytest.mark.parametrize("times", [50_000, 200_000])
def test_a_body_that_was_refused_unread_is_not_taken_for_a_request(server, times):
    """Row 11: the rest of the body is a request in disguise. The longer one is never read."""
    hidden = f"GET /healthz HTTP/1.1\r\nHost: {HOST}\r\n\r\n" * times
    head = f"Content-Length: {len(hidden)}\r\nConnection: close\r\n"

    answer = server.send(post(server, head), hidden)

    assert answer.status == 413
    assert "HTTP/1.1 200" not in answer.rest


def test_a_body_that_ends_too_early_is_refused(server):
    """Row 13."""
    answer = server.send(post(server, "Content-Length: 50\r\n"), '{"a"', hang_up=True)

    assert answer.status == 400
    assert "ended before" in answer.body


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 5\r\nContent-Length: 17\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: +17\r\n",
        "Content-Length: 0x11\r\n",
        "Content-Length: 17, 17\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "X-Folded: a\r\n b\r\n",
        "X-Nul: a\x00b\r\n",
        "X-Space : a\r\n",
        "X-Return: a\rb\r\n",
        "X-Request-Id: a\r\n Set-Cookie: b\r\n",
    ],
)
def test_broken_framing_is_refused_and_the_connection_closed(server, head):
    """Rows 11 and 17: a bare 4xx, says the contract, since it is no request yet."""
    next_request = f"GET /healthz HTTP/1.1\r\nHost: {HOST}\r\n\r\n"

    answer = server.send(post(server, head), '{"email": "a@b.c"}', next_request)

    assert answer.status == 400
    assert "HTTP/1.1 200" not in answer.rest
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("order", [0, 1])
def test_a_length_beside_chunks_is_ignored_and_nothing_is_smuggled(server, order):
    """Row 11: hyper goes by the chunks and closes, as RFC 9112 (6.1) allows; nginx answers 400."""
    both = ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"]
    smuggled = f"GET /healthz HTTP/1.1\r\nHost: {HOST}\r\n\r\n"

    answer = server.send(
        post(server, "".join(both if order else reversed(both))), chunked("{}"), smuggled
    )

    assert answer.status == 400
    assert answer.headers["connection"] == "close"
    assert answer.rest == ""


@pytest.mark.parametrize("size", ["zz", "FFFFFFFFFFFFFFFFF", "-1", ""])
def test_a_chunk_of_no_size_is_refused_and_the_connection_closed(server, size):
    """Row 11."""
    answer = server.send(
        post(server, "Transfer-Encoding: chunked\r\n"), f"{size}\r\n{{}}\r\n0\r\n\r\n"
    )

    assert answer.status == 400
    assert "HTTP/1.1" not in answer.rest


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        ("GET /" + "a" * 8_192, "", 404),
        ("GET /" + "a" * 65_536, "", 414),
        ("GET /healthz", "".join(f"X-{number}: 1\r\n" for number in range(200)), 431),
        ("GET /healthz", f"X-Long: {'a' * 1_000_000}\r\n", 431),
        ("GET /movies/\xff", "", 400),
        ("GET /movies/%ff%fe", "", 404),
        ("GET /movies/1%00", "", 404),
        ("GET /movies?q=%ff", "", 400),
        ("GET //movies", "", 404),
        ("GET /movies/../healthz", "", 404),
        ("TRACE /movies", "X-Secret: hush\r\n", 405),
        ("GET /movies", "Host: evil.example\r\n", 400),
        ("GET /movies", "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", 401),
        ("GET /movies?q=%41", "Content-Type: application/json; charset=zlib\r\n", 503),
    ],
)
def test_what_a_request_may_look_like(server, line, headers, status):
    """Rows 5, 10, 12, 50, 84 and 87; the last one would need the database."""
    answer = server.ask(line, headers)

    assert answer.status == status
    assert "hush" not in str(answer)


def test_a_head_has_the_length_of_the_body_and_no_body(server):
    answer = server.ask("HEAD /healthz")

    assert answer.status == 200
    assert answer.headers["content-length"] == str(len('{"status":"ok"}'))
    assert answer.body == ""


def test_requests_on_one_connection_are_answered_in_turn(server):
    healthz = f"GET /healthz HTTP/1.1\r\nHost: {HOST}:{server.port}\r\n"

    answer = server.send(
        post(server, "Content-Length: 2\r\n"), "{}", healthz, "Connection: close\r\n\r\n"
    )

    assert answer.status == 400
    assert answer.rest.startswith("HTTP/1.1 200 OK")
    assert answer.rest.count("HTTP/1.1") == 1


@pytest.mark.parametrize("size", [2, 3 * MEBIBYTE])
def test_an_answer_that_needs_no_body_leaves_the_connection_to_the_next_request(server, size):
    """Closed behind such an answer, it would take what the client sends next along."""
    healthz = f"GET /healthz HTTP/1.1\r\nHost: {HOST}:{server.port}\r\n"
    head = f"PATCH /reviews/1 HTTP/1.1\r\nHost: {HOST}:{server.port}\r\n"

    with server.connect() as connection:
        connection.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode())
        # Time for an answer that comes too early, and for the end of the connection behind it.
        select.select([connection], [], [], 0.3)
        connection.sendall(b"x" * size)
        connection.sendall(f"{healthz}Connection: close\r\n\r\n".encode())
        answer = parsed(read_all(connection), 0)

    assert answer.status == 401
    assert answer.rest.startswith("HTTP/1.1 200 OK")


def test_a_body_that_nobody_needs_may_end_too_early(server):
    head = f"PATCH /reviews/1 HTTP/1.1\r\nHost: {HOST}:{server.port}\r\n"

    answer = server.send(f"{head}Content-Length: 50\r\n\r\n", "{", hang_up=True)

    assert answer.status == 401


def test_without_a_database_it_lives_is_not_ready_and_says_to_come_back(server):
    """Rows 151, 152 and 160."""
    assert server.ask("GET /healthz").status == 200

    ready, films = server.ask("GET /readyz"), server.ask("GET /movies")

    assert ready.status == 503
    assert '"database":"unreachable"' in ready.body
    assert films.status == 503
    assert '"unavailable"' in films.body
    for answer in (ready, films):
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.seconds < 3
        assert "127.0.0.1:1" not in answer.body
        assert "nobody" not in answer.body
