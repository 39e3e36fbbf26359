"""A film's ETag: which edit of it, and which numbers, an answer shows.

`"<edit>.<rest>.<proof>"`: the edit counts what owners change; the rest is a digest of what changes
without an edit: ratings, reviews, other films' ratings, and what the database sets to null when a
member or an image goes. Both change the tag, but only the edit matters to If-Match. The proof,
keyed with SECRET_KEY, tells our own tags of this film from all others.
"""

import hmac
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from django.conf import settings

from movieshelf.api.errors import PreconditionFailed

if TYPE_CHECKING:
    from movies.models import Movie


def movie_etag(movie: "Movie", rank: int | None) -> str:
    """Give the strong ETag of a film as it is shown with this rank."""
    rest = _rest(movie, rank)
    return f'"{movie.version}.{rest}.{_proof(movie.pk, movie.version, rest)}"'


def require_version(movie: "Movie", tags: Sequence[str]) -> None:
    """Raise PreconditionFailed unless one of the tags is ours and of the current edit."""
    if "*" not in tags and not any(_names_current_edit(movie, tag) for tag in tags):
        raise PreconditionFailed()


def _names_current_edit(movie: "Movie", tag: str) -> bool:
    version, _, claimed = tag.strip('"').partition(".")
    rest, _, proof = claimed.partition(".")
    return version == str(movie.version) and hmac.compare_digest(
        proof.encode(), _proof(movie.pk, movie.version, rest).encode()
    )


def _rest(movie: "Movie", rank: int | None) -> str:
    numbers = (*movie.stats.distribution.values(), movie.stats.review_count, rank)
    shown = (*numbers, movie.created_by_id, movie.poster_id)
    return blake2b(repr(shown).encode(), digest_size=6).hexdigest()


def _proof(movie_id: int, version: int, rest: str) -> str:
    claim = f"{movie_id}.{version}.{rest}".encode()
    key = settings.SECRET_KEY.encode()[:64]
    return blake2b(claim, key=key, digest_size=6, person=b"movie-etag").hexdigest()
