"""POST /imports, its report, and what it does to the shelf."""

import pytest

from imports.tests.steps import bring, letterboxd
from movies.tests.factories import MovieFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def member(api, user):
    return api.as_(user)


def test_ratings_are_rounded_half_up_and_the_report_says_from_what(member):
    movie = MovieFactory(title="Ikiru", release_date="1952-10-09")
    report = bring(member, letterboxd(("Ikiru", 1952, "3.5")))
    assert report["status"] == "done"
    print(report)
    row = report["report"]["items"][0]
    assert (row["given"], row["value"], row["rating"]) == ("3.5", 4, "added")
    assert member.get(f"/movies/{movie.pk}").json()["ratingCount"] == 1
