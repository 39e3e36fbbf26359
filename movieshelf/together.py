"""Do at once what many ask for at once, so that a round trip and a commit serve all of them.

Where each of sixteen threads asks the database by itself, sixteen wait for it in turn, and hand the
interpreter to each other at every answer. Here whoever finds nobody at it does what is asked for:
its own, and nothing else. Those who come meanwhile wait, and the first of them then does it for all
who wait by then. So nobody waits for company, one who comes alone is served alone, and the more
there are the less each costs (known as group commit, and as flat combining).

What holds some up holds up no others: when those who are at it do not come back, whoever waits is
let go, to do it in another way.
"""

import threading
import time
from collections.abc import Callable, Sequence
from enum import Enum

# So long one go may take before nobody waits for it any more.
STUCK_SECONDS = 0.1


class State(Enum):
    WAITS = 1
    # It is its turn, to do it for all.
    LEADS = 2
    TAKEN = 3


class Job[Asked, Given]:
    """What one thread asks for, and what came of it."""

    __slots__ = ("asked", "error", "given", "state", "turn")

    given: Given
    turn: threading.Lock

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.error: BaseException | None = None
        self.state = State.LEADS

    def wait(self) -> None:
        """Have a lock that the next who changes something releases."""
        self.state = State.WAITS
        self.turn = threading.Lock()
        self.turn.acquire()


class TookTooLong(Exception):
    """It was not begun, because what was begun before does not come to an end."""


class Together[Asked, Given]:
    """Threads that do what is asked for, each time for all who wait."""

    def __init__(
        self,
        do_all: Callable[[Sequence[Asked]], Sequence[Given]],
        *,
        at_most: int | None = None,
        apart: Callable[[Asked], object] | None = None,
    ) -> None:
        """Take what does it for several, giving for each what came of it, in their order.

        No more than `at_most` are done in one go, and no two for which `apart` gives the same.
        """
        self._do_all = do_all
        self._at_most = at_most
        self._apart = apart
        self._is_free = True
        # In the order in which they came.
        self.waiting: list[Job[Asked, Given]] = []
        self._changing = threading.Lock()
        self._moved_at = 0.0

    def do(self, asked: Asked) -> Given:
        """Have it done, with others' or for others.

        Raises TookTooLong where it was not begun, and what `do_all` raised.
        """
        job = Job[Asked, Given](asked)
        with self._changing:
            if self._is_free:
                self._is_free = False
                self._moved_at = time.monotonic()
            elif time.monotonic() - self._moved_at > STUCK_SECONDS:
                raise TookTooLong
            else:
                job.wait()
                self.waiting.append(job)
        if job.state is not State.LEADS:
            self._wait(job)
        if job.state is State.LEADS:
            self._lead(job)
        if job.error is not None:
            raise job.error
        return job.given

    def _wait(self, job: Job[Asked, Given]) -> None:
        while not job.turn.acquire(timeout=STUCK_SECONDS):
            with self._changing:
                if job.state is not State.WAITS:
                    continue
                if time.monotonic() - self._moved_at > STUCK_SECONDS:
                    self.waiting.remove(job)
                    raise TookTooLong

    def _lead(self, first: Job[Asked, Given]) -> None:
        with self._changing:
            jobs = self._take(first)
        try:
            given = self._do_all([job.asked for job in jobs])
            for job, one in zip(jobs, given, strict=True):
                job.given = one
        except BaseException as exc:
            for job in jobs:
                job.error = exc
        finally:
            with self._changing:
                self._moved_at = time.monotonic()
                if self.waiting:
                    following = self.waiting.pop(0)
                    following.state = State.LEADS
                    following.turn.release()
                else:
                    self._is_free = True
            for job in jobs[1:]:
                job.turn.release()

    def _take(self, first: Job[Asked, Given]) -> list[Job[Asked, Given]]:
        jobs, left = [first], []
        seen = {self._apart(first.asked)} if self._apart else set()
        for job in self.waiting:
            mark = self._apart(job.asked) if self._apart else job
            if len(jobs) == self._at_most or mark in seen:
                left.append(job)
                continue
            seen.add(mark)
            job.state = State.TAKEN
            jobs.append(job)
        self.waiting = left
        return jobs
