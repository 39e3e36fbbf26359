"""`manage.py recompute`: repairs what drifted, and proves that nothing did."""

import threading
from datetime import date, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from accounts.tests.factories import UserFactory
from movies import marks, texts
from movies.models import CommonTexts, Movie, MovieStats, PageMarks, StarCount
from movies.tests.factories import MovieFactory
from movieshelf import recomputing
from movieshelf.jobs import check_numbers
from movieshelf.recomputing import (
    count_again,
    drifted_films,
    keep_check,
    last_check,
    recompute,
    write_as_counted,
)
from movieshelf.tests.races import at_once
from movieshelf.tests.waiting import until_somebody_waits_for_us
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.tests.factories import ReviewFactory


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("recompute", *arguments, stdout=out)
    return out.getvalue()


def spoil(*movies: Movie, **counters: int) -> None:
    """Write wrong numbers, as a bug or a bare UPDATE would."""
    numbers = MovieStats.objects.filter(pk__in=[movie.pk for movie in movies])
    super(type(numbers), numbers).update(**counters)


@pytest.fixture
def shelf(db) -> list[Movie]:
    movies = MovieFactory.create_batch(3)
    for movie in movies[:2]:
        RatingFactory.create_batch(2, movie=movie, value=4)
        ReviewFactory(movie=movie)
    ReviewFactory(movie=movies[0]).hide(by=UserFactory())
    return movies


def test_a_right_shelf_is_compared_and_left_alone(shelf):
    assert run("--check") == "Compared 3 films: no number differs from its rows.\n"
    assert run() == "Compared 3 films, rebuilt the numbers of 0.\n"


def test_totals_that_drifted_are_named_and_corrected(shelf, api):
    StarCount.objects.create(stars=4, films=7)
    out = StringIO()

    with pytest.raises(CommandError, match="0 films and 1 totals drifted"):
        call_command("recompute", "--check", stdout=out)

    assert out.getvalue() == "films of 4 stars: 9 are counted, should be 2\n"
    assert api.get("/movies?stars=4").json()["total"] == 9
    PageMarks.objects.update(version=1)
    CommonTexts.objects.update(version=1)
    assert run() == "Compared 3 films, rebuilt the numbers of 0. Corrected 1 totals.\n"
    # Whatever the totals have missed, these may have missed, too.
    assert marks.need_rebuild()
    assert texts.need_build()
    assert api.get("/movies?stars=4").json()["total"] == 2
    assert run("--check") == "Compared 3 films: no number differs from its rows.\n"


def test_check_names_each_drifted_film_fails_and_repairs_nothing(shelf):
    spoil(shelf[1], rating_5=9, review_count=0)
    out = StringIO()

    with pytest.raises(CommandError, match="1 film drifted"):
        call_command("recompute", "--check", stdout=out)

    assert out.getvalue() == (
        f"film {shelf[1].pk}: rating_5 is 9, should be 0, review_count is 0, should be 1\n"
    )
    assert len(list(drifted_films())) == 1


def test_recompute_repairs_every_drifted_film_and_twice_changes_nothing(shelf):
    spoil(*shelf, rating_1=7, rating_4=0, review_count=70)

    assert run() == "Compared 3 films, rebuilt the numbers of 3.\n"
    assert run() == "Compared 3 films, rebuilt the numbers of 0.\n"

    shown = MovieStats.objects.order_by("pk").values_list("rating_1", "rating_4", "review_count")
    assert list(shown) == [(0, 2, 1), (0, 2, 1), (0, 0, 0)]


def test_one_film_may_be_compared_and_repaired_alone(shelf):
    spoil(*shelf, rating_1=7)

    with pytest.raises(CommandError, match="1 film drifted"):
        run("--check", "--movie", str(shelf[0].pk))
    assert run("--movie", str(shelf[0].pk)) == "Compared 1 film, rebuilt the numbers of 1.\n"

    assert [drift.movie_id for drift in drifted_films()] == [shelf[1].pk, shelf[2].pk]


def test_a_film_that_is_not_there_is_told(shelf):
    with pytest.raises(CommandError, match="no film 999999"):
        run("--movie", "999999")


def test_a_film_without_numbers_gets_them(shelf):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM movies_moviestats WHERE movie_id = %s", [shelf[0].pk])

    assert [str(drift) for drift in drifted_films()] == [f"film {shelf[0].pk}: has no numbers"]
    run()

    stats = MovieStats.objects.get(pk=shelf[0].pk)
    assert (stats.rating_4, stats.review_count) == (2, 1)
    assert stats.created_at == shelf[0].created_at


def test_a_film_whose_numbers_stand_at_another_day_is_put_right(shelf):
    spoil(shelf[0], created_at=shelf[1].created_at)

    assert [str(d) for d in drifted_films()] == [f"film {shelf[0].pk}: holds other dates"]
    run()
    assert list(drifted_films()) == []


def test_batches_are_bounded_by_films_and_by_rows(shelf, monkeypatch):
    monkeypatch.setattr(recomputing, "BATCH_FILMS", 2)
    monkeypatch.setattr(recomputing, "BATCH_ROWS", 4)
    spoil(*shelf, rating_1=7)
    drifts = list(drifted_films())

    assert [len(ids) for ids in recomputing._batches(drifts)] == [1, 2]
    assert recompute() == 3
    assert list(drifted_films()) == []


