"""What is found for a text is kept, and right all the same after any title came or went."""

from random import Random

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from movies import texts
from movies.models import Movie, TitleMove
from movies.searching import titles_containing
from movies.tests.factories import MovieFactory
from movieshelf.tests.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["few", "many"])
def _any_number(request, monkeypatch):
    """Films found are kept one by one, or only counted."""
    if request.param == "many":
        monkeypatch.setattr(texts, "FEW", 0)


def total(api, q: str) -> int:
    """What a search says, which must be what a plain count says."""
    said = api.get("/movies", {"q": q, "pageSize": 100}).json()
    if "fuzzy" in said:
        return 0
    assert len(said["items"]) == said["total"]
    return said["total"]


@pytest.mark.usefixtures("_any_number")
@pytest.mark.parametrize("q", ["a", "%", "dun", "dune"])
def test_each_search_counts_what_came_and_went(api, q):
    assert total(api, q) == 0
    first = MovieFactory(title="Dune 100% a")
    assert total(api, q) == 1
    MovieFactory(title="A Dune of 5%")
    assert total(api, q) == 2
    first.edit(title="Ronin")
    assert total(api, q) == 1
    first.edit(title="DUNÉ: a % more")
    assert total(api, q) == 2
    first.edit(synopsis="Sand.")
    Movie.objects.all().delete()
    assert total(api, q) == 0


def test_many_titles_are_counted_once(api, monkeypatch):
    monkeypatch.setattr(texts, "FEW", 1)
    for number in range(3):
        MovieFactory(title=f"Dune {number}")
    assert total(api, "dune") == 3
    MovieFactory(title="Dune 4")

    with CaptureQueriesContext(connection) as asked:
        assert total(api, "dune") == 4

    assert not [q["sql"] for q in asked if "count(*)" in q["sql"].lower()]


@pytest.mark.usefixtures("_any_number")
def test_a_title_committed_after_the_search_began_is_not_forgotten(api):
    """It is newer than what was kept, though it was written before."""
    MovieFactory(title="Dune 1")
    with transaction.atomic():
        MovieFactory(title="Dune 2")
        assert at_once(lambda: total(api, "dune")) == [1]
    assert total(api, "dune") == 2


@pytest.mark.usefixtures("_any_number")
def test_what_a_writer_sees_of_itself_is_kept_by_nobody(api):
    MovieFactory(title="Dune 1")
    try:
        with transaction.atomic():
            MovieFactory(title="Dune 2")
            assert titles_containing.of("dune").films == 2
            raise RuntimeError
    except RuntimeError:
        pass
    assert total(api, "dune") == 1


def test_titles_by_the_thousand_are_looked_for_again(api):
    assert total(api, "bulk") == 0
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO movies_movie (title, title_key, title_search, synopsis, created_at,"
            " updated_at, version) SELECT 'Bulk ' || n, 'bulk ' || n, 'bulk ' || n, '', now(),"
            " now(), 1 FROM generate_series(1, 1001) AS n"
        )
    assert set(TitleMove.objects.values_list("title", flat=True)) == {None}
    assert titles_containing.of("bulk").films == 1001
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE movies_movie CASCADE")
    assert titles_containing.of("bulk").films == 0


@pytest.mark.usefixtures("_any_number")
def test_totals_of_searches_are_right_once_concurrent_writers_stop(api):
    texts = ["a", "du", "dune", "ronin"]

    def write(seed: int) -> None:
        dice = Random(seed)
        mine = []
        for turn in range(12):
            if mine and dice.random() < 0.4:
                mine.pop().delete()
            else:
                mine.append(MovieFactory(title=f"{dice.choice(texts)} {seed} {turn}"))

    def search() -> None:
        for _ in range(8):
            for text in texts:
                titles_containing.of(text)

    assert at_once(lambda: write(1), lambda: write(2), search, search) == [None] * 4

    for text in texts:
        assert total(api, text) == Movie.objects.titled_like(text).count()


@pytest.mark.parametrize(
    ("q", "title"),
    [("dnue", "Dune"), ("haet", "Heat"), ("casblanca", "Casablanca"), ("amlie", "Amélie"),
     ("blde runner", "Blade Runner"), ("七の人侍", "七人の侍")],
)  # fmt: skip
def test_a_typo_finds_the_title(api, q, title):
    for other in (title, "The Third Man", "Ghost", "Stalker"):
        MovieFactory(title=other)

    said = api.get("/movies", {"q": q}).json()

    assert said.get("fuzzy") is True
    assert said["items"][0]["title"] == title


def test_a_title_that_came_is_offered_for_a_typo_at_once(api):
    MovieFactory(title="Casablanca Nights")
    assert api.get("/movies?q=casblanca").json()["total"] == 1

    MovieFactory(title="Casablanca")

    assert api.get("/movies?q=casblanca").json()["total"] == 2
