"""What reviews add to a member's export: all they wrote, hidden ones too, and reported."""

from django.db.models import F
from django.dispatch import receiver

from accounts.exporting import ROWS_AT_ONCE, Rows
from accounts.models import User
from accounts.signals import exporting
from reviews.models import Report, Review


@receiver(exporting, sender=User)
def export_reviews(sender: type[User], user: User, **kwargs: object) -> tuple[str, Rows]:
    columns = (
        Review.objects.filter(user=user)
        .order_by("pk")
        .values(
            "id",
            "content",
            movieId=F("movie"),
            movieTitle=F("movie__title"),
            movieReleaseDate=F("movie__release_date"),
            hidden=F("is_hidden"),
            createdAt=F("created_at"),
            updatedAt=F("updated_at"),
        )
    )
    return "reviews", columns.iterator(ROWS_AT_ONCE)


@receiver(exporting, sender=User)
def export_reports(sender: type[User], user: User, **kwargs: object) -> tuple[str, Rows]:
    columns = (
        Report.objects.filter(reporter=user)
        .order_by("pk")
        .values(
            "id",
            "reason",
            "note",
            reviewId=F("review"),
            movieId=F("movie"),
            createdAt=F("created_at"),
        )
    )
    return "reports", columns.iterator(ROWS_AT_ONCE)
