"""Background work on images: making them smaller after an upload, and sweeping."""

from uuid import UUID

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from media.models import WIDTHS, Derivative, Media

# The decoders may all be busy, or the database away: tried again after 4, 16 and 64 seconds.
SOON = RetryStrategy(max_attempts=3, exponential_wait=4)


@app.task(name="media.make_derivatives", retry=SOON)
def make_derivatives(media_id: str) -> None:
    """Make every width of an image; those that somebody asked for meanwhile are made already."""
    pk = UUID(media_id)
    for width in WIDTHS:
        if not Media.objects.filter(pk=pk).exists():
            return  # removed before we came to it
        Derivative.objects.make(pk, width)


@app.periodic(cron="17 * * * *")
@app.task(name="media.sweep", queueing_lock="media.sweep")
def sweep(timestamp: int) -> None:
    """Remove what nothing points to any more, each hour."""
    Media.objects.sweep()
