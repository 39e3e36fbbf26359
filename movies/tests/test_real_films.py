import csv
from datetime import date

import pytest

from movies.data.derive import GENERATED, REAL_FILMS, derive, synopsis
from movies.titles import title_key
from movieshelf.api.text import clean_text


@pytest.fixture(scope="module")
def films() -> list[dict[str, str]]:
    with REAL_FILMS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def row(**facts: str) -> dict[str, str]:
    return {
        "title": "Alien",
        "release_date": "1979-05-25",
        "release_precision": "day",
        "runtime_minutes": "117",
        "genres": "Horror, Sci-Fi",
        "directors": "Ridley Scott",
        "countries": "United Kingdom, United States",
        "cast": "Sigourney Weaver, Tom Skerritt",
    } | facts


def test_there_are_thousands_of_films(films):
    assert len(films) >= 2_000
    assert list(films[0]) == ["title", "release_date", "synopsis"]


def test_no_two_films_have_the_same_title(films):
    assert len({title_key(film["title"]) for film in films}) == len(films)


def test_every_film_is_fit_for_the_shelf(films):
    for film in films:
        assert 1 <= len(film["title"]) <= 200
        assert 1 <= len(film["synopsis"]) <= 5_000
        assert clean_text(film["title"]) == film["title"]
        assert clean_text(film["synopsis"]) == film["synopsis"]
        assert date.fromisoformat(film["release_date"]).isoformat() == film["release_date"]


def test_every_synopsis_says_that_it_was_composed(films):
    assert [film for film in films if not film["synopsis"].endswith(GENERATED)] == []


def test_titles_keep_their_accents(films):
    assert {"8½", "Sátántangó", "Amélie"} <= {film["title"] for film in films}


def test_a_synopsis_is_composed_from_the_facts():
    assert synopsis(row()) == (
        "1979 science-fiction horror film directed by Ridley Scott; 117 minutes; "
        "United Kingdom, United States. With Sigourney Weaver and Tom Skerritt. "
        "(Composed from Wikidata facts.)"
    )


@pytest.mark.parametrize(
    ("facts", "beginning"),
    [
        ({"genres": ""}, "1979 film directed by Ridley Scott; 117 minutes; United"),
        ({"directors": ""}, "1979 science-fiction horror film; 117 minutes; United"),
        ({"directors": "A, B, C"}, "1979 science-fiction horror film directed by A, B and C; 117"),
        ({"directors": "A, B, C, D"}, "1979 science-fiction horror film directed by A, B, C and "),
        ({"runtime_minutes": ""}, "1979 science-fiction horror film directed by Ridley Scott; Un"),
        (
            {"genres": "", "directors": "", "runtime_minutes": "", "countries": "", "cast": ""},
            "1979 film. (Composed from Wikidata facts.)",
        ),
        (
            {"genres": "", "directors": "Ed Wood Jr.", "runtime_minutes": "", "countries": ""},
            "1979 film directed by Ed Wood Jr. With Sigourney",
        ),
    ],
)
def test_unknown_facts_leave_no_gap(facts, beginning):
    assert synopsis(row(**facts)).startswith(beginning)


def test_a_film_without_a_day_of_release_is_left_out():
    assert derive([row(release_precision="year")]) == []


def test_a_shared_title_carries_its_year():
    films = derive([row(title="Hamlet"), row(title="HAMLET", release_date="1996-12-25"), row()])

    assert [film["title"] for film in films] == ["Alien", "Hamlet (1979)", "HAMLET (1996)"]


def test_films_that_a_year_does_not_tell_apart_are_left_out():
    assert derive([row(), row(release_date="1979-01-01")]) == []
