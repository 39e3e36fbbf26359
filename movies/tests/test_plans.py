"""How PostgreSQL finds each list: from an index, reading little, at any page."""

import re
from itertools import count
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.db import connection

from accounts.models import User
from accounts.tests.factories import UserFactory
from movies import listing, marks, texts
from movies.bitmaps import bitmaps
from movies.listing import MovieList
from movies.orders import ORDERS
from movies.rows import MovieRows
from movies.searching import titles_containing, titles_near

FILMS = 20_000
# Two blocks of films, each with its numbers by the primary key, or two looks at some two hundred
# films that are found one by one; every film would be 60,000.
MAX_BUFFERS = 2_500

SHELF = f"""
    INSERT INTO movies_movie (title, title_key, title_search, synopsis, release_date, created_at,
        updated_at, version, created_by_id)
    SELECT title, title, title, repeat('What happens. ', 20),
        CASE WHEN n %% 50 > 0 THEN date '1950-01-01' + (n * 7919) %% 25000 END,
        timestamptz '2024-01-01' + (n * 104729) %% {FILMS} * interval '1 minute',
        now(), 1, CASE WHEN n %% 500 = 0 THEN %(owner)s END
    FROM generate_series(1, {FILMS}) AS n,
        LATERAL (SELECT (ARRAY['the night of', 'a dune in', 'silent', 'last train to'])[n %% 4 + 1]
            || ' town ' || n AS title) named;
    INSERT INTO movies_moviestats (movie_id, created_at, release_date, rating_1, rating_2, rating_3,
        rating_4, rating_5, review_count)
    SELECT id, created_at, release_date, id %% 3, id %% 5, id %% 7, id %% 11,
        CASE WHEN id %% 97 = 0 THEN 500 ELSE 0 END, id %% 13
    FROM movies_movie;
"""


class Plans:
    """What the SELECTs of a block did, as EXPLAIN ANALYZE tells it."""

    def __init__(self) -> None:
        self.buffers = 0
        self.scans: list[str] = []

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().startswith(("SELECT", "WITH")):
            with connection.connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql, params)
                plan = cursor.fetchone()[0][0]["Plan"]
            self.buffers += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            self.look(plan)
        return execute(sql, params, many, context)

    def look(self, plan: dict[str, Any]) -> None:
        if plan["Node Type"] == "Seq Scan":
            self.scans.append(plan["Relation Name"])
        for child in plan.get("Plans", ()):
            self.look(child)


@pytest.fixture
def owner() -> User:
    """A shelf with its marks, and the owner of some of its films."""
    owner = UserFactory()
    with connection.cursor() as cursor:
        cursor.execute(SHELF, {"owner": owner.pk})
        cursor.execute("VACUUM ANALYZE movies_movie, movies_moviestats")
    assert marks.rebuild()
    assert texts.build()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE movies_titleblock, movies_titleword")
    return owner


@pytest.mark.django_db(transaction=True)
def test_every_list_is_read_from_its_index(owner):
    asked = [
        {"sort": sort, "stars": stars, "scope": scope, "page": page}
        for sort in ORDERS
        for stars in (0, 4, 5)
        for scope in ("all", "not_mine")
        for page in (1, 240)
        if page == 1 or stars == 0
    ]
    asked += [{"scope": "mine"}]
    asked += [
        {"q": text} for text in ("town 123", "town", "n", "zzzq", "zq", "%", "👻", "twon 123")
    ]
    asked += [{"q": "town", "stars": 5, "sort": sort} for sort in ORDERS]
    asked += [{"q": "town", "stars": 4}, {"q": "town 1", "stars": 4}, {"q": "e", "scope": "mine"}]
    asked += [{"q": "town", "scope": "not_mine"}, {"q": "town", "stars": 4, "scope": "not_mine"}]
    assert_each_reads_little(asked, owner, most=MAX_BUFFERS)


@pytest.mark.django_db(transaction=True)
def test_pages_far_out_of_a_common_text_are_found_by_counting(owner, monkeypatch):
    monkeypatch.setattr(listing, "FAR", 500)
    far = [("town", 240, 0), ("town", 900, 0), ("in", 300, 0), ("town", 110, 3)]
    asked = [
        {"q": text, "sort": sort, "page": page, "stars": stars}
        for sort in ORDERS
        for text, page, stars in far
    ]
    # To walk there would be three looks at each film before it. Counting by the numbers' own pages
    # takes some three hundred; on a shelf of this size an index of theirs may be as good.
    assert_each_reads_little(asked, owner, most=FILMS)


def assert_each_reads_little(asked: list[dict[str, Any]], owner: User, *, most: int) -> None:
    for one in asked:
        whole = {"q": "", "sort": "uploaded_desc", "stars": 0, "scope": "all", **one}
        start = 20 * (whole.pop("page", 1) - 1)
        viewer = AnonymousUser() if whole["scope"] == "all" else owner
        # Each is the first to ask: nothing that was found is kept.
        cache.clear()
        titles_containing._held.clear()
        titles_near._held.clear()
        bitmaps._held.clear()

        plans = Plans()
        with connection.execute_wrapper(plans):
            shelf = MovieList(whole, viewer)
            total = shelf.total()
            shown = len(list(MovieRows(shelf)[start : start + 20]))

        assert shown == min(20, total - start), one
        # The numbers are narrow rows: on a shelf of this size a few hundred of them may well be
        # found by reading all their pages, which the bound on the buffers allows and bounds.
        assert "movies_movie" not in plans.scans, (one, plans.scans)
        assert plans.buffers < most, (one, plans.buffers)


class PlansForAny:
    """How PostgreSQL would find the pages of a block whatever their parameters are.

    So it does once a prepared statement has been run a few times.
    """

    def __init__(self) -> None:
        self.statements = 0
        self.nodes: list[tuple[str, int]] = []

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.statements += 1
        if "LIMIT" in sql:
            numbers = count(1)
            numbered = re.sub("%s", lambda _: f"${next(numbers)}", sql)
            with connection.connection.cursor() as cursor:
                cursor.execute("EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + numbered)
                self.look(cursor.fetchone()[0][0]["Plan"], 0)
        return execute(sql, params, many, context)

    def look(self, plan: dict[str, Any], depth: int) -> None:
        self.nodes.append((plan["Node Type"], depth))
        for child in plan.get("Plans", ()):
            self.look(child, depth + 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("sort", ORDERS)
def test_one_plan_walks_the_index_whatever_page_is_asked_for(owner, sort):
    # The page, and where it begins.
    for stars, number, statements in ((0, 1, 1), (0, 240, 2), (3, 240, 2)):
        asked = {"q": "", "sort": sort, "stars": stars, "scope": "all"}
        rows, page = (
            MovieRows(MovieList(asked, AnonymousUser())),
            slice(20 * number - 20, 20 * number),
        )
        # From now on this process knows the marks.
        assert len(list(rows[page])) == 20

        plans = PlansForAny()
        with connection.execute_wrapper(plans):
            list(rows[page])

        assert plans.statements == statements
        assert "Index" in str(plans.nodes)
        assert "Seq Scan" not in str(plans.nodes), (asked, plans.nodes)
        # No more is sorted than the films of the page.
        assert all("Sort" not in node or not depth for node, depth in plans.nodes), asked
