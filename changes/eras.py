"""Positions in the feed of changes, and for how long they mean something.

A position is the number of the transaction that made the change (`pg_current_xact_id`), plus the
shift of the era. An era lasts as long as the database is the same one: its cluster, its timeline,
its tables. A backup that is restored somewhere has rows with positions of its old cluster, whose
transactions may be numbered higher; and what was changed after the backup is undone without a
trace. So a new era shifts its positions behind all that the tables hold, and cursors of the old one
are refused.
"""

from dataclasses import dataclass
from hashlib import sha256

from django.conf import settings
from django.db import connection, transaction

from movieshelf.api.errors import Unavailable

STAMPED = ("movies_movie", "movies_moviestats", "reviews_review")

# The shift stands in the function itself: looking it up would cost every rating. A new row is
# stamped with when it came, too; whatever it brings along in these columns is overwritten.
STAMP = """
    CREATE OR REPLACE FUNCTION changes_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.change_position := pg_current_xact_id()::text::bigint + {shift:d};
        IF TG_OP = 'INSERT' THEN
            NEW.change_created := NEW.change_position;
        END IF;
        RETURN NEW;
    END $$
"""

# Restored tables are others, a copy of the database is another, and so is a promoted replica.
IDENTITY = """
    concat_ws('/',
        (SELECT system_identifier FROM pg_control_system()),
        (SELECT timeline_id FROM pg_control_checkpoint()),
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        'changes_era'::regclass::oid::bigint
    )
"""


@dataclass(frozen=True)
class Era:
    """The era now: its mark for cursors, and which positions can be read.

    Everything below `horizon` is decided: no transaction that is still running has such a position,
    so nothing will appear there later. Tombstones up to `swept` are gone.
    """

    mark: str
    horizon: int
    swept: int


def current_era() -> Era:
    """Give the era, begun now where the database is another. Raises Unavailable if it cannot be."""
    era = _read()
    if era is None:
        if settings.READ_ONLY:
            raise Unavailable("The feed of changes begins once MovieShelf takes changes again.")
        begin_era()
        era = _read()
    if era is None:
        raise Unavailable()
    return era


def _read() -> Era | None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT identity IS NOT DISTINCT FROM {IDENTITY}, identity, generation, swept,
                pg_snapshot_xmin(pg_current_snapshot())::text::bigint + shift
            FROM changes_era
            """
        )
        row = cursor.fetchone()
    is_current, identity, generation, swept, horizon = row or (False, "", 0, 0, 0)
    if not is_current:
        return None
    mark = sha256(f"{identity}/{generation}".encode()).hexdigest()[:12]
    return Era(mark, horizon, swept)


@transaction.atomic
def begin_era() -> None:
    """Shift positions behind all that there are, unless the era is the current one already."""
    with connection.cursor() as cursor:
        # Whoever writes now has an old position: they end first, and nobody writes meanwhile.
        cursor.execute(f"LOCK TABLE {', '.join(STAMPED)} IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(f"SELECT shift, identity IS DISTINCT FROM {IDENTITY} FROM changes_era")
        shift, is_new = cursor.fetchone() or (0, False)
        if not is_new:
            return
        highest = ", ".join(
            f"coalesce((SELECT max({column}) FROM {table}), 0)"
            for table, column in (
                *((table, "change_position") for table in STAMPED),
                ("changes_gone", "position"),
            )
        )
        cursor.execute(f"SELECT greatest({highest}), pg_current_xact_id()::text::bigint")
        last, transaction_id = cursor.fetchone() or (0, 0)
        shift = max(shift, last + 1 - transaction_id)
        cursor.execute(STAMP.format(shift=shift))
        cursor.execute(
            f"UPDATE changes_era SET identity = {IDENTITY}, shift = %s, swept = %s", [shift, last]
        )
