"""Somebody who follows the feed, as a search engine would."""

import time
from typing import Any

from django.db import connection

from movies.models import Movie
from movieshelf.tests.client import ApiClient
from reviews.models import Review


def until_decided() -> None:
    """Return once no transaction is left that is older than now, in any database of the cluster.

    Tests run side by side, each in a transaction of its own, and hold up the feed.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        now = cursor.fetchone()[0]
        for _ in range(3_000):
            cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
            if cursor.fetchone()[0] > now:
                return
            time.sleep(0.01)
    raise AssertionError("Some transaction never ends.")


class Follower:
    """Keeps what the feed tells of, page by page."""

    def __init__(self, api: ApiClient, limit: int = 100, types: str = "") -> None:
        self.api, self.limit = api, limit
        self.next: str | None = None
        self.types = types
        self.shelf: dict[tuple[str, int], Any] = {}

    def get(self) -> dict[str, Any]:
        query = {"limit": self.limit}
        if self.next:
            query["since"] = self.next
        if self.types:
            query["types"] = self.types
        response = self.api.get("/changes", query)
        assert response.status_code == 200, response.json()
        return response.json()

    def read_page(self) -> dict[str, Any]:
        """Read a page and keep what it tells."""
        page = self.get()
        self.next = page["next"]
        for item in page["items"]:
            key = (item["type"], item["id"])
            if item["change"] in ("created", "changed"):
                self.shelf[key] = item[item["type"]]
            else:
                self.shelf.pop(key, None)
        return page

    def catch_up(self) -> list[dict[str, Any]]:
        """Read until there is no more; give all the items that came."""
        items, more = [], True
        while more:
            page = self.read_page()
            items += page["items"]
            more = page["more"]
        return items


def public_shelf(api: ApiClient) -> dict[tuple[str, int], Any]:
    """All films and visible reviews as anybody reads them one by one, as far as the feed has it."""
    shelf = {}
    for pk in Movie.objects.values_list("pk", flat=True):
        movie = api.get(f"/movies/{pk}").json()
        shelf["movie", pk] = {name: value for name, value in movie.items() if name != "rank"}
    for pk in Review.objects.filter(is_hidden=False).values_list("pk", flat=True):
        review = api.get(f"/reviews/{pk}").json()
        shelf["review", pk] = {
            name: value for name, value in review.items() if name not in ("user", "rating")
        }
    return shelf
