"""Standbys: whether they keep up, and whether a commit waits for one that is gone."""

from collections.abc import Iterator

from django.conf import settings
from django.db import connections

from movieshelf.doctor import Finding, Question, error, examination, note, warning
from movieshelf.doctor.database import rows, shown
from movieshelf.replica import REPLICA

# So far behind, a standby has a trouble of its own.
FAR_BEHIND_BYTES = 64 * 1024 * 1024


@examination("replication")
def replication(question: Question) -> Iterator[Finding]:
    # A role without pg_monitor sees that there are standbys, and not how they are.
    standbys = rows(
        """
        SELECT application_name, state, sync_state,
            pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) FROM pg_stat_replication
        """
    )
    named = shown("synchronous_standby_names")
    if named and not any(state in ("sync", "quorum") for _, _, state, _ in standbys):
        yield error(
            f"Commits wait for a standby that is not there ({named}): every write hangs.",
            "ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf(), until it is "
            "back. What was waiting then goes on.",
        )
    for name, state, _, behind in standbys:
        if state != "streaming" or (behind or 0) > FAR_BEHIND_BYTES:
            yield warning(
                f"The standby {name} does not keep up ({state}, {(behind or 0) / 1e6:,.0f} MB).",
                "Look at its log; a slow disk, or a query that recovery waits for?",
            )
    for name, kept in rows(
        """
        SELECT slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)
        FROM pg_replication_slots WHERE NOT active
        """
    ):
        yield warning(
            f"Nobody reads the replication slot {name}; it keeps {(kept or 0) / 1e6:,.0f} MB.",
            f"SELECT pg_drop_replication_slot('{name}'), if its standby does not come back.",
        )
    if REPLICA in connections:
        yield from promises(standbys)


def promises(standbys: list[tuple[object, ...]]) -> Iterator[Finding]:
    """Say what a reader of the replica may rely on."""
    if not standbys:
        yield warning(
            "DATABASE_REPLICA_URL is set, and no standby streams: everything is read here.",
            "Is the replica running?",
        )
    is_exact = all(state == "sync" for _, _, state, _ in standbys)
    if not is_exact or shown("synchronous_commit") != "remote_apply":
        yield note(
            "Reads from the replica may be old: who wrote reads their own writes, others may see "
            f"them up to {settings.DATABASE_REPLICA_MAX_LAG_SECONDS:g} s later.",
            "synchronous_commit = remote_apply, and every standby in synchronous_standby_names "
            "(docs/scaling.md says what that costs).",
        )
