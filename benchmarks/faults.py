"""The fault drill: break what MovieShelf stands on, under traffic, and count what it costs.

    .venv/bin/python benchmarks/faults.py             all faults, about five minutes
    .venv/bin/python benchmarks/faults.py killed full those whose names have one of these words

Serves a shelf of its own as `make run` does (two processes and a worker, ceilings off), with
services of its own. Members write and readers read all the time; every acknowledged write is noted,
and after each fault the database is compared with the notes, and every number with its rows. Prints
the table of docs/faults.md. Exits 1 when an answer was anything but 2xx, 4xx or 503, when somebody
with a token was told 401, when `/healthz` failed while the server lived, when a write was lost, or
when a number drifted. Full disks are small ones, mounted for this: without root they are passed
over, and the last lines say so.
"""

import argparse
import http.client
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import psycopg
import redis
from shelves import HOST, ROOT, OwnShelf, free_port, own_shelf, status_of, until

WRITERS, READERS = 6, 4
# A client waits no longer than this for one answer.
PATIENCE = 40.0
# Before, and behind what the fault itself takes.
QUIET_SECONDS = 1.5
RECOVERY_SECONDS = 45.0
# Longer than a client may wait for a connection that was not to be had.
LONGEST_RECOVERY_SECONDS = 8.0
PASSWORD = "a phrase for the drill"
POSTER = ROOT / "docs/images/poster.jpg"
JSON = {"Content-Type": "application/json"}
# Nobody took the connection; it was taken and broke before the answer; it was kept open, and the
# server closed it just when the next request was sent, which it therefore never saw.
REFUSED, BROKEN, CLOSED = 0, -1, -2


class Answer(NamedTuple):
    at: float
    seconds: float
    status: int
    what: str
    body: Any


