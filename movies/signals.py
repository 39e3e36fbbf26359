"""What films do when members leave, and what they ask the apps above."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from django.db.models import QuerySet
from django.dispatch import Signal, receiver

from accounts.models import User
from accounts.signals import members_locking
from media.models import Media
from media.signals import images_leaving
from movies.models import Movie, MovieStats

# Asks which films have rows of these members; carries `user_ids`, answered with querysets of ids.
films_of_members = Signal()


@receiver(members_locking, sender=User)
def lock_films_of_leaving_members(
    sender: type[User], user_ids: Sequence[int], **kwargs: object
) -> None:
    """Lock every film that will change, in one order, before anybody changes one.

    The films they added are among them: these stay, and the database sets their owner to null.
    """
    answers = films_of_members.send(sender=User, user_ids=user_ids)
    added = Movie.objects.filter(created_by__in=user_ids).order_by().values_list("pk")
    touched = added.union(*(cast(QuerySet[Any], ids) for _, ids in answers))
    list(MovieStats.objects.filter(pk__in=touched).locked_in_order())


@receiver(images_leaving, sender=Media)
def lock_films_that_lose_their_poster(
    sender: type[Media], media_ids: Sequence[UUID], **kwargs: object
) -> None:
    """Lock them in one order, before the database sets their poster to null."""
    films = Movie.objects.with_posters(media_ids).order_by("pk")
    list(films.select_for_update(no_key=True).values_list("pk", flat=True))
