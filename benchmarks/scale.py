"""What each list, search, film and write costs against the size of the shelf.

    make bench-scale                                        # 10,000, 100,000 and 1,000,000 films
    make bench-scale ARGS="--sizes 10000,100000"
    make bench-scale ARGS="--database 1000000=postgresql://…"     # one that is there already

Seeds a database of each size in the embedded PostgreSQL, with ten ratings, two reviews and a tenth
of a member a film, and keeps it for the next time (`DROP DATABASE scale_1000000` is yours). Serves
each as production does and asks for everything by HTTP, one request at a time; then asks PostgreSQL
what it read for it. Writes docs/performance-scale.md and docs/images/scale.svg.
"""

import argparse
import http.client
import json
import os
import platform
import random
import secrets
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from movieshelf import embedded  # noqa: E402  # needs the path above

SIZES = (10_000, 100_000, 1_000_000)
SORTS = ("uploaded_desc", "reviews_desc", "rating_desc", "release_desc", "release_asc", "rank")
TEXTS = ("a", "th", "the", "dune", "zzzq", "dnue", "Amélie", "%", "👻")
DEEP = "page=DEEP"
FILTERS = ("", "&stars=4", "&stars=5", f"&{DEEP}", f"&stars=3&{DEEP}", "&scope=not_mine")
LISTS = (*(f"sort={sort}{filters}" for sort in SORTS for filters in FILTERS), "scope=mine")
SEARCHES = (
    *(f"q={quote(text)}" for text in TEXTS),
    "q=dune&sort=rank",
    "q=dune&stars=4",
    "q=the&sort=rank",
    "q=the&stars=4",
)
PAGE_SIZE = 20
DOC = ROOT / "docs" / "performance-scale.md"
PLOT = ROOT / "docs" / "images" / "scale.svg"
PLOTTED = (
    "sort=uploaded_desc",
    "sort=rank&page=DEEP",
    "sort=reviews_desc&stars=5",
    "q=the",
    "q=dune",
    "a film",
    "rating, spread",
)
# Updates for the cost of each index and trigger: all in one transaction that is rolled back.
UPDATES = 2_000


