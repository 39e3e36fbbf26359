"""The shared cache, without which everything goes on, and for which nobody waits long.

While Redis does not answer, nothing is kept: each read is a miss and each write goes nowhere, so no
process shows what another has changed meanwhile. What counts (`add`, `incr`) goes on in the memory
of each process: that is what the ceilings and the locks on a refresh need.

A write that Redis did not take is lost, also for the processes that do reach it: what must never
be shown after a change may not rest on a `set` or a `delete` alone.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django_redis.cache import RedisCache
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

logger = logging.getLogger(__name__)

# Reaching Redis and its answer: together less than the quarter of a second that a request may wait.
CONNECT_SECONDS = 0.1
ANSWER_SECONDS = 0.14
# No request asks whether Redis is back; a thread does, this often.
PROBE_SECONDS = 0.5
# The counters of a flood of addresses must not push each other out.
OWN_MAX_ENTRIES = 50_000

# A Redis that is full refuses thousands of writes; one line a minute tells of them.
QUIET_SECONDS = 60.0

UNREACHABLE = (RedisConnectionError, RedisTimeoutError, OSError)


class Line:
    """Whether Redis answers this process; one for all its threads, or each of them would wait."""

    def __init__(self) -> None:
        self.is_down = False
        self._lock = threading.Lock()
        self._refusal_told_at = -QUIET_SECONDS

    def report(self, trouble: Exception, ping: Callable[[], Any]) -> None:
        """Leave Redis alone until `ping` succeeds, which a thread of its own tries."""
        with self._lock:
            if self.is_down:
                return
            self.is_down = True
        # The class only: a message may hold the address, and with it the password.
        logger.warning("the cache does not answer (%s)", type(trouble).__name__)
        threading.Thread(target=self._wait_for, args=(ping,), name="cache", daemon=True).start()

    def report_refusal(self, trouble: Exception) -> None:
        """Tell that Redis answers, but does not do as it is told: it is full, or read-only."""
        if time.monotonic() - self._refusal_told_at >= QUIET_SECONDS:
            self._refusal_told_at = time.monotonic()
            logger.warning("the cache refuses what it is asked (%s)", type(trouble).__name__)

    def _wait_for(self, ping: Callable[[], Any]) -> None:
        while self.is_down:
            time.sleep(PROBE_SECONDS)
            try:
                ping()
            except (*UNREACHABLE, RedisError):
                continue
            self.is_down = False
        logger.warning("the cache answers again")


_lines: dict[str, Line] = {}


class ResilientRedisCache(RedisCache):
    """django-redis, and the process's own memory for what counts while Redis is away."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        options = {
            "SOCKET_CONNECT_TIMEOUT": CONNECT_SECONDS,
            "SOCKET_TIMEOUT": ANSWER_SECONDS,
            # redis-py would try three times more.
            "CONNECTION_POOL_KWARGS": {"retry": Retry(NoBackoff(), 0)},
            **params.get("OPTIONS", {}),
        }
        super().__init__(server, {**params, "OPTIONS": options})
        # Django makes one of these for each thread; what they know of Redis they share.
        self.line = _lines.setdefault(server, Line())
        self.own = LocMemCache(f"own-{server}", {"OPTIONS": {"MAX_ENTRIES": OWN_MAX_ENTRIES}})

    @property
    def answers(self) -> bool:
        """Whether Redis is there right now, asked by reading a key."""
        self.get("health")
        return not self.line.is_down

    def get(
        self, key: str, default: Any = None, version: int | None = None, client: Any = None
    ) -> Any:
        return self._ask(super().get, key, default, version, client, otherwise=lambda: default)

    def set(self, key: str, value: Any, *args: Any, **kwargs: Any) -> bool:  # type: ignore[override]  # as django-redis does
        return bool(self._ask(super().set, key, value, *args, otherwise=_nothing, **kwargs))

    def add(
        self,
        key: str,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        return self._ask(
            super().add,
            key,
            value,
            timeout,
            version,
            otherwise=lambda: self.own.add(key, value, timeout, version),
        )

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        def incr_own() -> int:
            # Redis may have had the key, so that `add` was refused there.
            self.own.add(key, 0, version=version)
            return self.own.incr(key, delta, version)

        try:
            return self._ask(super().incr, key, delta, version, otherwise=incr_own)
        except ValueError:  # no such key, perhaps because a full Redis refused its `add`
            if self.own.has_key(key, version):
                return incr_own()
            raise

    def decr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        return self.incr(key, -delta, version)

    def touch(self, *args: Any, **kwargs: Any) -> bool:
        return bool(self._ask(super().touch, *args, otherwise=_nothing, **kwargs))

    def delete(self, *args: Any, **kwargs: Any) -> bool:
        return bool(self._ask(super().delete, *args, otherwise=_nothing, **kwargs))

    def has_key(self, *args: Any, **kwargs: Any) -> bool:
        return bool(self._ask(super().has_key, *args, otherwise=_nothing, **kwargs))

    def get_many(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return self._ask(super().get_many, *args, otherwise=lambda: {}, **kwargs)

    def set_many(self, data: dict[str, Any], *args: Any, **kwargs: Any) -> list[str]:
        """Give the keys that were not taken, as Django's caches do."""
        return (
            self._ask(super().set_many, data, *args, otherwise=lambda: list(data), **kwargs) or []
        )

    def delete_many(self, *args: Any, **kwargs: Any) -> None:
        self._ask(super().delete_many, *args, otherwise=_nothing, **kwargs)

    def clear(self) -> None:
        self.own.clear()
        self._ask(super().clear, otherwise=_nothing)

    def _ask[T](
        self, ask: Callable[..., Any], *args: Any, otherwise: Callable[[], T], **kwargs: Any
    ) -> T:
        if self.line.is_down:
            return otherwise()
        try:
            answer: T = ask(*args, **kwargs)
            return answer
        except UNREACHABLE as exc:
            self.line.report(exc, self.client.get_client().ping)
        except RedisError as exc:
            self.line.report_refusal(exc)
        return otherwise()


def _nothing() -> None:
    return None


class Counter(NamedTuple):
    """A counter that this process knows to be there."""

    timeout: float | None
    expires_at: float


class CountersCache(ResilientRedisCache):
    """Counters alone: added once, counted up, left to expire.

    Who counts asks for `add` before each `incr`. A process that has seen a counter knows that it is
    there until it expires, so that `add` asks nobody; one that Redis has lost since begins anew.
    """

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._there = _counters.setdefault(server, {})

    def add(
        self,
        key: str,
        value: Any,
        timeout: float | None = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> bool:
        now = time.monotonic()
        known = self._there.get(key)
        if known is not None and now < known.expires_at:
            return False
        added = super().add(key, value, timeout, version)
        if len(self._there) >= OWN_MAX_ENTRIES:
            self._there.clear()
        self._there[key] = Counter(timeout, now + (timeout or 0))
        self._forget_while_away(key)
        return added

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        try:
            return super().incr(key, delta, version)
        except ValueError:
            lost = self._there.get(key)
            if lost is None:
                raise
            if super().add(key, delta, lost.timeout, version):
                return delta
            return super().incr(key, delta, version)
        finally:
            self._forget_while_away(key)

    def count(self, keys: Sequence[str], timeout: float) -> list[int]:
        """Count each of several keys up by one with one command, and give the new numbers.

        A key that is not there yet begins at one and is kept for `timeout` seconds.
        """
        made = [self.client.make_key(key) for key in keys]
        return self._ask(
            lambda: self.client.get_client(write=True).eval(
                COUNT, len(made), *made, int(timeout * 1000)
            ),
            otherwise=lambda: count_each(self.own, keys, timeout),
        )

    def _forget_while_away(self, key: str) -> None:
        """Ask Redis anew once it is back: what was counted meanwhile was this process's own."""
        if self.line.is_down:
            self._there.pop(key, None)


def count_each(counters: BaseCache, keys: Sequence[str], timeout: float) -> list[int]:
    """Count as `CountersCache.count` does, in a cache that takes one key at a time."""
    return [_count_one(counters, key, timeout) for key in keys]


def _count_one(counters: BaseCache, key: str, timeout: float) -> int:
    counters.add(key, 0, timeout)
    try:
        return counters.incr(key)
    except ValueError:
        # It made room for others, or expired, between the two: no reason to refuse.
        return 1


COUNT = """
    local numbers = {}
    for place, key in ipairs(KEYS) do
        numbers[place] = redis.call('INCR', key)
        if numbers[place] == 1 then redis.call('PEXPIRE', key, ARGV[1]) end
    end
    return numbers
"""

# Django makes a cache for each thread; what they know of its counters they share.
_counters: dict[str, dict[str, Counter]] = {}
