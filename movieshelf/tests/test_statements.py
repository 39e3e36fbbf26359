"""Statements that are made once, and asked again and again."""

from typing import Any

import pytest
from django.db.models import Count, QuerySet

from movies.tests.factories import MovieFactory
from movieshelf.api.statements import given, remembered
from ratings.models import Rating
from ratings.tests.factories import RatingFactory

pytestmark = pytest.mark.django_db


def test_the_sql_is_made_once_for_each_kind(django_assert_num_queries):
    made = []

    @remembered
    def values_of(movie_id: int, order: str, most: int) -> QuerySet[Rating, tuple[Any, ...]]:
        made.append((order, most))
        return Rating.objects.filter(movie=movie_id).order_by(order)[:most].values_list("value")

    films = MovieFactory.create_batch(2)
    for film, value in ((films[0], 1), (films[0], 4), (films[1], 5)):
        RatingFactory(movie=film, value=value)

    with django_assert_num_queries(4):
        assert values_of(films[0].pk, "value", 2) == [(1,), (4,)]
        assert values_of(films[0].pk, "-value", 1) == [(4,)]
        assert values_of(films[1].pk, "value", 2) == [(5,)]
        assert values_of(films[1].pk + 1, "value", 2) == []
    assert made == [("value", 2), ("-value", 1)]


def test_an_id_stands_in_each_place_where_it_was_asked_for():
    @remembered
    def counts_of(movie_id: int) -> QuerySet[Rating, tuple[Any, ...]]:
        rows = Rating.objects.filter(movie=movie_id).exclude(user=movie_id).values("movie")
        return rows.annotate(count=Count("pk")).values_list("movie", "count")

    film = MovieFactory()
    RatingFactory(movie=film)

    assert counts_of(film.pk) == [(film.pk, 1)]


def test_several_values_may_differ_from_call_to_call():
    made = []

    @remembered
    def values_of(asked: dict[str, int], order: str) -> QuerySet[Rating, tuple[Any, ...]]:
        made.append(order)
        rated = Rating.objects.filter(movie=given("movie"), value__gte=given("least"))
        return rated.order_by(order).values_list("value")

    film = MovieFactory()
    for value in (1, 3, 5):
        RatingFactory(movie=film, value=value)

    assert values_of({"movie": film.pk, "least": 2}, "value") == [(3,), (5,)]
    assert values_of({"least": 4, "movie": film.pk}, "value") == [(5,)]
    assert made == ["value"]
