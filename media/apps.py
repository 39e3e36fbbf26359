import ctypes
from contextlib import suppress

from django.apps import AppConfig

# Of glibc's malloc.h: blocks from this size on are taken from the system one by one.
M_MMAP_THRESHOLD = -3
LARGE_BYTES = 256 * 1024


class MediaConfig(AppConfig):
    name = "media"

    def ready(self) -> None:
        give_memory_of_pictures_back()


def give_memory_of_pictures_back() -> None:
    """Have large blocks go back to the system when they are freed.

    Left alone, glibc raises the threshold to the largest block it has seen and keeps the memory of
    every photo since: twice as much in all (docs/performance-media.md).
    """
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