class Timings:
    """Milliseconds of one kind of request; the first one finds nothing kept for it."""

    def __init__(self, all_of_them: list[float]) -> None:
        self.first, *rest = all_of_them
        self.p50 = statistics.median(rest)
        self.p99 = sorted(rest)[min(len(rest) - 1, len(rest) * 99 // 100)]


class Shelf:
    """A served shelf, and a member who is logged in."""

    def __init__(self, port: int, requests: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.requests = requests
        self.token = ""

    def call(self, method: str, path: str, body: Any = None, *, as_member: bool = False) -> Any:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if as_member:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body)
        self.connection.request(method, path, data, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return json.loads(content) if content else None

    def register(self) -> None:
        who = {"name": "Scale", "email": f"{secrets.token_hex(8)}@scale.example"}
        self.password = secrets.token_hex()
        answer = self.call("POST", "/auth/register", {**who, "password": self.password})
        self.token = answer["accessToken"]

    def leave(self) -> None:
        """Take the member's ratings and reviews along."""
        self.call("DELETE", "/users/me", {"password": self.password}, as_member=True)

    def time(self, calls: Iterator[tuple[str, str, Any]], *, as_member: bool) -> Timings:
        took = []
        for (method, path, body), _ in zip(calls, range(self.requests), strict=False):
            began = time.perf_counter()
            self.call(method, path, body, as_member=as_member)
            took.append((time.perf_counter() - began) * 1000)
        return Timings(took)

    def measure(self, films: list[int]) -> dict[str, Timings]:
        found = {}
        for kind in (*LISTS, *SEARCHES):
            as_member = "scope" in kind
            path = "/movies?" + self.resolved(kind)
            found[kind] = self.time(repeated("GET", path), as_member=as_member)
        chosen = random.Random(7)
        found["a film"] = self.time(
            (("GET", f"/movies/{chosen.choice(films)}", None) for _ in repeated("", "")),
            as_member=False,
        )
        found["rating, spread"] = self.time(
            (
                ("PUT", f"/movies/{chosen.choice(films)}/rating", {"value": chosen.randint(1, 5)})
                for _ in repeated("", "")
            ),
            as_member=True,
        )
        found["rating, one hot film"] = self.time(
            (
                ("PUT", f"/movies/{films[0]}/rating", {"value": turn % 5 + 1})
                for turn, _ in enumerate(repeated("", ""))
            ),
            as_member=True,
        )
        found["review"] = self.time(
            (
                ("POST", f"/movies/{chosen.choice(films)}/reviews", {"content": "Fine."})
                for _ in repeated("", "")
            ),
            as_member=True,
        )
        return found

    def resolved(self, kind: str) -> str:
        """Put the page in that stands four fifths down the list."""
        if DEEP not in kind:
            return kind
        whole = self.call("GET", "/movies?" + kind.replace(DEEP, "page=1"))["total"]
        return kind.replace(DEEP, f"page={max(1, whole * 4 // 5 // PAGE_SIZE)}")


def repeated(method: str, path: str) -> Iterator[tuple[str, str, Any]]:
    while True:
        yield method, path, None


def environment(url: str) -> dict[str, str]:
    return {
        **os.environ,
        "SECRET_KEY": secrets.token_urlsafe(48),
        "JWT_SIGNING_KEY": secrets.token_urlsafe(48),
        "ALLOWED_HOSTS": "127.0.0.1",
        "DEBUG": "false",
        "DATABASE_URL": url,
        "REDIS_URL": embedded.valkey_url(db=15),
        "RATELIMIT_ENABLE": "false",
        "WEB_PROCESSES": "2",
        "LOG_LEVEL": "ERROR",
    }


def prepare(size: int, url: str | None) -> tuple[str, str]:
    """Have a database of this size; give its address, and what seeding it took."""
    seeded = "was there already"
    if url is None:
        name, url = f"scale_{size}", embedded_url(f"scale_{size}")
        with psycopg.connect(embedded_url("postgres"), autocommit=True) as admin:
            if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                admin.execute(f'CREATE DATABASE "{name}"')
    manage(url, "migrate", "--verbosity", "0")
    with psycopg.connect(url, autocommit=True) as database:
        row = database.execute("SELECT count(*) FROM movies_movie").fetchone()
    if row and row[0] < size:
        began = time.monotonic()
        numbers = {"movies": size, "users": size // 10, "ratings": 10 * size, "reviews": 2 * size}
        manage(url, "seed", "--demo", *(f"--{key}={value}" for key, value in numbers.items()))
        seeded = f"{time.monotonic() - began:.0f} s"
    with psycopg.connect(url, autocommit=True) as database:
        row = database.execute("SELECT version FROM movies_pagemarks").fetchone()
        if row and row[0] is None:
            manage(url, "shell", "-c", "from movies import marks; marks.rebuild()")
        database.execute("SELECT pg_stat_reset()")
    return url, seeded


def manage(url: str, *arguments: str) -> None:
    patient = {**environment(url), "DATABASE_STATEMENT_TIMEOUT_MS": "0"}
    subprocess.run([sys.executable, "manage.py", *arguments], env=patient, cwd=ROOT, check=True)


def embedded_url(database: str) -> str:
    settings = embedded.django_database()
    return (
        f"postgresql://{settings['USER']}@/{database}?host={settings['HOST']}"
        f"&port={settings['PORT']}"
    )


@contextmanager
def served(url: str, requests: int) -> Iterator[Shelf]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = ["-m", "movieshelf.serving", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen([sys.executable, *command], env=environment(url), cwd=ROOT)
    try:
        shelf = Shelf(port, requests)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                shelf.call("GET", "/readyz")
                break
            except (OSError, RuntimeError, http.client.HTTPException):
                shelf.connection.close()
                time.sleep(0.2)
        shelf.register()
        yield shelf
        shelf.leave()
    finally:
        server.terminate()
        server.wait(30)


def buffers_of(url: str, shelf: Shelf) -> dict[str, int]:
    """Ask PostgreSQL what it reads for each list, in 8 KB buffers, by another process."""
    kinds = {kind: shelf.resolved(kind) for kind in (*LISTS, *SEARCHES) if "scope" not in kind}
    told = subprocess.run(
        [sys.executable, __file__, "--explain", json.dumps(kinds)],
        env=environment(url),
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, int] = json.loads(told.stdout.splitlines()[-1])
    return found


def explain(kinds: dict[str, str]) -> None:
    """Print the buffers of each kind: every SELECT of it explained, and then run."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "movieshelf.settings"
    import django

    django.setup()
    from django.contrib.auth.models import AnonymousUser
    from django.db import connection

    from movies.listing import MovieList

    read = 0

    def explained(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal read
        if sql.lstrip().upper().startswith(("SELECT", "WITH")):
            with connection.connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql, params)
                plan = cursor.fetchone()[0][0]["Plan"]
            read += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        return execute(sql, params, many, context)

    found = {}
    for kind, query in kinds.items():
        asked = {"q": "", "stars": 0, "scope": "all", "sort": "uploaded_desc", "page": 1}
        asked |= {name: type(asked[name])(value) for name, value in parse_qsl(query)}
        start = (int(asked.pop("page")) - 1) * PAGE_SIZE
        for _ in range(2):
            # Counted the second time, when what is kept is kept.
            read = 0
            with connection.execute_wrapper(explained):
                shelf = MovieList(asked, AnonymousUser())
                if start < shelf.total() or not start:
                    list(shelf[start : start + PAGE_SIZE])
        found[kind] = read
    print(json.dumps(found))


def cost_of_writes(url: str) -> list[tuple[str, float]]:
    """Time an update of a film's counters, as it is and without each index and the triggers."""
    indexes = "SELECT indexname FROM pg_indexes WHERE tablename = 'movies_moviestats'"
    found = []
    with psycopg.connect(url, autocommit=True) as database:
        names = sorted(row[0] for row in database.execute(indexes))
        films = [row[0] for row in database.execute("SELECT id FROM movies_movie ORDER BY id")]
        without = {
            "warming up": "SELECT 1",
            "nothing taken away": "SELECT 1",
            "without the triggers": "ALTER TABLE movies_moviestats DISABLE TRIGGER USER",
            **{
                f"without {name}": f'DROP INDEX "{name}"'
                for name in names
                if not name.endswith("_pkey")
            },
        }
        for label, statement in without.items():
            chosen = random.Random(11)
            with database.transaction(force_rollback=True):
                database.execute(statement)
                began = time.perf_counter()
                for _ in range(UPDATES):
                    star = chosen.randint(1, 5)
                    database.execute(
                        f"UPDATE movies_moviestats SET rating_{star} = rating_{star} + 1"
                        " WHERE movie_id = %s",
                        [chosen.choice(films)],
                    )
                found.append((label, (time.perf_counter() - began) / UPDATES * 1e6))
    return found[1:]


def index_use(url: str) -> list[tuple[str, int, str]]:
    with psycopg.connect(url) as database:
        return database.execute(
            """
            SELECT indexrelname, idx_scan, pg_size_pretty(pg_relation_size(indexrelid))
            FROM pg_stat_user_indexes
            WHERE relname IN ('movies_movie', 'movies_moviestats', 'ratings_rating',
                              'reviews_review')
            ORDER BY idx_scan
            """
        ).fetchall()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--database", action="append", default=[], metavar="SIZE=URL")
    parser.add_argument("--requests", type=int, default=60, help="of each kind (60)")
    parser.add_argument("--explain", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.explain:
        explain(json.loads(asked.explain))
        return
    embedded.services.start()
    given = {int(size): url for size, _, url in (one.partition("=") for one in asked.database)}
    timings: dict[int, dict[str, Timings]] = {}
    buffers: dict[int, dict[str, int]] = {}
    seeded: dict[int, str] = {}
    for size in sorted({*map(int, asked.sizes.split(",")), *given}):
        url, seeded[size] = prepare(size, given.get(size))
        with psycopg.connect(url) as database:
            films = [r[0] for r in database.execute("SELECT id FROM movies_movie LIMIT 5000")]
        with served(url, asked.requests) as shelf:
            timings[size] = shelf.measure(films)
            buffers[size] = buffers_of(url, shelf)
        print(f"{size:,} films: measured", flush=True)
    uses, writes = index_use(url), cost_of_writes(url)
    DOC.write_text(told(timings, buffers, seeded, uses, writes, asked.requests), encoding="utf-8")
    PLOT.write_text(plotted(timings), encoding="utf-8")
    print(f"Wrote {DOC.relative_to(ROOT)} and {PLOT.relative_to(ROOT)}.")


def told(
    timings: dict[int, dict[str, Timings]],
    buffers: dict[int, dict[str, int]],
    seeded: dict[int, str],
    uses: list[tuple[str, int, str]],
    writes: list[tuple[str, float]],
    requests: int,
) -> str:
    sizes = list(timings)
    smallest, largest = sizes[0], sizes[-1]
    head = " | ".join(f"{size:,}: p50 / p99 ms · buffers" for size in sizes)
    lines = [
        "# What a list costs against the size of the shelf",
        "",
        "Written by `make bench-scale` (benchmarks/scale.py); docs/lists.md says how it is done.",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} processors ({platform.machine()}), Python"
        f" {platform.python_version()}; {requests} requests of each kind through HTTP, one at a"
        " time, the first of them (what nobody had asked before) left out of the quantiles and"
        " shown by itself. Buffers are those of 8 KB that PostgreSQL reads, by EXPLAIN."
        f" `page=DEEP` is four fifths down the list: page {largest * 4 // 5 // PAGE_SIZE:,}"
        " of the whole shelf.",
        "Seeding: " + ", ".join(f"{size:,} films {how}" for size, how in seeded.items()) + ".",
        "",
        "![p50 against the number of films](images/scale.svg)",
        "",
        f"| request | {head} | first at {largest:,} | ratio of the p50 |",
        "|---|" + "---|" * (len(sizes) + 2),
    ]
    for kind in timings[largest]:
        cells = [
            f"{timings[size][kind].p50:.1f} / {timings[size][kind].p99:.1f}"
            + (f" · {buffers[size][kind]:,}" if kind in buffers[size] else "")
            for size in sizes
        ]
        ratio = timings[largest][kind].p50 / timings[smallest][kind].p50
        first = f"{timings[largest][kind].first:.0f} ms"
        lines.append(f"| `{kind}` | {' | '.join(cells)} | {first} | {ratio:.1f}× |")
    lines += [
        "",
        f"## What a rating writes at {largest:,} films",
        "",
        f"Microseconds of one UPDATE of a film's counters, {UPDATES:,} in a transaction that is"
        " rolled back.",
        "",
        "| | µs |",
        "|---|---|",
        *(f"| {label} | {cost:.0f} |" for label, cost in writes),
        "",
        "## Indexes used by the requests above",
        "",
        "| index | scans | size |",
        "|---|---|---|",
        *(f"| `{name}` | {scans:,} | {size} |" for name, scans, size in uses),
        "",
    ]
    return "\n".join(lines)


def plotted(timings: dict[int, dict[str, Timings]]) -> str:
    """Draw the p50 of some kinds, both axes logarithmic."""
    from math import log10

    sizes = list(timings)
    width, height, left, top, right = 860, 420, 60, 20, 250
    inner = width - left - right, height - top - 50
    highest = max(timings[size][kind].p50 for size in sizes for kind in PLOTTED)
    decades = max(1.0, log10(highest) + 0.1)
    span = max(log10(sizes[-1] / sizes[0]), 1.0)

    def x(size: int) -> float:
        return left + inner[0] * log10(size / sizes[0]) / span

    def y(milliseconds: float) -> float:
        return top + inner[1] * (1 - max(0.0, log10(max(milliseconds, 0.1)) + 1) / (decades + 1))

    colours = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for power in range(-1, int(decades) + 1):
        at = y(10**power)
        parts.append(
            f'<line x1="{left}" x2="{width - right}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>'
            f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{10**power:g} ms</text>'
        )
    for size in sizes:
        parts.append(
            f'<text x="{x(size):.1f}" y="{height - 25}" text-anchor="middle">{size:,}</text>'
        )
    parts.append(f'<text x="{left + inner[0] / 2}" y="{height - 6}">films</text>')
    for number, (kind, colour) in enumerate(zip(PLOTTED, colours, strict=True)):
        line = " ".join(f"{x(size):.1f},{y(timings[size][kind].p50):.1f}" for size in sizes)
        label = kind.replace("&", "&amp;")
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{width - right + 16}" y="{top + 14 + 20 * number}" fill="{colour}">'
            f"{label}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    main()
