"""Imports beside others: raters, two workers, leaving members."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction

from accounts.models import User
from accounts.tests.factories import UserFactory
from imports import running
from imports.matching import Found
from imports.models import Import, Row
from imports.running import BATCH_ROWS, Overtaken, carry_on, do_batch
from imports.tests.steps import counted, letterboxd, send, work
from movies.models import Movie
from movies.tests.factories import MovieFactory
from movieshelf.api import transactions
from movieshelf.recomputing import drifted_films
from movieshelf.tests.races import at_once
from movieshelf.tests.waiting import until_somebody_waits_for_us
from ratings.models import Rating
from ratings.tests.factories import RatingFactory

pytestmark = pytest.mark.django_db(transaction=True)


def started(api, user, titles, **fields) -> Import:
    data = letterboxd(*[(title, "", 3, "2020-01-01") for title in titles])
    response = send(api.as_(user), data, **fields)
    return Import.objects.get(pk=response.json()["id"])


def test_two_workers_with_one_import_do_each_row_once(api):
    titles = [f"Film {n}" for n in range(2 * BATCH_ROWS + 3)]
    source = started(api, UserFactory(), titles, createMissing="true")

    assert at_once(*[lambda: carry_on(source.pk, seconds=60)] * 3) == [False] * 3

    source.refresh_from_db()
    assert (source.status, source.rows_done) == ("done", len(titles))
    assert counted(source.counts) == {"created": len(titles), "ratingsAdded": len(titles)}
    assert Row.objects.count() == Rating.objects.count() == Movie.objects.count() == len(titles)
    assert list(drifted_films()) == []


def test_members_who_import_the_same_films_and_one_who_rates_them_lose_nothing(api):
    films = [MovieFactory(title=f"Film {n}") for n in range(40)]
    titles = [film.title for film in films] + [f"New {n}" for n in range(40)]
    members = [UserFactory() for _ in range(3)]
    orders = (titles, titles[::-1], titles[40:] + titles[:40])
    sources = [
        started(api, member, order, createMissing="true")
        for member, order in zip(members, orders, strict=True)
    ]
    by_hand = UserFactory()

    def rate() -> None:
        for film in films[::-1]:
            Rating.objects.rate(user=by_hand, movie_id=film.pk, value=5)

    done = at_once(rate, *[lambda pk=source.pk: carry_on(pk, seconds=60) for source in sources])

    assert done == [None, False, False, False]
    assert Movie.objects.count() == 80
    assert Rating.objects.count() == 3 * 80 + 40
    assert list(drifted_films()) == []


def test_an_import_and_its_member_who_leaves_hold_up_each_other_for_nothing(api):
    films = [MovieFactory(title=f"Film {n}") for n in range(30)]
    user = UserFactory()
    source = started(api, user, [film.title for film in films])

    results = at_once(lambda: carry_on(source.pk, seconds=60), user.delete)

    assert not isinstance(results[1], Exception)
    assert not Import.objects.exists()
    assert not Rating.objects.exists()
    assert list(drifted_films()) == []


def test_a_title_that_is_taken_meanwhile_is_found_instead(api, monkeypatch):
    source = started(api, UserFactory(), ["Ikiru"], createMissing="true")
    queryset, tries = type(Movie.objects.all()), []
    add_them = queryset.add_all

    def add_all(self, movies):
        if not tries:
            tries.append(1)
            at_once(lambda: Movie.objects.create(title="Ikiru"))
        return add_them(self, movies)

    monkeypatch.setattr(queryset, "add_all", add_all)
    do_batch(source, Found.all_of(source.sheet()))

    source.refresh_from_db()
    assert counted(source.counts) == {"matched": 1, "ratingsAdded": 1}
    assert Movie.objects.get().ratings.count() == 1


def test_a_film_that_goes_meanwhile_is_missing_then(api, monkeypatch):
    film = MovieFactory(title="Ikiru")
    source = started(api, UserFactory(), ["Ikiru"])
    all_of = Found.all_of(source.sheet())
    find, tries = running.Matcher.find, []

    def find_and_lose(self):
        find(self)
        if not tries:
            tries.append(1)
            at_once(film.delete)

    monkeypatch.setattr(running.Matcher, "find", find_and_lose)
    do_batch(source, all_of)

    source.refresh_from_db()
    assert counted(source.counts) == {"skipped": 1}


def test_undoing_beside_raters_keeps_the_numbers_right(api):
    films = [MovieFactory(title=f"Film {n}") for n in range(30)]
    user, by_hand = UserFactory(), UserFactory()
    source = started(api, user, [film.title for film in films])
    work()
    source.refresh_from_db()
    source.undo()

    def rate() -> None:
        for film in films[::-1]:
            Rating.objects.rate(user=by_hand, movie_id=film.pk, value=5)

    assert at_once(rate, lambda: carry_on(source.pk, seconds=60)) == [None, False]
    assert Rating.objects.count() == 30
    assert list(drifted_films()) == []


def slowly_and_meanwhile(
    slowly: Callable[[], object], meanwhile: Callable[[], Any]
) -> tuple[Callable[[], None], Callable[[], Any]]:
    """Give two things to do at once, the first of which is committed when the second waits."""
    is_held = threading.Event()

    def do_slowly() -> None:
        with transaction.atomic():
            slowly()
            is_held.set()
            until_somebody_waits_for_us()

    def do_meanwhile() -> Any:
        assert is_held.wait(10)
        return meanwhile()

    return do_slowly, do_meanwhile


def test_an_import_finds_what_its_member_was_rating_by_hand(api):
    """The film is locked before the rating is read: a rating of today is newer than the file's."""
    rating = RatingFactory(value=5)
    Rating.objects.update(updated_at=datetime(2019, 1, 1, tzinfo=UTC))
    source = started(api, rating.user, [rating.movie.title])

    done = at_once(
        *slowly_and_meanwhile(
            lambda: Rating.objects.rate(user=rating.user, movie_id=rating.movie_id, value=4),
            lambda: carry_on(source.pk, seconds=60),
        )
    )

    source.refresh_from_db()
    assert done == [None, False]
    assert counted(source.counts) == {"matched": 1, "ratingsKept": 1}
    assert Rating.objects.get().value == 4
    assert list(drifted_films()) == []


