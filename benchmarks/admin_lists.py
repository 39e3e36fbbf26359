"""The first page of each list of the admin, and some searches: queries and time, as a table.

    DATABASE_URL=... REDIS_URL=... DEBUG=true .venv/bin/python benchmarks/admin_lists.py

It asks in this process, by Django's test client, as an admin made for that and deleted again. Each
page is opened five times; the median is of the last four. Point it at a big catalogue.
"""

import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["DJANGO_SETTINGS_MODULE"] = "movieshelf.settings"
os.environ.setdefault("ALLOWED_HOSTS", "testserver")

import django

django.setup()

from django.db import connection  # noqa: E402  # after setup()
from django.test import Client  # noqa: E402  # after setup()
from django.test.utils import CaptureQueriesContext  # noqa: E402  # after setup()

from accounts.models import User  # noqa: E402  # after setup()

ROUNDS = 5
PAGES = {
    "front page": "/admin/",
    "queue": "/admin/moderation/case/",
    "films": "/admin/movies/movie/",
    "films without a poster": "/admin/movies/movie/?poster__isempty=1",
    "films, by title": "/admin/movies/movie/?q=night",
    "reviews": "/admin/reviews/review/",
    "reviews, hidden": "/admin/reviews/review/?is_hidden__exact=1",
    "reviews, by words": "/admin/reviews/review/?q=masterpiece",
    "reviews, by rare words": "/admin/reviews/review/?q=casino",
    "ratings": "/admin/ratings/rating/",
    "ratings, by film": "/admin/ratings/rating/?q=night",
    "reports": "/admin/reviews/report/",
    "members": "/admin/accounts/user/",
    "members, by name": "/admin/accounts/user/?q=ann",
    "members, by address": "/admin/accounts/user/?q=nobody@shelf.example",
    "logins": "/admin/accounts/session/",
    "images": "/admin/media/media/",
    "batches": "/admin/moderation/sweep/",
    "merged films": "/admin/moderation/mergedfilm/",
    "trail": "/admin/trail/act/",
    "what a member did": "/admin/moderation/sweep/member/{member}/",
}


def main() -> None:
    """Print the table."""
    admin = User.objects.create_user("bench@desk.example", name="Bench", role="admin")
    member = User.objects.filter(role="user").order_by("pk").values_list("pk", flat=True)[100]
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(admin)
    try:
        print("| page | queries | first, ms | median, ms |\n|---|---|---|---|")
        for name, page in PAGES.items():
            times, queries = measure(client, page.format(member=member))
            median = statistics.median(times[1:])
            print(f"| {name} | {queries} | {times[0]:.0f} | {median:.0f} |", flush=True)
    finally:
        admin.delete()


def measure(client: Client, page: str) -> tuple[list[float], int]:
    """Open a page some times; give the milliseconds of each, and the queries of the last."""
    times = []
    for _ in range(ROUNDS):
        with CaptureQueriesContext(connection) as captured:
            began = time.perf_counter()
            response = client.get(page)
            times.append(1000 * (time.perf_counter() - began))
        if response.status_code != 200:
            raise SystemExit(f"{page} answered {response.status_code}")
    return times, len(captured)


if __name__ == "__main__":
    main()
