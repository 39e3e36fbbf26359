"""Made-up people, and the logins of the demo."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from accounts.models import User, email_key
from movies.titles import search_fold
from movieshelf.progress import Advance
from movieshelf.seeding.loading import copy_rows, reserve_ids
from movieshelf.seeding.words import FIRST_NAMES, LAST_NAMES

# Nobody has an address of this domain (RFC 2606), so whoever has one here is made up.
DOMAIN = "movieshelf.example"
DEMO_LOGIN = (f"demo@{DOMAIN}", "demo-shelf-2026")
ADMIN_LOGIN = (f"admin@{DOMAIN}", "admin-shelf-2026")

# Between these days, all of them past, everything on a seeded shelf came to be.
OPENED = datetime(2019, 3, 1, 9, tzinfo=UTC)
CLOSED = datetime(2026, 6, 30, 21, tzinfo=UTC)

# Django's mark of a password that opens nothing, without its random tail.
NO_PASSWORD = "!seeded"

COLUMNS = (
    "id",
    "password",
    "email",
    "email_key",
    "name",
    "role",
    "is_superuser",
    "is_active",
    "created_at",
)


def add_demo_logins() -> int:
    """Add the demo's member and admin, unless their addresses are taken; give how many."""
    added = 0
    for create, (email, password), name in (
        (User.objects.create_user, DEMO_LOGIN, "Demo Member"),
        (User.objects.create_superuser, ADMIN_LOGIN, "Demo Admin"),
    ):
        if not User.objects.with_email(email).exists():
            create(email, password, name=name, created_at=OPENED)
            added += 1
    return added


def add_members(count: int, random: Random, advance: Advance) -> None:
    """Add made-up members, who cannot log in."""
    first_id = reserve_ids(User, count)
    rows = _members(range(first_id, first_id + count), random)
    copy_rows(User._meta.db_table, COLUMNS, rows, advance)


def _members(ids: range, random: Random) -> Iterator[tuple[object, ...]]:
    for pk in ids:
        first, last = random.choice(FIRST_NAMES), random.choice(LAST_NAMES)
        local = search_fold(f"{first}.{last}").replace("’", "").replace("ı", "i")
        email = f"{local}.{pk}@{DOMAIN}"
        yield (
            pk,
            NO_PASSWORD,
            email,
            email_key(email),
            f"{first} {last}",
            User.Role.USER.value,
            False,
            True,
            moment(random),
        )


def moment(random: Random) -> datetime:
    """Give a time while the shelf was open."""
    return OPENED + timedelta(seconds=random.random() * (CLOSED - OPENED).total_seconds())
