"""The nginx of docker-compose.yml in front of the real API (rows 11 to 14 and 17).

It needs nginx: Debian's will do. Where there is none this is skipped, and .ci/run says so.
"""

import json
import os
import select
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from django.core.cache import cache

from accounts.models import Session
from media.models import Media
from media.tests.factories import an_image
from movieshelf.api.bodies import longest_body
from movieshelf.tests import nginx
from movieshelf.tests.nginx import HOST

pytestmark = [
    pytest.mark.skipif(nginx.PROGRAM is None, reason="nginx is not installed"),
    pytest.mark.django_db(transaction=True),
]

HELMET = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The envelope's code; what is wrong with the envelope fails here."""
        found = json.loads(self.body)
        assert found["success"] is False
        assert found["error"]["message"]
        return str(found["error"]["code"])


class Front:
    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.folder = folder

    def connect(self) -> socket.socket:
        return socket.create_connection((HOST, self.port), timeout=30)

    def send(self, *parts: str) -> Answer:
        with self.connect() as connection:
            with suppress(BrokenPipeError, ConnectionResetError):
                for part in parts:
                    connection.sendall(part.encode("latin-1"))
            return parsed(read_all(connection))

    def ask(self, line: str, headers: str = "", body: str = "") -> Answer:
        common = f"Host: {HOST}\r\nConnection: close\r\n"
        return self.send(f"{line} HTTP/1.1\r\n{common}{headers}\r\n{body}")


def read_all(connection: socket.socket) -> bytes:
    received = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            received += part
    return received


def parsed(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    names = [line.partition(": ")[0].lower() for line in lines]
    assert len(names) == len(set(names) | {"set-cookie"} & set(names)), lines
    headers = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}
    return Answer(int(status_line.split()[1]), headers, body)


@pytest.fixture(scope="module")
def api_port(django_db_setup: None) -> Iterator[int]:
    process, port = nginx.start_api(WEB_PROCESSES="1", GRANIAN_BLOCKING_THREADS="4")
    yield port
    nginx.end(process)


