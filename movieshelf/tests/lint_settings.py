"""The settings with django-migration-linter, for `make lint`: is a migration safe on a busy shelf?

A migration runs while the code before it still serves. So a column comes with a default in the
database or may be null, and what goes is left alone by one release first (docs/operations.md).
"""

from movieshelf.settings import *  # noqa: F403
from movieshelf.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django_migration_linter"]
MIGRATION_LINTER_OPTIONS = {
    "no_cache": True,
    "quiet": ["ignore", "ok", "warning"],
    "include_apps": [
        "accounts",
        "changes",
        "imports",
        "media",
        "moderation",
        "movies",
        "movieshelf",
        "ratings",
        "reviews",
        "trail",
    ],
    # Made before the first release: no older code served beside them.
    "ignore_name": [
        "0001_initial",
        "0002_initial",
        "0002_undone_counts",
        "0004_reports_of_films",
    ],
}
