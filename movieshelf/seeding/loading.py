"""Writing many rows at once: COPY, and indexes that are built once instead of row by row."""

from collections.abc import Iterable, Sequence
from itertools import batched
from typing import Any

from django.db import connection, models

from movieshelf.progress import Advance, Reporter

ROWS_PER_STEP = 5_000

# Foreign keys, unique constraints (with their indexes), then plain indexes. A unique constraint
# stays where rows are: whoever adds to them asks its index what is there already.
_DEFINITIONS = """
    SELECT format('ALTER TABLE %%I DROP CONSTRAINT %%I', rel.relname, con.conname),
           format('ALTER TABLE %%I ADD CONSTRAINT %%I %%s',
                  rel.relname, con.conname, pg_get_constraintdef(con.oid))
    FROM pg_constraint con JOIN pg_class rel ON rel.oid = con.conrelid
    WHERE rel.oid = %(table)s::regclass
      AND (con.contype = 'f' OR con.contype = 'u' AND %(is_empty)s)
    UNION ALL
    SELECT format('DROP INDEX %%I', index.relname), pg_get_indexdef(index.oid)
    FROM pg_index ind JOIN pg_class index ON index.oid = ind.indexrelid
    WHERE ind.indrelid = %(table)s::regclass
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = index.oid AND contype <> 'f')
"""


def prepare_session(random_seed: int) -> None:
    """Lift the limits of a request for this transaction, and define `pg_temp.chance`.

    `chance(key, salt)` is a number from 0 up to 1 that looks random, and is the same each time.
    """
    run("SET LOCAL statement_timeout = 0")
    run("SET LOCAL idle_in_transaction_session_timeout = 0")
    run("SET LOCAL lock_timeout = '60s'")
    run("SET LOCAL work_mem = '128MB'")
    run("SET LOCAL maintenance_work_mem = '256MB'")
    run("SET LOCAL jit = off")
    run(
        f"""
        CREATE OR REPLACE FUNCTION pg_temp.chance(key bigint, salt bigint) RETURNS float8
        LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
            (hashint8extended(key, salt + {random_seed:d} * 1000003) & 4294967295)
            / 4294967296::float8
        """
    )


def lock_out_writers(*tables: type[models.Model]) -> None:
    """Let others read but not write until the transaction ends; ids and numbers are ours alone."""
    names = ", ".join(table._meta.db_table for table in tables)
    run(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")


def run(sql: str, parameters: Any = None) -> int:
    """Execute one statement; give the number of rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)


def number(sql: str, parameters: Any = None) -> int:
    """Give the whole number that a query answers with; none is 0."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        row = cursor.fetchone()
    return int(row[0] or 0) if row else 0


def copy_rows(
    table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], advance: Advance
) -> None:
    """Send rows to a table by COPY."""
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy,
    ):
        for batch in batched(rows, ROWS_PER_STEP):
            for row in batch:
                copy.write_row(row)
            advance(len(batch))


def reserve_ids(model: type[models.Model], count: int) -> int:
    """Take the next `count` ids of a table, whose writers are locked out; give the first."""
    table = model._meta.db_table
    return number(
        """
        WITH sequence AS (SELECT pg_get_serial_sequence(%s, 'id') AS name)
        SELECT setval(name, nextval(name) + %s - 1) - %s + 1 FROM sequence
        """,
        [table, count, count],
    )


class Rebuilding:
    """Foreign keys and indexes that are gone for a while, and how to make them again."""

    def __init__(self, definitions: list[tuple[str, str]]) -> None:
        self.definitions = definitions

    def __call__(self, report: Reporter) -> None:
        if not self.definitions:
            return
        advance = report.stage("Indexes", len(self.definitions))
        run("SET CONSTRAINTS ALL IMMEDIATE")
        for _, create in reversed(self.definitions):
            run(create)
            advance(1)


def without_indexes(rows_to_add: dict[type[models.Model], int]) -> Rebuilding:
    """Drop the foreign keys and indexes of tables that will at least double; primary keys stay.

    Row by row, ten million ratings would cost twenty million look-ups of foreign keys and a walk
    down each index. What is returned makes them again, checking every row; an error rolls back.
    """
    definitions = []
    for model, added in rows_to_add.items():
        present = model._default_manager.count()
        if added and added >= present:
            definitions += _definitions(model._meta.db_table, is_empty=present == 0)
    # Checks that wait for the end of the transaction would forbid to alter their tables.
    run("SET CONSTRAINTS ALL IMMEDIATE")
    for drop, _ in definitions:
        run(drop)
    return Rebuilding(definitions)


def _definitions(table: str, *, is_empty: bool) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(_DEFINITIONS, {"table": table, "is_empty": is_empty})
        return list(cursor.fetchall())
