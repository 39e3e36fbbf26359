"""Beyond one machine: a primary, a standby, two nodes, nginx over them; kill each and see.

    .venv/bin/python benchmarks/replicas.py [SECONDS A MEASUREMENT]     needs nginx and wrk

The standby is made by pg_basebackup of the same wheel, and is synchronous with
`synchronous_commit = remote_apply`. All of it is on this machine, so more nodes do not mean more
processors: what the figures show is that nothing is lost by spreading, and what happens at each
fault. Prints the tables of docs/scaling.md. Takes about two minutes.
"""

import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import psycopg
from faults import BROKEN, REFUSED, Client, signal_all
from shelves import HOST, OwnShelf, free_port, kill_all, own_shelf, status_of, until

from movieshelf.embedded import PORT, SUPERUSER, Account, Postgres

NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream nodes {{
        {servers}
        keepalive 32;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://nodes;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host 127.0.0.1;
            # A write is sent once; nginx repeats only what may be repeated.
            proxy_next_upstream error timeout http_502;
            proxy_connect_timeout 1s;
        }}
    }}
}}
"""


class Standby(Postgres):
    """A copy of the primary that follows it; found and ended like any other service."""

    title = "the standby"

    def __init__(self, shelf: OwnShelf) -> None:
        home = shelf.folder / "standby"
        home.mkdir()
        run_dir = Path(f"{shelf.services.run_dir}-s")
        super().__init__(home, run_dir)
        self.shelf = shelf

    def make(self) -> None:
        """Copy the primary with pg_basebackup, set up to follow it."""
        account = Account.for_services()
        for folder in (self.run_dir, self.data):
            folder.mkdir(mode=0o700, exist_ok=True)
            account.own(folder)
        account.own(self.data.parent)
        account.let_into(self.data.parent)
        subprocess.run(
            [
                *(self.program.with_name("pg_basebackup"), f"--pgdata={self.data}"),
                *("--wal-method=stream", "--checkpoint=fast", "--write-recovery-conf"),
                "--dbname",
                f"host={self.shelf.services.run_dir} user={SUPERUSER} application_name=standby",
            ],
            check=True,
            cwd=self.data,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            **account.popen_options,
        )

    def prepare(self, account: Account) -> None:
        self._write_settings(account)
        self._free_lock_file()

    def start(self, account: Account) -> None:
        # A standby takes no CREATE DATABASE, which a primary's start may do.
        super(Postgres, self).start(account)


@contextmanager
def nginx(folder: Path, port: int, nodes: list[int]) -> Iterator[None]:
    """Balance over these nodes for a while."""
    servers = "\n        ".join(
        f"server 127.0.0.1:{node} max_fails=1 fail_timeout=2s;" for node in nodes
    )
    file = folder / f"nginx-{port}.conf"
    file.write_text(NGINX.format(folder=folder, port=port, servers=servers))
    process = subprocess.Popen(["nginx", "-c", str(file), "-e", str(folder / "nginx.log")])
    try:
        until(lambda: status_of(port, "/healthz") == 200)
        yield
    finally:
        process.terminate()
        process.wait()


class Traffic:
    """Two writers and two readers; what each was answered, and whether a read was ever old.

    Each writer rates one film of its own, and reads it back without saying who it is: such a read
    goes to the standby.
    """

    def __init__(self, port: int, film: int) -> None:
        self.port, self.film = port, film
        # Answers that no fault excuses: a read is always served, a write is done or told 503.
        self.wrong: list[str] = []
        self.answers: list[tuple[float, str, int, float]] = []
        self.old = self.all_old = 0
        self.acknowledged: dict[int, tuple[int, int]] = {}
        self.goes_on = True
        self.threads = [
            threading.Thread(target=self.write, args=(n,), daemon=True) for n in range(2)
        ] + [threading.Thread(target=self.read, daemon=True) for _ in range(2)]
        for thread in self.threads:
            thread.start()

    def note(self, kind: str, answer: Any) -> Any:
        self.answers.append((answer.at, kind, answer.status, answer.seconds))
        return answer

    def read(self) -> None:
        client = Client(self.port)
        paths = cycle(
            ["/movies", "/movies?sort=rank&page=3", "/movies?q=the", f"/movies/{self.film}"]
        )
        while self.goes_on:
            self.note("read", client.ask("GET", next(paths)))
            time.sleep(0.05)

    def write(self, number: int) -> None:
        who = {
            "name": "Writer",
            "email": f"{secrets.token_hex(8)}@replica.example",
            "password": "a phrase for replicas",
        }
        visitor = Client(self.port)
        registered = visitor.ask("POST", "/auth/register", who).body
        member = Client(self.port, registered["accessToken"])
        film = member.ask("POST", "/movies", {"title": secrets.token_hex(8)}).body["id"]
        value = 0
        while self.goes_on:
            value = value % 5 + 1
            answer = self.note(
                "write", member.ask("PUT", f"/movies/{film}/rating", {"value": value})
            )
            if answer.status == 200:
                self.acknowledged[film] = (registered["user"]["id"], value)
                shown = self.note("read", visitor.ask("GET", f"/movies/{film}"))
                if shown.status == 200 and shown.body["averageRating"] != value:
                    self.old += 1
            else:
                # Not known to have happened, nor not to have.
                self.acknowledged.pop(film, None)
            time.sleep(0.05)

    def stop(self) -> None:
        self.goes_on = False
        for thread in self.threads:
            thread.join(40)

    def row(self, fault: str, since: float, until_: float, *, lost: int | str = "–") -> str:
        """Give a row of the table: what was answered between two moments."""
        cells = [fault]
        for kind in ("read", "write"):
            some = [a for a in self.answers if a[1] == kind and since <= a[0] <= until_]
            names = {REFUSED: "refused", BROKEN: "broken"}
            counted = Counter(names.get(status, str(status)) for _, _, status, _ in some)
            told = ", ".join(f"{status}: {n}" for status, n in counted.most_common()) or "none"
            told += f" ({len(some) / (until_ - since):.0f}/s)"
            excused = () if kind == "read" else (503,)
            self.wrong += [
                f"{fault}: a {kind} was answered {status}"
                for _, _, status, _ in some
                if not 200 <= status < 500 and status not in excused
            ]
            longest = max((seconds for *_, seconds in some), default=0.0)
            bad = [at for at, _, status, _ in some if not 200 <= status < 500]
            gap = f"{max(bad) - since:.1f} s" if bad else "0"
            cells.append(f"{told}; longest {longest:.1f} s; last bad after {gap}")
        old, self.old = self.old, 0
        self.all_old += old
        return f"| {' | '.join(cells)} | {old} | {lost} |"

    def lost(self, url: str) -> int:
        """Count acknowledged ratings that a database does not have."""
        with psycopg.connect(url) as database:
            held = {
                (film, user): value
                for film, user, value in database.execute(
                    "SELECT movie_id, user_id, value FROM ratings_rating WHERE movie_id = ANY(%s)",
                    [list(self.acknowledged)],
                )
            }
        return sum(
            held.get((film, user)) != value for film, (user, value) in self.acknowledged.items()
        )


def reads_per_second(port: int, path: str, seconds: float) -> float:
    """Ask with wrk, 16 connections; an answer that is not 2xx is an error."""
    told = subprocess.run(
        ["wrk", "-t1", "-c16", f"-d{seconds:g}s", f"http://{HOST}:{port}{path}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if "Non-2xx" in told:
        raise SystemExit(told)
    found = re.search(r"Requests/sec:\s+([\d.]+)", told)
    assert found, told
    return float(found[1])


def measure(shelf: OwnShelf, film: int, nodes: dict[str, list[int]], seconds: float) -> None:
    """Reads a second through nginx, for each set of nodes."""
    print(
        "| reads a second through nginx | `/movies` | `/movies?sort=rank&page=3` | `/movies/:id` |"
    )
    print("|---|---|---|---|")
    for label, ports in nodes.items():
        port = free_port()
        with nginx(shelf.folder, port, ports):
            figures = [
                reads_per_second(port, path, seconds)
                for path in ("/movies", "/movies?sort=rank&page=3", f"/movies/{film}")
            ]
        print(f"| {label} | {' | '.join(f'{figure:,.0f}' for figure in figures)} |", flush=True)


def wait_for_standby(shelf: OwnShelf) -> None:
    """Wait until the standby is synchronous."""
    with shelf.connect() as database:
        until(
            lambda: database.execute(
                "SELECT 1 FROM pg_stat_replication"
                " WHERE sync_state = 'sync' AND state = 'streaming'"
            ).fetchone()
        )


def alter(shelf: OwnShelf, **settings: str) -> None:
    with shelf.connect() as database:
        for name, value in settings.items():
            database.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        database.execute("SELECT pg_reload_conf()")


def main(seconds: float) -> int:
    with own_shelf() as shelf:
        standby = Standby(shelf)
        try:
            standby.make()
            standby.start(Account.for_services())
            alter(shelf, synchronous_standby_names="standby", synchronous_commit="remote_apply")
            wait_for_standby(shelf)
            return show(shelf, standby, seconds)
        finally:
            signal_all(standby, signal.SIGCONT)
            standby.stop()


def show(shelf: OwnShelf, standby: Standby, seconds: float) -> int:
    alone, one, two, proxy = (free_port() for _ in range(4))
    both = f"{shelf.services.run_dir},{standby.run_dir}"
    either = (
        f"postgresql://{SUPERUSER}@/movieshelf?host={both}&port={PORT},{PORT}"
        "&target_session_attrs=read-write"
    )
    with_replica = {"DATABASE_URL": either, "DATABASE_REPLICA_URL": standby.address}
    shelf.start_server(alone)
    servers = [shelf.start_server(port, **with_replica) for port in (one, two)]
    time.sleep(2)
    with shelf.connect() as database:
        (film,) = database.execute("SELECT min(id) FROM movies_movie").fetchone() or (0,)
    measure(
        shelf,
        film,
        {
            "1 node, primary only": [alone],
            "1 node, reads from the standby": [one],
            "2 nodes, reads from the standby": [one, two],
        },
        seconds,
    )
    print()
    print("| what happened | reads | writes | old reads | writes lost |")
    print("|---|---|---|---|---|", flush=True)
    with nginx(shelf.folder, proxy, [one, two]):
        traffic = Traffic(proxy, film)
        time.sleep(3)

        def phase(name: str, wait: float, **more: Any) -> None:
            since = time.monotonic()
            time.sleep(wait)
            print(traffic.row(name, since, time.monotonic(), **more), flush=True)

        phase("nothing", 4)
        kill_all(servers[0])
        phase("a node killed (-9)", 5)
        shelf.start_server(one, **with_replica)
        signal_all(standby, signal.SIGKILL)
        phase("the standby killed: reads go to the primary, commits wait for it", 16)
        alter(shelf, synchronous_standby_names="")
        phase("… then `synchronous_standby_names = ''`", 5)
        standby.start(Account.for_services())
        alter(shelf, synchronous_standby_names="standby")
        wait_for_standby(shelf)
        time.sleep(2)
        phase("the standby back, synchronous again", 4)
        primary = shelf.services.postgres
        signal_all(primary, signal.SIGKILL)
        phase("the primary killed: reads go on, writes are told to come back", 8)
        # The new primary has no standby to wait for.
        since = time.monotonic()
        with psycopg.connect(standby.address, autocommit=True) as database:
            database.execute("SELECT pg_promote()")
            database.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            database.execute("SELECT pg_reload_conf()")
        time.sleep(8)
        end = time.monotonic()
        traffic.stop()
        lost = traffic.lost(standby.address)
        print(traffic.row("… then the standby promoted", since, end, lost=lost), flush=True)
    shelf.command("recompute", "--check", DATABASE_URL=standby.address)
    print("recompute --check at the new primary: no drift")
    for wrong in traffic.wrong[:10]:
        print(f"  !! {wrong}")
    return 1 if lost or traffic.wrong or traffic.all_old else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 5))
