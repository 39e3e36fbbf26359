"""What the desk does when members leave."""

from collections.abc import Sequence

from django.dispatch import receiver

from accounts.models import User
from accounts.signals import members_leaving
from moderation.models import SweptRow


@receiver(members_leaving, sender=User)
def forget_swept_rows(sender: type[User], user_ids: Sequence[int], **kwargs: object) -> None:
    SweptRow.forget(user_ids)
