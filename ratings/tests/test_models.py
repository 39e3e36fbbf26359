"""What is closed by name, what the database itself refuses, and what races end in."""

import threading
from functools import partial
from random import Random

import pytest
from asgiref.sync import async_to_sync
from django.db import IntegrityError, OperationalError, connection, transaction

from accounts.models import User
from accounts.tests.factories import UserFactory
from media.tests.races import at_once
from movies.models import Movie, MovieStats
from movies.tests.factories import MovieFactory
from movieshelf.api.errors import NotFound
from movieshelf.recomputing import drifted_films
from ratings.models import Rating
from ratings.tests.factories import RatingFactory

BYPASSES = {
    "update": lambda r: Rating.objects.filter(pk=r.pk).update(value=1),
    "update of the film": lambda r: Rating.objects.update(movie=MovieFactory()),
    "update of the film's id": lambda r: Rating.objects.update(movie_id=MovieFactory().pk),
    "aupdate": lambda r: async_to_sync(Rating.objects.all().aupdate)(value=1),
    "bulk_create": lambda r: Rating.objects.bulk_create(
        [Rating(movie=r.movie, user=UserFactory(), value=1)]
    ),
    "abulk_create": lambda r: async_to_sync(Rating.objects.all().abulk_create)([]),
    "bulk_update": lambda r: Rating.objects.bulk_update([r], ["value"]),
    "abulk_update": lambda r: async_to_sync(Rating.objects.all().abulk_update)([r], ["value"]),
    "update_or_create": lambda r: Rating.objects.update_or_create(
        {"value": 1}, user=r.user, movie=r.movie
    ),
    "the base manager's update": lambda r: Rating._base_manager.update(value=1),
    "the base manager's bulk_create": lambda r: Rating._base_manager.bulk_create([]),
    "a film's ratings, updated": lambda r: r.movie.ratings.update(value=1),
    "a film's ratings, added to": lambda r: MovieFactory().ratings.add(r),
    "a film's ratings, set": lambda r: MovieFactory().ratings.set([r]),
    "a film's ratings, update_or_create": lambda r: r.movie.ratings.update_or_create(
        defaults={"value": 1}, user=r.user
    ),
    "a film's ratings, bulk_create": lambda r: r.movie.ratings.bulk_create([]),
    "a member's ratings, updated": lambda r: r.user.ratings.update(value=1),
    "the numbers, updated": lambda r: MovieStats.objects.update(rating_1=7),
    "the numbers' base manager": lambda r: MovieStats._base_manager.update(rating_1=7),
    "the numbers, bulk_update": lambda r: MovieStats.objects.bulk_update(
        [r.movie.stats], ["rating_1"]
    ),
    "the numbers, bulk_create": lambda r: MovieStats.objects.bulk_create([]),
    "the numbers, saved": lambda r: r.movie.stats.save(),
    "the numbers, deleted": lambda r: r.movie.stats.delete(),
    "the numbers, deleted as a set": lambda r: MovieStats.objects.all().delete(),
    "films, bulk_create": lambda r: Movie.objects.bulk_create([Movie(title="Heat")]),
    "films, their titles": lambda r: Movie.objects.update(title="Heat"),
    "films, their keys": lambda r: Movie.objects.update(title_key="heat"),
    "films, the base manager": lambda r: Movie._base_manager.update(title="Heat"),
    "films, their day of upload": lambda r: Movie.objects.update(created_at=r.created_at),
    "a member's films, bulk_create": lambda r: r.user.movies.bulk_create([]),
}


@pytest.mark.django_db
@pytest.mark.parametrize("bypass", BYPASSES)
def test_what_would_bypass_the_counters_is_closed_and_says_what_to_call(bypass):
    rating = RatingFactory(value=5)

    with pytest.raises(TypeError, match=r"use .+"), transaction.atomic():
        BYPASSES[bypass](rating)

    assert list(Rating.objects.values_list("value", flat=True)) == [5]
    assert list(drifted_films()) == []


@pytest.mark.django_db
def test_a_rating_stays_with_its_film():
    rating = RatingFactory()
    rating.movie = MovieFactory()

    with pytest.raises(ValueError, match="stays"):
        rating.save()

    assert list(drifted_films()) == []


@pytest.mark.django_db
def test_columns_that_no_film_counts_may_be_updated():
    rating, somebody = RatingFactory(), UserFactory()

    somebody.ratings.add(rating)
    Rating.objects.update(created_at=somebody.created_at)
    Rating.objects.bulk_update([rating], ["created_at"])

    assert Rating.objects.get().user == somebody
    assert list(drifted_films()) == []


@pytest.mark.django_db
def test_the_database_refuses_a_second_rating_of_a_member_and_film():
    rating = RatingFactory()

    with pytest.raises(IntegrityError, match="rating_once_per_member"), transaction.atomic():
        RatingFactory(user=rating.user, movie=rating.movie)

    assert list(drifted_films()) == []


@pytest.mark.django_db
@pytest.mark.parametrize("value", [0, 6, 32767])
def test_the_database_refuses_a_value_beyond_one_to_five(value):
    with connection.cursor() as cursor, pytest.raises(IntegrityError, match="rating_from_1_to_5"):
        cursor.execute(
            "INSERT INTO ratings_rating (movie_id, user_id, value, created_at, updated_at)"
            " VALUES (%s, %s, %s, now(), now())",
            [MovieFactory().pk, UserFactory().pk, value],
        )


@pytest.mark.django_db
def test_counting_a_rating_down_twice_is_an_error_not_a_wrong_number():
    movie = MovieFactory()

    with pytest.raises(IntegrityError, match="rating_3"), transaction.atomic():
        MovieStats.objects.move_rating(movie.pk, old=3, new=None)
    with pytest.raises(IntegrityError, match="review_count"), transaction.atomic():
        MovieStats.objects.move_reviews(movie.pk, by=-1)


@pytest.mark.django_db
def test_rating_a_film_that_is_gone_is_not_found(user):
    movie = MovieFactory()
    movie_id = movie.pk
    movie.delete()

    with pytest.raises(NotFound):
        Rating.objects.rate(user=user, movie_id=movie_id, value=3)


@pytest.mark.django_db(transaction=True)
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


@pytest.mark.django_db(transaction=True)
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


@pytest.mark.django_db(transaction=True)
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


@pytest.mark.django_db(transaction=True)
def test_a_reader_never_sees_a_rating_without_its_effect():
    movie, user = MovieFactory(), UserFactory()
    done = threading.Event()
    seen: list[tuple[int, int]] = []

    def write() -> None:
        for n in range(40):
            Rating.objects.rate(user=user, movie_id=movie.pk, value=n % 5 + 1)
        done.set()

    def read() -> None:
        rows = Rating.objects.values_list("value", "movie__stats__average_rating")
        while not done.is_set():
            seen.extend(rows.all())

    at_once(write, read, read)

    assert seen
    assert all(value == average for value, average in seen)


@pytest.mark.django_db(transaction=True)
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


@pytest.mark.django_db(transaction=True)
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