class Client:
    """One after another, on a connection that is kept open while it holds."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self.port = port
        self.headers = JSON | ({"Authorization": f"Bearer {token}"} if token else {})
        self.connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        started = time.monotonic()
        status, raw = self._ask(method, path, None if body is None else json.dumps(body))
        with suppress(ValueError):
            raw = json.loads(raw or b"{}")
        seconds = time.monotonic() - started
        return Answer(time.monotonic(), seconds, status, f"{method} {path}", raw)

    def _ask(self, method: str, path: str, data: str | None) -> tuple[int, Any]:
        is_kept = self.connection is not None
        if self.connection is None:
            self.connection = http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE)
            try:
                self.connection.connect()
            except OSError:
                self.connection = None
                return REFUSED, b""
        try:
            self.connection.request(method, path, data, self.headers)
            response = self.connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException) as trouble:
            self.connection.close()
            self.connection = None
            hung_up = isinstance(trouble, http.client.RemoteDisconnected | BrokenPipeError)
            return (CLOSED if is_kept and hung_up else BROKEN), b""
        if response.will_close:
            self.connection.close()
            self.connection = None
        return response.status, raw


class Actor(threading.Thread):
    """A client that goes on until it is told to stop, and notes every answer."""

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.dice = random.Random(secrets.token_bytes(8))
        self.answers: list[Answer] = []
        self.goes_on = True

    def run(self) -> None:
        while self.goes_on:
            self.act()
            time.sleep(0.05)

    def act(self) -> None:
        raise NotImplementedError

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        answer = self.client.ask(method, path, body)
        self.answers.append(answer)
        return answer


class Reader(Actor):
    def __init__(self, client: Client, films: list[int]) -> None:
        super().__init__(client)
        self.films = films

    def act(self) -> None:
        film = self.dice.choice(self.films)
        self.ask(
            "GET",
            self.dice.choice(
                ["/movies", "/movies?sort=rank", f"/movies/{film}", f"/movies/{film}/reviews"]
            ),
        )


class Writer(Actor):
    """Rates, and writes reviews; knows what the database must hold of it.

    After an answer that says nothing about the outcome (503, a broken connection) both what was
    before and what was asked for are right.
    """

    def __init__(self, client: Client, user_id: int, films: list[int]) -> None:
        super().__init__(client)
        self.user_id, self.films = user_id, films
        self.ratings: dict[int, set[int | None]] = {film: {None} for film in films}
        self.reviews: set[str] = set()
        self.maybe_reviews: set[str] = set()
        # Sent on a connection that was closed: the server must not have seen them.
        self.unseen_reviews: set[str] = set()
        self.acknowledged = 0

    def act(self) -> None:
        film = self.dice.choice(self.films)
        if self.dice.random() < 0.7:
            self.rate(film)
        else:
            self.review(film)

    def rate(self, film: int) -> None:
        value = self.dice.randint(1, 5)
        self.ratings[film] |= {value}
        answer = self.ask("PUT", f"/movies/{film}/rating", {"value": value})
        if answer.status == 200:
            self.ratings[film] = {value}
            self.acknowledged += 1

    def review(self, film: int) -> None:
        content = secrets.token_hex(8)
        self.maybe_reviews.add(content)
        answer = self.ask("POST", f"/movies/{film}/reviews", {"content": content})
        if answer.status == 201:
            self.reviews.add(content)
            self.acknowledged += 1
        elif answer.status == CLOSED:
            self.unseen_reviews.add(content)

    def lost(self, database: psycopg.Connection[Any], *, was_killed: bool) -> list[str]:
        """Give each acknowledged write that is not there, and each thing that nobody asked for.

        A process that was killed may have committed what it had in hand; who asked for it sees a
        connection that closed, as before a request that nobody has read.
        """
        held = dict(
            database.execute(
                "SELECT movie_id, value FROM ratings_rating WHERE user_id = %s", [self.user_id]
            ).fetchall()
        )
        wrong = [
            f"rating of film {film} is {held.get(film)}, should be one of {allowed}"
            for film, allowed in self.ratings.items()
            if held.get(film) not in allowed
        ]
        written = {
            content
            for (content,) in database.execute(
                "SELECT content FROM reviews_review WHERE user_id = %s", [self.user_id]
            )
        }
        wrong += [f"review {content} is gone" for content in self.reviews - written]
        wrong += [f"review {content} is nobody's" for content in written - self.maybe_reviews]
        wrong += [
            f"review {content} was written and never answered"
            for content in written & self.unseen_reviews
            if not was_killed
        ]
        return wrong


class Watcher(Actor):
    """Asks whether the process lives, which no fault of anything else may change."""

    def act(self) -> None:
        self.ask("GET", "/healthz")
        time.sleep(0.1)


class Outcome(NamedTuple):
    """One row of the table."""

    fault: str
    statuses: Counter[int]
    longest: float
    recovered: float | None
    acknowledged: int
    lost: list[str]
    drift: str
    bad: list[str]

    @property
    def is_right(self) -> bool:
        return (
            not (self.lost or self.bad or self.drift)
            and self.recovered is not None
            and self.recovered <= LONGEST_RECOVERY_SECONDS
        )

    @property
    def row(self) -> str:
        names = {REFUSED: "refused", BROKEN: "broken", CLOSED: "closed"}
        statuses = ", ".join(
            f"{names.get(status, status)}: {count:,}"
            for status, count in sorted(self.statuses.items(), key=lambda item: -item[1])
        )
        recovered = "never" if self.recovered is None else f"{self.recovered:.1f} s"
        lost = f"{len(self.lost)} of {self.acknowledged:,}"
        drift = self.drift or "0"
        return (
            f"| {self.fault} | {statuses} | {self.longest:.1f} s | {recovered} | {lost} | {drift} |"
        )


class Drill:
    """A served shelf, and traffic that goes on while things break."""

    def __init__(self, shelf: OwnShelf) -> None:
        self.shelf = shelf
        self.port = free_port()
        self.server = shelf.start_server(self.port)
        self.worker = shelf.start_worker()
        until(lambda: status_of(self.port, "/readyz") == 200)
        # Readers and writers meet on these; each writer's own ratings are what it checks.
        with shelf.connect() as database:
            found = database.execute("SELECT id FROM movies_movie ORDER BY id LIMIT 12").fetchall()
        self.films = [film for (film,) in found]
        self.admin: tuple[int, str] = self.register("drill-0")
        self.members = [self.register(f"drill-{n}") for n in range(1, WRITERS + 1)]

    def register(self, name: str) -> tuple[int, str]:
        """Add a member; give their id and token."""
        who = {"name": name, "email": f"{name}@drill.example", "password": PASSWORD}
        answer = Client(self.port).ask("POST", "/auth/register", who)
        if answer.status != 201:
            raise SystemExit(f"Registering was answered {answer.status}: {answer.body}")
        return answer.body["user"]["id"], answer.body["accessToken"]

    def go(self, fault: "Fault") -> Outcome:
        """Let traffic run, break something, mend it, and wait until everybody is served again."""
        self.forget()
        writers = [
            Writer(Client(self.port, token), user_id, self.films) for user_id, token in self.members
        ]
        readers = [Reader(Client(self.port), self.films) for _ in range(READERS)]
        watcher = Watcher(Client(self.port))
        actors = [*writers, *readers]
        for actor in [*actors, watcher]:
            actor.start()
        time.sleep(QUIET_SECONDS)
        troubles = fault.breaks(self) or []
        mended = time.monotonic()
        recovered = self.recovery(actors, mended)
        time.sleep(QUIET_SECONDS)
        for actor in [*actors, watcher]:
            actor.goes_on = False
        for actor in [*actors, watcher]:
            actor.join(PATIENCE)
        answers = [answer for actor in actors for answer in actor.answers]
        if (code := self.worker.poll()) is not None:
            troubles.append(f"the background worker ended with {code}")
            self.worker = self.shelf.start_worker()
        with self.shelf.connect() as database:
            lost = [
                wrong
                for writer in writers
                for wrong in writer.lost(database, was_killed=BROKEN in fault.excused)
            ]
        return Outcome(
            fault.name,
            Counter(answer.status for answer in answers),
            max(answer.seconds for answer in answers),
            recovered,
            sum(writer.acknowledged for writer in writers),
            lost,
            self.drift(),
            [*troubles, *self.bad(answers, fault), *self.bad(watcher.answers, fault)],
        )

    def forget(self) -> None:
        with self.shelf.connect() as database:
            ids = [user_id for user_id, _ in self.members]
            database.execute("DELETE FROM ratings_rating WHERE user_id = ANY(%s)", [ids])
            database.execute("DELETE FROM reviews_review WHERE user_id = ANY(%s)", [ids])
        # Past the counters, so they are put right before anything is compared with them.
        self.shelf.command("recompute")

    def recovery(self, actors: list[Any], mended: float) -> float | None:
        """Wait until each client is served again; give the seconds to the last bad answer.

        None when that does not come.
        """
        deadline = mended + RECOVERY_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.1)
            if all(self.is_served(actor, mended) for actor in actors):
                bad = [
                    answer.at - mended
                    for actor in actors
                    for answer in actor.answers
                    if answer.at > mended and (answer.status >= 500 or answer.status <= 0)
                ]
                return max(bad, default=0.0)
        return None

    @staticmethod
    def is_served(actor: Actor, mended: float) -> bool:
        """Whether the client's last three answers are good, and newer than the mending."""
        last = actor.answers[-3:]
        return len(last) == 3 and all(
            a.at - a.seconds > mended and 200 <= a.status < 500 and a.status != 401 for a in last
        )

    def bad(self, answers: list[Answer], fault: "Fault") -> list[str]:
        """Describe the answers that this fault does not excuse."""
        return [
            f"{a.what} was answered {a.status} after {a.seconds:.1f} s: {a.body}"
            for a in answers
            if not (200 <= a.status < 500 and a.status != 401)
            and not (a.status == 503 and "/healthz" not in a.what)
            and a.status not in fault.excused
        ]

    def drift(self) -> str:
        try:
            self.shelf.command("recompute", "--check")
        except SystemExit as found:
            return str(found)
        return ""

    @property
    def postgres(self) -> Any:
        return self.shelf.services.postgres

    @property
    def valkey(self) -> Any:
        return self.shelf.services.valkey


