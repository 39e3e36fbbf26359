"""What a saved or deleted review does to its film."""

from collections.abc import Collection, Iterable, Sequence

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from accounts.models import User
from accounts.signals import members_leaving
from movies.models import MovieStats
from movies.signals import films_of_members
from reviews.models import Review


@receiver(post_save, sender=Review)
def count_saved_review(
    sender: type[Review],
    instance: Review,
    update_fields: Collection[str] | None,
    raw: bool,
    **kwargs: object,
) -> None:
    # A fixture (raw) brings the film's numbers along, and a field that was not saved changes none.
    if raw or (update_fields is not None and "is_hidden" not in update_fields):
        return
    counts = not instance.is_hidden
    MovieStats.objects.move_reviews(instance.movie_id, by=int(counts) - int(instance.is_counted))
    instance.is_counted = counts


@receiver(post_delete, sender=Review)
def uncount_deleted_review(sender: type[Review], instance: Review, **kwargs: object) -> None:
    MovieStats.objects.move_reviews(instance.movie_id, by=-int(instance.is_counted))
    instance.is_counted = False


@receiver(films_of_members, sender=User)
def name_reviewed_films(
    sender: type[User], user_ids: Sequence[int], **kwargs: object
) -> Iterable[int]:
    return Review.objects.filter(user__in=user_ids).values_list("movie_id", flat=True)


@receiver(members_leaving, sender=User)
def withdraw_reviews(sender: type[User], user_ids: Sequence[int], **kwargs: object) -> None:
    Review.objects.withdraw(user_ids)