def test_undoing_finds_what_its_member_was_rating_by_hand(api):
    user, movie = UserFactory(), MovieFactory()
    source = started(api, user, [movie.title])
    work()
    source.refresh_from_db()
    source.undo()

    done = at_once(
        *slowly_and_meanwhile(
            lambda: Rating.objects.rate(user=user, movie_id=movie.pk, value=4),
            lambda: carry_on(source.pk, seconds=60),
        )
    )

    source.refresh_from_db()
    assert done == [None, False]
    assert counted(source.undone_counts) == {"ratingsKept": 1}
    assert Rating.objects.get().value == 4
    assert list(drifted_films()) == []


def test_an_import_that_is_undone_in_the_middle_of_a_batch_takes_that_back_too(api):
    user, movie = UserFactory(), MovieFactory()
    source = started(api, user, [movie.title])
    found = Found.all_of(source.sheet())

    _, answer = at_once(
        *slowly_and_meanwhile(
            lambda: do_batch(source, found),
            lambda: api.as_(user).delete(f"/imports/{source.pk}"),
        )
    )
    work()

    source.refresh_from_db()
    assert answer.status_code == 202
    assert (source.status, counted(source.undone_counts)) == ("undone", {"ratingsRemoved": 1})
    assert not Rating.objects.exists()


def test_of_two_workers_with_a_batch_that_has_no_films_one_is_late(api):
    """A dry run locks no film, so the import's own row is all that the second can wait for."""
    source = started(api, UserFactory(), ["Ikiru"], dryRun="true")
    found = Found.all_of(source.sheet())

    done, late = at_once(
        *slowly_and_meanwhile(lambda: do_batch(source, found), lambda: do_batch(source, found))
    )

    assert done is None
    assert isinstance(late, Overtaken)
    assert Row.objects.count() == 1


def test_an_import_waits_for_a_leaving_member_before_it_holds_its_own_row(api, monkeypatch):
    """Who leaves has the member and wants the imports; the other way round, they deadlock."""
    monkeypatch.setattr(transactions, "MAX_TRIES", 1)
    user, movie = UserFactory(), MovieFactory()
    source = started(api, user, [movie.title])
    is_held = threading.Event()

    def leave_slowly() -> None:
        with transaction.atomic():
            User.objects.select_for_update().get(pk=user.pk)
            is_held.set()
            until_somebody_waits_for_us()
            user.delete()

    def carry_on_meanwhile() -> bool:
        assert is_held.wait(10)
        return carry_on(source.pk, seconds=60)

    assert at_once(leave_slowly, carry_on_meanwhile) == [None, False]
    assert not Import.objects.exists()
    assert not Rating.objects.exists()
    assert list(drifted_films()) == []
