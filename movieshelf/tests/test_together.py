"""Doing together what many threads ask for at once."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from movieshelf import together
from movieshelf.tests.valkey import until
from movieshelf.together import Together, TookTooLong

MANY_SECONDS = 30.0


class Work:
    """Doubles numbers, each go when it is let go."""

    def __init__(self) -> None:
        self.goes: list[list[int]] = []
        self.may_end = threading.Semaphore(0)

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.goes.append(list(numbers))
        assert self.may_end.acquire(timeout=MANY_SECONDS)
        if -1 in numbers:
            raise ValueError("It cannot be done.")
        return [number * 2 for number in numbers]


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def threads(work: Work) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as threads:
        yield threads
        work.may_end.release(100)


@pytest.fixture(autouse=True)
def _nobody_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "STUCK_SECONDS", MANY_SECONDS)


def begin(
    threads: ThreadPoolExecutor, work: Work, at: Together[int, int], *numbers: int
) -> list[Future[int]]:
    """Have the first begin, and the others wait for it in their order."""
    asked = [threads.submit(at.do, numbers[0])]
    until(lambda: work.goes)
    for waiting, number in enumerate(numbers[1:], 1):
        asked.append(threads.submit(at.do, number))
        until(lambda waiting=waiting: len(at.waiting) == waiting)
    return asked


def test_who_comes_alone_is_served_alone_and_at_once(work):
    work.may_end.release(2)
    at = Together(work, at_most=8, apart=lambda number: number)

    assert [at.do(1), at.do(2)] == [2, 4]
    assert work.goes == [[1], [2]]


def test_who_comes_meanwhile_is_served_together(work, threads):
    at = Together(work, at_most=8, apart=lambda number: number)
    asked = begin(threads, work, at, 1, 2, 3, 4)
    work.may_end.release(2)

    assert [one.result(MANY_SECONDS) for one in asked] == [2, 4, 6, 8]
    assert work.goes == [[1], [2, 3, 4]]


def test_no_more_than_so_many_and_no_two_of_a_kind_are_served_together(work, threads):
    at = Together(work, at_most=3, apart=lambda number: number % 10)
    asked = begin(threads, work, at, 1, 2, 12, 3, 4, 5, 22)
    work.may_end.release(9)

    assert [one.result(MANY_SECONDS) for one in asked] == [2, 4, 24, 6, 8, 10, 44]
    assert work.goes == [[1], [2, 3, 4], [12, 5], [22]]


def test_what_goes_wrong_is_told_to_all_who_were_in_it_and_to_nobody_else(work, threads):
    at = Together(work, at_most=2, apart=lambda number: number)
    asked = begin(threads, work, at, 1, 2, -1, 3)
    work.may_end.release(3)

    assert asked[0].result(MANY_SECONDS) == 2
    for one in asked[1:3]:
        with pytest.raises(ValueError, match="It cannot be done"):
            one.result(MANY_SECONDS)
    assert asked[3].result(MANY_SECONDS) == 6
    work.may_end.release()
    assert at.do(4) == 8


def test_who_waits_for_what_does_not_come_to_an_end_is_let_go(work, threads, monkeypatch):
    at = Together(work, at_most=8, apart=lambda number: number)
    monkeypatch.setattr(together, "STUCK_SECONDS", 0.05)
    (first,) = begin(threads, work, at, 1)

    for number in (2, 3):
        with pytest.raises(TookTooLong):
            at.do(number)
    work.may_end.release(2)

    assert first.result(MANY_SECONDS) == 2
    assert at.do(4) == 8
    assert work.goes == [[1], [4]]
