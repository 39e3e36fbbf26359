"""POST /imports, its report, and what it does to the shelf."""

import csv
import io
import tracemalloc
from datetime import UTC, datetime

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from accounts.tests.factories import UserFactory
from imports import running
from imports.models import Import, Row
from imports.reading import read
from imports.tests.steps import (
    IMDB,
    LETTERBOXD,
    REVIEWS,
    bring,
    counted,
    imdb,
    letterboxd,
    send,
    work,
)
from movies.models import Movie
from movies.tests.factories import MovieFactory
from movieshelf.api.errors import PayloadTooLarge
from movieshelf.recomputing import drifted_films
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.models import Review

pytestmark = pytest.mark.django_db


@pytest.fixture
def member(api, user):
    return api.as_(user)


def values(user) -> dict[str, int]:
    return dict(Rating.objects.of(user).values_list("movie__title", "value"))


# --- From the request to the report --------------------------------------------------------------


def test_an_import_is_taken_at_once_and_done_by_a_worker(member, user):
    MovieFactory(title="Ikiru", release_date="1952-10-09")

    response = send(member, letterboxd(("Ikiru", 1952, 4)))

    assert response.status_code == 202
    assert response.headers["Location"] == f"/imports/{Import.objects.get().pk}"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json()["status"] == "waiting"
    assert (response.json()["rowCount"], response.json()["rowsDone"]) == (1, 0)
    assert values(user) == {}
    job = ProcrastinateJob.objects.get()
    assert (job.task_name, job.args) == ("imports.run", {"import_id": Import.objects.get().pk})
    work()
    done = member.get(response.headers["Location"]).json()
    assert (done["status"], done["rowsDone"]) == ("done", 1)
    assert done["finishedAt"]
    assert values(user) == {"Ikiru": 4}
    assert Import.objects.values_list("file", flat=True).get() is None


@pytest.mark.parametrize(
    ("stars", "value"),
    [
        *(("0.5", 1), ("1", 1), ("1.5", 2), ("2.0", 2), ("2.5", 3), ("3", 3)),
        *(("3.5", 4), ("4", 4), ("4.5", 5), ("5", 5)),
    ],
)
def test_half_stars_are_rounded_up_and_the_report_says_from_what(member, user, stars, value):
    movie = MovieFactory(title="Ikiru", release_date="1952-10-09")

    report = bring(member, letterboxd(("Ikiru", 1952, stars)))

    row = report["report"]["items"][0]
    assert (row["given"], row["value"], row["rating"]) == (stars, value, "added")
    assert (row["outcome"], row["movieId"]) == ("matched", movie.pk)
    shown = member.get(f"/movies/{movie.pk}").json()
    assert (shown["averageRating"], shown["ratingCount"]) == (value, 1)


@pytest.mark.parametrize(
    ("given", "value"),
    [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3), (7, 4), (8, 4), (9, 5), (10, 5)],
)
def test_imdb_ratings_are_halved_and_rounded_up(member, user, given, value):
    MovieFactory(title="Ikiru", release_date="1952-10-09")

    report = bring(member, imdb(("Ikiru", 1952, given)))

    assert report["format"] == "imdb_ratings"
    assert report["report"]["items"][0]["given"] == str(given)
    assert values(user) == {"Ikiru": value}


def test_a_rating_is_as_old_as_the_file_says(member, user):
    MovieFactory(title="Ikiru")

    bring(member, letterboxd(("Ikiru", 1952, 4, "2019-03-02")))

    rating = Rating.objects.get()
    assert rating.created_at == rating.updated_at == datetime(2019, 3, 2, tzinfo=UTC)


