"""What a saved or deleted rating does to its film."""

from collections.abc import Collection, Iterable, Sequence

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from accounts.models import User
from accounts.signals import members_leaving
from movies.models import MovieStats
from movies.signals import films_of_members
from ratings.models import Rating


@receiver(post_save, sender=Rating)
def count_saved_rating(
    sender: type[Rating],
    instance: Rating,
    update_fields: Collection[str] | None,
    raw: bool,
    **kwargs: object,
) -> None:
    # A fixture (raw) brings the film's numbers along, and a field that was not saved changes none.
    if raw or (update_fields is not None and "value" not in update_fields):
        return
    MovieStats.objects.move_rating(
        instance.movie_id, old=instance.counted_value, new=instance.value
    )
    instance.counted_value = instance.value


@receiver(post_delete, sender=Rating)
def uncount_deleted_rating(sender: type[Rating], instance: Rating, **kwargs: object) -> None:
    MovieStats.objects.move_rating(instance.movie_id, old=instance.counted_value, new=None)
    instance.counted_value = None


@receiver(films_of_members, sender=User)
def name_rated_films(
    sender: type[User], user_ids: Sequence[int], **kwargs: object
) -> Iterable[int]:
    return Rating.objects.filter(user__in=user_ids).values_list("movie_id", flat=True)


@receiver(members_leaving, sender=User)
def withdraw_ratings(sender: type[User], user_ids: Sequence[int], **kwargs: object) -> None:
    Rating.objects.withdraw(user_ids)