class Fault(NamedTuple):
    name: str
    # Breaks and mends; gives what went wrong besides.
    breaks: Callable[[Drill], list[str] | None]
    # What else than 2xx, 4xx and 503 its clients may see.
    excused: tuple[int, ...] = ()
    # What is set up before traffic begins, and taken away when it has ended.
    around: Callable[[Drill], AbstractContextManager[Any]] = lambda drill: nullcontext()
    # What this machine lacks for it.
    lacks: Callable[[], str] = lambda: ""


def signal_all(service: Any, number: signal.Signals) -> None:
    for process in service.processes():
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def restart_fast(drill: Drill) -> None:
    drill.postgres.stop()
    drill.shelf.start_again(drill.postgres)


def stop_immediately(drill: Drill) -> None:
    os.kill(drill.postgres.server_pid, signal.SIGQUIT)
    until(lambda: not drill.postgres.processes())
    time.sleep(2)
    drill.shelf.start_again(drill.postgres)


def kill_postgres(drill: Drill) -> None:
    signal_all(drill.postgres, signal.SIGKILL)
    until(lambda: not drill.postgres.processes())
    time.sleep(2)
    drill.shelf.start_again(drill.postgres)


def stay_away(drill: Drill) -> None:
    """Long enough that who tries again after ever longer pauses is in the middle of a long one."""
    drill.postgres.stop()
    time.sleep(40)
    drill.shelf.start_again(drill.postgres)


