"""What many do at once to one film's ratings (security-cases.md, section H).

`RACE_ROUNDS=200 pytest -m race` runs each race so often.
"""

import threading
from functools import partial
from random import Random

import pytest
from django.db import OperationalError, connection, transaction

from accounts.models import User
from accounts.tests.factories import UserFactory
from movies.models import Movie, MovieStats
from movies.tests.factories import MovieFactory
from movieshelf.recomputing import drifted_films
from movieshelf.tests.races import at_once
from movieshelf.tests.waiting import until_somebody_waits
from ratings.models import Rating
from ratings.tests.factories import RatingFactory

pytestmark = pytest.mark.django_db(transaction=True)


def test_many_members_rate_one_film_at_once_and_change_their_minds():
    """Row 129: 24 members, each three times."""
    movie, members = MovieFactory(), UserFactory.create_batch(24)
    dice = Random(129)
    minds = [[dice.randint(1, 5) for _ in range(3)] for _ in members]

    def rate(user: User, values: list[int]) -> None:
        for value in values:
            Rating.objects.rate(user=user, movie_id=movie.pk, value=value)

    results = at_once(*map(partial, [rate] * 24, members, minds))

    stats = MovieStats.objects.get()
    last = [values[-1] for values in minds]
    assert results == [None] * 24
    assert stats.rating_count == 24
    assert round(stats.average_rating * 24) == sum(last)
    assert list(drifted_films()) == []


def test_one_member_rates_sixteen_times_at_once_and_has_one_rating(api):
    """Row 130."""
    movie, user = MovieFactory(), UserFactory()
    clients = [api.as_(user) for _ in range(16)]

    responses = at_once(
        *(
            partial(client.put, f"/movies/{movie.pk}/rating", {"value": n % 5 + 1})
            for n, client in enumerate(clients)
        )
    )

    rating, stats = Rating.objects.get(), MovieStats.objects.get()
    assert {response.status_code for response in responses} == {200}
    assert {response.json()["ratingCount"] for response in responses} == {1}
    # Each answer shows the numbers right after its own write, not after somebody else's.
    assert all(r.json()["averageRating"] == r.json()["value"] for r in responses)
    assert stats.distribution[str(rating.value)] == 1
    assert list(drifted_films()) == []


def test_rating_and_taking_back_at_once_leaves_the_film_right():
    movie, members = MovieFactory(), UserFactory.create_batch(6)

    def change_minds(user: User, seed: int) -> None:
        dice = Random(seed)
        for _ in range(8):
            if dice.random() < 0.5:
                Rating.objects.rate(user=user, movie_id=movie.pk, value=dice.randint(1, 5))
            else:
                Rating.objects.filter(user=user).delete()

    # Two threads for each member.
    at_once(*(partial(change_minds, user, seed) for seed, user in enumerate(members * 2)))

    assert list(drifted_films()) == []


def test_a_reader_never_sees_a_rating_without_its_effect():
    movie, user = MovieFactory(), UserFactory()
    done = threading.Event()
    seen: list[tuple[int, int]] = []

    def write() -> None:
        try:
            for n in range(40):
                Rating.objects.rate(user=user, movie_id=movie.pk, value=n % 5 + 1)
        finally:
            done.set()

    def read() -> None:
        rows = Rating.objects.values_list("value", "movie__stats__average_rating")
        while not done.is_set():
            seen.extend(rows.all())

    at_once(write, read, read)

    assert seen
    assert all(value == average for value, average in seen)


BEFORE_TRIGGERS = """
SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger
WHERE tgrelid = 'movies_moviestats'::regclass AND tgtype & 19 = 19  -- before a row's UPDATE
"""


@pytest.fixture(params=["with triggers", "without triggers"])
def numbers_table(request, transactional_db):
    """The films' numbers, as they are and without triggers that come before a change.

    Where there is one, as that of the feed of changes, even switched off, PostgreSQL looks for the
    row as it is now before it makes the new one; otherwise after the constraints of the new one.
    """
    triggers = []
    with connection.cursor() as cursor:
        if request.param == "without triggers":
            cursor.execute(BEFORE_TRIGGERS)
            triggers = cursor.fetchall()
        for name, _ in triggers:
            cursor.execute(f"DROP TRIGGER {name} ON movies_moviestats")
        yield
        for _, definition in triggers:
            cursor.execute(definition)


@pytest.mark.usefixtures("numbers_table")
def test_a_rating_that_waited_counts_on_from_what_it_waited_for():
    """Its statement began before the other was committed, and has the numbers of then at hand."""
    rating = RatingFactory(value=5)
    is_held = threading.Event()

    def rate_four_slowly() -> None:
        with transaction.atomic():
            Rating.objects.rate(user=rating.user, movie_id=rating.movie_id, value=4)
            is_held.set()
            until_somebody_waits()

    def rate_one() -> None:
        assert is_held.wait(10)
        Rating.objects.rate(user=rating.user, movie_id=rating.movie_id, value=1)

    assert at_once(rate_four_slowly, rate_one) == [None, None]
    assert MovieStats.objects.get().distribution == {"1": 1, "2": 0, "3": 0, "4": 0, "5": 0}


def take_back(rating: Rating) -> None:
    Rating.objects.unrate(user=rating.user, movie_id=rating.movie_id)


