"""What MovieShelf gives out, it reads back in: ratings.csv, and the export of an account."""

import csv
import io

import pytest
from django.core.management import CommandError, call_command

from accounts.tests.factories import UserFactory
from imports.models import Import
from imports.tests.steps import bring, counted, letterboxd, send
from movies.models import Movie
from movies.tests.factories import MovieFactory
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.models import Review
from reviews.tests.factories import ReviewFactory

pytestmark = pytest.mark.django_db

FORMULA = '=HYPERLINK("https://evil.example")'


@pytest.fixture
def member(api, user):
    return api.as_(user)


@pytest.fixture
def shelf(user) -> list[tuple[str, int]]:
    """Ratings of films that share a title, have a formula for one, or no year."""
    for title, released, value in (
        ("Dune", "1984-12-14", 2),
        ("Dune (2021)", None, 5),
        (FORMULA, None, 1),
        ("'quoted", "1999-01-01", 3),
        ("Ikiru, or: “To Live”", "1952-10-09", 5),
    ):
        movie = MovieFactory(title=title, release_date=released)
        RatingFactory(user=user, movie=movie, value=value)
    return sorted(Rating.objects.values_list("movie__title", "value"))


def of(user) -> list[tuple[str, int]]:
    return sorted(Rating.objects.of(user).values_list("movie__title", "value"))


def test_ones_ratings_are_a_file_without_formulas(api, member, shelf):
    RatingFactory()

    response = member.get("/users/me/ratings.csv")

    assert response["Content-Type"] == "text/csv"
    assert response["Cache-Control"] == "no-store"
    assert 'filename="ratings.csv"' in response["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(response.getvalue().decode())))
    assert len(rows) == len(shelf)
    titles = {row["title"]: row["year"] for row in rows}
    assert titles[f"'{FORMULA}"] == ""
    assert (titles["Dune"], titles["Dune (2021)"]) == ("1984", "2021")
    assert not any(cell[:1] in "=+-@\t\r" for row in rows for cell in row.values() if cell)


def test_ratings_csv_reads_back_in_for_another_member(api, member, shelf):
    file = member.get("/users/me/ratings.csv").getvalue()
    other = UserFactory()

    report = bring(api.as_(other), file)

    assert report["format"] == "movieshelf_ratings"
    assert counted(report["counts"]) == {"matched": 5, "ratingsAdded": 5}
    assert of(other) == shelf
    again = bring(member, file)
    assert counted(again["counts"]) == {"matched": 5, "ratingsUnchanged": 5}


def test_ratings_csv_reads_back_in_on_another_shelf(api, member, shelf):
    file = member.get("/users/me/ratings.csv").getvalue()
    Movie.objects.all().delete()
    MovieFactory(title="Another film, whose id may be one of the file")
    other = UserFactory()

    report = bring(api.as_(other), file, createMissing="true")

    assert counted(report["counts"]) == {"created": 5, "ratingsAdded": 5}
    assert of(other) == shelf


def test_the_export_of_an_account_reads_back_in(api, user, member, shelf):
    review = ReviewFactory(user=user, movie=Movie.objects.get(title="Dune"))
    export = b"".join(member.get("/users/me/export").streaming_content)
    other = UserFactory()

    report = bring(api.as_(other), export)

    assert report["format"] == "movieshelf_export"
    assert counted(report["counts"]) == {"matched": 6, "ratingsAdded": 5, "reviewsAdded": 1}
    assert of(other) == shelf
    copied = Review.objects.get(user=other)
    assert (copied.movie_id, copied.content) == (review.movie_id, review.content)
    again = bring(member, export)
    assert counted(again["counts"]) == {
        **{"matched": 6, "ratingsUnchanged": 5, "reviewsUnchanged": 1}
    }


@pytest.mark.parametrize(
    "row",
    [
        *("3", "null", '"x"', "[]", "{}", '{"movieTitle": 7, "value": 3}'),
        *('{"movieTitle": "Ikiru", "value": "3.5"}', '{"movieTitle": "Ikiru", "value": true}'),
        '{"movieTitle": "Ikiru", "value": {"a": []}, "movieId": 1e99}',
        '{"movieTitle": "Ikiru", "value": 3, "updatedAt": [1]}',
    ],
)
def test_an_export_with_rows_that_are_none_fails_them_and_no_more(member, user, row):
    MovieFactory(title="Ikiru")
    good = '{"movieTitle": "Ikiru", "value": 4}'

    report = bring(member, f'{{"ratings": [{row}, {good}], "reviews": []}}')

    assert [r["outcome"] for r in report["report"]["items"]] == ["failed", "matched"]
    assert of(user) == [("Ikiru", 4)]


# --- manage.py import_ratings --------------------------------------------------------------------


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("import_ratings", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_is_the_same_code(user, tmp_path):
    MovieFactory(title="Ikiru")
    file, report = tmp_path / "ratings.csv", tmp_path / "report.csv"
    file.write_text(letterboxd(("Ikiru", 1952, "3.5"), ("Nowhere", 1999, 3)))
    arguments = (str(file), "--user", user.email.upper(), "--report", str(report))

    dry = run(*arguments, "--dry-run")
    first = run(*arguments)
    again = run(*arguments)

    told = (
        "2 rows of letterboxd_ratings as import {}: "
        "1 matched, 0 created, 1 skipped, 0 ambiguous, 0 failed.\n"
    )
    ids = list(Import.objects.order_by("pk").values_list("pk", flat=True))
    assert dry == f"Would import {told.format(ids[0])}"
    assert first == f"Imported {told.format(ids[1])}"
    assert again == f"Imported {told.format(ids[2])}"
    assert of(user) == [("Ikiru", 4)]
    rows = list(csv.DictReader(report.open(newline="")))
    assert [(row["title"], row["given"], row["rating"]) for row in rows] == [
        *(("Ikiru", "3.5", "unchanged"), ("Nowhere", "3", ""))
    ]


def test_the_command_refuses_what_cannot_be_used_at_all(user, tmp_path):
    file = tmp_path / "ratings.csv"
    with pytest.raises(CommandError, match="No such file"):
        run(str(file), "--user", user.email)
    file.write_bytes(b"PK\x03\x04")
    with pytest.raises(CommandError, match="zip"):
        run(str(file), "--user", user.email)
    file.write_text(letterboxd(("Ikiru", 1952, 4)))
    with pytest.raises(CommandError, match="no member"):
        run(str(file), "--user", "nobody@shelf.example")


def test_the_command_waits_for_no_import_of_the_same_member(api, user, tmp_path):
    send(api.as_(user), letterboxd(("Ikiru", 1952, 4)))
    file = tmp_path / "ratings.csv"
    file.write_text(letterboxd(("Ikiru", 1952, 4)))

    with pytest.raises(CommandError, match="Another import"):
        run(str(file), "--user", user.email)