def terminate_backends(drill: Drill) -> None:
    with drill.shelf.connect() as database:
        for _ in range(20):
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            time.sleep(1)


def freeze_postgres(drill: Drill) -> list[str]:
    signal_all(drill.postgres, signal.SIGSTOP)
    time.sleep(12)
    troubles = []
    if (status := status_of(drill.port, "/readyz", timeout=15)) != 503:
        troubles.append(f"/readyz answered {status} while PostgreSQL stood still")
    time.sleep(3)
    signal_all(drill.postgres, signal.SIGCONT)
    return troubles


def exhaust_connections(drill: Drill) -> list[str]:
    """Take every connection, those of the server's pools too."""
    held: list[psycopg.Connection[Any]] = []
    with drill.shelf.connect() as database:
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline:
            try:
                held.append(drill.shelf.connect(connect_timeout=2))
            except psycopg.OperationalError:
                database.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'movieshelf'"
                )
                time.sleep(0.01)
    for connection in held:
        connection.close()
    return [] if len(held) > 150 else [f"only {len(held)} connections could be taken"]


def refuse_valkey(drill: Drill) -> None:
    drill.valkey.stop()
    time.sleep(5)
    drill.shelf.start_again(drill.valkey)


def freeze_valkey(drill: Drill) -> None:
    signal_all(drill.valkey, signal.SIGSTOP)
    time.sleep(5)
    signal_all(drill.valkey, signal.SIGCONT)


def kill_valkey(drill: Drill) -> None:
    signal_all(drill.valkey, signal.SIGKILL)
    time.sleep(3)
    drill.shelf.start_again(drill.valkey)


def fill_valkey(drill: Drill) -> None:
    with redis.Redis(unix_socket_path=str(drill.valkey.sockets[0])) as client:
        before = client.config_get("maxmemory", "maxmemory-policy")
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1")
        time.sleep(5)
        client.config_set("maxmemory", before["maxmemory"])
        client.config_set("maxmemory-policy", before["maxmemory-policy"])


def kill_api_worker(drill: Drill) -> list[str]:
    """Kill a process of the server while its transactions are open, waiting for a lock of ours."""
    # A server's own children, apart from what Python starts to watch its resources.
    workers = [
        process
        for process in psutil.Process(drill.server.pid).children()
        if "resource_tracker" not in " ".join(process.cmdline())
    ]
    with drill.shelf.connect() as database:
        with database.transaction():
            database.execute(
                "SELECT movie_id FROM movies_moviestats WHERE movie_id = ANY(%s)"
                " ORDER BY movie_id FOR UPDATE",
                [drill.films],
            )
            until(lambda: waiting(drill) >= WRITERS - 1, seconds=2.5)
            workers[0].kill()
        time.sleep(2)
        held = database.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'movieshelf'"
            " AND state LIKE 'idle in transaction%' AND clock_timestamp() - state_change > '1 s'"
        ).fetchone()
    return [f"{held[0]} transactions were left open"] if held and held[0] else []


