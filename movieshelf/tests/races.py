"""Calls that start together, each in a thread with a database connection of its own."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connections, transaction

from movieshelf.tests.waiting import until_somebody_waits


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Make the calls at once; give what each returned, or the exception it raised."""
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(number: int) -> None:
        try:
            barrier.wait()
            results[number] = calls[number]()
        except Exception as exc:  # handed to the test
            results[number] = exc
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def while_held(
    change: Callable[[], Any],
    meanwhile: Callable[[], Any],
    *,
    then: Callable[[], Any] = lambda: None,
    until: Callable[[], None] = until_somebody_waits,
) -> list[Any]:
    """Make a change whose transaction stays open `until` another call is held up by it.

    It ends with `then`. Give what `meanwhile` returned, and before it what the change did: None
    where nothing was raised.
    """
    is_held = threading.Event()

    def change_slowly() -> None:
        with transaction.atomic():
            change()
            is_held.set()
            until()
            then()

    def wait_for_it() -> Any:
        assert is_held.wait(10)
        return meanwhile()

    return at_once(change_slowly, wait_for_it)