def test_reviews_come_with_their_ratings_and_without_their_markup(member, user):
    movie = MovieFactory(title="Ikiru")
    text = '2024-05-01,Ikiru,1952,https://boxd.it/x,4.5,,"Slow,\n<b>and</b> right. <3",,2024-04-30'

    report = bring(member, f"{REVIEWS}\n{text}\n")

    assert report["format"] == "letterboxd_reviews"
    review = member.get(f"/movies/{movie.pk}/reviews").json()["items"][0]
    assert (review["content"], review["rating"]) == ("Slow,\nand right. <3", 5)
    assert review["createdAt"] == "2024-05-01T00:00:00Z"
    row = report["report"]["items"][0]
    assert (row["rating"], row["review"], row["reviewId"]) == ("added", "added", review["id"])
    assert member.get(f"/movies/{movie.pk}").json()["reviewCount"] == 1


def test_the_counts_say_what_came_of_each_row(member, user):
    seen = MovieFactory(title="Seen", release_date="1999-01-01")
    RatingFactory(user=user, movie=seen, value=2)
    MovieFactory(title="Twice", release_date="1950-01-01")
    MovieFactory(title="The Twice", release_date="1950-01-01")

    report = bring(
        member,
        letterboxd(
            ("Seen", 1999, 2), ("Nowhere", 1999, 2), ("A Twice", 1950, 3), ("Seen", "soon", 3)
        ),
    )

    assert counted(report["counts"]) == {
        **{"matched": 1, "skipped": 1, "ambiguous": 1, "failed": 1},
        "ratingsUnchanged": 1,
    }
    outcomes = [row["outcome"] for row in report["report"]["items"]]
    assert outcomes == ["matched", "skipped", "ambiguous", "failed"]
    assert {film["title"] for film in report["report"]["items"][2]["candidates"]} == {
        *("Twice", "The Twice"),
    }


def test_the_report_is_a_list_that_can_be_chosen_from(member):
    MovieFactory(title="Ikiru")
    source = bring(
        member, letterboxd(*[(f"Nowhere {n}", 1990, 3) for n in range(7)], ("Ikiru", "", 3))
    )

    path = f"/imports/{source['id']}"
    page = member.get(f"{path}?page=2&pageSize=3").json()["report"]
    assert [row["row"] for row in page["items"]] == [4, 5, 6]
    assert (page["total"], page["totalPages"]) == (8, 3)
    matched = member.get(f"{path}?outcome=matched").json()["report"]
    assert [row["title"] for row in matched["items"]] == ["Ikiru"]
    assert member.get(f"{path}?outcome=lost").status_code == 400
    assert member.get(f"{path}?page=0").status_code == 400


