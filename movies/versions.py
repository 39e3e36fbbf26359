"""A film's ETag: which edit of it, and which numbers, an answer shows.

`"<edit>.<numbers>.<proof>"`: the edit counts what owners change; the numbers are a digest of what
ratings, reviews and other films' ratings move. Both change the tag, but only the edit matters to
If-Match. The proof, keyed with SECRET_KEY, tells our own tags of this film from all others.
"""

import hmac
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from django.conf import settings

from movieshelf.api.errors import PreconditionFailed

if TYPE_CHECKING:
    from movies.models import Movie, MovieStats


def movie_etag(movie: "Movie", rank: int | None) -> str:
    """Give the strong ETag of a film as it is shown with this rank."""
    numbers = _numbers(movie.stats, rank)
    return f'"{movie.version}.{numbers}.{_proof(movie.pk, movie.version, numbers)}"'


def require_version(movie: "Movie", tags: Sequence[str]) -> None:
    """Raise PreconditionFailed unless one of the tags is ours and of the current edit."""
    if "*" not in tags and not any(_names_current_edit(movie, tag) for tag in tags):
        raise PreconditionFailed()


def _names_current_edit(movie: "Movie", tag: str) -> bool:
    version, _, rest = tag.strip('"').partition(".")
    numbers, _, proof = rest.partition(".")
    return version == str(movie.version) and hmac.compare_digest(
        proof.encode(), _proof(movie.pk, movie.version, numbers).encode()
    )


def _numbers(stats: "MovieStats", rank: int | None) -> str:
    shown = (*stats.distribution.values(), stats.review_count, rank)
    return blake2b(repr(shown).encode(), digest_size=6).hexdigest()


def _proof(movie_id: int, version: int, numbers: str) -> str:
    claim = f"{movie_id}.{version}.{numbers}".encode()
    key = settings.SECRET_KEY.encode()[:64]
    return blake2b(claim, key=key, digest_size=6, person=b"movie-etag").hexdigest()
