"""Ranks without writing ranks: one array look-up in a prefix sum over the scores.

A rating can shift half the catalogue's ranks, so no rank is stored. A film's rank is one more than
the number of films with a higher score; scores have three decimals, so there are at most 4,001 of
them, and one grouped index-only scan counts them all (architecture.md).
"""

import time
from array import array
from decimal import Decimal
from typing import NamedTuple

from django.conf import settings
from django.core.cache import cache
from django.db.models import Count

from movies.models import MovieStats

THOUSANDTHS = 1000
HIGHEST = 5 * THOUSANDTHS
CACHE_KEY = "movie-ranks"
# The contract lets the number lag by this much; past it, nobody waits for another's refresh.
MAX_LAG_SECONDS = 5.0
REFRESH_LOCK_SECONDS = 2


class Ranks(NamedTuple):
    """The rank that each score has, by thousandths, and when the scores were read (Unix time)."""

    by_score: array[int]
    read_at: float

    def of(self, score: Decimal | None) -> int | None:
        """Give the rank of a score, None for an unrated film."""
        return None if score is None else self.by_score[int(score * THOUSANDTHS)]

    @property
    def age(self) -> float:
        # A clock that was set back must not make an old reading look new.
        return abs(time.time() - self.read_at)


class _Process:
    """The process's own copy, which spares a round trip for each film shown."""

    held: Ranks | None = None


def current_ranks() -> Ranks:
    """Give ranks no older than RANK_MAX_AGE_SECONDS, or the length of a refresh more.

    Held in the process, shared through the cache, refreshed by the first who finds them old; the
    others go on with what there is, up to MAX_LAG_SECONDS.
    """
    if _Process.held is None or not _is_fresh(_Process.held):
        _Process.held = _shared_or_read(_Process.held)
    return _Process.held


def read_ranks() -> Ranks:
    """Count the films of each score now, and add up."""
    read_at = time.time()
    films = array("q", bytes(8 * (HIGHEST + 1)))
    rows = MovieStats.objects.exclude(score=None).order_by().values_list("score")
    for score, count in rows.annotate(count=Count("pk")):
        films[int(score * THOUSANDTHS)] = count
    by_score = array("q", films)
    higher = 0
    for thousandths in range(HIGHEST, -1, -1):
        by_score[thousandths] = higher + 1
        higher += films[thousandths]
    return Ranks(by_score, read_at)


def _shared_or_read(held: Ranks | None) -> Ranks:
    stored = cache.get(CACHE_KEY)
    shared = Ranks(array("q", stored[0]), stored[1]) if stored else held
    if shared and _is_fresh(shared):
        return shared
    if shared and shared.age < MAX_LAG_SECONDS - 1 and not _may_refresh():
        return shared
    ranks = read_ranks()
    cache.set(CACHE_KEY, (ranks.by_score.tobytes(), ranks.read_at), timeout=60)
    return ranks


def _is_fresh(ranks: Ranks) -> bool:
    return ranks.age < settings.RANK_MAX_AGE_SECONDS


def _may_refresh() -> bool:
    return bool(cache.add(f"{CACHE_KEY}-refresh", 1, timeout=REFRESH_LOCK_SECONDS))
