"""Redis away, stopped, full, closed or back (security-cases.md, row 155), with a real Valkey."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from movieshelf.api.cache import ANSWER_SECONDS, CONNECT_SECONDS, ResilientRedisCache, _lines
from movieshelf.embedded import services

# What a request may wait in all, and what a busy machine adds to that.
BOUND_SECONDS = 0.25
SLACK_SECONDS = 0.25


class OwnValkey:
    """A server of this test's own, to be stopped, killed and filled."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "v.sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    def start(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [
                *(str(services.valkey.program), "--port", "0", "--unixsocket", str(self.socket)),
                *("--save", "", "--dir", str(self.socket.parent), *options),
            ],
            stdout=subprocess.DEVNULL,
        )
        until(self.socket.is_socket)

    def send(self, number: signal.Signals) -> None:
        assert self.process
        os.kill(self.process.pid, number)
        if number == signal.SIGKILL:
            self.process.wait()
            self.socket.unlink()

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=5)


@pytest.fixture
def valkey() -> Iterator[OwnValkey]:
    folder = Path(tempfile.mkdtemp(prefix="valkey-"))
    server = OwnValkey(folder)
    yield server
    if server.process and server.process.poll() is None:
        server.send(signal.SIGCONT)
        server.send(signal.SIGKILL)
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _no_thread_goes_on_asking() -> Iterator[None]:
    yield
    for line in _lines.values():
        line.is_down = False


def cache_at(url: str) -> ResilientRedisCache:
    return ResilientRedisCache(url, {"KEY_PREFIX": "test"})


def until(is_so: Callable[[], object], seconds: float = 10) -> None:
    """Wait for another process."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def used_as_a_request_uses_it(cache: ResilientRedisCache) -> float:
    """Do what a request might, thrice over; give how long it took."""
    started = time.perf_counter()
    for number in range(3):
        assert cache.get("film", "unknown") == "unknown"
        cache.set("film", "Ikiru")
        cache.add(f"count-{number}", 1)
        assert cache.incr(f"count-{number}") == 2
        cache.delete("film")
        assert cache.get_many(["film"]) == {}
        assert cache.has_key("film") is False
        assert cache.get_or_set("other", lambda: 7) == 7
    return time.perf_counter() - started


def test_a_refused_connection_costs_nothing_to_speak_of():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        cache = cache_at(f"redis://127.0.0.1:{closed.getsockname()[1]}/0")

        assert used_as_a_request_uses_it(cache) < BOUND_SECONDS + SLACK_SECONDS


def test_a_valkey_absent_from_the_start_costs_nothing_to_speak_of(valkey):
    assert used_as_a_request_uses_it(cache_at(valkey.url)) < BOUND_SECONDS + SLACK_SECONDS


def test_a_server_that_takes_the_connection_and_says_nothing_is_waited_for_once():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cache = cache_at(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")

        assert used_as_a_request_uses_it(cache) < BOUND_SECONDS + SLACK_SECONDS


def test_reaching_it_and_its_answer_together_keep_within_the_bound():
    assert CONNECT_SECONDS + ANSWER_SECONDS < BOUND_SECONDS


def test_a_stopped_valkey_is_waited_for_once_and_used_again_when_it_goes_on(valkey):
    valkey.start()
    cache = cache_at(valkey.url)
    cache.set("kept", "Ikiru")

    valkey.send(signal.SIGSTOP)
    took = used_as_a_request_uses_it(cache)
    valkey.send(signal.SIGCONT)

    assert took < BOUND_SECONDS + SLACK_SECONDS
    assert cache.get("kept") is None
    until(lambda: cache.answers)
    assert cache.get("kept") == "Ikiru"


def test_threads_that_find_it_stopped_at_once_do_not_wait_one_after_the_other(valkey):
    valkey.start()
    cache = cache_at(valkey.url)
    cache.get("warm")
    valkey.send(signal.SIGSTOP)

    started = time.perf_counter()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: cache.get(f"{number}"), range(64)))

    assert time.perf_counter() - started < BOUND_SECONDS + SLACK_SECONDS
    valkey.send(signal.SIGCONT)
    until(lambda: cache.answers)


def test_a_killed_valkey_is_used_again_once_it_is_back(valkey):
    valkey.start()
    cache = cache_at(valkey.url)
    cache.set("kept", 1)

    valkey.send(signal.SIGKILL)
    assert used_as_a_request_uses_it(cache) < BOUND_SECONDS + SLACK_SECONDS
    valkey.start()

    until(lambda: cache.answers)
    assert cache.set("kept", 2)
    assert cache.get("kept") == 2


def test_a_restart_between_two_requests_loses_no_count(valkey):
    """The pooled connection is closed by then; that is noticed before it is used."""
    valkey.start()
    cache = cache_at(valkey.url)
    cache.set("kept", 1)

    valkey.send(signal.SIGKILL)
    valkey.start()

    assert cache.add("count", 1)
    assert cache.incr("count") == 2
    assert valkey.client().dbsize() == 1


def test_a_full_valkey_is_read_and_the_process_counts_itself(valkey, caplog):
    valkey.start()
    cache = cache_at(valkey.url)
    cache.set("kept", "Ikiru")
    valkey.client().config_set("maxmemory-policy", "noeviction")
    valkey.client().config_set("maxmemory", "1")

    assert used_as_a_request_uses_it(cache) < BOUND_SECONDS + SLACK_SECONDS
    assert cache.get("kept") == "Ikiru"
    assert cache.set("more", 1) is False
    assert [record.message for record in caplog.records] == [
        "the cache refuses what it is asked (OutOfMemoryError)"
    ]

    valkey.client().config_set("maxmemory", "0")
    assert cache.set("more", 1) is True


def test_a_counter_that_a_full_valkey_holds_goes_on_in_the_process(valkey):
    valkey.start()
    cache = cache_at(valkey.url)
    cache.add("count", 1)
    valkey.client().config_set("maxmemory-policy", "noeviction")
    valkey.client().config_set("maxmemory", "1")

    assert [cache.incr("count") for _ in range(3)] == [1, 2, 3]


def test_a_wrong_password_is_no_crash_and_stays_out_of_the_log(valkey, caplog):
    valkey.start("--requirepass", "the-right-one")
    cache = cache_at(f"unix://:the-wrong-one@{valkey.socket}?db=0")

    assert used_as_a_request_uses_it(cache) < BOUND_SECONDS + SLACK_SECONDS
    assert "the cache does not answer (AuthenticationError)" in caplog.messages
    assert "the-wrong-one" not in caplog.text


def test_while_it_is_away_nobody_reads_what_only_this_process_knows(valkey):
    cache = cache_at(valkey.url)

    cache.set("film", "Ikiru")

    assert cache.get("film") is None
    assert cache.touch("film") is False
    assert cache.delete("film") is False
    assert cache.set_many({"film": 1}) == ["film"]
    cache.delete_many(["film"])
    cache.clear()


def test_while_it_is_away_the_process_counts_exactly(valkey):
    cache = cache_at(valkey.url)
    cache.add("count", 0)

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: cache.incr("count"), range(200)))

    assert sorted(seen) == list(range(1, 201))
    assert cache.decr("count") == 199


def test_one_thread_of_the_process_asks_whether_it_is_back(valkey):
    before = threading.active_count()

    for _ in range(20):
        cache_at(valkey.url).get("film")

    assert threading.active_count() <= before + 1


def test_counting_up_what_nobody_began_is_refused_as_by_every_cache(valkey):
    valkey.start()

    with pytest.raises(ValueError, match="not found"):
        cache_at(valkey.url).incr("count")
