"""Drawn posters for the films with the most ratings, drawn avatars for the most active members."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256

from accounts.models import User
from media.models import Media
from movies.models import Movie
from movies.posters import AVATAR_SIZE, POSTER_SIZE, draw_avatar, draw_poster
from movieshelf.progress import Advance
from movieshelf.seeding.members import CLOSED, DOMAIN

SHARE_OF_AVATARS = 4  # one image in so many is an avatar


def add_pictures(count: int, random_seed: int, advance: Advance) -> int:
    """Draw `count` images for films and members without one; give how many found a place."""
    avatars = _members_without_avatar(count // SHARE_OF_AVATARS)
    films = _films_without_poster(count - len(avatars))
    for film in films:
        data = draw_poster(film.title, random_seed + film.pk)
        poster = _keep(data, POSTER_SIZE, uploader_id=film.created_by_id)
        Movie.objects.filter(pk=film.pk).update(poster=poster)
        advance(1)
    for member in avatars:
        data = draw_avatar(member.name, random_seed + member.pk)
        member.avatar = _keep(data, AVATAR_SIZE, uploader_id=member.pk)
        member.save(update_fields=["avatar"])
        advance(1)
    return len(films) + len(avatars)


def _films_without_poster(count: int) -> Sequence[Movie]:
    films = Movie.objects.filter(poster=None).order_by("-stats__rating_count", "pk")
    return list(films.only("title", "created_by")[:count])


def _members_without_avatar(count: int) -> Sequence[User]:
    # Ids serve as well as activity, which takes a count of all ratings to know.
    made_up = User.objects.filter(email_key__endswith=f"@{DOMAIN}", avatar=None)
    return list(made_up.order_by("pk")[:count])


def _keep(data: bytes, size: tuple[int, int], *, uploader_id: int | None) -> Media:
    """Keep a drawing of ours under an id that a new seed would give it again.

    It needs no cleaning: nothing in it came from outside.
    """
    # Images are ordered by their ids, so this is a version 7 like theirs (RFC 9562), only that what
    # is random there comes from the bytes and the place here.
    kept_at = CLOSED + timedelta(milliseconds=Media.objects.count())
    digest = sha256(data).hexdigest()
    chance = int(sha256(f"{digest} {kept_at.isoformat()}".encode()).hexdigest(), 16)
    bits = int(kept_at.timestamp() * 1000) << 80 | chance % (1 << 80)
    bits = bits & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62
    media: Media = Media.objects.create(
        pk=uuid.UUID(int=bits),
        uploader_id=uploader_id,
        data=data,
        content_type="image/jpeg",
        width=size[0],
        height=size[1],
        bytes=len(data),
        sha256=digest,
        created_at=kept_at,
    )
    return media
