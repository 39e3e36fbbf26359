"""GET /changes: what changed since, in order, and nothing is missing."""

from random import Random

import pytest
from django.db import connection, transaction
from procrastinate.contrib.django import app

from accounts.tests.factories import AdminFactory, UserFactory
from changes.eras import STAMP, begin_era, current_era
from changes.tests.follower import Follower, public_shelf, until_decided
from movies.models import Movie
from movies.tests.factories import MovieFactory
from movieshelf.tests.races import at_once
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.models import Review
from reviews.tests.factories import ReviewFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def follower(api) -> Follower:
    """Somebody who has read all there is."""
    follower = Follower(api)
    until_decided()
    follower.catch_up()
    return follower


def news(follower: Follower) -> list[tuple[str, int, str]]:
    until_decided()
    return [(item["type"], item["id"], item["change"]) for item in follower.catch_up()]


def test_the_feed_begins_with_all_there_is(api):
    movie, hidden = MovieFactory(), ReviewFactory()
    hidden.hide(by=AdminFactory())
    review = ReviewFactory(movie=movie)
    until_decided()

    items = Follower(api).catch_up()

    told = {(item["type"], item["id"]): item for item in items}
    assert told["movie", movie.pk]["change"] == "created"
    assert told["movie", movie.pk]["movie"]["title"] == movie.title
    assert told["movie", movie.pk]["review"] is None
    assert told["review", review.pk]["review"]["content"] == review.content
    assert told["review", hidden.pk] == {
        **{"type": "review", "id": hidden.pk, "change": "hidden"},
        **{"movie": None, "review": None},
    }


def test_each_change_is_told_once_in_order(follower):
    movie = MovieFactory()
    assert news(follower) == [("movie", movie.pk, "created")]

    RatingFactory(movie=movie, value=4)
    assert news(follower) == [("movie", movie.pk, "changed")]
    assert follower.shelf["movie", movie.pk]["averageRating"] == 4

    movie.edit(synopsis="New.")
    assert news(follower) == [("movie", movie.pk, "changed")]

    review = ReviewFactory(movie=movie)
    assert set(news(follower)) == {
        ("review", review.pk, "created"),
        ("movie", movie.pk, "changed"),
    }
    review.hide(by=AdminFactory())
    assert ("review", review.pk, "hidden") in news(follower)

    review.show(by=AdminFactory())
    assert ("review", review.pk, "changed") in news(follower)

    movie.delete()
    assert set(news(follower)) == {
        ("movie", movie.pk, "deleted"),
        ("review", review.pk, "deleted"),
    }
    assert news(follower) == []


def test_whoever_reads_for_the_first_time_hears_nothing_of_what_was_gone_before(api):
    MovieFactory().delete()
    until_decided()

    assert Follower(api).catch_up() == []


def test_a_member_who_leaves_leaves_tombstones_and_right_numbers(api, follower):
    user = UserFactory()
    movie = MovieFactory(created_by=user)
    rated = RatingFactory(user=user).movie
    review = ReviewFactory(user=user, movie=movie)
    news(follower)

    user.delete()

    told = news(follower)
    assert ("review", review.pk, "deleted") in told
    assert {("movie", movie.pk, "changed"), ("movie", rated.pk, "changed")} <= set(told)
    assert follower.shelf == public_shelf(api)


def test_a_page_at_a_time_is_the_same_feed(api):
    for _ in range(7):
        ReviewFactory()
    MovieFactory().delete()
    until_decided()

    slow = Follower(api, limit=1)
    slow.catch_up()

    assert slow.shelf == public_shelf(api)
    for _ in range(3):
        Movie.objects.first().delete()
        ReviewFactory()
    until_decided()
    slow.catch_up()
    assert slow.shelf == public_shelf(api)


def test_what_is_not_committed_is_neither_told_nor_lost(api, follower):
    """A later change that is committed first waits for the earlier one."""
    early = MovieFactory()
    news(follower)

    def while_one_writes() -> None:
        early.edit(synopsis="First in line, last to commit.")
        at_once(lambda: MovieFactory(title="Later, committed"))
        assert "Later, committed" not in str(Follower(api).catch_up())
        assert at_once(follower.catch_up) == [[]]

    with transaction.atomic():
        while_one_writes()

    told = news(follower)
    later = Movie.objects.get(title="Later, committed")
    assert told == [("movie", early.pk, "changed"), ("movie", later.pk, "created")]


def test_what_is_rolled_back_was_never_told(follower):
    movie = MovieFactory()
    news(follower)

    with transaction.atomic():
        movie.edit(synopsis="Never.")
        transaction.set_rollback(True)

    assert news(follower) == []


def test_a_film_that_is_there_again_under_its_id_is_told_again(api, follower):
    movie = MovieFactory()
    news(follower)

    with transaction.atomic():
        Movie.objects.filter(pk=movie.pk).delete()
        Movie(pk=movie.pk, title="There again").save(force_insert=True)

    assert news(follower)[-1][1:] == (movie.pk, "created")
    assert follower.shelf == public_shelf(api)