def waiting(drill: Drill) -> int:
    with drill.shelf.connect() as database:
        found = database.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return int(found[0]) if found else 0


def kill_background_worker(drill: Drill) -> list[str]:
    """Kill the worker while it makes an image smaller; a new one must do it again."""
    _, token = drill.admin
    boundary = secrets.token_hex(8)
    body = (
        (
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n"
        ).encode()
        + POSTER.read_bytes()
        + f"\r\n--{boundary}--\r\n".encode()
    )
    with drill.shelf.connect() as database:
        # Whoever makes an image smaller waits for its turn; here that is us.
        database.execute("BEGIN")
        database.execute("LOCK TABLE media_derivative IN ACCESS EXCLUSIVE MODE")
        connection = http.client.HTTPConnection(HOST, drill.port, timeout=PATIENCE)
        connection.request(
            "POST",
            "/users/me/avatar",
            body,
            {
                "Content-Type": f"multipart/form-data; boundary={boundary}",
                "Authorization": f"Bearer {token}",
            },
        )
        response = connection.getresponse()
        media_id = json.loads(response.read()).get("mediaId")
        if response.status != 201:
            return [f"the upload was answered {response.status}"]
        until(lambda: doing(drill), seconds=10)
        drill.worker.kill()
        drill.worker.wait()
        database.execute("ROLLBACK")
    drill.worker = drill.shelf.start_worker()
    started = time.monotonic()
    time.sleep(STALLED_SECONDS)
    # A periodic job looks for what was left behind every two minutes; this is one of its turns.
    drill.shelf.command(
        *("shell", "--no-imports", "-c"),
        "from procrastinate.contrib.django import app;"
        "app.configure_task('movieshelf.retry_stalled').defer(timestamp=0)",
    )
    while time.monotonic() - started < JOB_SECONDS:
        with drill.shelf.connect() as database:
            (made,) = database.execute(
                "SELECT count(*) FROM media_derivative WHERE media_id = %s", [media_id]
            ).fetchone() or (0,)
        if made:
            print(f"  the job was done {time.monotonic() - started:.0f} s later", flush=True)
            return []
        time.sleep(0.5)
    return [f"nobody had picked the job up after {JOB_SECONDS:g} s"]


# A worker counts as dead 30 seconds after its last heartbeat.
STALLED_SECONDS = 32.0
JOB_SECONDS = 75.0


def doing(drill: Drill) -> bool:
    with drill.shelf.connect() as database:
        return bool(
            database.execute("SELECT 1 FROM procrastinate_jobs WHERE status = 'doing'").fetchone()
        )


def lacks_root() -> str:
    return "" if os.geteuid() == 0 else "mounting a small disk needs root"


@contextmanager
def on_small_disk(drill: Drill, name: str) -> Iterator[None]:
    """Give a folder of PostgreSQL's a disk of its own, with little room; then look for damage."""
    folder = drill.postgres.data / name
    aside = drill.shelf.folder / f"{name}.aside"
    drill.postgres.stop()
    shutil.move(folder, aside)
    folder.mkdir()
    used = sum(path.stat().st_size for path in aside.rglob("*") if path.is_file())
    run("mount", "-t", "tmpfs", "-o", f"size={used + ROOM_BYTES}", "tmpfs", str(folder))
    try:
        run("cp", "-a", f"{aside}/.", str(folder))
        drill.shelf.start_again(drill.postgres)
        until(lambda: status_of(drill.port, "/movies?page=2") == 200)
        yield
        address = ("--host", str(drill.shelf.services.run_dir), "--username", "postgres")
        check = ("--install-missing", "--heapallindexed", "--database", "movieshelf")
        run(str(drill.postgres.program.with_name("pg_amcheck")), *address, *check)
        print("  pg_amcheck found no damage", flush=True)
    finally:
        drill.postgres.stop()
        shutil.rmtree(aside)
        run("cp", "-a", str(folder), str(aside))
        run("umount", str(folder))
        folder.rmdir()
        shutil.move(aside, folder)
        drill.shelf.start_again(drill.postgres)