def test_the_report_is_a_file_without_formulas(member):
    bad = '=HYPERLINK("https://evil.example")'
    cell = bad.replace('"', '""')
    text = f'{LETTERBOXD}\n2024-05-01,"{cell}",1999,x,3\n2024-05-01,@SUM(A1),1999,x,3\n'
    source = bring(member, text)

    response = member.get(f"/imports/{source['id']}/report.csv")

    assert response["Content-Type"] == "text/csv"
    assert f'filename="import-{source["id"]}.csv"' in response["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(response.getvalue().decode())))
    assert [row["title"] for row in rows] == [f"'{bad}", "'@SUM(A1)"]
    assert [row["outcome"] for row in rows] == ["skipped", "skipped"]
    assert not any(c[:1] in "=+-@\t\r" for row in rows for c in row.values() if c)


def test_a_missing_import_has_no_report_and_the_error_is_json(member):
    response = member.get("/imports/404/report.csv")

    assert response.status_code == 404
    assert response["Content-Type"] == "application/json"
    assert response.json()["error"]["code"] == "not_found"
    assert member.get("/imports/1/report.csv", HTTP_ACCEPT="image/png").status_code == 406


# --- Whose it is ---------------------------------------------------------------------------------


def test_imports_are_ones_own_newest_first(api, member):
    first = bring(member, letterboxd(("A film", 1999, 3)))
    second = bring(member, imdb(("A film", 1999, 3)))

    listed = member.get("/imports").json()

    assert [source["id"] for source in listed["items"]] == [second["id"], first["id"]]
    assert "report" not in listed["items"][0]
    stranger = api.as_(UserFactory())
    assert stranger.get("/imports").json()["total"] == 0
    for path in (f"/imports/{first['id']}", f"/imports/{first['id']}/report.csv"):
        assert stranger.get(path).status_code == 404
    assert stranger.delete(f"/imports/{first['id']}").status_code == 404


def test_a_member_has_one_import_at_a_time(api, member):
    send(member, letterboxd(("A film", 1999, 3)))

    second = send(member, letterboxd(("A film", 1999, 3)))

    assert (second.status_code, second.json()["error"]["code"]) == (409, "conflict")
    assert send(api.as_(UserFactory()), letterboxd(("A film", 1999, 3))).status_code == 202
    work()
    assert send(member, letterboxd(("A film", 1999, 3))).status_code == 202


def test_imports_have_a_ceiling_of_their_own(member, settings):
    settings.RATELIMIT_ENABLE = True
    settings.RATELIMIT_IMPORTS_USER = "2/h"

    statuses = [send(member, "nothing").status_code for _ in range(3)]

    assert statuses == [400, 400, 429]


def test_the_same_request_again_with_a_key_is_no_second_import(member):
    data = letterboxd(("A film", 1999, 3))

    first = send(member, data, HTTP_IDEMPOTENCY_KEY="k1")
    again = send(member, data, HTTP_IDEMPOTENCY_KEY="k1")

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert Import.objects.count() == ProcrastinateJob.objects.count() == 1


def test_a_dry_run_and_the_import_itself_are_two_requests_for_a_key(member):
    data = letterboxd(("A film", 1999, 3))
    send(member, data, "?dryRun=true", HTTP_IDEMPOTENCY_KEY="k1")

    again = send(member, data, "?dryRun=true", HTTP_IDEMPOTENCY_KEY="k1")
    other = send(member, data, HTTP_IDEMPOTENCY_KEY="k1")

    assert again.headers["Idempotent-Replayed"] == "true"
    assert refused(other)[:2] == (422, "idempotency_mismatch")


def test_imports_are_in_the_export_and_go_with_the_account(api, user, member):
    bring(member, letterboxd(("A film", 1999, 3)))

    exported = b"".join(member.get("/users/me/export").streaming_content)
    assert b'"format":"letterboxd_ratings"' in exported
    user.delete()

    assert not Import.objects.exists()
    assert not Row.objects.exists()


# --- Twice, and beside what was done by hand -----------------------------------------------------


def test_the_same_file_twice_changes_nothing(member, user):
    MovieFactory(title="Ikiru", release_date="1952-10-09")
    data = f"{REVIEWS}\n2024-05-01,Ikiru,1952,x,4.5,,Right.,,\n2024-05-01,New Film,1999,x,2,,,,\n"
    first = bring(member, data, createMissing="true")
    before = list(Rating.objects.order_by("pk").values())

    second = bring(member, data, createMissing="true")

    assert counted(first["counts"]) == {
        **{"matched": 1, "created": 1, "ratingsAdded": 2, "reviewsAdded": 1}
    }
    assert counted(second["counts"]) == {
        **{"matched": 2, "ratingsUnchanged": 2, "reviewsUnchanged": 1}
    }
    assert list(Rating.objects.order_by("pk").values()) == before
    assert (Review.objects.count(), Movie.objects.count()) == (1, 2)


def test_a_rating_given_by_hand_since_then_stays(member, user):
    movie = MovieFactory(title="Ikiru")
    member.put(f"/movies/{movie.pk}/rating", {"value": 1})

    report = bring(member, letterboxd(("Ikiru", "", 5, "2024-05-01")))

    assert values(user) == {"Ikiru": 1}
    row = report["report"]["items"][0]
    assert (row["outcome"], row["rating"]) == ("matched", "kept")
    assert row["message"].startswith("Rated 1 on 20")


def test_an_older_rating_is_changed_to_the_newer_one_of_the_file(member, user):
    MovieFactory(title="Ikiru")
    bring(member, letterboxd(("Ikiru", "", 2, "2020-01-01")))

    report = bring(member, letterboxd(("Ikiru", "", 5, "2021-01-01")))

    assert values(user) == {"Ikiru": 5}
    row = report["report"]["items"][0]
    assert (row["rating"], row["oldValue"]) == ("changed", 2)
    assert list(drifted_films()) == []


def test_of_two_rows_about_one_film_the_newer_wins_and_again_nothing_changes(member, user):
    MovieFactory(title="Ikiru")
    data = letterboxd(
        ("Ikiru", "", 3, "2021-01-01"),
        ("Ikiru", "", 5, "2020-01-01"),
        ("Ikiru", "", 4, "2022-01-01"),
    )

    first = bring(member, data)
    second = bring(member, data)

    assert values(user) == {"Ikiru": 4}
    assert [row["rating"] for row in first["report"]["items"]] == ["added", "kept", "changed"]
    assert [row["rating"] for row in second["report"]["items"]] == ["kept", "kept", "unchanged"]
    assert list(drifted_films()) == []


# --- Which film is meant -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("Amélie", "Amelie"),
        ("The Matrix", "Matrix, The"),
        ("Le Samouraï", "Samouraï"),
        ("Spider-Man: No Way Home", "Spider Man – No Way Home"),
        ("Schindler's List", "Schindler’s List"),
        ("Dune (2021)", "Dune"),
        ("MÄDCHEN IN UNIFORM", "Mädchen in Uniform"),
        ("Fast & Furious", "Fast and Furious"),
        ("L’Avventura", "Avventura, L'"),
    ],
)
def test_accents_articles_and_punctuation_are_folded(member, here, there):
    movie = MovieFactory(title=here, release_date="2021-10-22")

    report = bring(member, f'{LETTERBOXD}\n2024-05-01,"{there}",2021,x,4\n')

    assert report["report"]["items"][0]["movieId"] == movie.pk


