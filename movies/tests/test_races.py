"""Editing a film beside whoever takes its locks in the order that all do."""

import threading
from datetime import date

import pytest
from django.db import transaction

from movies.models import Movie
from movies.tests.factories import MovieFactory
from movieshelf.api import transactions
from movieshelf.api.errors import NotFound
from movieshelf.tests.races import at_once
from movieshelf.tests.waiting import until_somebody_waits

pytestmark = pytest.mark.django_db(transaction=True)


def edit(movie: Movie) -> None:
    movie.edit(release_date=date(1999, 5, 17))


def save_as_the_admin_does(movie: Movie) -> None:
    movie.release_date = date(1999, 5, 17)
    movie.save(update_fields=["release_date"])


@pytest.mark.parametrize("change", [edit, save_as_the_admin_does])
def test_a_new_release_date_waits_for_the_films_numbers_before_it_holds_the_film(
    change, monkeypatch
):
    """The numbers carry the date too: locked behind the film, they deadlock with a deletion."""
    monkeypatch.setattr(transactions, "MAX_TRIES", 1)
    movie = MovieFactory()
    is_held = threading.Event()

    def delete_slowly() -> None:
        with transaction.atomic():
            Movie.objects.lock(movie.pk)
            is_held.set()
            until_somebody_waits()
            Movie.objects.get(pk=movie.pk).delete()

    def change_meanwhile() -> None:
        assert is_held.wait(10)
        change(Movie.objects.get(pk=movie.pk))

    deleted, changed = at_once(delete_slowly, change_meanwhile)

    assert deleted is None
    assert isinstance(changed, NotFound)
