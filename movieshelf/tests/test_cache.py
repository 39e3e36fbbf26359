"""Redis away, stopped, full, closed or back (security-cases.md, row 155), with a real Valkey."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import pytest
import time_machine
from django.core.cache.backends.locmem import LocMemCache

from accounts.tests.factories import PASSWORD
from movieshelf.api.cache import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    CountersCache,
    ResilientRedisCache,
    _lines,
    count_each,
)
from movieshelf.tests.valkey import OwnValkey, own_valkey, until

# What a request may wait in all, and what a busy machine adds to that.
BOUND_SECONDS = 0.25
SLACK_SECONDS = 0.25


@pytest.fixture
def valkey() -> Iterator[OwnValkey]:
    with own_valkey() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_thread_goes_on_asking() -> Iterator[None]:
    yield
    for line in _lines.values():
        line.is_down = False


def cache_at(url: str) -> ResilientRedisCache:
    return ResilientRedisCache(url, {"KEY_PREFIX": "test"})


def counters_at(url: str) -> CountersCache:
    return CountersCache(url, {"KEY_PREFIX": "test"})


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


# --- Through the API ----------------------------------------------------------------------------


@pytest.fixture
def shelf(valkey, settings) -> OwnValkey:
    """The shelf counts its ceilings in this test's own Valkey."""
    valkey.start()
    settings.RATELIMIT_ENABLE = True
    settings.CACHES = {
        name: {"BACKEND": f"movieshelf.api.cache.{backend}", "LOCATION": valkey.url}
        for name, backend in [("default", "ResilientRedisCache"), ("ceilings", "CountersCache")]
    }
    return valkey


def log_in(api, email: str, password: str = "wrong") -> int:
    response = api.post("/auth/login", {"email": email, "password": password})
    return response.status_code


def take_away(valkey: OwnValkey, how: str) -> None:
    if how == "full":
        valkey.client().config_set("maxmemory-policy", "noeviction")
        valkey.client().config_set("maxmemory", "1")
    else:
        valkey.send(signal.Signals[how])


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["SIGSTOP", "SIGKILL", "full"])
def test_without_valkey_everybody_logs_in_and_is_still_limited(api, user, shelf, how):
    """Row 155: a login counts twice in the cache, and waits for it once at most."""
    with time_machine.travel("2026-03-01T12:00:00Z", tick=False):
        assert log_in(api, user.email, PASSWORD) == 200
        take_away(shelf, how)

        started = time.perf_counter()
        assert log_in(api, user.email, PASSWORD) == 200
        waited = time.perf_counter() - started
        statuses = [log_in(api, "somebody@shelf.example") for _ in range(15)]

    assert waited < BOUND_SECONDS + 2 * SLACK_SECONDS
    assert statuses == [401] * 10 + [429] * 5


@pytest.mark.django_db
def test_the_shelf_is_read_and_written_while_valkey_is_stopped(api, user, shelf):
    """Row 155."""
    member = api.as_(user)
    shelf.send(signal.SIGSTOP)

    started = time.perf_counter()
    film = member.post("/movies", {"title": "Ikiru"})
    answers = [
        film,
        api.get("/movies"),
        api.get(film.headers["Location"]),
        member.put(f"{film.headers['Location']}/rating", {"value": 5}),
        api.get("/readyz"),
    ]

    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200]
    assert answers[-1].json()["cache"] == "unreachable"
    assert time.perf_counter() - started < BOUND_SECONDS + 3 * SLACK_SECONDS


@pytest.mark.django_db
def test_once_valkey_is_back_it_counts_for_everybody_again(api, user, shelf):
    """Row 155."""
    shelf.send(signal.SIGSTOP)
    log_in(api, user.email)
    shelf.send(signal.SIGCONT)
    until(lambda: api.get("/readyz").json()["cache"] == "ok")

    log_in(api, user.email)

    assert shelf.client().dbsize() >= 2


@pytest.fixture
def url(valkey) -> str:
    valkey.start()
    return valkey.url


def test_a_counter_that_is_there_is_not_asked_for_again(valkey, url):
    counters = counters_at(url)
    counters.add("count", 1, 60)

    assert not counters.add("count", 1, 60)
    assert counters.incr("count") == 2

    assert valkey.client().info("commandstats")["cmdstat_set"]["calls"] == 1


def test_a_counter_of_another_process_is_counted_up(url):
    cache_at(url).add("count", 7, 60)
    counters = counters_at(url)

    assert not counters.add("count", 1, 60)

    assert counters.incr("count") == 8


def test_a_counter_that_is_lost_begins_anew_and_ends_as_it_would_have(url):
    counters = counters_at(url)
    counters.add("count", 5, 60)
    cache_at(url).clear()

    assert not counters.add("count", 1, 60)
    assert counters.incr("count") == 1
    assert counters.incr("count") == 2

    assert 0 < counters.ttl("count") <= 60


def test_a_counter_that_is_over_is_added_again(url):
    counters = counters_at(url)
    counters.add("count", 5, 0.05)

    until(lambda: not cache_at(url).has_key("count"))

    assert counters.add("count", 1, 60)


def test_a_counter_that_nobody_added_is_not_counted_up(url):
    with pytest.raises(ValueError, match="count"):
        counters_at(url).incr("count")


def test_several_are_counted_by_one_command_each_as_often_as_it_is_named(valkey, url):
    counters = counters_at(url)
    counters.add("known", 5, 60)

    assert counters.count(["known", "new", "known"], 60) == [6, 1, 7]
    assert counters.count(["new"], 60) == [2]

    assert valkey.client().info("commandstats")["cmdstat_eval"]["calls"] == 2
    assert 0 < counters.ttl("new") <= 60
    assert counters.incr("new") == 3


def test_while_it_is_away_several_are_counted_by_the_process(valkey, url):
    counters = counters_at(url)
    valkey.send(signal.SIGKILL)

    assert counters.count(["new", "other", "new"], 60) == [1, 1, 2]
    assert counters.count(["new"], 60) == [3]


def test_a_counter_that_makes_room_before_it_is_counted_begins_anew():
    """Django's own memory lets go of any third of what it has when it is full."""
    full = LocMemCache("full", {"OPTIONS": {"MAX_ENTRIES": 0}})

    with patch.object(full, "incr", side_effect=ValueError):
        assert count_each(full, ["new"], 60) == [1]
