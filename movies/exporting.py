"""What films add to a member's export: those they added."""

from django.db.models import F
from django.dispatch import receiver

from accounts.exporting import ROWS_AT_ONCE, Rows
from accounts.models import User
from accounts.signals import exporting
from movies.models import Movie


@receiver(exporting, sender=User)
def export_movies(sender: type[User], user: User, **kwargs: object) -> tuple[str, Rows]:
    rows = Movie.objects.added_by(user).order_by("pk")
    columns = rows.values(
        "id",
        "title",
        "synopsis",
        releaseDate=F("release_date"),
        trailerUrl=F("trailer_url"),
        posterMediaId=F("poster"),
        createdAt=F("created_at"),
        updatedAt=F("updated_at"),
    )
    return "movies", columns.iterator(ROWS_AT_ONCE)
