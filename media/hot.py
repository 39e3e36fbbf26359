"""The bytes of images that are asked for often, in Valkey.

They are kept under their own SHA-256, so what is found there is right for ever, and nothing has to
be invalidated: whether an image still is, and which bytes it has, its row says at each request.
An image that was removed is not found any more, and its bytes leave after MEDIA_CACHE_SECONDS.

The budget: an image over MEDIA_CACHE_MAX_BYTES is never kept, one that was asked for once (by a
crawler, say) is not kept either, and Valkey drops what is used least when its memory is full.
"""

from django.conf import settings
from django.core.cache import cache

from media.models import Picture
from movieshelf.metrics import Lookups

# Asked for twice within this time is often.
OFTEN_SECONDS = 60

LOOKUPS = Lookups("media")


def bytes_of(picture: Picture) -> bytes:
    """Give the bytes, from the cache or the row. Raises NotFound where the row just went.

    Without a shared cache each process would hold copies of its own, so none are kept.
    """
    if picture.bytes > settings.MEDIA_CACHE_MAX_BYTES or not settings.REDIS_URL:
        return picture.read_bytes()
    key = f"media-{picture.sha256}"
    kept: bytes | None = cache.get(key)
    if kept is not None:
        LOOKUPS.hit()
        return kept
    LOOKUPS.miss()
    data = picture.read_bytes()
    if not cache.add(f"{key}-asked", 1, timeout=OFTEN_SECONDS):
        cache.set(key, data, timeout=settings.MEDIA_CACHE_SECONDS)
    return data
