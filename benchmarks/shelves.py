"""Shelves to measure on, served as production does, on the loopback only.

`own_shelf` has a PostgreSQL, a Valkey and a server of its own, for what must not disturb others:
everything is in one new folder and is gone in the end. `kept_database` is a database of this
clone's PostgreSQL that stays for the next time.
"""

import http.client
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from movieshelf import embedded  # noqa: E402  # needs the path above
from movieshelf.embedded import (  # noqa: E402
    Account,
    EmbeddedServices,
    Service,
)

HOST = "127.0.0.1"


def production(database_url: str, redis_url: str, **settings: str) -> dict[str, str]:
    """Give the environment of a server in production, with keys of its own."""
    return {
        **os.environ,
        "SECRET_KEY": secrets.token_urlsafe(48),
        "JWT_SIGNING_KEY": secrets.token_urlsafe(48),
        "ALLOWED_HOSTS": HOST,
        "DEBUG": "false",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "WEB_PROCESSES": "2",
        # Nobody balances between this server and another.
        "DRAIN_SECONDS": "0",
        **settings,
    }


def embedded_url(database: str) -> str:
    """Give the address of a database of this clone's PostgreSQL."""
    settings = embedded.django_database()
    return (
        f"postgresql://{settings['USER']}@/{database}?host={settings['HOST']}"
        f"&port={settings['PORT']}"
    )


def kept_database(name: str) -> str:
    """Have a database in this clone's PostgreSQL, empty where it is new; give its address."""
    with psycopg.connect(embedded_url("postgres"), autocommit=True) as admin:
        if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            admin.execute(f'CREATE DATABASE "{name}"')
    return embedded_url(name)


def python_of(root: Path) -> str:
    """Give the Python of a checkout."""
    return sys.executable if root == ROOT else str(root / ".venv" / "bin" / "python")


@contextmanager
def served(
    port: int, environment: dict[str, str], *, root: Path = ROOT, log: Any = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Serve a checkout with the server's defaults until the block ends."""
    server = subprocess.Popen(
        [python_of(root), "-m", "movieshelf.serving", "--host", HOST, "--port", str(port)],
        env=environment,
        cwd=root,
        stdout=log,
        stderr=log,
    )
    try:
        until(lambda: server.poll() is not None or status_of(port, "/readyz") == 200, seconds=60)
        if server.poll() is not None:
            raise SystemExit(f"The server ended at once, with {server.returncode}.")
        yield server
    finally:
        server.terminate()
        server.wait(60)


class OwnShelf:
    """Services of its own, and as many servers (nodes) as are started."""

    def __init__(self, folder: Path, code: Path, **settings: str) -> None:
        self.services = EmbeddedServices(folder)
        self.folder = folder
        # Where the MovieShelf is that commands and servers are started of.
        self.code = code
        self.database_url = self.services.postgres.address
        self.environment = production(
            self.database_url,
            self.services.valkey.address,
            **{"RATELIMIT_ENABLE": "false", "LOG_LEVEL": "WARNING", **settings},
        )
        self.log = (folder / "server.log").open("ab")
        self.children: list[subprocess.Popen[bytes]] = []

    def command(self, *arguments: str, **settings: str) -> str:
        """Run `manage.py` to its end; give its output. Raises SystemExit when it fails."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.code,
            env={**self.environment, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"manage.py {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start a program of Python's beside us."""
        child = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.code,
            env={**self.environment, **settings},
            stdout=self.log,
            stderr=self.log,
        )
        self.children.append(child)
        return child

    def start_server(self, port: int, **settings: str) -> subprocess.Popen[bytes]:
        """Start a server as `make run` does, and wait until it lives."""
        command = ("-m", "movieshelf.serving", "--host", HOST, "--port", str(port))
        server = self.start(*command, **settings)
        until(lambda: status_of(port, "/healthz") == 200, seconds=60)
        return server

    def start_worker(self, **settings: str) -> subprocess.Popen[bytes]:
        return self.start("manage.py", "worker", **settings)

    def connect(self, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """Connect to the database as its superuser, in autocommit."""
        return psycopg.connect(self.database_url, autocommit=True, **options)

    def start_again(self, service: Service) -> None:
        """Start one of the services that was ended."""
        service.start(Account.for_services())

    def end(self) -> None:
        for child in self.children:
            if child.poll() is None:
                child.terminate()
        for child in self.children:
            try:
                child.wait(35)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        for service in self.services.all:
            for process in service.processes():
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)
        self.services.stop()


def kill_all(server: subprocess.Popen[bytes]) -> None:
    """Kill a server with its workers, which would outlive it: a machine that is gone."""
    root = psutil.Process(server.pid)
    for process in [*root.children(recursive=True), root]:
        process.kill()
    server.wait()


@contextmanager
def own_shelf(code: Path = ROOT, **settings: str) -> Iterator[OwnShelf]:
    """Give a shelf that is migrated and seeded, and not served yet."""
    # So that what was started is ended, also when `timeout` ends us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="movieshelf-drill-"))
    shelf = OwnShelf(folder, code, **settings)
    try:
        shelf.services.start()
        shelf.command("migrate", "--verbosity", "0")
        shelf.command("seed", "--demo")
        yield shelf
    finally:
        shelf.end()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def status_of(port: int, path: str, timeout: float = 5) -> int:
    """Ask once; 0 where nobody answers."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def until(is_so: Callable[[], object], seconds: float = 30) -> None:
    """Wait for something. Raises SystemExit when it does not come."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise SystemExit(f"It did not come to that within {seconds:g} s.")
        time.sleep(0.02)
