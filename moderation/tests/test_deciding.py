"""Deciding on reports: one outcome, whoever decides, and the numbers stay right."""

import pytest

from accounts.models import User
from accounts.tests.factories import AdminFactory, UserFactory
from moderation.deciding import Verdict, decide
from moderation.models import Case
from moderation.sweeping import sweep
from movies.models import Movie, MovieStats
from movies.tests.factories import MovieFactory
from movieshelf.api import transactions
from movieshelf.tests.numbers import numbers_are_right
from movieshelf.tests.races import at_once, while_held
from reviews.models import Report, Review
from reviews.tests.factories import ReportFactory, ReviewFactory
from trail.models import Act


def reported_review(times: int = 1, **fields) -> Review:
    review = ReviewFactory(**fields)
    ReportFactory.create_batch(times, review=review)
    return review


def reported_film(**fields):
    movie = MovieFactory(**fields)
    ReportFactory(review=None, movie=movie, reason="duplicate")
    return movie


@pytest.mark.django_db
class TestTheQueue:
    def test_it_has_each_thing_once(self):
        film, review = reported_film(), reported_review(times=3)

        cases = {case.thing: case for case in Case.objects.all()}

        assert (cases[film].report_count, cases[film].reasons) == (1, ["duplicate"])
        assert cases[review].report_count == 3

    def test_what_is_decided_on_or_deleted_leaves_it(self, admin):
        dismissed, hidden, deleted = (reported_review() for _ in range(3))

        decide(Verdict.DISMISS, by=admin, reviews=[dismissed.pk])
        hidden.hide(by=admin)
        deleted.delete()

        assert not Case.objects.exists()

    def test_after_a_decision_a_member_may_report_again(self, admin, api, user):
        review = ReviewFactory()
        path = f"/reviews/{review.pk}/report"
        first = api.as_(user).post(path, {"reason": "spam"}).json()
        decide(Verdict.DISMISS, by=admin, reviews=[review.pk])

        again = api.as_(user).post(path, {"reason": "abuse"})

        assert again.status_code == 201
        assert again.json()["id"] != first["id"]
        assert Case.objects.get().report_count == 1


@pytest.mark.django_db
class TestVerdicts:
    def test_hiding_closes_every_report_and_counts_down(self, admin):
        review = reported_review(times=2)

        decision = decide(Verdict.HIDE, by=admin, reason="Ads.", reviews=[review.pk])

        assert (decision.decided, decision.hidden) == (1, 1)
        assert set(Report.objects.values_list("outcome", flat=True)) == {"upheld"}
        review.refresh_from_db()
        assert (review.is_hidden, review.hidden_reason) == (True, "Ads.")
        assert MovieStats.objects.get(pk=review.movie_id).review_count == 0
        assert numbers_are_right()

    def test_dismissing_changes_nothing_but_the_reports(self, admin):
        review, movie = reported_review(), reported_film()

        decision = decide(
            Verdict.DISMISS, by=admin, reason="Fine.", reviews=[review.pk], movies=[movie.pk]
        )

        assert decision.decided == 2
        assert set(Report.objects.values_list("outcome", flat=True)) == {"dismissed"}
        assert not Review.objects.get().is_hidden
        assert set(Act.objects.values_list("verb", "thing_type", "reason")) == {
            ("dismiss", "review", "Fine."),
            ("dismiss", "movie", "Fine."),
        }

    def test_suspending_hides_what_was_reported_and_puts_its_author_out(self, admin, api):
        review = reported_review()
        author = api.as_(review.user)
        film = reported_film(created_by=UserFactory())

        decision = decide(Verdict.SUSPEND, by=admin, reviews=[review.pk], movies=[film.pk])

        assert (decision.decided, decision.hidden, decision.suspended) == (2, 1, 2)
        assert author.get("/users/me").status_code == 401
        assert not User.objects.get(pk=film.created_by_id).is_active
        assert not Case.objects.exists()
        assert numbers_are_right()

    def test_two_things_of_one_author_are_decided_by_one_suspension(self, admin, user):
        reviews = [reported_review(user=user) for _ in range(2)]

        decision = decide(Verdict.SUSPEND, by=admin, reviews=[one.pk for one in reviews])

        assert (decision.decided, decision.suspended) == (2, 1)

    def test_an_admin_suspends_neither_admins_nor_themselves(self, admin):
        others = [reported_review(user=AdminFactory()), reported_review(user=admin)]

        decision = decide(Verdict.SUSPEND, by=admin, reviews=[one.pk for one in others])

        assert (decision.decided, decision.untouchable) == (0, 2)
        assert "2 left: the author is not yours to suspend" in str(decision)
        assert Case.objects.count() == 2
        assert not Act.objects.exists()

    def test_a_film_is_not_hidden(self, admin):
        movie = reported_film()

        decision = decide(Verdict.HIDE, by=admin, movies=[movie.pk])

        assert (decision.decided, decision.unhidable) == (0, 1)
        assert Case.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("verdict", Verdict)
def test_a_decision_on_what_was_just_deleted_says_so(admin, verdict):
    review = reported_review()
    Review.objects.all().delete()

    decision = decide(verdict, by=admin, reviews=[review.pk])

    assert (decision.decided, decision.late) == (0, 1)
    assert "gone or decided by somebody else" in str(decision)
    assert not Act.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_who_decide_at_once_one_does():
    one, other = AdminFactory(), AdminFactory()
    reviews = [reported_review() for _ in range(4)]
    ids = [review.pk for review in reviews]

    decisions = at_once(
        lambda: decide(Verdict.HIDE, by=one, reviews=ids),
        lambda: decide(Verdict.DISMISS, by=other, reviews=ids[::-1]),
    )

    assert sorted(decision.decided for decision in decisions) == [0, 4]
    assert sorted(decision.late for decision in decisions) == [0, 4]
    assert Act.objects.count() == 4
    assert len(set(Report.objects.values_list("outcome", flat=True))) == 1
    assert numbers_are_right()


@pytest.mark.django_db(transaction=True)
def test_a_decision_waits_for_the_films_before_it_holds_a_report(monkeypatch):
    """Whoever hides has the film and wants the reports; the other way round, they deadlock."""
    monkeypatch.setattr(transactions, "MAX_TRIES", 1)
    review, one, other = reported_review(), AdminFactory(), AdminFactory()

    hidden, decision = while_held(
        lambda: Movie.objects.lock(review.movie_id),
        lambda: decide(Verdict.HIDE, by=other, reviews=[review.pk]),
        then=lambda: review.hide(by=one),
    )

    assert hidden is None
    assert (decision.decided, decision.late) == (0, 1)


@pytest.mark.django_db(transaction=True)
def test_a_report_that_is_being_taken_away_is_not_decided_on():
    """Whoever takes away what a member reported holds the reports, and not their films."""
    report, one, other = ReportFactory(), AdminFactory(), AdminFactory()

    swept, decision = while_held(
        lambda: sweep(report.reporter_id, by=one),
        lambda: decide(Verdict.HIDE, by=other, reviews=[report.review_id]),
    )

    assert swept is None
    assert (decision.decided, decision.hidden, decision.late) == (0, 0, 1)
    assert not Review.objects.get().is_hidden


@pytest.mark.django_db
@pytest.mark.parametrize("number", [1, 10])
def test_a_decision_on_ten_takes_as_many_statements_as_on_one(
    admin, number, django_assert_num_queries
):
    reviews = [reported_review() for _ in range(number)]

    with django_assert_num_queries(13):
        decide(Verdict.HIDE, by=admin, reviews=[review.pk for review in reviews])