def test_the_year_tells_remakes_apart(member):
    old = MovieFactory(title="Dune", release_date="1984-12-14")
    new = MovieFactory(title="Dune (2021)", release_date="2021-10-22")

    report = bring(member, letterboxd(("Dune", 2021, 4), ("Dune", 1984, 2), ("Dune", 2000, 3)))

    assert [row["movieId"] for row in report["report"]["items"]] == [new.pk, old.pk, None]
    assert report["report"]["items"][2]["reason"] == "no_such_film"


def test_a_film_of_the_year_before_is_the_same_and_of_two_the_exact_year_wins(member):
    festival = MovieFactory(title="Aftersun", release_date="2022-05-21")
    MovieFactory(title="Close", release_date="2021-05-21")
    exact = MovieFactory(title="Close (2022)")

    report = bring(member, letterboxd(("Aftersun", 2023, 4), ("Close", 2022, 4)))

    assert [row["movieId"] for row in report["report"]["items"]] == [festival.pk, exact.pk]


def test_the_article_tells_apart_where_the_year_does_not(member):
    MovieFactory(title="Father", release_date="2020-01-01")
    the = MovieFactory(title="The Father", release_date="2020-02-01")

    report = bring(member, letterboxd(("The Father", 2020, 4)))

    assert report["report"]["items"][0]["movieId"] == the.pk


def test_an_undated_film_is_meant_where_no_other_has_the_title(member):
    alone = MovieFactory(title="Alone")
    MovieFactory(title="Shared")
    MovieFactory(title="Shared (1999)")

    report = bring(member, letterboxd(("Alone", 1999, 4), ("Shared", 2005, 4)))

    alone_row, shared_row = report["report"]["items"]
    assert alone_row["movieId"] == alone.pk
    assert (shared_row["outcome"], len(shared_row["candidates"])) == ("ambiguous", 2)


def test_without_a_year_a_title_of_several_films_is_ambiguous(member):
    MovieFactory(title="Dune", release_date="1984-12-14")
    MovieFactory(title="Dune (2021)")

    report = bring(member, letterboxd(("The Dune", "", 4)))

    row = report["report"]["items"][0]
    assert (row["outcome"], row["reason"]) == ("ambiguous", "several_films")
    assert [film["year"] for film in row["candidates"]] == [1984, 2021]