@pytest.mark.parametrize(
    ("types", "told"),
    [("movie", {"movie"}), ("review", {"review"}), ("review,movie", {"movie", "review"})],
)
def test_only_the_types_that_were_asked_for_are_told(api, types, told):
    review = ReviewFactory()
    until_decided()
    follower = Follower(api, types=types)

    assert {item["type"] for item in follower.catch_up()} == told
    review.movie.delete()
    assert {kind for kind, _, _ in news(follower)} == told


def test_writers_at_once_leave_no_gap(api):
    users = [UserFactory() for _ in range(4)]
    films = [MovieFactory().pk for _ in range(6)]
    follower, done = Follower(api, limit=5), []

    def write(number: int) -> None:
        dice = Random(number)
        for turn in range(25):
            film = Movie.objects.filter(pk=dice.choice(films)).first() or MovieFactory()
            match dice.randrange(6):
                case 0:
                    MovieFactory(title=f"By {number}, {turn}")
                case 1:
                    ReviewFactory(movie=film, user=users[number])
                case 2:
                    Review.objects.filter(user=users[number]).delete()
                case 3 if number == 0:
                    Movie.objects.filter(pk=film.pk).delete()
                case _:
                    Rating.objects.rate(
                        user=users[number], movie_id=film.pk, value=dice.randint(1, 5)
                    )
        done.append(number)

    def follow() -> None:
        while len(done) < 4:
            follower.read_page()

    def survive(number: int) -> None:
        try:
            write(number)
        except Exception:
            done.append(number)  # a film went while it was rated
            if number == 0:
                raise

    at_once(follow, *[lambda number=n: survive(number) for n in range(4)])
    until_decided()
    follower.catch_up()

    assert follower.shelf == public_shelf(api)


# --- Cursors -------------------------------------------------------------------------------------


def refused(response) -> tuple[int, str, str]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["details"]["since"][0]["code"]


def test_a_cursor_older_than_the_tombstones_is_refused_and_a_younger_one_goes_on(api, follower):
    MovieFactory().delete()
    old = follower.next
    news(follower)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE changes_gone SET gone_at = now() - interval '31 days'")

    app.tasks["changes.sweep"](timestamp=0)

    assert refused(api.get("/changes", {"since": old})) == (400, "validation_error", "expired")
    assert news(follower) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM changes_gone")
        assert cursor.fetchone() == (0,)


def test_who_reads_all_there_is_for_long_is_not_refused_in_the_middle(api):
    """Their tombstones begin where they began."""
    for _ in range(3):
        MovieFactory()
    until_decided()
    reader = Follower(api, limit=1)
    reader.read_page()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE changes_era SET swept = swept + 1")

    assert reader.read_page()["more"] is True


def test_who_begins_is_never_too_late(api, follower):
    """Transactions that run hold the horizon back, behind what was swept; others run as well."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT swept FROM changes_era")
        (swept,) = cursor.fetchone()
        cursor.execute("UPDATE changes_era SET swept = 1::bigint << 61")
    try:
        response = api.get("/changes")
        again = api.get("/changes", {"since": response.json()["next"]})
    finally:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE changes_era SET swept = %s", [swept])

    assert (response.status_code, again.status_code) == (200, 200)


def test_an_emptied_table_ends_every_cursor(api, follower):
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE movies_movie CASCADE")

    assert refused(api.get("/changes", {"since": follower.next}))[2] == "expired"


def test_in_another_database_an_era_begins_behind_all_that_was_restored(api, follower):
    """As after a restore: rows of a cluster whose transactions had far higher numbers."""
    try:
        movie = MovieFactory()
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE movies_movie DISABLE TRIGGER movies_movie_stamp")
            cursor.execute(
                "UPDATE movies_movie SET change_position = 10^15, change_created = 10^15"
            )
            cursor.execute("ALTER TABLE movies_movie ENABLE TRIGGER movies_movie_stamp")
            cursor.execute("UPDATE changes_era SET identity = 'another'")
        until_decided()

        assert refused(api.get("/changes", {"since": follower.next}))[2] == "expired"
        anew = Follower(api)
        assert [item["id"] for item in anew.catch_up()] == [movie.pk]
        later = MovieFactory()
        assert news(anew) == [("movie", later.pk, "created")]
        movie.delete()
        assert news(anew) == [("movie", movie.pk, "deleted")]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE changes_era SET shift = 0, swept = 0")
            cursor.execute("DELETE FROM changes_gone")
            cursor.execute(STAMP.format(shift=0))


def test_an_era_begins_once_however_many_ask(api):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE changes_era SET identity = 'another'")

    marks = at_once(*[lambda: current_era().mark] * 4)

    assert len(set(marks)) == 1
    begin_era()
    assert current_era().mark == marks[0]


@pytest.mark.parametrize("films", [1, 20])
def test_a_page_takes_the_same_queries_however_long(api, films, django_assert_num_queries):
    for _ in range(films):
        ReviewFactory()
    until_decided()
    current_era()

    with django_assert_num_queries(7):
        api.get("/changes")
