"""What members do when an image of theirs is removed on purpose."""

from collections.abc import Sequence
from uuid import UUID

from django.dispatch import receiver

from accounts.models import User
from media.models import Media
from media.signals import images_leaving


@receiver(images_leaving, sender=Media)
def lock_members_that_lose_their_avatar(
    sender: type[Media], media_ids: Sequence[UUID], **kwargs: object
) -> None:
    """Lock them in one order, before the database sets their avatar to null."""
    members = User.objects.filter(avatar__in=media_ids).order_by("pk")
    list(members.select_for_update(no_key=True).values_list("pk", flat=True))
