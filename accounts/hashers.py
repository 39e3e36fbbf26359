"""argon2id with the parameters of the contract, a bounded number at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher

from movieshelf.api.errors import Unavailable

# Each hash holds its memory (19 MiB) for its whole time; those who come meanwhile wait this long.
WAIT_SECONDS = 5.0

_slots = BoundedSemaphore(settings.PASSWORD_HASHES_AT_ONCE)


@contextmanager
def hashing_slot() -> Iterator[None]:
    """Wait for one of the process's slots. Raises Unavailable when none comes free."""
    if not _slots.acquire(timeout=WAIT_SECONDS):
        raise Unavailable("Too many people are logging in right now; try again in a moment.")
    try:
        yield
    finally:
        _slots.release()


class BoundedArgon2PasswordHasher(Argon2PasswordHasher):
    """Django's argon2 hasher; memory, time and number at once come from the settings."""

    time_cost = settings.ARGON2_TIME_COST
    memory_cost = settings.ARGON2_MEMORY_KIB
    parallelism = settings.ARGON2_PARALLELISM

    def encode(self, password: str, salt: str) -> str:
        with hashing_slot():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with hashing_slot():
            return super().verify(password, encoded)