def test_imdbs_original_title_helps_and_series_are_left_out(member):
    movie = MovieFactory(title="Shichinin no samurai", release_date="1954-04-26")
    row = "tt1,9,2024-05-01,{},Shichinin no Samurai,x,{},8,207,1954,Drama,1,1954-04-26,Kurosawa"

    report = bring(
        member,
        "\n".join(
            [IMDB, row.format("Seven Samurai", "Movie"), row.format("Twin Peaks", "TV Series")]
        ),
    )

    assert report["report"]["items"][0]["movieId"] == movie.pk
    assert report["report"]["items"][1]["reason"] == "not_a_film"


def test_missing_films_are_added_only_when_asked(member, user):
    data = letterboxd(("New Film", 1999, 4), ("New Film", 2009, 2), ("New Film", 1999, 4))

    skipped = bring(member, data)
    assert counted(skipped["counts"]) == {"skipped": 3}
    assert not Movie.objects.exists()

    added = bring(member, data, createMissing="true")
    assert counted(added["counts"]) == {
        **{"created": 2, "matched": 1, "ratingsAdded": 2, "ratingsUnchanged": 1}
    }
    assert values(user) == {"New Film": 4, "New Film (2009)": 2}
    movie = Movie.objects.get(title="New Film")
    assert (movie.created_by, movie.release_date.isoformat()) == (user, "1999-01-01")
    assert member.get("/movies?q=new+film&scope=mine").json()["total"] == 2


def test_imdb_knows_the_day_of_a_missing_films_release(member):
    bring(member, imdb(("New Film", 1999, 8)), createMissing="true")

    assert Movie.objects.get().release_date.isoformat() == "1999-05-17"


# --- A dry run -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["form", "query"])
def test_a_dry_run_reports_what_would_be_done_and_does_nothing(member, user, how):
    MovieFactory(title="Ikiru")
    data = letterboxd(("Ikiru", "", 4), ("New Film", 1999, 4), ("New Film", 1999, 4))
    asked = {"dryRun": "true", "createMissing": "true"}

    dry = (
        bring(member, data, **asked)
        if how == "form"
        else bring(member, data, "?dryRun=true&createMissing=true")
    )

    assert dry["dryRun"] is True
    assert not Rating.objects.exists()
    assert Movie.objects.count() == 1
    real = bring(member, data, createMissing="true")
    assert counted(dry["counts"]) == counted(real["counts"])


def test_a_dry_run_of_many_rows_knows_what_those_before_would_have_done(member, monkeypatch):
    monkeypatch.setattr(running, "BATCH_ROWS", 2)
    MovieFactory(title="Ikiru")
    data = letterboxd(
        *(("Ikiru", "", 3, "2020-01-01"), ("New Film", 1999, 3, "2020-01-01")),
        *(("Ikiru", "", 3, "2020-01-01"), ("Ikiru", "", 4, "2021-01-01")),
        *(("New Film", 1999, 2, "2019-01-01"), ("Ikiru", "", 3, "2020-06-01")),
    )

    dry = bring(member, data, dryRun="true", createMissing="true")

    real = bring(member, data, createMissing="true")
    ratings = [row["rating"] for row in real["report"]["items"]]
    assert ratings == ["added", "added", "unchanged", "changed", "kept", "kept"]
    assert [row["rating"] for row in dry["report"]["items"]] == ratings
    assert dry["counts"] == real["counts"]


# --- Bad input -----------------------------------------------------------------------------------


