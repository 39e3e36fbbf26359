"""Reporting a review (contract section 5)."""

import json

import pytest

from accounts.tests.factories import UserFactory
from movies.tests.factories import MovieFactory
from movieshelf.tests.races import at_once
from reviews.models import Report
from reviews.tests.factories import ReviewFactory


def test_a_report_is_answered_as_it_was_filed(api, user):
    review = ReviewFactory()

    response = api.as_(user).post(
        f"/reviews/{review.pk}/report", {"reason": "spoiler", "note": " It gives the end away. "}
    )

    assert response.status_code == 201
    body = response.json()
    assert set(body) == {"id", "reviewId", "reason", "note", "createdAt"}
    assert (body["reviewId"], body["reason"]) == (review.pk, "spoiler")
    assert body["note"] == "It gives the end away."


def test_reporting_again_is_200_and_changes_nothing(api, user):
    review = ReviewFactory()
    member = api.as_(user)
    first = member.post(f"/reviews/{review.pk}/report", {"reason": "spam"})

    again = member.post(f"/reviews/{review.pk}/report", {"reason": "abuse", "note": "And rude."})

    assert again.status_code == 200
    assert again.json() == first.json()
    assert Report.objects.get().reason == "spam"


def test_one_cannot_report_ones_own_review(api, user):
    review = ReviewFactory(user=user)

    response = api.as_(user).post(f"/reviews/{review.pk}/report", {"reason": "spam"})

    assert response.status_code == 400
    assert not Report.objects.exists()


def test_reporting_needs_a_login(api, db):
    review = ReviewFactory()

    response = api.post(f"/reviews/{review.pk}/report", {"reason": "spam"})

    assert response.status_code == 401


def test_a_hidden_review_cannot_be_reported_by_others(api, user, admin):
    review = ReviewFactory()
    review.hide(by=admin)

    response = api.as_(user).post(f"/reviews/{review.pk}/report", {"reason": "spam"})

    assert response.status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": "boring"},
        {"reason": None},
        {"reason": ["spam"]},
        {"reason": "spam", "note": "x" * 1_001},
        {"reason": "spam", "note": 5},
        {"reason": "spam", "note": "bell\x07"},
    ],
)
def test_a_report_that_does_not_hold_what_it_must_is_refused(api, user, body):
    review = ReviewFactory()

    response = api.as_(user).post(f"/reviews/{review.pk}/report", body)

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "validation_error"
    assert not Report.objects.exists()


def test_a_note_of_1000_characters_is_taken(api, user):
    review = ReviewFactory()

    response = api.as_(user).post(
        f"/reviews/{review.pk}/report", {"reason": "other", "note": "é" * 1_000}
    )

    assert response.status_code == 201


def test_the_export_holds_what_one_reported(api, user):
    review = ReviewFactory()
    member = api.as_(user)
    member.post(f"/reviews/{review.pk}/report", {"reason": "abuse", "note": "Insults the cast."})

    exported = json.loads(member.get("/users/me/export").getvalue())["reports"]

    assert [(one["reviewId"], one["reason"]) for one in exported] == [(review.pk, "abuse")]


def test_reports_go_with_the_review_and_with_the_reporter(db):
    kept, gone = ReviewFactory(), ReviewFactory()
    leaver, stayer = UserFactory(), UserFactory()
    for review, reporter in [(kept, leaver), (gone, stayer), (kept, stayer)]:
        Report.objects.file(review, reporter=reporter, reason="spam", note="")

    gone.delete()
    leaver.delete()

    assert [(one.review_id, one.reporter_id) for one in Report.objects.all()] == [
        (kept.pk, stayer.pk)
    ]


@pytest.mark.django_db(transaction=True)
def test_one_of_many_reports_at_once_is_filed():
    review, reporter = ReviewFactory(), UserFactory()

    def file() -> bool:
        return Report.objects.file(review, reporter=reporter, reason="spam", note="")[1]

    outcomes = at_once(*[file] * 8)

    assert sorted(outcomes) == [False] * 7 + [True]
    assert Report.objects.count() == 1


class TestFilms:
    def test_a_film_is_reported_as_a_review_is(self, api, user):
        movie = MovieFactory()
        member, path = api.as_(user), f"/movies/{movie.pk}/report"

        first = member.post(path, {"reason": "duplicate", "note": " Of film 7. "})
        again = member.post(path, {"reason": "spam"})

        assert (first.status_code, again.status_code) == (201, 200)
        assert set(first.json()) == {"id", "movieId", "reason", "note", "createdAt"}
        assert (first.json()["movieId"], first.json()["note"]) == (movie.pk, "Of film 7.")
        assert again.json() == first.json()

    @pytest.mark.parametrize(
        ("thing", "reason"), [("movies", "spoiler"), ("reviews", "duplicate"), ("movies", None)]
    )
    def test_each_kind_of_thing_has_reasons_of_its_own(self, api, user, thing, reason):
        pk = MovieFactory().pk if thing == "movies" else ReviewFactory().pk

        response = api.as_(user).post(f"/{thing}/{pk}/report", {"reason": reason})

        assert response.status_code == 400
        assert "reason" in response.json()["error"]["details"]
        assert not Report.objects.exists()

    def test_one_cannot_report_ones_own_film(self, api, user):
        movie = MovieFactory(created_by=user)

        response = api.as_(user).post(f"/movies/{movie.pk}/report", {"reason": "duplicate"})

        assert response.status_code == 400

    def test_a_film_that_is_not_there_cannot_be_reported(self, api, user):
        assert api.as_(user).post("/movies/404/report", {"reason": "spam"}).status_code == 404

    def test_a_report_goes_with_its_film(self, api, user):
        movie = MovieFactory()
        api.as_(user).post(f"/movies/{movie.pk}/report", {"reason": "spam"})

        movie.delete()

        assert not Report.objects.exists()

    def test_the_export_names_the_film(self, api, user):
        movie = MovieFactory()
        member = api.as_(user)
        member.post(f"/movies/{movie.pk}/report", {"reason": "spam"})

        (report,) = json.loads(member.get("/users/me/export").getvalue())["reports"]

        assert (report["movieId"], report["reviewId"]) == (movie.pk, None)
