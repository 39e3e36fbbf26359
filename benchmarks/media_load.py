"""Uploads and images against a real server: memory, times, requests per second.

    .venv/bin/python benchmarks/media_load.py [uploads] [bombs] [serving]

Makes a database of its own in the embedded PostgreSQL, serves it as `make run` does (its worker
included) on a free port of the loopback, measures, and takes the database away again. About a
minute and a half. `serving` needs wrk (`apt-get install wrk`). docs/performance-media.md has what
it said, and on which machine.
"""

import io
import json
import os
import re
import secrets
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psutil
import psycopg
from PIL import Image, ImageFilter
from shelves import ROOT, embedded_url, free_port, production

from media.tests import pictures
from movieshelf import embedded

READERS = 4
UPLOADS = 16
WRK_SECONDS = 8
BOUNDARY = b"------------the-end-of-the-bench"


class Server:
    """A server with its worker, and a member who is logged in."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], database: str) -> None:
        self.database = database
        self.address = f"http://127.0.0.1:{port}"
        self.process = psutil.Process(process.pid)
        self.token = ""

    def call(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.address + path, body, names, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    def log_in(self) -> None:
        who = {"name": "Bench", "email": "bench@shelf.example", "password": secrets.token_hex()}
        body = json.dumps(who).encode()
        _, _, answer = self.call("POST", "/auth/register", body, Content_Type="application/json")
        self.token = json.loads(answer)["accessToken"]

    def upload(self, image: bytes) -> tuple[int, dict[str, str], bytes]:
        head = b'Content-Disposition: form-data; name="image"; filename="photo"\r\n\r\n'
        return self.call(
            "POST",
            "/users/me/avatar",
            b"--%b\r\n%b%b\r\n--%b--\r\n" % (BOUNDARY, head, image, BOUNDARY),
            Authorization=f"Bearer {self.token}",
            Content_Type=f"multipart/form-data; boundary={BOUNDARY.decode()}",
        )

    def memory(self) -> int:
        """Give the resident memory of the server's processes together, in MiB."""
        processes = (self.process, *self.process.children(recursive=True))
        return sum(process.memory_info().rss for process in processes) // 2**20


@contextmanager
def served(**settings: str) -> Iterator[Server]:
    embedded.services.start()
    name = f"bench_{os.getpid()}"
    admin = embedded_url("postgres")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    environment = production(
        embedded_url(name),
        embedded.valkey_url(db=15),
        **{
            "RATELIMIT_ENABLE": "false",
            "LOG_LEVEL": "WARNING",
            "MEDIA_USER_MAX_BYTES": str(10**9),
            **settings,
        },
    )
    port = free_port()
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, *arguments]
        started.append(subprocess.Popen(command, env=environment, cwd=ROOT))
        return started[-1]

    try:
        for command in (["migrate", "--verbosity", "0"], ["seed", "--demo"]):
            if start("manage.py", *command).wait():
                sys.exit(f"`manage.py {command[0]}` failed.")
        server = Server(
            port,
            start("-m", "movieshelf.serving", "--host", "127.0.0.1", "--port", str(port)),
            embedded_url(name),
        )
        start("manage.py", "worker")
        until(lambda: server.call("GET", "/readyz")[0] == 200)
        server.log_in()
        yield server
    finally:
        for one in started:
            one.terminate()
            one.wait(30)
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise TimeoutError


