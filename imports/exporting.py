"""What imports add to a member's export: each with what came of it, the rows not again."""

from django.db.models import F
from django.dispatch import receiver

from accounts.exporting import ROWS_AT_ONCE, Rows
from accounts.models import User
from accounts.signals import exporting
from imports.models import Import


@receiver(exporting, sender=User)
def export_imports(sender: type[User], user: User, **kwargs: object) -> tuple[str, Rows]:
    columns = (
        Import.objects.of(user)
        .order_by("pk")
        .values(
            "id",
            "format",
            "status",
            "counts",
            dryRun=F("dry_run"),
            createMissing=F("create_missing"),
            rowCount=F("row_count"),
            createdAt=F("created_at"),
            finishedAt=F("finished_at"),
        )
    )
    return "imports", columns.iterator(ROWS_AT_ONCE)