# Beside what is there already.
ROOM_BYTES = 32 * 1024 * 1024


def run(*command: str) -> None:
    """Run a program to its end. Raises SystemExit when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout}{done.stderr}")


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Leave no room on the disk of a folder for a while."""
    ballast = folder / "ballast"
    free = os.statvfs(folder)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
    try:
        yield
    finally:
        ballast.unlink()


def fill_tables(drill: Drill) -> list[str]:
    """Row 156: nothing can grow, while what is there can be read and written over."""
    member, reader = Client(drill.port, drill.admin[1]), Client(drill.port)
    told: Counter[int] = Counter()
    troubles = []
    with filled(drill.postgres.data / "base"):
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline:
            content = {"content": secrets.token_hex(2_400)}
            told[member.ask("POST", f"/movies/{drill.films[0]}/reviews", content).status] += 1
            if (read := reader.ask("GET", f"/movies/{drill.films[1]}")).status != 200:
                troubles.append(f"a read was answered {read.status} while the disk was full")
    if not told[503] or told.keys() - {201, 503}:
        troubles.append(f"long reviews on a full disk were answered {dict(told)}")
    print(f"  long reviews meanwhile: {dict(told)}; reads 200", flush=True)
    return troubles


def fill_log(drill: Drill) -> list[str]:
    """Row 156: PostgreSQL gives up where it cannot write its log, and starts when there is room."""
    with filled(drill.postgres.data / "pg_wal"):
        with suppress(psycopg.OperationalError), drill.shelf.connect() as database:
            for _ in range(3):
                # Goes on to a file of the log that is not there yet.
                database.execute("SELECT pg_switch_wal()")
                database.execute("CREATE TABLE drill (); DROP TABLE drill")
        time.sleep(5)
    gave_up = "No space left on device" in drill.postgres.log.read_text(errors="replace")
    # As `restart: unless-stopped` does.
    drill.shelf.start_again(drill.postgres)
    return [] if gave_up else ["PostgreSQL did not run out of room"]


# Read by each Python that finds it: follows a file that says how many seconds to be behind.
FALSE_CLOCK = """
import os, pathlib, threading, time, time_machine

def follow(file=pathlib.Path(__file__).with_name("behind")):
    clock = None
    while True:
        if file.exists() and clock is None:
            clock = time_machine.travel(time.time() - float(file.read_text()))
            clock.start()
        elif clock is not None and not file.exists():
            clock.stop()
            clock = None
        time.sleep(0.05)

def begin():
    threading.Thread(target=follow, daemon=True).start()

begin()
os.register_at_fork(after_in_child=begin)
"""


@contextmanager
def under_another_clock(drill: Drill) -> Iterator[None]:
    """Serve with a clock that can be set; PostgreSQL and the clients keep the true one."""
    folder = behind(drill).parent
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(FALSE_CLOCK)
    restart(drill, PYTHONPATH=str(folder))
    yield
    restart(drill)


def behind(drill: Drill) -> Path:
    return drill.shelf.folder / "clock" / "behind"


def restart(drill: Drill, **settings: str) -> None:
    for process in (drill.server, drill.worker):
        process.send_signal(signal.SIGTERM)
        process.wait(40)
    drill.server = drill.shelf.start_server(drill.port, **settings)
    drill.worker = drill.shelf.start_worker(**settings)


def set_clock_back(drill: Drill) -> list[str]:
    """Row 157: an hour back for the server and the worker, for ten seconds."""
    who = {"email": "drill-0@drill.example", "password": PASSWORD}
    film = f"/movies/{drill.films[0]}"
    behind(drill).write_text("3600")
    time.sleep(1)
    login = Client(drill.port).ask("POST", "/auth/login", who)
    member = Client(drill.port, login.body.get("accessToken"))
    # The two processes' clocks are set back apart, by milliseconds.
    time.sleep(0.2)
    review = member.ask("POST", f"{film}/reviews", {"content": "An hour ago."})
    time.sleep(9)
    behind(drill).unlink()
    if (login.status, review.status) != (200, 201):
        return [f"a login was answered {login.status}, a review with its token {review.status}"]
    troubles = []
    written = datetime.fromisoformat(review.body["createdAt"])
    if not 3_500 < (seconds := time.time() - written.timestamp()) < 3_700:
        troubles.append(f"the server's clock was {seconds:.0f} s behind")
    return troubles


