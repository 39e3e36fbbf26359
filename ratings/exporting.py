"""What ratings add to a member's export."""

from django.db.models import F
from django.dispatch import receiver

from accounts.exporting import ROWS_AT_ONCE, Rows
from accounts.models import User
from accounts.signals import exporting
from ratings.models import Rating


@receiver(exporting, sender=User)
def export_ratings(sender: type[User], user: User, **kwargs: object) -> tuple[str, Rows]:
    columns = (
        Rating.objects.of(user)
        .order_by("pk")
        .values(
            "id",
            "value",
            movieId=F("movie"),
            movieTitle=F("movie__title"),
            movieReleaseDate=F("movie__release_date"),
            createdAt=F("created_at"),
            updatedAt=F("updated_at"),
        )
    )
    return "ratings", columns.iterator(ROWS_AT_ONCE)
