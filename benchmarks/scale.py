"""What each list, search, film and write costs against the size of the shelf.

    make bench-scale                                        # 10,000, 100,000 and 1,000,000 films
    make bench-scale ARGS="--sizes 10000,100000"
    make bench-scale ARGS="--database 1000000=postgresql://…"     # one that is there already

Seeds a database of each size in the embedded PostgreSQL, with ten ratings, two reviews and a tenth
of a member a film, and keeps it for the next time (`DROP DATABASE scale_1000000` is yours). Serves
each as production does, but without the hot answers, which would answer what was asked before from
memory, and asks for everything by HTTP, one request at a time; then asks PostgreSQL what it read
for it. At last asks for the lists with the hot answers, too. Writes docs/performance-scale.md and
docs/images/scale.svg. What was measured of a size is kept in `.data/scale-SIZE.json`, so that each
size may be measured by a run of its own; `--write` puts together what there is.
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
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, quote

import psutil  # type: ignore[import-untyped]  # psutil ships no type hints
import psycopg
from psycopg import sql

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
    "q=the&stars=5&sort=release_desc",
    "q=revisited&stars=5&sort=rank",
    "q=the&scope=not_mine",
    f"q=the&{DEEP}",
    f"q=the&sort=release_desc&{DEEP}",
    f"q=silent&sort=rank&{DEEP}",
)
# Asked once each, so nothing is kept for them.
STRANGE = (
    "zq",
    "xk",
    "!!!",
    " the the",
    "ing of the",
    "the thee",
    "thx",
    "inghe",
    "silnt",
    "the silnet nigth",
    "teh nigth of the sielnt haert",
    "é",
    "七人",
    "q x",
    "e t",
    "(19",
    "zzqqy",
)
# What was asked a moment ago is asked again after a film has come.
AFTER_A_WRITE = ("the", "dune", "zzzq", "dnue", "%")
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


class Timings(NamedTuple):
    """Milliseconds of one kind of request; the first one finds nothing kept for it."""

    first: float
    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, all_of_them: list[float]) -> Self:
        first, *rest = all_of_them
        in_order = sorted(rest)
        p99 = in_order[min(len(rest) - 1, len(rest) * 99 // 100)]
        return cls(first, statistics.median(rest), p99, in_order[-1])


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
            took.append(self.took(method, path, body, as_member=as_member))
        return Timings.of(took)

    def measure_lists(self) -> dict[str, Timings]:
        found = {}
        for kind in (*LISTS, *SEARCHES):
            as_member = "scope" in kind
            path = "/movies?" + self.resolved(kind)
            found[kind] = self.time(repeated("GET", path), as_member=as_member)
        return found

    def measure(self, films: list[int], titles: list[str]) -> dict[str, Timings]:
        found = self.measure_lists()
        never = [f"/movies?q={quote(text)}" for text in (*STRANGE, *pieces(titles, self.requests))]
        found["searches, each asked once"] = Timings.of([self.took("GET", path) for path in never])
        found["searches after a film came"] = Timings.of(
            [took for turn in range(5) for took in self.after_a_film(turn)]
        )
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

    def took(self, method: str, path: str, body: Any = None, *, as_member: bool = False) -> float:
        began = time.perf_counter()
        self.call(method, path, body, as_member=as_member)
        return (time.perf_counter() - began) * 1000

    def after_a_film(self, turn: int) -> list[float]:
        title = f"The Dune, {secrets.token_hex(4)} {turn}"
        film = self.call("POST", "/movies", {"title": title}, as_member=True)
        took = [self.took("GET", f"/movies?q={quote(text)}") for text in AFTER_A_WRITE]
        self.call("DELETE", f"/movies/{film['id']}", as_member=True)
        return took

    def use_the_rest(self, film: int) -> None:
        """Ask for what has indexes of its own beside the lists."""
        for path in (f"/movies/{film}/reviews", f"/movies/{film}/rank", "/users/me/ratings"):
            self.call("GET", path, as_member=True)
        self.call("GET", "/users/me/export", as_member=True)
        news = self.call("GET", "/changes?types=movie,review")
        self.call("GET", f"/changes?since={quote(news['next'])}")

    def resolved(self, kind: str) -> str:
        """Put the page in that stands four fifths down the list."""
        if DEEP not in kind:
            return kind
        whole = self.call("GET", "/movies?" + kind.replace(DEEP, "page=1"))["total"]
        return kind.replace(DEEP, f"page={max(1, whole * 4 // 5 // PAGE_SIZE)}")


def repeated(method: str, path: str) -> Iterator[tuple[str, str, Any]]:
    while True:
        yield method, path, None


def pieces(titles: list[str], count: int) -> list[str]:
    """Cut texts of two to twelve characters out of titles."""
    dice = random.Random(5)
    found = []
    for _ in range(count):
        title, length = dice.choice(titles), dice.randint(2, 12)
        start = dice.randrange(max(1, len(title) - length))
        found.append(title[start : start + length].strip() or title)
    return list(dict.fromkeys(found))


def environment(url: str) -> dict[str, str]:
    return {
        **os.environ,
        "HOT_ANSWERS_MAX_BYTES": "0",
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
    if url is None:
        name, url = f"scale_{size}", embedded_url(f"scale_{size}")
        with psycopg.connect(embedded_url("postgres"), autocommit=True) as admin:
            if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                admin.execute(f'CREATE DATABASE "{name}"')
    manage(url, "migrate", "--verbosity", "0")
    with psycopg.connect(url, autocommit=True) as database:
        row = database.execute("SELECT count(*) FROM movies_movie").fetchone()
        if row and row[0] < size:
            # Kept with the database, which is there the next time.
            comment = sql.SQL("COMMENT ON DATABASE {} IS {}")
            itself, told = sql.Identifier(database.info.dbname), sql.Literal(seed(size, url))
            database.execute(comment.format(itself, told))
        seeded = database.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database"
            " WHERE datname = current_database()"
        ).fetchone()
        manage(url, "shell", "-v", "0", "-c", KNOW)
        database.execute("VACUUM ANALYZE")
        database.execute("SELECT pg_stat_reset()")
    return url, (seeded and seeded[0]) or "was there already"


# What the worker would do within a minute.
KNOW = """
from movies import marks, texts
if marks.need_rebuild(): marks.rebuild()
texts.fold()
if texts.need_build(): texts.build()
"""


def seed(size: int, url: str) -> str:
    """Seed a database; give the time, the rows a second, and what memory it took at most."""
    numbers = {"movies": size, "users": size // 10, "ratings": 10 * size, "reviews": 2 * size}
    arguments = ["seed", "--demo", *(f"--{key}={value}" for key, value in numbers.items())]
    began = time.monotonic()
    child = subprocess.Popen([sys.executable, "manage.py", *arguments], env=patient(url), cwd=ROOT)
    own, backends = 0, 0
    while child.poll() is None:
        with suppress(psutil.Error):
            own = max(own, psutil.Process(child.pid).memory_info().rss)
        backends = max(backends, sum(memory_of_backends()))
        time.sleep(0.5)
    if child.returncode:
        raise SystemExit(f"Seeding {size:,} films failed.")
    seconds = time.monotonic() - began
    rows = sum(numbers.values())
    return (
        f"{seconds:.0f} s, {rows / seconds:,.0f} rows a second, at most {own / 1e6:.0f} MB in"
        f" Python and {backends / 1e6:.0f} MB in PostgreSQL beside its shared buffers"
    )


def memory_of_backends() -> Iterator[int]:
    """Give what each process of our PostgreSQL has to itself."""
    for postmaster in embedded.services.postgres.processes():
        with suppress(psutil.Error):
            for process in postmaster.children(recursive=True):
                yield process.memory_full_info().uss


def patient(url: str) -> dict[str, str]:
    return {**environment(url), "DATABASE_STATEMENT_TIMEOUT_MS": "0"}


def manage(url: str, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "manage.py", *arguments], env=patient(url), cwd=ROOT, check=True
    )


def embedded_url(database: str) -> str:
    settings = embedded.django_database()
    return (
        f"postgresql://{settings['USER']}@/{database}?host={settings['HOST']}"
        f"&port={settings['PORT']}"
    )


@contextmanager
def served(url: str, requests: int, **settings: str) -> Iterator[Shelf]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = ["-m", "movieshelf.serving", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, *command], env={**environment(url), **settings}, cwd=ROOT
    )
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
    from movies.rows import MovieRows

    read = 0

    def explained(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal read
        if sql.lstrip().upper().startswith(("SELECT", "WITH")):
            with connection.connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql, params)
                plan = cursor.fetchone()[0][0]["Plan"]
            read += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        return execute(sql, params, many, context)

    # What watches a connection is put on it when it opens: within the block below it would be what
    # Django takes off again at the end, and each statement would be explained twice from then on.
    connection.ensure_connection()
    found = {}
    for kind, query in kinds.items():
        asked: dict[str, Any] = {
            "q": "",
            "stars": 0,
            "scope": "all",
            "sort": "uploaded_desc",
            "page": 1,
        }
        asked |= {name: type(asked[name])(value) for name, value in parse_qsl(query)}
        start = (int(asked.pop("page")) - 1) * PAGE_SIZE
        for _ in range(2):
            # Counted the second time, when what is kept is kept.
            read = 0
            with connection.execute_wrapper(explained):
                shelf = MovieList(asked, AnonymousUser())
                if start < shelf.total() or not start:
                    list(MovieRows(shelf)[start : start + PAGE_SIZE])
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
            FROM pg_stat_user_indexes JOIN pg_index USING (indexrelid)
            WHERE relname ~ '^(movies|ratings|reviews)_' AND NOT indisunique
            ORDER BY idx_scan, indexrelname
            """
        ).fetchall()


