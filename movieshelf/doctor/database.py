"""PostgreSQL: whether it is what our migrations made, and whether it keeps what it is given."""

import time
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.models import UniqueConstraint

from movieshelf.backups import migrations_apart
from movieshelf.doctor import Finding, Question, error, examination, note, warning

# UUIDv7 and RETURNING old and new are of this version.
OLDEST_POSTGRES = 18
# From here on PostgreSQL itself begins to warn, and at two billion it stops.
OLD_TRANSACTION_IDS = 1_000_000_000
# Dead rows that autovacuum should have taken: a fifth is its own threshold.
DEAD_ROWS, DEAD_SHARE = 50_000, 0.4
CROWDED_SHARE = 0.8
LONG_TRANSACTION = "1 minute"
LONG_WAIT = "10 seconds"


def rows(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Ask the database."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def shown(name: str) -> str:
    """Give the value of one of PostgreSQL's settings."""
    return str(rows("SELECT current_setting(%s)", name)[0][0])


@examination("version")
def version(question: Question) -> Iterator[Finding]:
    if int(shown("server_version_num")) < OLDEST_POSTGRES * 10_000:
        yield error(
            f"PostgreSQL is {shown('server_version')}.",
            f"MovieShelf needs PostgreSQL {OLDEST_POSTGRES} or later.",
        )


@examination("migrations")
def migrations(question: Question) -> Iterator[Finding]:
    missing, beyond = migrations_apart(connection)
    if missing:
        yield error(f"{missing} migrations were not applied.", "Run `manage.py migrate`.")
    if beyond:
        yield warning(
            f"The database has {beyond} migrations that this code does not know.",
            "Run the version that the database is of.",
        )


@examination("extensions")
def extensions(question: Question) -> Iterator[Finding]:
    installed = {name for (name,) in rows("SELECT extname FROM pg_extension")}
    if "pg_trgm" not in installed:
        yield error("pg_trgm is missing: search cannot work.", "CREATE EXTENSION pg_trgm")
    if "pg_stat_statements" not in shown("shared_preload_libraries"):
        yield note(
            "pg_stat_statements is not loaded, so nobody can tell which queries cost most.",
            "shared_preload_libraries = 'pg_stat_statements', then a restart.",
        )


@examination("locale")
def locale(question: Question) -> Iterator[Finding]:
    encoding, provider, name, recorded, actual = rows(
        """
        SELECT pg_encoding_to_char(encoding), datlocprovider, coalesce(datlocale, datcollate),
            datcollversion, pg_database_collation_actual_version(oid)
        FROM pg_database WHERE datname = current_database()
        """
    )[0]
    if encoding != "UTF8":
        yield error(
            f"The database's encoding is {encoding}: not every title can be stored.",
            "Restore a backup into a database with ENCODING 'UTF8'.",
        )
    if provider != "b":
        yield warning(
            f"The database's order of text is the operating system's ({name}), which may change "
            "under the indexes with an upgrade.",
            "Restore a backup into a database with LOCALE_PROVIDER builtin, "
            "BUILTIN_LOCALE 'C.UTF-8', TEMPLATE template0.",
        )
    if recorded != actual:
        yield error(
            f"The order of text has changed under the indexes (from {recorded} to {actual}).",
            "REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION.",
        )


@examination("indexes")
def indexes(question: Question) -> Iterator[Finding]:
    for name, table in rows(
        """
        SELECT i.indexrelid::regclass::text, i.indrelid::regclass::text
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE NOT (i.indisvalid AND i.indisready) AND c.relnamespace = 'public'::regnamespace
        """
    ):
        yield error(
            f"The index {name} of {table} is not valid: it costs writes and serves no reader.",
            f"REINDEX INDEX CONCURRENTLY {name}",
        )
    there = {name for (name,) in rows("SELECT relname FROM pg_class WHERE relkind IN ('i', 'I')")}
    for table, name in declared_indexes():
        if name not in there:
            yield error(
                f"The index {name} of {table} is missing: somebody dropped it.",
                f"`manage.py sqlmigrate` shows how it is made; grep {name} in migrations/.",
            )


def declared_indexes() -> Iterator[tuple[str, str]]:
    """Give the table and the name of each index that our models name."""
    for model in apps.get_models():
        meta = model._meta
        if meta.managed and not meta.proxy:
            for index in meta.indexes:
                yield meta.db_table, index.name
            for constraint in meta.constraints:
                if isinstance(constraint, UniqueConstraint):
                    yield meta.db_table, constraint.name


@examination("constraints")
def constraints(question: Question) -> Iterator[Finding]:
    for name, table in rows(
        """
        SELECT conname, conrelid::regclass::text FROM pg_constraint
        WHERE NOT (convalidated AND conenforced) AND connamespace = 'public'::regnamespace
        """
    ):
        yield error(
            f"The constraint {name} of {table} does not hold for every row.",
            f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}",
        )
    there = {name for (name,) in rows("SELECT conname FROM pg_constraint")}
    for model in apps.get_models():
        for constraint in model._meta.constraints:
            if not isinstance(constraint, UniqueConstraint) and constraint.name not in there:
                yield error(
                    f"The constraint {constraint.name} of {model._meta.db_table} is missing.",
                    f"`manage.py sqlmigrate` shows it; grep {constraint.name} in migrations/.",
                )