class Watch:
    """The peak of the server's memory, and how long reads take, while something goes on."""

    def __init__(self, server: Server, readers: int = READERS) -> None:
        self.server, self.readers = server, readers
        self.times: list[float] = []
        self.statuses: set[int] = set()
        self.before = self.peak = server.memory()

    def __enter__(self) -> "Watch":
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._measure)]
        self._threads += [threading.Thread(target=self._read) for _ in range(self.readers)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _measure(self) -> None:
        while not self._over.wait(0.02):
            self.peak = max(self.peak, self.server.memory())

    def _read(self) -> None:
        while not self._over.is_set():
            start = time.perf_counter()
            self.statuses.add(self.server.call("GET", "/movies")[0])
            self.times.append(time.perf_counter() - start)
            time.sleep(0.02)

    def told(self) -> str:
        reads = ""
        if self.times:
            p50, p95 = (
                statistics.median(self.times),
                sorted(self.times)[int(len(self.times) * 0.95)],
            )
            reads = (
                f"; GET /movies {len(self.times)} times, {sorted(self.statuses)}, "
                f"p50 {p50 * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms, "
                f"longest {max(self.times) * 1000:.0f} ms"
            )
        return f"memory {self.before} → {self.peak} MiB{reads}"


def photo_of_12_megapixels() -> bytes:
    """A JPEG of 4000 × 3000 with the detail, and about the bytes, of a phone's."""
    noise = Image.effect_noise((4000, 3000), 60).filter(ImageFilter.GaussianBlur(1.1))
    shapes = Image.radial_gradient("L").resize((4000, 3000))
    out = io.BytesIO()
    Image.merge("RGB", (noise, shapes, Image.blend(noise, shapes, 0.5))).save(
        out, "JPEG", quality=88
    )
    return out.getvalue()


def measure_uploads(server: Server) -> None:
    photo = photo_of_12_megapixels()
    print(f"# {UPLOADS} uploads at once of 12 megapixels, {len(photo) / 2**20:.1f} MiB each")
    with Watch(server) as idle:
        time.sleep(4)
    print("reads alone:", idle.told())
    server.upload(photo)
    wait_for_worker(server)
    with Watch(server) as watch:
        start = time.perf_counter()
        with ThreadPoolExecutor(UPLOADS) as pool:
            answers = list(pool.map(server.upload, [photo] * UPLOADS))
        took = time.perf_counter() - start
    counted: dict[int, int] = {}
    for status, _, _ in answers:
        counted[status] = counted.get(status, 0) + 1
    print(f"uploads: {counted} in {took:.1f} s; {watch.told()}")
    with Watch(server) as beside:
        start = time.perf_counter()
        wait_for_worker(server)
        took = time.perf_counter() - start
    print(f"the worker's 64 widths took {took:.1f} s more; meanwhile {beside.told()}")


def wait_for_worker(server: Server) -> None:
    with psycopg.connect(server.database, autocommit=True) as connection:
        count = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
        until(lambda: connection.execute(count).fetchone() == (0,), seconds=120)


def measure_bombs(server: Server) -> None:
    print("# hostile files")
    files = {
        "WebP of 16383 × 10900 in one colour": pictures.tiny_webp_claiming(16_383, 10_900),
        "1-bit PNG of 13000²": pictures.one_bit_png(13_000),
        "WebP of 300 frames": pictures.animated("WEBP", frames=300, size=(640, 480)),
        "JPEG that claims 13000²": pictures.jpeg_claiming(13_000, 13_000),
        "PNG that claims (2^31-1)²": pictures.png_claiming(2**31 - 1, 2**31 - 1),
        "PNG with a text of 64 MiB": pictures.text_bomb_png(b"zTXt"),
        "WebP of 40 megapixels in one colour": pictures.tiny_webp_claiming(8_000, 5_000),
    }
    for name, data in files.items():
        with Watch(server, readers=0) as watch:
            start = time.perf_counter()
            status, _, body = server.upload(data)
            took = time.perf_counter() - start
            time.sleep(0.1)
        message = json.loads(body).get("error", {}).get("message", "taken")
        print(f"{name}, {len(data):,} bytes: {status} in {took * 1000:.0f} ms, {watch.told()}")
        print(f"    {message}")


def measure_serving(server: Server, label: str, only_cold: bool = False) -> None:
    image = photo_of_100_kilobytes()
    status, _, body = server.upload(image)
    if status != 201:
        sys.exit(f"The upload was refused: {body.decode()}")
    url = json.loads(body)["url"]
    _, headers, data = server.call("GET", url)
    wait_for_worker(server)
    print(f"# GET {label}, {len(data):,} bytes")
    if only_cold:
        print("cold (each from the row):", wrk(server.address + url))
        return
    server.call("GET", url)
    print("hot:", wrk(server.address + url))
    tag = next(value for name, value in headers.items() if name.lower() == "etag")
    print("304:", wrk(server.address + url, f"If-None-Match: {tag}"))
    print("hot ?width=320:", wrk(f"{server.address}{url}?width=320"))
    print("/healthz, for comparison:", wrk(f"{server.address}/healthz"))


def photo_of_100_kilobytes() -> bytes:
    noise = Image.effect_noise((910, 680), 60).filter(ImageFilter.GaussianBlur(1.6))
    out = io.BytesIO()
    noise.convert("RGB").save(out, "JPEG", quality=88)
    return out.getvalue()


def wrk(url: str, header: str = "X: x") -> str:
    command = ["wrk", "-t2", "-c16", f"-d{WRK_SECONDS}s", "--latency", "-H", header, url]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def found(pattern: str) -> Any:
        match = re.search(pattern, told)
        return match[1] if match else "?"

    errors = re.search(r"(Non-2xx.*|Socket errors.*)", told)
    return (
        f"{float(found(r'Requests/sec: +([0-9.]+)')):,.0f} requests/s, "
        f"p50 {found(r'50% +(\S+)')}, p99 {found(r'99% +(\S+)')}"
        f"{', ' + errors[1] if errors else ''}"
    )


def main(parts: list[str]) -> None:
    parts = parts or ["uploads", "bombs", "serving"]
    with served() as server:
        if "uploads" in parts:
            measure_uploads(server)
        if "bombs" in parts:
            measure_bombs(server)
        if "serving" in parts:
            measure_serving(server, "of a JPEG")
    if "serving" in parts:
        with served(MEDIA_CACHE_MAX_BYTES="0") as server:
            measure_serving(server, "of a JPEG", only_cold=True)


if __name__ == "__main__":
    main(sys.argv[1:])