def use_as_moderator(film: int) -> None:
    """Ask for what moderators, importers and whoever deletes an image ask for."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "movieshelf.settings"
    import django

    django.setup()
    from django.db import transaction
    from django.test import Client

    from accounts.models import User
    from media.models import Media
    from movies.matching import films_by_key, match_keys
    from reviews.models import Review

    admin = User.objects.filter(role=User.Role.ADMIN, is_active=True)[0]
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(admin)
    lately = "?created_at__gte=2030-01-01+00:00:00%2B00:00"
    for path in ("reviews/review/?q=spam", "reviews/review/?is_hidden__exact=1"):
        client.get(f"/admin/{path}")
    for path in ("reviews/review/", "ratings/rating/"):
        client.get(f"/admin/{path}{lately}")
    films_by_key(match_keys(["The Third Man"]).values())
    with transaction.atomic():
        Review.objects.visible_to(admin).filter(movie=film, is_hidden=True).count()
        Media.objects.filter(pk="00000000-0000-7000-8000-000000000000").delete()
        transaction.set_rollback(True)


def measure(size: int, url: str | None, requests: int) -> dict[str, Any]:
    url, seeded = prepare(size, url)
    with psycopg.connect(url) as database:
        some = "SELECT id, title_search FROM movies_movie LIMIT 5000"
        films, titles = map(list, zip(*database.execute(some), strict=True))
        whole = database.execute("SELECT count(*) FROM movies_movie").fetchone()
    load = os.getloadavg()[0]
    with served(url, requests) as shelf:
        timings = shelf.measure(films, titles)
        buffers = buffers_of(url, shelf)
        shelf.use_the_rest(films[0])
    with served(url, requests, HOT_ANSWERS_MAX_BYTES=str(64 * 1024 * 1024)) as shelf:
        hot = shelf.measure_lists()
    subprocess.run(
        [sys.executable, __file__, "--moderate", str(films[0])],
        env=environment(url),
        cwd=ROOT,
        check=True,
    )
    return {
        "films": whole and whole[0],
        "load": load,
        "seeded": seeded,
        "requests": requests,
        "timings": timings,
        "buffers": buffers,
        "hot": {kind: timing.p50 for kind, timing in hot.items() if "scope" not in kind},
        "indexes": index_use(url),
        "writes": cost_of_writes(url),
    }


def kept(size: int) -> Path:
    return ROOT / ".data" / f"scale-{size}.json"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--database", action="append", default=[], metavar="SIZE=URL")
    parser.add_argument("--requests", type=int, default=60, help="of each kind (60)")
    parser.add_argument("--write", action="store_true", help="only write what was measured")
    parser.add_argument("--explain", help=argparse.SUPPRESS)
    parser.add_argument("--moderate", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.explain:
        explain(json.loads(asked.explain))
        return
    if asked.moderate:
        use_as_moderator(asked.moderate)
        return
    embedded.services.start()
    given = {int(size): url for size, _, url in (one.partition("=") for one in asked.database)}
    sizes = sorted({*map(int, asked.sizes.split(",")), *given})
    for size in () if asked.write else sizes:
        kept(size).write_text(json.dumps(measure(size, given.get(size), asked.requests)))
        print(f"{size:,} films: measured", flush=True)
    found = {size: json.loads(kept(size).read_text()) for size in sizes if kept(size).exists()}
    for one in found.values():
        one["timings"] = {kind: Timings(*timing) for kind, timing in one["timings"].items()}
    DOC.write_text(told(found), encoding="utf-8")
    PLOT.write_text(plotted({size: one["timings"] for size, one in found.items()}))
    print(f"Wrote {DOC.relative_to(ROOT)} and {PLOT.relative_to(ROOT)}.")


def told(found: dict[int, dict[str, Any]]) -> str:
    sizes = list(found)
    smallest, largest = found[sizes[0]], found[sizes[-1]]
    head = " | ".join(f"{size:,}: p50 / p99 ms · buffers" for size in sizes)
    lines = [
        "# What a list costs against the size of the shelf",
        "",
        "Written by `make bench-scale` (benchmarks/scale.py); docs/lists.md says how it is done.",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} processors ({platform.machine()}), Python"
        f" {platform.python_version()}; {largest['requests']} requests of each kind through HTTP,"
        " one at a time, to two processes without the hot answers (`HOT_ANSWERS_MAX_BYTES=0`). The"
        " first of each kind, what nobody had asked before, is left out of the quantiles and shown"
        " by itself. Buffers are those of 8 KB that PostgreSQL reads, by EXPLAIN. `hot` is the p50"
        " with the hot answers, where an anonymous list that was asked for before comes from"
        " memory while nobody writes. `page=DEEP` is four fifths down the list: page"
        f" {sizes[-1] * 4 // 5 // PAGE_SIZE:,} of the whole shelf.",
        "",
        "The load of the machine when a size was begun: "
        + ", ".join(f"{one['load']:.1f} ({size:,} films)" for size, one in found.items())
        + ".",
        "",
        "| films | seeding them, with ten ratings and two reviews each |",
        "|---|---|",
        *(f"| {size:,} | {one['seeded']} |" for size, one in found.items()),
        "",
        "![p50 against the number of films](images/scale.svg)",
        "",
        f"| request | {head} | first at {sizes[-1]:,} | hot | ratio of the p50 |",
        "|---|" + "---|" * (len(sizes) + 3),
    ]
    for kind, timing in largest["timings"].items():
        cells = [
            f"{one['timings'][kind].p50:.1f} / {one['timings'][kind].p99:.1f}"
            + (f" · {one['buffers'][kind]:,}" if kind in one["buffers"] else "")
            for one in found.values()
        ]
        ratio = timing.p50 / smallest["timings"][kind].p50
        hot = f"{largest['hot'][kind]:.1f}" if kind in largest["hot"] else ""
        lines.append(
            f"| `{kind}` | {' | '.join(cells)} | {timing.first:.0f} ms | {hot} | {ratio:.1f}× |"
        )
    once = largest["timings"]["searches, each asked once"]
    lines += [
        "",
        "What grows with the shelf, and why: `dune` is in a hundred times as many titles of a"
        " hundred times as many films, so that many films are sorted for a page (5,000 at most, and"
        " more are walked to); `revisited` is looked for among all films of five stars;"
        " films of five stars are rare among those with the most reviews, so that more are passed"
        " over; for a page far out of a common text all numbers are looked through, and whoever is"
        " the first to ask for one waits for its bitmap; and a text without a rare trigram that is"
        " asked for the first time is looked for in all titles.",
        "",
        f"Of the searches asked once at {sizes[-1]:,} films, the slowest took"
        f" {max(once.first, once.most):.0f} ms.",
        "",
        f"## What a rating writes at {sizes[-1]:,} films",
        "",
        f"Microseconds of one UPDATE of a film's counters, {UPDATES:,} in a transaction that is"
        " rolled back.",
        "",
        f"| | {' | '.join(f'{size:,} films' for size in sizes)} |",
        "|---|" + "---|" * len(sizes),
        *(
            f"| {label} | {' | '.join(cells)} |"
            for label, *cells in zip(
                [label for label, _ in largest["writes"]],
                *([f"{cost:.0f}" for _, cost in one["writes"]] for one in found.values()),
                strict=True,
            )
        ),
        "",
        "## Indexes used by the requests above",
        "",
        "And by a member's own pages, the feed of changes, an import, and a moderator at the desk."
        " Those of the constraints are left out: what a constraint looks up is no scan. Tables"
        " of a few rows (reports, title moves) are read whole, whatever their indexes.",
        "",
        "| index | scans | size |",
        "|---|---|---|",
        *(f"| `{name}` | {scans:,} | {size} |" for name, scans, size in largest["indexes"]),
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