@pytest.fixture(scope="module")
def front(api_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("nginx")
    process, port = nginx.start_nginx(folder, api_port)
    yield Front(port, folder)
    nginx.end(process)


@pytest.fixture
def lonely_front(tmp_path: Path) -> Iterator[Front]:
    """nginx without an API behind it."""
    process, port = nginx.start_nginx(tmp_path, nginx.free_port())
    yield Front(port, tmp_path)
    nginx.end(process)


def chunks(text: str) -> str:
    return f"{len(text):x}\r\n{text}\r\n0\r\n\r\n"


JSON = "Content-Type: application/json\r\n"
REST = f"Host: {HOST}\r\nConnection: close\r\n"
LOGIN = f"POST /auth/login HTTP/1.1\r\n{REST}{JSON}"
CHUNKED = "Transfer-Encoding: chunked\r\n"
REFUSED = {
    # What nginx and the API could understand in two ways (row 11).
    "length and chunks": (f"{LOGIN}Content-Length: 2\r\n{CHUNKED}\r\n{chunks('{}')}", 400),
    "two lengths": (f"{LOGIN}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}} ", 400),
    "negative length": (f"{LOGIN}Content-Length: -2\r\n\r\n{{}}", 400),
    "another encoding": (f"{LOGIN}Transfer-Encoding: gzip, chunked\r\n\r\n{chunks('{}')}", 400),
    "unknown encoding": (f"{LOGIN}Transfer-Encoding: xchunked\r\n\r\n{chunks('{}')}", 400),
    "huge chunk": (f"{LOGIN}{CHUNKED}\r\n{'f' * 18}\r\n{{}}\r\n0\r\n\r\n", 400),
    "no host": ("GET /movies HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
    "garbage": ("garbage\r\n\r\n", 400),
    "trace": (f"TRACE /movies HTTP/1.1\r\n{REST}\r\n", 400),
    # Row 12.
    "long address": (f"GET /{'a' * 65_536} HTTP/1.1\r\n{REST}\r\n", 414),
    "long header": (f"GET /movies HTTP/1.1\r\n{REST}X-Long: {'a' * 65_536}\r\n\r\n", 400),
    "long body": (f"{LOGIN}Content-Length: 1048577\r\n\r\n", 413),
    "long chunks": (f"{LOGIN}{CHUNKED}\r\n{chunks('a' * 1_048_577)}", 413),
    "long upload": (
        f"POST /users/me/avatar HTTP/1.1\r\n{REST}Content-Length: 5308417\r\n\r\n",
        413,
    ),
    "metrics": (f"GET /metrics HTTP/1.1\r\n{REST}\r\n", 404),
}
CODES = {
    400: "validation_error",
    404: "not_found",
    413: "payload_too_large",
    414: "validation_error",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_nginx_refuses_itself_has_the_envelope(front, name):
    sent, status = REFUSED[name]

    answer = front.send(sent)

    assert (answer.status, answer.code) == (status, CODES[status])
    assert len(answer.headers["x-request-id"]) == 32
    assert "server" in answer.headers
    assert "nginx/" not in answer.headers["server"]
    assert answer.headers.items() >= HELMET.items()
    assert "strict-transport-security" not in answer.headers


@pytest.mark.parametrize("given", ["caller-7", "a b", "x" * 65])
def test_the_id_of_a_request_is_one_in_the_answer_and_the_log(front, given):
    for path in ("/movies", "/nope", "/metrics"):
        answer = front.ask(f"GET {path}", f"X-Request-Id: {given}\r\n")

        told = answer.headers["x-request-id"]
        assert told == given if given == "caller-7" else len(told) == 32
        lines = (front.folder / "access.log").read_text().splitlines()
        assert json.loads(lines[-1])["request_id"] == told


def test_what_the_api_refuses_passes_as_it_is(front):
    answer = front.ask("POST /auth/login", f"{JSON}Content-Length: 2\r\n", "{}")

    assert (answer.status, answer.code) == (400, "validation_error")
    assert "email" in json.loads(answer.body)["error"]["details"]
    assert answer.headers["server"] == "MovieShelf"


@pytest.mark.parametrize("path", ["/users/me/avatar", "/movies/7/poster", "/imports"])
def test_uploads_may_be_as_large_as_ours(front, path):
    length = longest_body()
    answer = front.ask(f"POST {path}", f"Content-Length: {length}\r\n", "a" * length)

    assert (answer.status, answer.code) == (401, "auth_failed")


UPLOAD = f"POST /users/me/avatar HTTP/1.1\r\n{REST}Content-Length: 3000000\r\n\r\n"


def hang_up(connection: socket.socket) -> None:
    received = 0
    while received < 3_000_000 and (part := connection.recv(65_536)):
        received += len(part)


def never_answer(connection: socket.socket) -> None:
    read_all(connection)


@pytest.mark.parametrize("behaviour", [hang_up, never_answer])
def test_an_upload_that_the_api_fails_is_503_with_the_envelope(tmp_path, behaviour):
    """Also where the body is over what other addresses take."""
    with socket.create_server((HOST, 0)) as upstream:
        process, port = nginx.start_nginx(
            tmp_path,
            upstream.getsockname()[1],
            shorter={"proxy_read_timeout 35s": "proxy_read_timeout 1s"},
        )

        def fail() -> None:
            with upstream.accept()[0] as connection:
                behaviour(connection)

        api = threading.Thread(target=fail)
        api.start()
        try:
            answer = Front(port, tmp_path).send(UPLOAD, "a" * 3_000_000)
        finally:
            nginx.end(process)
            api.join(timeout=20)

    assert (answer.status, answer.code) == (503, "unavailable")
    assert answer.headers["retry-after"] == "2"


def test_an_upload_without_an_api_is_503_with_the_envelope(lonely_front):
    answer = lonely_front.send(UPLOAD, "a" * 3_000_000)

    assert (answer.status, answer.code) == (503, "unavailable")


def test_an_upload_that_nginx_has_no_room_for_is_503(lonely_front):
    """Row 156: with its folder gone as with its disk full, nginx cannot keep a body."""
    shutil.rmtree(lonely_front.folder / "body")

    answer = lonely_front.send(UPLOAD, "a" * 3_000_000)

    assert (answer.status, answer.code) == (503, "unavailable")


def test_an_upload_that_falls_silent_is_cut_off(tmp_path):
    process, port = nginx.start_nginx(
        tmp_path,
        nginx.free_port(),
        shorter={"client_body_timeout 10s": "client_body_timeout 1s"},
    )
    try:
        with Front(port, tmp_path).connect() as connection:
            connection.sendall(f"{UPLOAD}{'a' * 1_500_000}".encode())

            assert read_all(connection) == b""
    finally:
        nginx.end(process)


def test_the_api_takes_a_body_whole_before_it_refuses_it(api_port):
    """A proxy that still sends when the connection is closed makes a 502 of our answer."""
    with Front(api_port, Path()).connect() as connection:
        connection.sendall(f"{UPLOAD}{'a' * 2_999_999}".encode())
        assert select.select([connection], [], [], 0.5)[0] == []
        connection.sendall(b"a")

        answer = parsed(read_all(connection))

    assert (answer.status, answer.code) == (401, "auth_failed")


def test_a_body_that_ends_early_is_waited_for_no_longer(api_port):
    with Front(api_port, Path()).connect() as connection:
        connection.sendall(f"{UPLOAD}{'a' * 1_000}".encode())
        connection.shutdown(socket.SHUT_WR)

        assert parsed(read_all(connection)).status == 401


def test_no_client_chooses_its_address(front):
    """The ceilings count whoever nginx saw, whatever X-Forwarded-For says (TRUSTED_PROXIES=1)."""
    body = json.dumps({"name": "Ada", "email": "ada@example.com", "password": "a shelf of my own"})
    headers = f"{JSON}Content-Length: {len(body)}\r\nX-Forwarded-For: 192.0.2.7\r\n"

    answer = front.ask("POST /auth/register", headers, body)

    assert answer.status == 201
    assert Session.objects.get().ip == HOST


def test_without_an_api_it_is_503_with_the_envelope(lonely_front):
    for path in ("/movies", "/media/00000000-0000-7000-8000-000000000000"):
        answer = lonely_front.ask(f"GET {path}")

        assert (answer.status, answer.code) == (503, "unavailable")
        assert answer.headers["retry-after"] == "2"
        assert answer.headers.items() >= HELMET.items()


def test_a_slow_head_is_ended_and_the_api_never_saw_it(tmp_path):
    """Row 14: nginx waits for whole requests, the API for none of them."""
    with socket.socket() as upstream:
        upstream.bind((HOST, 0))
        upstream.listen()
        upstream.setblocking(False)
        process, port = nginx.start_nginx(tmp_path, upstream.getsockname()[1])
        try:
            halves = [socket.create_connection((HOST, port), timeout=30) for _ in range(50)]
            for number, half in enumerate(halves):
                half.sendall(
                    b"GET /movies HT"
                    if number % 2
                    else f"{LOGIN}Content-Length: 50\r\n\r\n{{".encode()
                )
            time.sleep(1)

            with pytest.raises(BlockingIOError):
                upstream.accept()
        finally:
            for half in halves:
                half.close()
            nginx.end(process)


@pytest.fixture
def image(user) -> Media:
    return an_image(uploader=user)


def test_the_bytes_of_an_image_come_from_the_disk(front, image):
    path = f"/media/{image.pk}"

    first, second = front.ask(f"GET {path}"), front.ask(f"GET {path}", "X-Request-Id: caller-8\r\n")

    assert first.status == second.status == 200
    assert first.body == second.body == bytes(Media.objects.get(pk=image.pk).data)
    assert first.headers["etag"] == second.headers["etag"]
    assert second.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert second.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert second.headers["x-request-id"] == "caller-8"
    assert cache_status(front) == "HIT"
    known = front.ask(f"GET {path}", f"If-None-Match: {first.headers['etag']}\r\n")
    assert (known.status, known.body) == (304, b"")
    part = front.ask(f"GET {path}", "Range: bytes=0-9\r\n")
    assert (part.status, part.body) == (206, first.body[:10])
    several = front.ask(f"GET {path}", "Range: bytes=0-9,20-29\r\n")
    assert (several.status, several.body) == (200, first.body)
    outside = front.ask(f"GET {path}", "Range: bytes=99999999-\r\n")
    assert (outside.status, outside.code) == (416, "range_not_satisfiable")
    head = front.ask(f"HEAD {path}")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(first.body))


def test_an_image_that_was_removed_is_404_at_once(front, image):
    """Contract section 7, although its bytes are on nginx's disk."""
    for path in (f"/media/{image.pk}", f"/media/{image.pk}?width=160"):
        assert [front.ask(f"GET {path}").status for _ in range(2)] == [200, 200]

    Media.objects.filter(pk=image.pk).delete()
    cache.clear()

    for path in (f"/media/{image.pk}", f"/media/{image.pk}?width=160"):
        answer = front.ask(f"GET {path}")
        assert (answer.status, answer.code) == (404, "not_found")
        assert answer.headers.items() >= HELMET.items()


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [
        ("GET /media/{pk}?width=17", 400, "validation_error"),
        ("GET /media/00000000-0000-7000-8000-000000000000", 404, "not_found"),
        ("GET /media/nonsense", 404, "not_found"),
    ],
)
def test_what_the_api_refuses_of_an_image_is_what_the_client_sees(front, image, line, status, code):
    answer = front.ask(line.format(pk=image.pk))

    assert (answer.status, answer.code) == (status, code)
    assert len(answer.headers["x-request-id"]) == 32


def test_an_image_that_was_seen_is_served_while_the_api_is_away(image, tmp_path):
    process, port = nginx.start_api(WEB_PROCESSES="1", GRANIAN_BLOCKING_THREADS="2")
    front_process, front_port = nginx.start_nginx(tmp_path, port)
    front = Front(front_port, tmp_path)
    try:
        seen = front.ask(f"GET /media/{image.pk}")
        assert seen.status == 200
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=20)

        assert front.ask(f"GET /media/{image.pk}").body == seen.body
        assert front.ask("GET /media/limits").status == 503
    finally:
        nginx.end(front_process)
        nginx.end(process)


def cache_status(front: Front) -> str:
    lines = (front.folder / "access.log").read_text().splitlines()
    return str(json.loads(lines[-1])["cache"])
