"""Films as bits: each at its own place, and none past the end."""

import pytest
from django.db import connection

from movies import texts
from movies.bitmaps import bitmaps, changed, in_bitmap
from movies.models import Movie
from movies.tests.factories import MovieFactory

pytestmark = pytest.mark.django_db(transaction=True)


def test_films_come_and_go():
    assert changed(b"", {}) == b""
    assert changed(b"", {9: 1}) == b"\x00\x02"
    assert changed(b"\x00\x02", {8: 1, 9: -1, 3: 0}) == b"\x00\x01"
    assert changed(b"\x01", {64: -1}) == b"\x01" + bytes(8)


def test_a_film_has_its_bit_wherever_its_id_stands():
    # Around the ends of the numbers of 64 bits, and of what is found.
    for pk in (1, 62, 63, 64, 127, 128, 300):
        MovieFactory(pk=pk, title=f"{'Dune' if pk % 2 == 0 or pk == 63 else 'Ronin'} {pk}")
    assert texts.build()

    having = in_bitmap(bitmaps.bitmap_of("dune"))
    none = in_bitmap(bitmaps.bitmap_of("zq"))

    assert set(Movie.objects.filter(having).values_list("pk", flat=True)) == {62, 63, 64, 128, 300}
    assert not Movie.objects.filter(none).exists()
    assert not Movie.objects.filter(in_bitmap(b"")).exists()
    MovieFactory(pk=5_000, title="Dune 5000")
    assert not Movie.objects.filter(having, pk=5_000).exists()
    assert Movie.objects.filter(in_bitmap(bitmaps.bitmap_of("dune")), pk=5_000).exists()


def test_films_by_the_thousand_are_looked_for_again():
    """Their titles are not packed yet; what is kept from then on has them all the same."""
    MovieFactory(title="Bulk 0")
    assert texts.build()
    assert Movie.objects.filter(in_bitmap(bitmaps.bitmap_of("bulk"))).count() == 1
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO movies_movie (title, title_key, title_search, synopsis, created_at,"
            " updated_at, version) SELECT n, n, n, '', now(), now(), 1"
            " FROM (SELECT 'bulk ' || generate_series(1, 1001) AS n) added"
        )

    assert Movie.objects.filter(in_bitmap(bitmaps.bitmap_of("bulk"))).count() == 1002
    assert texts.build()
    assert Movie.objects.filter(in_bitmap(bitmaps.bitmap_of("bulk"))).count() == 1002
