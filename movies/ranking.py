"""Ranks without writing ranks: one array look-up in a prefix sum over the scores.

A rating can shift half the catalogue's ranks, so no rank is stored. A film's rank is one more than
the number of films with a higher score; scores have three decimals, so there are at most 4,001 of
them. Their counts are kept beside the page marks (movies/marks.py); without those, one grouped scan
counts them all.
"""

import threading
import time
from array import array
from collections.abc import Mapping
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, cast

from django.conf import settings
from django.core.cache import cache
from django.db.models import Count

from movies.marks import films_by_score
from movies.models import MovieStats

THOUSANDTHS = 1000
HIGHEST = 5 * THOUSANDTHS
CACHE_KEY = "movie-ranks-2"  # another number for another shape
REFRESH_KEY = "movie-ranks-refresh"
# Names this run of the machine: all its processes share one clock that nobody sets.
BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")  # Linux only
BOOT_ID = BOOT_ID_FILE.read_text() if BOOT_ID_FILE.exists() else None
# The contract lets the number lag by five seconds. Up to here one goes on with what there is while
# another refreshes it; past it nobody waits for another process, which may have died.
MAX_LAG_SECONDS = 4.0
REFRESH_LOCK_SECONDS = 2


class Ranks(NamedTuple):
    """The rank that each score has, by thousandths, and when the scores were read."""

    by_score: array[int]
    # Unix time, which other machines know too.
    read_at: float
    # How old they were at a moment of the clock that nobody sets, and that moment.
    age_when_got: float
    got_at: float

    def of(self, score: Decimal | None) -> int | None:
        """Give the rank of a score, None for an unrated film."""
        return None if score is None else self.by_score[int(score * THOUSANDTHS)]

    @property
    def age(self) -> float:
        """Seconds since the scores were read."""
        return self.age_when_got + time.monotonic() - self.got_at

    @property
    def is_fresh(self) -> bool:
        max_age: float = settings.RANK_MAX_AGE_SECONDS
        return self.age < max_age

    @property
    def is_usable(self) -> bool:
        return self.age < MAX_LAG_SECONDS


class RanksKeeper:
    """One process's copy of the ranks, shared through the cache, refreshed by one at a time.

    Who finds it old refreshes it. The others go on with the old copy up to MAX_LAG_SECONDS; past
    that, threads wait for the one of their process, and processes for nobody. Without a cache each
    process reads for itself.
    """

    def __init__(self) -> None:
        self.held: Ranks | None = None
        self._refreshing = threading.Lock()

    def current(self) -> Ranks:
        """Give ranks no older than RANK_MAX_AGE_SECONDS, or the length of a refresh more."""
        held = self.held
        if held and held.is_fresh:
            return held
        if not self._refreshing.acquire(blocking=held is None or not held.is_usable):
            return held  # type: ignore[return-value]  # without a copy the lock was waited for
        try:
            if self.held is None or not self.held.is_fresh:
                self.held = self._shared_or_read()
            return self.held
        finally:
            self._refreshing.release()

    def _shared_or_read(self) -> Ranks:
        known = [ranks for ranks in (_shared(), self.held) if ranks]
        shared = min(known, key=attrgetter("age"), default=None)
        if shared and shared.is_fresh:
            return shared
        may_refresh = cache.add(REFRESH_KEY, 1, timeout=REFRESH_LOCK_SECONDS)
        if shared and shared.is_usable and not may_refresh:
            return shared
        ranks = read_ranks()
        shown = (ranks.by_score.tobytes(), ranks.read_at, BOOT_ID, ranks.got_at)
        cache.set(CACHE_KEY, shown, timeout=60)
        cache.delete(REFRESH_KEY)
        return ranks


_keeper = RanksKeeper()


def current_ranks() -> Ranks:
    """Give the ranks, at most a few seconds old. Take them once for all films of an answer."""
    return _keeper.current()


def still_gives(ranks: Mapping[Decimal | None, int | None]) -> bool:
    """Say whether scores have the ranks that they had when an answer was made."""
    now = current_ranks()
    return all(now.of(score) == rank for score, rank in ranks.items())


def ranks_for(context: Mapping[str, Any]) -> Ranks:
    """Give the ranks of the answer that a serializer's context belongs to: the same all along."""
    # DRF hands every field one and the same dict, and calls it a Mapping.
    ranks: Ranks | None = context.get("ranks")
    if ranks is None:
        ranks = cast(dict[str, Any], context)["ranks"] = current_ranks()
    return ranks


def read_ranks() -> Ranks:
    """Count the films of each score now, and add up."""
    read_at, got_at = time.time(), time.monotonic()
    films = films_by_score() or _counted_now()
    by_score = array("q", films)
    higher = 0
    for thousandths in range(HIGHEST, -1, -1):
        by_score[thousandths] = higher + 1
        higher += films[thousandths]
    return Ranks(by_score, read_at, age_when_got=0.0, got_at=got_at)


def _counted_now() -> array[int]:
    films = array("q", bytes(8 * (HIGHEST + 1)))
    rows = MovieStats.objects.exclude(score=None).order_by().values_list("score")
    for score, count in rows.annotate(count=Count("pk")):
        films[int(score * THOUSANDTHS)] = count
    return films


def _shared() -> Ranks | None:
    """Give what another process read, None where nothing is."""
    stored = cache.get(CACHE_KEY)
    if stored is None:
        return None
    by_score, read_at, boot_id, got_at = stored
    if boot_id is not None and boot_id == BOOT_ID:
        return Ranks(array("q", by_score), read_at, age_when_got=0.0, got_at=got_at)
    # From another machine, whose clock is like ours at best. One that was set back must not make
    # an old reading look new.
    age = abs(time.time() - read_at)
    return Ranks(array("q", by_score), read_at, age_when_got=age, got_at=time.monotonic())