def refused(response) -> tuple[int, str, str]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["message"]


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (b"", 400, "empty"),
        (b"  \n \n", 400, "empty"),
        (b"Title,Stars\nIkiru,5\n", 400, "columns are none that we know"),
        (b"PK\x03\x04\x14\x00half a zip", 415, "zip"),
        (b"\x1f\x8b\x08gzip", 415, "gzip"),
        (b"\x89PNG\r\n\x1a\n", 415, "image"),
        (b"%PDF-1.7", 415, "PDF"),
        (
            (LETTERBOXD + "\n2024-05-01,Amélie,2001,x,5\n").encode("latin-1"),
            400,
            "Line 2 is not UTF-8",
        ),
        ((LETTERBOXD + "\n2024-05-01,Ikiru,1952,x,5\n").encode("utf-16-le"), 400, "columns"),
        ((LETTERBOXD + ',"' + "\n").encode(), 400, "header"),
        (("," * 100_000).encode(), 400, "header"),
        ((LETTERBOXD + "," * 150).encode(), 400, "155 columns"),
        ((LETTERBOXD + ",Rating\n").encode(), 400, "Rating twice"),
        (f'{LETTERBOXD}\n1,"Ikiru,1952,x,5\nmore\n'.encode(), 400, "Line 2 opens a quote"),
        (b'{"ratings": [', 400, "cut off"),
        (b'{"ratings": []}', 400, "lacks"),
        (b"{" * 10_000, 400, "cut off"),
    ],
    ids=lambda value: (
        value[:12].decode("latin-1").encode("unicode_escape").decode()
        if isinstance(value, bytes)
        else None
    ),
)
def test_a_file_that_is_none_is_refused_as_a_whole(member, data, status, said):
    response = send(member, data)

    code = {400: "validation_error", 415: "unsupported_media_type"}[status]
    assert refused(response)[:2] == (status, code)
    assert said in refused(response)[2]
    assert not Import.objects.exists()


def test_a_file_over_the_limit_is_413_before_it_is_read(member, settings):
    settings.IMPORT_MAX_BYTES = 1_000

    within = (LETTERBOXD + "\n").ljust(1_000, "\n")
    assert send(member, within + "\n").status_code == 413
    assert send(member, within).status_code == 202
    announced = member.generic(
        "POST",
        "/imports",
        b"",
        content_type="multipart/form-data; boundary=x",
        CONTENT_LENGTH=str(100 * 2**20),
    )
    assert refused(announced)[:2] == (413, "payload_too_large")


def test_a_file_of_too_many_rows_is_413(member, settings):
    settings.IMPORT_MAX_ROWS = 3

    assert send(member, letterboxd(*[("A film", 1999, 3)] * 4)).status_code == 413
    assert send(member, letterboxd(*[("A film", 1999, 3)] * 3)).status_code == 202


def test_rows_beyond_the_limit_are_not_read():
    """A file of 5 MiB may hold two million rows; each that is read takes half a kilobyte."""
    data = b'{"reviews": [], "ratings": [%s0]}' % (b"0," * 50_000)

    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge):
            read(data, max_rows=3)
        assert tracemalloc.get_traced_memory()[1] < 5 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 415),
        (b"x", "text/csv", 415),
        (b"", "multipart/form-data; boundary=x", 400),
        (b"--x\r\nnot a form", "multipart/form-data; boundary=x", 400),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            400,
        ),
    ],
    ids=["json", "bare csv", "empty", "cut off", "no file"],
)
def test_a_request_that_is_no_form_with_a_file_is_refused(member, body, content_type, status):
    assert member.generic("POST", "/imports", body, content_type=content_type).status_code == status