def save_as_three(rating: Rating) -> None:
    rating.value = 3
    rating.save()


@pytest.mark.parametrize(
    ("change", "threes"), [(take_back, 0), (Rating.delete, 0), (save_as_three, 1)]
)
def test_what_waits_for_a_rating_counts_it_as_it_is_by_then(change, threes):
    """What the film holds of it is what it is once the film is locked, not when it was read."""
    rating = RatingFactory(value=5)
    RatingFactory(movie=rating.movie, value=5)
    read_before = Rating.objects.get(pk=rating.pk)
    is_held = threading.Event()

    def rate_four_slowly() -> None:
        with transaction.atomic():
            Rating.objects.rate(user=rating.user, movie_id=rating.movie_id, value=4)
            is_held.set()
            until_somebody_waits()

    def change_meanwhile() -> None:
        assert is_held.wait(10)
        change(read_before)

    assert at_once(rate_four_slowly, change_meanwhile) == [None, None]
    assert MovieStats.objects.get().distribution == {"1": 0, "2": 0, "3": threes, "4": 0, "5": 1}


def test_a_film_deleted_while_it_is_rated_leaves_nothing_behind(api, admin):
    """Row 134, the ratings."""
    for _ in range(4):
        movie = MovieFactory(created_by=admin)
        raters = [api.as_(UserFactory()) for _ in range(6)]
        owner, path = api.as_(admin), f"/movies/{movie.pk}/rating"

        deleted, *rated = at_once(
            partial(owner.delete, f"/movies/{movie.pk}"),
            *(partial(rater.put, path, {"value": 3}) for rater in raters),
        )

        assert deleted.status_code == 204
        assert {response.status_code for response in rated} <= {200, 404}
        assert not Rating.objects.exists()


def test_a_held_film_answers_unavailable_and_others_go_on(api, user):
    """Row 139."""
    held, free = MovieFactory(), MovieFactory()
    member, other = api.as_(user), api.as_(UserFactory())
    is_held, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Movie.objects.lock(held.pk)
            is_held.set()
            may_end.wait(10)

    def rate_held():
        is_held.wait(10)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        try:
            return member.put(f"/movies/{held.pk}/rating", {"value": 3})
        finally:
            connection.cursor().execute("RESET lock_timeout")
            may_end.set()

    def rate_free():
        is_held.wait(10)
        return other.put(f"/movies/{free.pk}/rating", {"value": 3})

    _, refused, served = at_once(hold, rate_held, rate_free)

    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "unavailable"
    assert int(refused["Retry-After"]) >= 1
    assert served.status_code == 200
    assert member.get(f"/movies/{held.pk}").json()["ratingCount"] == 0


FAULT = """
CREATE SEQUENCE faults;
CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('faults') <= {times} THEN
        RAISE EXCEPTION 'fault' USING ERRCODE = '{code}';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER fault AFTER INSERT ON ratings_rating FOR EACH ROW EXECUTE FUNCTION fault();
"""
NO_FAULT = """
DROP TRIGGER IF EXISTS fault ON ratings_rating;
DROP FUNCTION IF EXISTS fault;
DROP SEQUENCE IF EXISTS faults;
"""


@pytest.fixture
def fault(transactional_db):
    def install(code: str, times: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(FAULT.format(code=code, times=times))

    yield install
    with connection.cursor() as cursor:
        cursor.execute(NO_FAULT)


@pytest.mark.parametrize("code", ["40001", "40P01"])
def test_what_the_database_asks_to_repeat_is_repeated_unseen(fault, api, code):
    """Row 140, once: the effect is there once."""
    user, movie = UserFactory(), MovieFactory()
    fault(code, times=1)

    response = api.as_(user).put(f"/movies/{movie.pk}/rating", {"value": 4})
    saved = RatingFactory(movie=movie, value=2)

    assert response.status_code == 200
    assert response.json()["ratingCount"] == 1
    assert saved.pk
    assert MovieStats.objects.get().rating_count == 2
    assert list(drifted_films()) == []


def test_what_fails_always_is_tried_three_times_and_unavailable(fault, api):
    """Row 140, always."""
    user, movie = UserFactory(), MovieFactory()
    fault("40001", times=1_000)

    response = api.as_(user).put(f"/movies/{movie.pk}/rating", {"value": 4})

    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM faults")
        assert cursor.fetchone() == (3,)
    assert response.status_code == 503
    assert response["Retry-After"]
    assert not Rating.objects.exists()
    assert MovieStats.objects.get().rating_count == 0


def test_an_instance_is_saved_whole_after_a_fault(fault):
    """The first try gave it an id, which the rollback took back."""
    movie, user = MovieFactory(), UserFactory()
    fault("40P01", times=2)

    Rating(movie=movie, user=user, value=5).save()

    assert Rating.objects.get().value == 5
    assert list(drifted_films()) == []


def test_an_error_of_another_kind_is_not_repeated(fault):
    movie, user = MovieFactory(), UserFactory()
    fault("57014", times=1_000)

    with pytest.raises(OperationalError):
        Rating.objects.rate(user=user, movie_id=movie.pk, value=5)

    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM faults")
        assert cursor.fetchone() == (1,)