def terminate_server(drill: Drill) -> list[str]:
    drill.server.send_signal(signal.SIGTERM)
    code = drill.server.wait(40)
    drill.server = drill.shelf.start_server(drill.port)
    return [] if code == 0 else [f"the server ended with {code}"]


def start_before_database(drill: Drill) -> list[str]:
    """Row 159: the server is started while PostgreSQL is not there yet."""
    drill.server.send_signal(signal.SIGTERM)
    drill.server.wait(40)
    drill.postgres.stop()
    drill.server = drill.shelf.start_server(drill.port)
    status = status_of(drill.port, "/readyz", timeout=15)
    drill.shelf.start_again(drill.postgres)
    return [] if status == 503 else [f"/readyz answered {status} without a database"]


FAULTS = (
    Fault("nothing", lambda drill: time.sleep(2)),
    Fault("PostgreSQL restarted (fast)", restart_fast),
    Fault("PostgreSQL stopped hard (immediate), started after 2 s", stop_immediately),
    Fault("PostgreSQL killed (SIGKILL, all processes), started after 2 s", kill_postgres),
    Fault("PostgreSQL away for 40 s", stay_away),
    Fault("all backends terminated, each second, for 20 s", terminate_backends),
    Fault("PostgreSQL frozen (SIGSTOP) for 15 s", freeze_postgres),
    Fault("connections exhausted for 8 s", exhaust_connections),
    Fault("Valkey refused for 5 s", refuse_valkey),
    Fault("Valkey frozen (SIGSTOP) for 5 s", freeze_valkey),
    Fault("Valkey killed (SIGKILL), started after 3 s", kill_valkey),
    Fault("Valkey full (noeviction) for 5 s", fill_valkey),
    # The requests that it had in hand break with it.
    Fault(
        "the disk of the tables full for 8 s",
        fill_tables,
        around=lambda drill: on_small_disk(drill, "base"),
        lacks=lacks_root,
    ),
    Fault(
        "the disk of PostgreSQL's log full for 5 s",
        fill_log,
        around=lambda drill: on_small_disk(drill, "pg_wal"),
        lacks=lacks_root,
    ),
    Fault(
        "the clock of server and worker an hour back for 10 s",
        set_clock_back,
        # What was issued in the future is not good yet (accounts/tests/test_tokens.py, row 54).
        (401,),
        around=under_another_clock,
    ),
    Fault("an API process killed (-9) in transactions", kill_api_worker, (BROKEN, CLOSED)),
    Fault("the background worker killed (-9) in a job", kill_background_worker),
    # Between the old server and the new one nobody listens.
    Fault("SIGTERM to the server, started again", terminate_server, (REFUSED, CLOSED)),
    Fault("server started before PostgreSQL", start_before_database, (REFUSED, CLOSED)),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("words", nargs="*", help="only faults whose name has one of these words")
    words = [word.lower() for word in parser.parse_args().words]
    faults = [f for f in FAULTS if not words or any(word in f.name.lower() for word in words)]
    passed_over = {fault.name: lacks for fault in faults if (lacks := fault.lacks())}
    went_well = True
    with own_shelf() as shelf:
        drill = Drill(shelf)
        print("| fault | answers | longest | served again after | writes lost | drift |")
        print("|---|---|---|---|---|---|", flush=True)
        for fault in faults:
            if fault.name in passed_over:
                continue
            with fault.around(drill):
                outcome = drill.go(fault)
            print(outcome.row, flush=True)
            for trouble in [*outcome.lost, *outcome.bad][:5]:
                print(f"  !! {trouble[:300]}", flush=True)
            went_well = went_well and outcome.is_right
        for name, lacks in passed_over.items():
            print(f"Passed over: {name}: {lacks}.")
        if not went_well:
            print("The server's log:", shelf.folder / "server.log")
            print((shelf.folder / "server.log").read_text(errors="replace")[-3000:])
    return 0 if went_well else 1


if __name__ == "__main__":
    sys.exit(main())
