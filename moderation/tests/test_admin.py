"""The desk in the admin: queue, sweeps, merges, front page; the numbers are right after each."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.tests.factories import PASSWORD, AdminFactory, UserFactory
from moderation.merging import merge
from moderation.models import Case, MergedFilm, Sweep
from moderation.sweeping import sweep
from movies.models import Movie
from movies.tests.factories import MovieFactory
from movieshelf.recomputing import check_numbers
from movieshelf.tests.numbers import numbers_are_right
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.models import Report, Review
from reviews.tests.factories import ReportFactory, ReviewFactory
from trail.models import Act

QUEUE = "/admin/moderation/case/"
SCRIPT = "<script>alert(1)</script>"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("numbers_stay_right")]


@pytest.fixture
def desk(admin) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(admin)
    return client


def case_of(thing: Any) -> str:
    return f"{thing._meta.model_name}-{thing.pk}"


def choose(desk: Client, action: str, *cases: str, **more: str) -> str:
    form = {"action": action, "_selected_action": cases, "index": "0", **more}
    return desk.post(QUEUE, form, follow=True).content.decode()


def press(desk: Client, verdict: str, case: str, why: str = "") -> str:
    form = {"decide": f"{verdict} {case}", f"why-{case}": why, "why": "not this one"}
    return desk.post(QUEUE, form, follow=True).content.decode()


class TestTheQueue:
    def test_it_shows_what_a_moderator_needs_to_decide(self, desk):
        author = UserFactory(name="Ada")
        review = ReviewFactory(user=author, movie=MovieFactory(title="Dune"), content="Buy now.")
        ReviewFactory(user=author)
        reporter = UserFactory(name="Grace")
        ReportFactory(review=review, reporter=reporter, reason="spam", note="It sells things.")

        html = desk.get(QUEUE).content.decode()

        for shown in ("Buy now.", "Dune", "Ada", "Grace", "spam", "It sells things.", "1 report"):
            assert shown in html

    def test_its_page_takes_as_many_queries_for_twenty_as_for_one(self, desk):
        ReportFactory()
        one = self.queries(desk)
        for _ in range(9):
            ReportFactory()
            ReportFactory(review=None, movie=MovieFactory(created_by=UserFactory()))

        assert self.queries(desk) == one <= 14

    def queries(self, desk: Client) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert desk.get(QUEUE).status_code == 200
        return len(captured)

    def test_the_most_reported_come_first_then_the_oldest(self, desk):
        old, most = ReportFactory().review, ReviewFactory()
        young = MovieFactory()
        ReportFactory(review=None, movie=young, reason="duplicate")
        ReportFactory.create_batch(3, review=most)

        shown = desk.get(QUEUE).context["cl"].result_list

        assert [case.thing for case in shown] == [most, old, young]

    def test_texts_are_shown_as_text(self, desk):
        author = UserFactory(name=SCRIPT)
        review = ReviewFactory(content=SCRIPT, user=author, movie=MovieFactory(title=SCRIPT))
        ReportFactory(review=review, reporter=author, note=SCRIPT)
        film = MovieFactory(title=f"{SCRIPT} 2", synopsis=SCRIPT, created_by=author)
        ReportFactory(review=None, movie=film)
        sweep(author.pk, by=AdminFactory(), reason=SCRIPT)

        for page in (
            QUEUE,
            "/admin/",
            f"/admin/moderation/sweep/member/{author.pk}/",
            f"/admin/moderation/mergedfilm/film/{film.pk}/",
            "/admin/moderation/sweep/",
            f"/admin/moderation/sweep/{Sweep.objects.get().pk}/change/",
            "/admin/trail/act/",
        ):
            html = desk.get(page).content.decode()
            assert SCRIPT not in html
            assert "&lt;script&gt;" in html

    @pytest.mark.parametrize("query", ["what=reviews", "reason=abuse", "q=amelie", "q=ada"])
    def test_it_is_filtered_and_searched(self, desk, query):
        review = ReviewFactory(movie=MovieFactory(title="Amélie"), user=UserFactory(name="Ada"))
        ReportFactory(review=review, reason="abuse")
        ReportFactory(review=None, movie=MovieFactory())

        shown = desk.get(f"{QUEUE}?{query}").context["cl"].result_list

        assert [case.review for case in shown] == [review]

    def test_one_click_hides_with_the_reason_beside_the_button(self, desk, admin):
        review = ReportFactory().review

        html = press(desk, "hide", case_of(review), "Ads.")

        assert "1 decided; 1 hidden." in html
        review.refresh_from_db()
        assert (review.is_hidden, review.hidden_by, review.hidden_reason) == (True, admin, "Ads.")
        assert numbers_are_right()

    @pytest.mark.parametrize(
        ("action", "outcome"),
        [
            ("hide_things", "upheld"),
            ("dismiss_reports", "dismissed"),
            ("suspend_authors", "upheld"),
        ],
    )
    def test_many_are_decided_at_once_with_one_reason(self, desk, action, outcome):
        reviews = [ReportFactory().review for _ in range(3)]

        choose(desk, action, *map(case_of, reviews), why="Casino links")

        assert set(Report.objects.values_list("outcome", flat=True)) == {outcome}
        assert set(Act.objects.values_list("reason", flat=True)) == {"Casino links"}
        assert not Case.objects.exists()
        assert User.objects.filter(is_active=False).exists() is (action == "suspend_authors")
        assert numbers_are_right()

    def test_what_was_decided_meanwhile_is_said_and_the_rest_is_done(self, desk):
        done, gone, waiting = (ReportFactory().review for _ in range(3))
        press(desk, "dismiss", case_of(done))
        Review.objects.filter(pk=gone.pk).delete()

        html = choose(desk, "hide_things", *map(case_of, (done, gone, waiting)))

        assert "2 were gone or decided by somebody else meanwhile" in html
        assert set(Review.objects.filter(is_hidden=True)) == {waiting}
        assert numbers_are_right()

    def test_a_film_is_left_for_merging(self, desk):
        movie = MovieFactory()
        ReportFactory(review=None, movie=movie, reason="duplicate")

        html = choose(desk, "hide_things", case_of(movie))

        assert "a film is merged or deleted, not hidden" in html
        assert Case.objects.count() == 1

    @pytest.mark.parametrize("case", ["review-0", "review-x", "nothing", "movie-9" * 9, ""])
    def test_a_case_that_never_was_is_no_crash(self, desk, case):
        assert "0 decided" in press(desk, "hide", case)
        assert desk.post(QUEUE, {"decide": "burn review-1"}).status_code == 404

    def test_more_than_ten_thousand_are_refused_as_a_whole(self, desk, monkeypatch):
        monkeypatch.setattr("movieshelf.admin.CHANGED_AT_MOST", 2)
        cases = [case_of(ReportFactory().review) for _ in range(3)]

        html = choose(desk, "hide_things", *cases, select_across="1")

        assert "at most 2" in html
        assert Case.objects.count() == 3


class TestOneMember:
    def page(self, member: User) -> str:
        return f"/admin/moderation/sweep/member/{member.pk}/"

    def test_the_preview_comes_before_the_sweep_and_the_batch_after(self, desk, user):
        movie = MovieFactory(title="Dune")
        RatingFactory(movie=movie, value=5)
        RatingFactory(movie=movie, user=user, value=1)
        seen = desk.get(self.page(user)).content.decode()

        response = desk.post(self.page(user), {"do": "sweep", "why": "spam"}, follow=True)

        assert "3.00 → 5.00" in seen
        batch = Sweep.objects.get()
        assert response.request["PATH_INFO"] == f"/admin/moderation/sweep/{batch.pk}/change/"
        assert "1 ratings" in response.content.decode()
        assert Rating.objects.count() == 1
        assert numbers_are_right()

    def test_a_batch_is_undone_from_its_page_and_once(self, desk, user):
        RatingFactory(user=user)
        desk.post(self.page(user), {"do": "sweep"})
        undo = f"/admin/moderation/sweep/{Sweep.objects.get().pk}/undo/"

        first = desk.post(undo, {"why": "The wrong one"}, follow=True).content.decode()
        again = desk.post(undo, follow=True).content.decode()

        assert "1 rows are back as they were" in first
        assert "undone already; nothing was changed" in again
        assert Rating.objects.filter(user=user).count() == 1
        assert numbers_are_right()

    def test_films_are_taken_along_only_when_that_was_seen(self, desk, user):
        MovieFactory(created_by=user)

        desk.post(self.page(user), {"do": "sweep", "films": "0"})
        assert Movie.objects.exists()

        desk.post(self.page(user), {"do": "sweep", "films": "1"})
        assert not Movie.objects.exists()
        assert numbers_are_right()

    def test_suspending_and_hiding_and_coming_back(self, desk, user):
        review = ReviewFactory(user=user)

        desk.post(self.page(user), {"do": "suspend", "hide": "1", "why": "spam"})
        assert not User.objects.get(pk=user.pk).is_active
        assert Review.objects.get(pk=review.pk).is_hidden
        assert numbers_are_right()

        desk.post(self.page(user), {"do": "reinstate"})
        desk.post(f"/admin/moderation/sweep/{Sweep.objects.get().pk}/undo/")
        assert User.objects.get(pk=user.pk).is_active
        assert not Review.objects.get(pk=review.pk).is_hidden
        assert numbers_are_right()

    def test_an_admin_is_not_swept(self, desk):
        other = AdminFactory()
        RatingFactory(user=other)

        html = desk.post(self.page(other), {"do": "sweep"}, follow=True).content.decode()

        assert "not yours to take away" in html
        assert Rating.objects.exists()

    def test_nobody_and_nothing_are_404(self, desk, user):
        assert desk.get("/admin/moderation/sweep/member/0/").status_code == 404
        assert desk.post(self.page(user), {"do": "burn"}).status_code == 404


class TestMerging:
    def page(self, movie: Movie) -> str:
        return f"/admin/moderation/mergedfilm/film/{movie.pk}/"

    def test_the_other_entry_is_offered_and_either_may_survive(self, desk, api):
        film, other = MovieFactory(title="Dune"), MovieFactory(title="DUNE (2021)")
        RatingFactory(movie=film, value=4)

        seen = desk.get(self.page(film)).content.decode()
        desk.post(self.page(film), {"merge": f"{film.pk} {other.pk}", "why": "The same."})

        assert "DUNE (2021)" in seen
        assert api.get(f"/movies/{film.pk}")["Location"] == f"/movies/{other.pk}"
        assert api.get(f"/movies/{other.pk}").json()["ratingCount"] == 1
        assert MergedFilm.objects.get().old_id == film.pk
        assert numbers_are_right()

    def test_one_that_was_just_merged_says_so(self, desk, admin):
        film, other, third = (MovieFactory() for _ in range(3))
        merge(other.pk, into=third.pk, by=admin)

        html = desk.post(
            self.page(film), {"merge": f"{film.pk} {other.pk}"}, follow=True
        ).content.decode()

        assert "One of the two films is gone; nothing was merged." in html
        assert Movie.objects.filter(pk=film.pk).exists()

    @pytest.mark.parametrize("chosen", ["", "1", "x y", "0 0", "{pk}", "{pk} " + "9" * 5_000])
    def test_what_was_not_offered_is_404(self, desk, chosen):
        film = MovieFactory()
        form = {"merge": chosen.format(pk=film.pk)}

        assert desk.post(self.page(film), form).status_code == 404


class TestTheFrontPage:
    def test_it_tells_what_waits_what_is_new_and_that_nothing_drifted(self, desk):
        ReportFactory()
        RatingFactory()
        check_numbers()

        html = desk.get("/admin/").content.decode()

        assert "<strong>1</strong> waiting for a decision" in html
        assert "<strong>0</strong> numbers that drifted" in html
        assert html.count("<svg") >= 2
        assert "Ratings per day" in html

    def test_it_takes_few_queries_and_no_count_of_everything(self, desk):
        with CaptureQueriesContext(connection) as captured:
            desk.get("/admin/")

        assert len(captured) <= 13
        counts = [query["sql"] for query in captured if "COUNT(*)" in query["sql"]]
        assert all("LIMIT" in sql or "created_at" in sql for sql in counts)

    def test_nothing_comes_from_elsewhere(self, desk):
        for page in ("/admin/", QUEUE):
            html = desk.get(page).content.decode()
            assert "//" not in html.replace("https://docs.djangoproject.com", "").replace(
                "http://www.w3.org", ""
            ).replace("</", "<")


class TestWhoMay:
    """Row 80: what is for moderators is for nobody else."""

    PAGES = (
        "/admin/",
        QUEUE,
        "/admin/trail/act/",
        "/admin/moderation/sweep/",
        "/admin/moderation/sweep/member/1/",
        "/admin/moderation/sweep/1/undo/",
        "/admin/moderation/mergedfilm/film/1/",
    )

    @pytest.mark.parametrize("page", PAGES)
    def test_the_anonymous_and_members_are_sent_to_the_login(self, client, user, page):
        for _ in range(2):
            for response in (client.get(page), client.post(page, {"do": "sweep"})):
                assert response.status_code == 302
                assert response["Location"].startswith("/admin/login/")
            client.force_login(user)

    def test_a_batch_is_not_undone_by_following_a_link(self, desk, user):
        batch = sweep(user.pk, by=AdminFactory())

        assert desk.get(f"/admin/moderation/sweep/{batch.pk}/undo/").status_code == 403
        assert Sweep.objects.get().undone_at is None

    def test_guessing_passwords_is_limited(self, admin, client, settings):
        settings.RATELIMIT_ENABLE = True
        form = {"username": admin.email, "password": "wrong"}

        statuses = [client.post("/admin/login/", form).status_code for _ in range(11)]
        right = client.post("/admin/login/", {**form, "password": PASSWORD})

        assert (statuses[0], statuses[-1], right.status_code) == (200, 429, 429)

    def test_there_is_no_account_to_begin_with(self):
        assert not User.objects.exists()

    def test_the_cookie_is_for_the_admin_alone(self, admin, client):
        client.post("/admin/login/", {"username": admin.email, "password": PASSWORD})

        cookie = client.cookies["sessionid"]
        assert (cookie["httponly"], cookie["secure"]) == (True, True)
        assert (cookie["samesite"], cookie["path"]) == ("Strict", "/admin")
