"""What films do when members leave, and what they ask the apps above."""

from collections.abc import Sequence
from itertools import chain

from django.db.models import F
from django.dispatch import Signal, receiver

from accounts.models import User
from accounts.signals import members_leaving
from movies.models import Movie, MovieStats

# Asks which films have rows of these members; carries `user_ids`, answered with querysets of ids.
films_of_members = Signal()


@receiver(members_leaving, sender=User)
def lock_films_of_leaving_members(
    sender: type[User], user_ids: Sequence[int], **kwargs: object
) -> None:
    """Lock every film that will change, in one order, before anybody changes one."""
    answers = films_of_members.send(sender=User, user_ids=user_ids)
    touched = set(chain.from_iterable(ids for _, ids in answers))
    list(MovieStats.objects.filter(pk__in=touched).locked_in_order())


@receiver(members_leaving, sender=User)
def disown_films_of_leaving_members(
    sender: type[User], user_ids: Sequence[int], **kwargs: object
) -> None:
    """Keep the films they added; each is another version now, since it shows no owner."""
    Movie.objects.filter(created_by__in=user_ids).update(created_by=None, version=F("version") + 1)
