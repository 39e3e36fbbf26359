"""Transactions that the database may ask to be run again."""

import functools
import random
import time
from collections.abc import Callable

import psycopg
from django.db import OperationalError, transaction

MAX_TRIES = 3
# Two who collided must not collide again: each waits a random part of this, longer each time.
BACKOFF_SECONDS = 0.05

TRY_AGAIN = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)


def retried_atomic[**P, R](verb: Callable[P, R]) -> Callable[P, R]:
    """Make a verb of the model layer one transaction, run again where PostgreSQL asks for it.

    Decorates the verbs that change more than one row, in place of their `with atomic()`:

        @retried_atomic
        def rate(self, *, user: User, movie_id: int, value: int) -> "Rating": ...

    A serialization failure or a deadlock undoes the whole transaction, and the verb is called anew,
    three times in all; then the error passes, and the client is told 503. So the verb must find
    everything it computes from in the database again, and leave mail and the cache to `on_commit`.
    Inside of another transaction it is a savepoint and nothing is repeated: only the outermost
    block can be, and whoever opened it knows what belongs to it.
    """

    @functools.wraps(verb)
    def in_transaction(*args: P.args, **kwargs: P.kwargs) -> R:
        committed: list[bool] = []

        def once() -> R:
            with transaction.atomic():
                # What an on_commit hook raises comes too late to undo anything.
                transaction.on_commit(functools.partial(committed.append, True))
                return verb(*args, **kwargs)

        return _retried(once, is_done=lambda: bool(committed))

    return in_transaction


def retried_statement[**P, R](verb: Callable[P, R]) -> Callable[P, R]:
    """Run a verb that is a single statement again where PostgreSQL asks for it.

    The statement is its own transaction, as `retried_atomic` would make it one, and saves the round
    trips of BEGIN and COMMIT, through which a lock would be held.
    """

    @functools.wraps(verb)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return _retried(lambda: verb(*args, **kwargs), is_done=lambda: False)

    return run


def _retried[R](once: Callable[[], R], *, is_done: Callable[[], bool]) -> R:
    tries = 1 if transaction.get_connection().in_atomic_block else MAX_TRIES
    for number in range(1, tries):
        try:
            return once()
        except OperationalError as exc:
            if is_done() or not isinstance(exc.__cause__, TRY_AGAIN):
                raise
        time.sleep(random.uniform(0, BACKOFF_SECONDS * number))
    return once()