def test_what_was_rated_after_it_was_counted_is_not_overwritten(shelf):
    spoil(*shelf, rating_1=7)
    drifts = list(drifted_films())
    RatingFactory(movie=shelf[0], value=2)

    written = write_as_counted(drifts)

    assert written == {shelf[1].pk, shelf[2].pk}
    count_again([shelf[0].pk])
    assert list(drifted_films()) == []
    assert MovieStats.objects.get(pk=shelf[0].pk).rating_2 == 1


@pytest.mark.django_db(transaction=True)
def test_repairing_beside_traffic_loses_no_vote():
    movies, users = MovieFactory.create_batch(4), UserFactory.create_batch(4)
    done = threading.Event()

    def rate(user) -> None:
        for number in range(40):
            movie = movies[number % 4]
            Rating.objects.rate(user=user, movie_id=movie.pk, value=number % 5 + 1)

    def traffic() -> None:
        try:
            assert at_once(*(lambda u=u: rate(u) for u in users)) == [None] * 4
        finally:
            done.set()

    def repair() -> None:
        while not done.is_set():
            # A counter that is too high: one that is too low would make a vote an error.
            spoil_beside_traffic(movies[0])
            recompute()

    results = at_once(traffic, repair, repair)

    recompute()
    assert results == [None] * 3
    assert list(drifted_films()) == []
    assert sum(MovieStats.objects.values_list("rating_count", flat=True)) == 16


@pytest.mark.django_db(transaction=True)
def test_what_was_counted_is_written_beside_the_date_that_it_waited_for():
    """The date is another table's: a statement that waited would still write that of before."""
    movie = MovieFactory(release_date=date(1999, 5, 17))
    spoil(movie, rating_1=7)
    drifts = list(drifted_films())
    is_held = threading.Event()

    def edit_slowly() -> None:
        with transaction.atomic():
            movie.edit(release_date=date(2001, 5, 17))
            is_held.set()
            until_somebody_waits_for_us()

    def write_meanwhile() -> set[int]:
        assert is_held.wait(10)
        return write_as_counted(drifts)

    assert at_once(edit_slowly, write_meanwhile) == [None, {movie.pk}]
    assert MovieStats.objects.get().release_date == date(2001, 5, 17)
    assert list(drifted_films()) == []


def spoil_beside_traffic(movie: Movie) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE movies_moviestats SET rating_5 = rating_5 + 1, review_count = review_count + 1"
            " WHERE movie_id = %s",
            [movie.pk],
        )


@pytest.mark.django_db(transaction=True)
def test_comparing_waits_for_nobody_and_holds_nobody_up():
    rating = RatingFactory()
    RatingFactory(movie=rating.movie)
    is_locked, is_compared = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Movie.objects.lock(rating.movie_id)
            is_locked.set()
            assert is_compared.wait(10)

    def compare() -> list:
        is_locked.wait(10)
        with transaction.atomic():
            found = list(drifted_films())
            is_compared.set()
        return found

    assert at_once(hold, compare) == [None, []]


def test_drift_is_found_within_a_transaction_that_others_cannot_see_into(shelf):
    """A rating and its counter are one: nothing that only looks for drift can see between them."""
    Rating.objects.filter(movie=shelf[0]).delete()

    assert list(drifted_films()) == []


# --- What the last comparison found ------------------------------------------------------------


def test_before_the_first_comparison_nothing_is_known(db):
    assert last_check() is None


def test_the_worker_compares_and_keeps_how_much_has_drifted(shelf):
    before = timezone.now()
    spoil(*shelf[:2], rating_1=7)
    StarCount.objects.create(stars=4, films=7)

    check_numbers(timestamp=0)

    check = last_check()
    # The spoilt counters have moved the films to other stars: their totals moved along.
    assert (check.drifted_films, check.drifted_totals, check.drifted) == (2, 1, 3)
    assert before <= check.checked_at <= timezone.now()


def test_the_command_keeps_what_it_found_as_well(shelf):
    spoil(shelf[0], review_count=9)
    with pytest.raises(CommandError):
        run("--check")
    assert last_check().drifted == 1

    run()
    run("--check")

    assert last_check().drifted == 0


def test_a_comparison_of_one_film_says_nothing_about_all(shelf):
    run("--check", "--movie", str(shelf[0].pk))

    assert last_check() is None


def test_of_two_comparisons_the_one_that_began_later_counts(db):
    now = timezone.now()

    keep_check(now, films=1, totals=0)
    keep_check(now - timedelta(minutes=1), films=5, totals=5)

    assert (last_check().checked_at, last_check().drifted) == (now, 1)


def test_a_read_only_shelf_is_compared_and_nothing_is_kept(shelf, settings):
    settings.READ_ONLY = True

    assert "no number differs" in run("--check")
    assert last_check() is None


def test_asking_for_the_last_comparison_compares_nothing(shelf, django_assert_num_queries):
    check_numbers(timestamp=0)

    with django_assert_num_queries(1) as queries:
        last_check()

    assert "ratings_rating" not in queries.captured_queries[0]["sql"]
