"""Texts that many titles have are counted once, and right after every write all the same."""

from contextlib import suppress
from datetime import timedelta
from itertools import product
from random import Random

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from accounts.tests.factories import UserFactory
from movies import jobs, listing, marks, texts
from movies.bitmaps import bitmaps
from movies.listing import MovieList
from movies.models import CommonTexts, Movie, StarMove, TitleBlock, TitleMove
from movies.orders import ORDERS
from movies.searching import titles_containing
from movies.tests.factories import MovieFactory
from movies.titles import search_fold
from movieshelf.api.errors import NotFound
from movieshelf.tests.races import at_once
from ratings.models import Rating
from ratings.tests.factories import RatingFactory

pytestmark = pytest.mark.django_db(transaction=True)

WORDS = ("a", "an", "dune", "dunes", "the", "then", "é", "%")
# Common ones, rare ones, and such as no title has.
TEXTS = ("a", "an", "n", "dun", "dune", "e t", "the", "s", "nes", "e", "%", "é", "zq", "👻")


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Texts are common that three titles have, and four ids make a block."""
    monkeypatch.setattr(texts, "FEW", 2)
    monkeypatch.setattr(texts, "BLOCK_IDS", 4)
    monkeypatch.setattr(texts._keeper, "held", None)


class Dice:
    """Films of a few words, and writes of every kind, by chance."""

    def __init__(self, seed: int, members: list[User] | None = None) -> None:
        self.dice = Random(seed)
        self.members = members or [UserFactory() for _ in range(3)]
        self.added = 0
        self.seed = seed

    def title(self) -> str:
        self.added += 1
        words = " ".join(self.dice.choices(WORDS, k=self.dice.randrange(1, 4)))
        return f"{words} {self.seed}.{self.added}"

    def add(self) -> None:
        MovieFactory(title=self.title(), created_by=self.dice.choice([None, *self.members]))

    def write(self) -> None:
        films = list(Movie.objects.order_by("pk"))
        movie = self.dice.choice(films) if films else None
        match self.dice.randrange(8):
            case 1 if movie and len(films) > 5:
                movie.delete()
            case 2 | 3 if movie:
                movie.edit(title=self.title())
            case 4 if movie:
                Rating.objects.filter(movie=movie).delete()
            case 5 | 6 | 7 if movie:
                member, value = self.dice.choice(self.members), self.dice.randrange(1, 6)
                Rating.objects.rate(user=member, movie_id=movie.pk, value=value)
            case _:
                self.add()


def assert_totals_are_right(viewer: User) -> None:
    for text, stars, scope in product(TEXTS, (0, 3, 5), ("all", "mine", "not_mine")):
        asked = {"q": text, "sort": "uploaded_desc", "stars": stars, "scope": scope}
        shelf = MovieList(asked, viewer)
        total = shelf.total()
        expected = Movie.objects.filter(title_search__contains=search_fold(text))
        expected = expected.rated_at_least(stars)
        if scope == "mine":
            expected = expected.filter(created_by=viewer)
        if scope == "not_mine":
            expected = expected.difference(expected.filter(created_by=viewer))
        if not shelf.is_fuzzy:
            assert total == len(expected), asked
            assert {film.pk for film in shelf[0:100]} == {film.pk for film in expected}, asked


@pytest.mark.parametrize(("seed", "rare"), [(0, 0), (1, 4)])
def test_totals_are_right_after_every_write(seed, rare, monkeypatch):
    monkeypatch.setattr(listing, "RARE", rare)
    dice = Dice(seed)
    for _ in range(12):
        dice.add()
    assert texts.need_build()
    assert texts.build()
    assert not texts.need_build()

    for turn in range(30):
        dice.write()
        if turn % 5 == 3:
            assert_totals_are_right(dice.members[0])
        if turn % 7 == 6:
            assert texts.fold()
            assert not TitleMove.objects.filter(folded=False).exists()
            assert not StarMove.objects.exists()
            assert_totals_are_right(dice.members[0])
        if turn % 11 == 5:
            assert marks.fold()
        if turn == 20:
            assert texts.build()


@pytest.mark.parametrize("far", [0, 2, 100])
@pytest.mark.parametrize("spread", [0, 1.5])
@pytest.mark.parametrize("has_marks", [True, False])
def test_every_page_of_a_common_text_is_right(far, spread, has_marks, monkeypatch):
    monkeypatch.setattr(marks, "BLOCK_FILMS", 3)
    monkeypatch.setattr(listing, "RARE", 0)
    monkeypatch.setattr(listing, "FAR", far)
    monkeypatch.setattr(listing, "SPREAD", spread)
    dice = Dice(3)
    for _ in range(24):
        dice.add()
    assert texts.build()
    if has_marks:
        assert marks.rebuild()
    for _ in range(12):
        dice.write()
    viewer = dice.members[0]
    for sort, text, stars, scope in product(ORDERS, ("a", "e"), (0, 3), ("all", "not_mine")):
        asked = {"q": text, "sort": sort, "stars": stars, "scope": scope}
        having = Movie.objects.filter(title_search__contains=text).rated_at_least(stars)
        films = having.order_by(*ORDERS[sort].of_films())
        expected = [f.pk for f in films if scope == "all" or f.created_by_id != viewer.pk]

        shelf = MovieList(asked, viewer)
        assert shelf.total() == len(expected) > 0
        cuts = range(0, len(expected) + 4, 4)
        shown = [[film.pk for film in shelf[cut : cut + 4]] for cut in cuts]

        assert shown == [expected[cut : cut + 4] for cut in cuts], asked


def test_a_page_far_out_of_a_text_is_right_after_every_write(monkeypatch):
    """What was found of the text is kept, and what came and went since is added."""
    monkeypatch.setattr(marks, "BLOCK_FILMS", 3)
    for name in ("RARE", "FAR", "SPREAD"):
        monkeypatch.setattr(listing, name, 0)
    dice = Dice(9)
    for _ in range(24):
        dice.add()
    assert texts.build()
    assert marks.rebuild()
    kept = []
    for turn in range(30):
        dice.write()
        if turn == 20:
            assert texts.fold()
        expected = Movie.objects.filter(title_search__contains="e").order_by("-created_at", "-pk")
        asked = {"q": "e", "sort": "uploaded_desc", "stars": 0, "scope": "all"}

        shelf = MovieList(asked, AnonymousUser())
        assert shelf.total() == len(expected)
        shown = [film.pk for cut in range(0, len(expected), 4) for film in shelf[cut : cut + 4]]

        assert shown == [film.pk for film in expected]
        kept.append(bitmaps._held["e"].snapshot)
    assert len(set(kept)) == 1


def test_a_common_text_at_the_far_end_is_found(monkeypatch):
    monkeypatch.setattr(marks, "BLOCK_FILMS", 3)
    monkeypatch.setattr(listing, "RARE", 0)
    monkeypatch.setattr(listing, "FAR", 6)
    day = timezone.now()
    for number in range(40):
        title = f"Dune {number}" if number < 4 else f"Ronin {number}"
        MovieFactory(title=title, created_at=day + timedelta(days=number))
    assert texts.build()
    assert marks.rebuild()

    asked = {"q": "dune", "sort": "uploaded_desc", "stars": 0, "scope": "all"}
    shelf = MovieList(asked, AnonymousUser())

    assert shelf.total() == 4
    assert [film.title for film in shelf[0:1]] == ["Dune 3"]
    assert [film.title for film in shelf[1:4]] == ["Dune 2", "Dune 1", "Dune 0"]


def test_what_was_folded_is_what_is_found_anew():
    dice = Dice(7)
    for _ in range(20):
        dice.add()
    assert texts.build()
    for turn in range(40):
        dice.write()
        if turn % 6 == 5:
            assert texts.fold()
    assert texts.fold()
    folded = dict(CommonTexts.objects.get().films)
    packed = list(TitleBlock.objects.order_by("id").values_list("ids", "titles"))

    CommonTexts.objects.update(version=None)
    assert texts.build()

    anew = CommonTexts.objects.get().films
    assert {text: folded[text] for text in anew if text in folded} == {
        text: films for text, films in anew.items() if text in folded
    }
    # A text is at home in one list or the other; none has three films and stands in none.
    assert all(sum(folded[text]) <= texts.FEW for text in folded.keys() - anew.keys())
    assert packed == list(TitleBlock.objects.order_by("id").values_list("ids", "titles"))


def test_a_common_text_is_counted_without_a_title(api, monkeypatch):
    monkeypatch.setattr(listing, "RARE", 0)
    for number in range(4):
        RatingFactory(movie=MovieFactory(title=f"Dune {number}"), value=number + 1)
    assert texts.build()

    for query, total in (("", 4), ("&stars=3", 2)):
        with CaptureQueriesContext(connection) as asked:
            assert api.get(f"/movies?q=dune{query}").json()["total"] == total

        counted = [q["sql"] for q in asked if "COUNT(" in q["sql"]]
        # The ranks of a shelf that has no marks yet count films, by score.
        assert all("GROUP BY" in sql for sql in counted), counted


def test_a_text_that_is_common_no_longer_is_found_film_by_film(api):
    films = [MovieFactory(title=f"Dune {number}") for number in range(4)]
    assert texts.build()
    for film in films[1:]:
        film.delete()
    assert texts.films_having("dune") == 1

    shown = api.get("/movies?q=dune").json()

    assert [film["id"] for film in shown["items"]] == [films[0].pk]
    assert titles_containing._held["dune"].ids == [films[0].pk]


def test_titles_by_the_thousand_make_all_texts_unknown():
    MovieFactory(title="Bulk 0")
    assert texts.build()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO movies_movie (title, title_key, title_search, synopsis, created_at,"
            " updated_at, version) SELECT n, n, n, '', now(), now(), 1"
            " FROM (SELECT 'bulk ' || generate_series(1, 1001) AS n) added"
        )
    assert texts.need_build()
    assert texts.films_having("bulk") is None
    assert not texts.fold()
    assert titles_containing.of("bulk").films == 1002

    jobs.keep_texts(0)

    # The films that came without their numbers are on no list.
    assert texts.films_having("bulk") is None
    assert not texts.need_build()


def test_numbers_by_the_thousand_make_all_texts_unknown():
    MovieFactory(title="Dune")
    assert texts.build()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO movies_movie (title, title_key, title_search, synopsis, created_at,"
            " updated_at, version) SELECT n, n, n, '', now(), now(), 1"
            " FROM generate_series(1, 1001) AS n"
        )
        CommonTexts.objects.update(version=7)
        cursor.execute(
            "INSERT INTO movies_moviestats (movie_id, created_at, rating_1, rating_2, rating_3,"
            " rating_4, rating_5, review_count) SELECT id, created_at, 0, 0, 0, 0, 0, 0"
            " FROM movies_movie WHERE title <> 'Dune'"
        )
    assert CommonTexts.objects.get().version is None


def test_moves_that_nobody_folds_do_not_pile_up():
    MovieFactory(title="Dune")
    assert texts.build()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO movies_titlemove (films, movie_id, title, transaction, at)"
            " SELECT n % 2 * 2 - 1, 1, 'x', 1, now() - interval '2 hours'"
            " FROM generate_series(1, 20001) AS n"
        )
        cursor.execute("SELECT movies_bound_title_moves()")
        assert texts.need_build()
        assert not TitleMove.objects.filter(folded=False).exists()
        cursor.execute("SELECT movies_bound_title_moves()")

    assert not TitleMove.objects.filter(title="x").exists()
    assert TitleMove.objects.filter(title="dune").exists()


def test_an_emptied_shelf_has_no_texts(api):
    for number in range(4):
        MovieFactory(title=f"Dune {number}")
    assert texts.build()
    assert api.get("/movies?q=dune").json()["total"] == 4

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE movies_movie CASCADE")

    assert api.get("/movies?q=dune").json()["total"] == 0
    assert texts.build()
    assert api.get("/movies?q=dune").json()["total"] == 0


def test_who_writes_while_texts_are_counted_is_not_forgotten(monkeypatch):
    """Building reads first, and counts when others may write again."""
    for number in range(4):
        MovieFactory(title=f"Dune {number}")
    count = texts._common_texts

    def count_late(read: list[tuple[int, str]]) -> texts.Counts:
        MovieFactory(title="Dune 4")
        assert marks.fold()
        Rating.objects.rate(user=UserFactory(), movie_id=Movie.objects.first().pk, value=5)
        return count(read)

    monkeypatch.setattr(texts, "_common_texts", count_late)
    assert texts.build()

    assert (texts.films_having("dune"), texts.films_having("dune", stars=5)) == (5, 1)
    assert texts.fold()
    assert (texts.films_having("dune"), texts.films_having("dune", stars=5)) == (5, 1)


@pytest.mark.parametrize("meanwhile", ["build", "forget"])
def test_of_two_who_change_the_texts_at_once_one_is_believed(monkeypatch, meanwhile):
    for number in range(4):
        MovieFactory(title=f"Dune {number}")
    count = texts._common_texts

    def count_late(read: list[tuple[int, str]]) -> texts.Counts:
        monkeypatch.setattr(texts, "_common_texts", count)
        if meanwhile == "build":
            assert texts.build()
        else:
            CommonTexts.objects.update(version=None, building=None)
        return count(read)

    monkeypatch.setattr(texts, "_common_texts", count_late)

    assert not texts.build()
    assert texts.films_having("dune") == (4 if meanwhile == "build" else None)


def test_totals_are_right_once_concurrent_writers_and_folders_stop():
    shelf = Dice(0)
    for _ in range(12):
        shelf.add()
    assert texts.build()
    dice = [Dice(number, shelf.members) for number in range(1, 4)]

    def write(number: int) -> None:
        for _ in range(12):
            # The film that another deleted meanwhile.
            with suppress(NotFound, IntegrityError):
                dice[number].write()

    def tidy() -> None:
        for turn in range(10):
            texts.fold()
            marks.fold()
            if turn % 3 == 0:
                texts.build()
                marks.rebuild()

    def search() -> None:
        for text, stars in product(TEXTS, (0, 3)):
            texts.films_having(text, stars=stars)
            titles_containing.of(text)

    writers = [lambda n=n: write(n) for n in range(3)]
    assert at_once(*writers, tidy, tidy, search) == [None] * 6

    assert CommonTexts.objects.get().version is not None
    assert_totals_are_right(shelf.members[0])
    assert texts.fold()
    assert_totals_are_right(shelf.members[0])


@pytest.mark.parametrize(
    ("q", "title"),
    [("dnue", "Dune"), ("haet", "Heat"), ("casblanca", "Casablanca"), ("amlie", "Amélie"),
     ("blde runner", "Blade Runner"), ("七の人侍", "七人の侍"), ("the thrid mna", "The Third Man"),
     ("runner blade", "Blade Runner"), ("bladerunner", "Blade Runner"), ("gost zzqy", "Ghost"),
     ("hert", "Heat"), ("casabl nca", "Casablanca")],
)  # fmt: skip
@pytest.mark.parametrize("came", ["before", "since", "since, and folded"])
def test_a_typo_is_mended_word_by_word(api, q, title, came):
    others = ("The Third Man", "Ghost", "Stalker", "Blade Runner", "Heat", "Dune", "Casablanca")
    if came != "before":
        assert texts.build()
    for other in {title, *others}:
        MovieFactory(title=other)
    if came == "before":
        assert texts.build()
    if came == "since, and folded":
        assert texts.fold()

    said = api.get("/movies", {"q": q}).json()

    assert said.get("fuzzy") is True
    assert said["items"][0]["title"] == title


@pytest.mark.parametrize("q", ["zzqy", "!!!", "% %", "x" * 60])
def test_what_is_like_no_word_finds_nothing(api, q):
    MovieFactory(title="The Third Man")
    assert texts.build()

    said = api.get("/movies", {"q": q}).json()

    assert (said["total"], "fuzzy" in said) == (0, False)


@pytest.mark.parametrize(
    ("text", "is_rare"),
    [("dune", True), ("dun", True), ("the", False), (" the", False), ("the ", False),
     ("zq", False), ("%%%", False), ("the % a", False), ("then", True), ("七人の", True)],
)  # fmt: skip
def test_the_trigram_index_is_asked_for_what_few_titles_have(text, is_rare):
    common = texts.Texts(version=1, films={"the": [9], " th": [9], "he ": [9]})

    assert texts.has_rare_trigram(text, common) is is_rare
