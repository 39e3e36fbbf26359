"""argon2id with the parameters of the contract, a bounded number at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from argon2 import DEFAULT_HASH_LENGTH
from argon2.low_level import Type, hash_secret
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

    def harden_runtime(self, password: str, encoded: str) -> None:
        """Spend what a hash of lower cost saved, so that a wrong password takes as long as any.

        The time of argon2 grows with memory times passes.
        """
        old = self.decode(encoded)
        missing = self.memory_cost * self.time_cost - old["memory_cost"] * old["time_cost"]
        memory_cost = missing // self.time_cost
        if memory_cost < 8 * self.parallelism:  # the least that argon2 takes
            return
        with hashing_slot():
            hash_secret(
                password.encode(),
                old["salt"].encode(),
                time_cost=self.time_cost,
                memory_cost=memory_cost,
                parallelism=self.parallelism,
                hash_len=DEFAULT_HASH_LENGTH,
                type=Type.ID,
            )