@pytest.mark.parametrize(
    "switch", [{"dryRun": "yes"}, {"createMissing": "1"}, {"dryRun": ["true", "false"]}]
)
def test_a_switch_is_true_or_false(member, switch):
    response = send(member, letterboxd(("A film", 1999, 3)), **switch)

    assert refused(response)[:2] == (400, "validation_error")
    assert next(iter(switch)) in response.json()["error"]["details"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2024-05-01,Ikiru", "columns"),
        ("2024-05-01,Ik\0iru", "columns"),
        (f"2024-05-01,{'x' * 100_000}", "columns"),
        ("2024-05-01,Ikiru,1952,x,4,more,and more", "columns"),
        ("2024-05-01,Ikiru,1952,x," + "," * 100_000 + "x", "columns"),
        ("2024-05-01,,1952,x,4", "title"),
        ("2024-05-01,Ik\0iru,1952,x,4", "title"),
        ("2024-05-01,Ik\x1b[31miru,1952,x,4", "title"),
        (f"2024-05-01,{'x' * 201},1952,x,4", "title"),
        ("2024-05-01,Ikiru,2046,x,4", "year"),
        ("2024-05-01,Ikiru,1066,x,4", "year"),
        ("2024-05-01,Ikiru,19521,x,4", "year"),
        ("2046-05-01,Ikiru,1952,x,4", "date"),
        ("01.05.2024,Ikiru,1952,x,4", "date"),
        ("2024-02-30,Ikiru,1952,x,4", "date"),
        ("0001-01-01,Ikiru,1952,x,4", "date"),
        ("2024-05-01,Ikiru,1952,x,0", "rating"),
        ("2024-05-01,Ikiru,1952,x,5.5", "rating"),
        ("2024-05-01,Ikiru,1952,x,3.7", "rating"),
        ("2024-05-01,Ikiru,1952,x,five", "rating"),
        ("2024-05-01,Ikiru,1952,x,=1+1", "rating"),
        ("2024-05-01,Ikiru,1952,x,NaN", "rating"),
        ('2024-05-01,"Iki"ru,1952,x,4', "unreadable"),
        (f"2024-05-01,{'x' * 140_000},1952,x,4", "unreadable"),
    ],
    ids=lambda value: ascii(value)[:32],
)
def test_what_is_wrong_with_a_row_is_its_own_and_the_rows_around_it_are_imported(
    member, user, line, reason
):
    for title in ("Before", "Ikiru", "After"):
        MovieFactory(title=title)
    around = [f"2024-05-01,{title},,x,4" for title in ("Before", "After")]

    report = bring(member, "\n".join([LETTERBOXD, around[0], line, around[1], ""]))

    assert [row["outcome"] for row in report["report"]["items"]] == ["matched", "failed", "matched"]
    assert report["report"]["items"][1]["reason"] == reason
    assert report["report"]["items"][1]["message"]
    assert len(report["report"]["items"][1]["title"]) <= 300
    assert values(user) == {"Before": 4, "After": 4}


def test_a_row_without_rating_and_review_is_skipped(member):
    MovieFactory(title="Ikiru")

    report = bring(member, letterboxd(("Ikiru", "", "")))

    assert report["report"]["items"][0]["reason"] == "nothing_to_import"


def test_a_review_that_is_too_long_fails_its_row(member, user):
    MovieFactory(title="Ikiru")

    report = bring(member, f"{REVIEWS}\n2024-05-01,Ikiru,,x,4,,{'x' * 5_001},,\n")

    assert report["report"]["items"][0]["reason"] == "review"
    assert values(user) == {}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_encoding_that_says_what_it_is_is_read(member, user, encoding):
    MovieFactory(title="Amélie")

    bring(member, letterboxd(("Amélie", 2001, 5)).encode(encoding))

    assert values(user) == {"Amélie": 5}


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_spreadsheets_delimiter_is_read(member, user, delimiter):
    MovieFactory(title="Ikiru")

    bring(member, letterboxd(("Ikiru", 1952, 5)).replace(",", delimiter).replace("\n", "\r\n"))

    assert values(user) == {"Ikiru": 5}


def test_a_header_alone_is_an_import_of_nothing(member):
    report = bring(member, LETTERBOXD + "\n")

    assert (report["status"], report["rowCount"], report["report"]["total"]) == ("done", 0, 0)


# --- Queries -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 20])
def test_reading_an_import_takes_the_same_queries_however_long(
    member, rows, django_assert_num_queries
):
    source = bring(member, letterboxd(*[("A film", 1999, 3)] * rows))

    with django_assert_num_queries(4):
        member.get(f"/imports/{source['id']}")
    with django_assert_num_queries(3):
        member.get("/imports")