@examination("triggers")
def triggers(question: Question) -> Iterator[Finding]:
    for name, table in rows(
        """
        SELECT tgname, tgrelid::regclass::text FROM pg_trigger
        WHERE tgenabled = 'D' AND NOT tgisinternal
        """
    ):
        yield error(
            f"The trigger {name} of {table} is switched off: what it counts is no longer counted.",
            f"ALTER TABLE {table} ENABLE TRIGGER {name}, then `manage.py recompute`.",
        )


@examination("durability")
def durability(question: Question) -> Iterator[Finding]:
    for name in ("fsync", "full_page_writes"):
        if shown(name) != "on":
            yield error(
                f"{name} is off: a power cut may destroy the database.",
                f"{name} = on in postgresql.conf, then a restart.",
            )
    if shown("synchronous_commit") == "off":
        yield error(
            "synchronous_commit is off: a crash loses writes that were answered with success.",
            "synchronous_commit = on in postgresql.conf, then a reload.",
        )


@examination("time limits")
def time_limits(question: Question) -> Iterator[Finding]:
    """They come with each connection, and a PgBouncer in between may drop them."""
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        (value,) = rows("SELECT reset_val FROM pg_settings WHERE name = %s", name)[0]
        if value == "0":
            yield warning(
                f"{name} is 0: one stuck request may hold up others for ever.",
                "Behind PgBouncer: ALTER ROLE … SET, since it drops what a connection asks for.",
            )


@examination("connections")
def connections_left(question: Question) -> Iterator[Finding]:
    used, most = rows(
        """
        SELECT count(*), current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int
            - current_setting('reserved_connections')::int
        FROM pg_stat_activity WHERE backend_type = 'client backend'
        """
    )[0]
    if used > CROWDED_SHARE * most:
        yield warning(
            f"{used} of {most} connections are taken.",
            "Lower DATABASE_POOL_MAX, raise max_connections, or put PgBouncer between.",
        )
    pool = settings.DATABASES["default"]["OPTIONS"].get("pool")
    ours = settings.WEB_PROCESSES * pool["max_size"] if pool else 0
    if ours > most:
        yield warning(
            f"One node may want {ours} connections (WEB_PROCESSES × DATABASE_POOL_MAX) of {most}.",
            "Lower DATABASE_POOL_MAX, or raise max_connections.",
        )


@examination("transactions")
def transactions(question: Question) -> Iterator[Finding]:
    for pid, state, seconds in rows(
        """
        SELECT pid, state, extract(epoch FROM clock_timestamp() - xact_start)::int
        FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend'
            AND pid <> pg_backend_pid() AND clock_timestamp() - xact_start > %s::interval
        """,
        LONG_TRANSACTION,
    ):
        yield warning(
            f"Process {pid} ({state}) has held a transaction open for {seconds} s: dead rows pile "
            "up behind it.",
            f"SELECT pg_terminate_backend({pid}), unless it is a backup or a migration.",
        )
    for pid, holders in rows(
        """
        SELECT pid, pg_blocking_pids(pid)::text FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'
            AND clock_timestamp() - state_change > %s::interval
        """,
        LONG_WAIT,
    ):
        yield warning(
            f"Process {pid} has been waiting for a lock of process {holders}.",
            "SELECT pg_terminate_backend(…) of the holder, if it does not go on.",
        )


@examination("vacuum")
def vacuum(question: Question) -> Iterator[Finding]:
    if shown("autovacuum") != "on":
        yield error("autovacuum is off: tables grow without end.", "autovacuum = on")
    for table, dead, live in rows(
        """
        SELECT relname, n_dead_tup, n_live_tup FROM pg_stat_user_tables
        WHERE n_dead_tup >= %s AND n_dead_tup >= %s * n_live_tup
        """,
        DEAD_ROWS,
        DEAD_SHARE,
    ):
        yield warning(
            f"{table} has {dead:,} dead rows beside {live:,} live ones.",
            f"VACUUM (ANALYZE) {table}, and see what keeps autovacuum (`transactions`).",
        )
    (age,) = rows("SELECT max(age(datfrozenxid)) FROM pg_database")[0]
    if age > OLD_TRANSACTION_IDS:
        yield error(
            f"The oldest transaction id is {age:,} transactions old; at two billion all writes "
            "stop.",
            "VACUUM (FREEZE), and end what keeps autovacuum from it: a replication slot, a "
            "transaction that is prepared or stays open.",
        )


@examination("clock")
def clock(question: Question) -> Iterator[Finding]:
    before = time.time()
    (there,) = rows("SELECT extract(epoch FROM clock_timestamp())::float8")[0]
    after = time.time()
    apart = max(before - there, there - after, 0.0)
    if apart > 1:
        yield (error if apart > 30 else warning)(
            f"The clocks here and at the database are {apart:.0f} s apart: logins would live "
            "shorter or longer than they should.",
            "Run chrony or systemd-timesyncd on both.",
        )
