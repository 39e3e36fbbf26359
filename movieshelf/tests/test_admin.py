"""The admin: every page opens with few queries, and nothing done there makes a number wrong."""

from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib import admin as django_admin
from django.contrib.auth import authenticate
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Session, User
from accounts.tests.factories import PASSWORD, AdminFactory, UserFactory
from media.models import Media
from movies.models import Movie
from movies.posters import draw_avatar
from movies.tests.factories import MovieFactory
from movieshelf.admin import CHANGED_AT_MOST, COUNTED_AT_MOST, AtLeast, BoundedPaginator
from movieshelf.tests.numbers import numbers_are_right
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.models import Report, Review
from reviews.tests.factories import ReportFactory, ReviewFactory
from trail.models import Act

OURS = [Movie, Rating, Review, Report, User, Session, Media]
SCRIPT = "<script>alert(1)</script>"

FILM = {"title": "Dune", "release_date": "2021-10-22", "synopsis": "Sand.", "trailer_url": ""}
MEMBER = {
    "name": "Ada",
    "email": "ada@shelf.test",
    "password1": "a shelf of my own",
    "password2": "a shelf of my own",
}

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("numbers_stay_right")]


@pytest.fixture
def browser(admin: User) -> Client:
    """A browser in which an admin, who is no superuser, is logged in."""
    return logged_in(admin)


@pytest.fixture
def superuser() -> User:
    return AdminFactory(is_superuser=True)


def logged_in(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def page(model: type, kind: str = "changelist", *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{kind}", args=args)


def act(client: Client, action: str, *rows: Any, **more: Any) -> Any:
    """Choose rows in their list, and press a button; deleting is confirmed."""
    form = {"action": action, "_selected_action": [row.pk for row in rows], **more}
    return client.post(page(type(rows[0])), form, follow=True)


def delete_selected(client: Client, *rows: Any) -> Any:
    return act(client, "delete_selected", *rows, post="yes")


def shown_in_list(client: Client, path: str) -> list[Any]:
    return list(client.get(path).context["cl"].result_list)


def make_rows(number: int) -> None:
    """Make that many of each thing, all of different films and members."""
    for _ in range(number):
        user = UserFactory()
        user.avatar = Media.objects.create(
            uploader=user,
            data=draw_avatar(user.name, user.pk),
            content_type="image/jpeg",
            width=256,
            height=256,
            bytes=3_000,
            sha256="0" * 64,
        )
        user.save()
        movie = MovieFactory(created_by=user, poster=user.avatar)
        RatingFactory(user=user, movie=movie)
        review = ReviewFactory(user=user, movie=movie)
        review.hide(by=user)
        Report.objects.create(review=review, reporter=UserFactory(), reason="spam")
        Session.objects.start(user, user_agent="tests", ip="127.0.0.1")


class TestPages:
    @pytest.mark.parametrize("model", OURS)
    def test_a_list_takes_as_many_queries_for_fifty_rows_as_for_one(self, browser, model):
        make_rows(1)
        one = self.queries(browser, page(model))
        make_rows(49)

        fifty = self.queries(browser, page(model))

        assert len(fifty) == len(one) <= 7
        assert not any('"media_media"."data"' in query for query in fifty)

    @pytest.mark.parametrize("model", OURS)
    def test_a_row_has_a_page(self, browser, model):
        make_rows(2)

        queries = self.queries(browser, page(model, "change", model.objects.first().pk))

        assert len(queries) <= 10

    @pytest.mark.parametrize("model", [Movie, User])
    def test_something_can_be_added(self, browser, model):
        assert browser.get(page(model, "add")).status_code == 200

    @pytest.mark.parametrize("model", [Rating, Review, Report, Session, Media])
    def test_what_members_do_is_not_added_by_moderators(self, browser, model):
        assert browser.get(page(model, "add")).status_code == 403

    @pytest.mark.parametrize("model", OURS)
    def test_a_search_finds_nothing_without_failing(self, browser, model):
        make_rows(1)

        for words in ("nowhere to be found", "%", "_", "\\", "o'", "💥"):
            assert shown_in_list(browser, f"{page(model)}?{urlencode({'q': words})}") == []

    @pytest.mark.parametrize("model", OURS)
    def test_every_filter_and_order_of_a_list_opens(self, browser, model):
        make_rows(2)
        shown = browser.get(page(model)).context["cl"]

        for spec in shown.filter_specs:
            for choice in spec.choices(shown):
                assert browser.get(page(model) + choice["query_string"]).status_code == 200
        for column in range(1, 10):
            assert browser.get(f"{page(model)}?o={column}.-{column}").status_code == 200

    def test_the_front_page_names_what_is_ours(self, browser):
        html = browser.get("/admin/").content.decode()

        assert all(str(model._meta.verbose_name_plural).capitalize() in html for model in OURS)
        assert "Groups" not in html

    def queries(self, browser: Client, path: str) -> list[str]:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            response = browser.get(path)
        assert response.status_code == 200
        return [query["sql"] for query in captured]


class TestWhoMayEnter:
    @pytest.mark.parametrize("model", OURS)
    def test_the_anonymous_are_sent_to_the_login(self, client, model):
        response = client.get(page(model))

        assert response.status_code == 302
        assert response["Location"].startswith("/admin/login/")

    @pytest.mark.parametrize("model", OURS)
    def test_members_are_sent_to_the_login(self, user, model):
        assert logged_in(user).get(page(model)).status_code == 302

    def test_a_deactivated_admin_is_sent_to_the_login(self, admin):
        browser = logged_in(admin)
        User.objects.filter(pk=admin.pk).deactivate()

        assert browser.get("/admin/").status_code == 302

    def test_staff_without_a_right_to_it_is_refused(self, browser, superuser):
        # Of no app of ours: the jobs of the worker.
        jobs = "/admin/procrastinate/procrastinatejob/"

        assert browser.get(jobs).status_code == 403
        assert logged_in(superuser).get(jobs).status_code == 200

    def test_an_admin_logs_in_with_e_mail_and_password(self, admin, client):
        response = client.post(
            "/admin/login/?next=/admin/", {"username": admin.email.upper(), "password": PASSWORD}
        )

        assert response["Location"] == "/admin/"

    def test_a_browser_may_tell_the_admin_where_a_form_comes_from(self, client):
        # Under "no-referrer" it would send `Origin: null`, which the CSRF check refuses.
        assert client.get("/admin/login/")["Referrer-Policy"] == "same-origin"

    def test_every_model_of_ours_is_there(self):
        registered = set(django_admin.site._registry)

        assert set(OURS) <= registered


class TestTextsAreEscaped:
    def test_of_a_film(self, browser):
        movie = MovieFactory(title=SCRIPT, synopsis=SCRIPT)

        self.assert_escaped(browser, page(Movie), page(Movie, "change", movie.pk))
        self.assert_escaped(browser, page(Movie, "delete", movie.pk))

    def test_of_a_review_and_a_name(self, browser):
        author = UserFactory(name=SCRIPT)
        review = ReviewFactory(content=SCRIPT, user=author)
        RatingFactory(user=author, movie=MovieFactory(title=SCRIPT))

        for model, pk in ((Review, review.pk), (User, author.pk)):
            self.assert_escaped(browser, page(model), page(model, "change", pk))
        self.assert_escaped(browser, page(Rating))
        report = Report.objects.create(review=review, reporter=author, reason="spam", note=SCRIPT)
        self.assert_escaped(browser, page(Report), page(Report, "change", report.pk))

    def assert_escaped(self, browser: Client, *paths: str) -> None:
        for path in paths:
            html = browser.get(path).content.decode()
            assert SCRIPT not in html
            assert "&lt;script&gt;alert(1)" in html


class TestFilms:
    def test_a_film_is_added_with_its_row_of_numbers(self, browser, admin):
        browser.post(page(Movie, "add"), FILM)

        movie = Movie.objects.with_stats().get(title="Dune")
        assert (movie.created_by, movie.trailer_url) == (admin, None)

    @pytest.mark.parametrize("title", ["dune", " DUNE ", "Du\u200bne"])
    def test_a_title_that_is_taken_is_refused_at_its_field(self, browser, title):
        MovieFactory(title="Dune")

        response = browser.post(page(Movie, "add"), {**FILM, "title": title})

        assert "on the shelf already" in response.context["errors"].as_text()
        assert Movie.objects.count() == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"title": "   "},
            {"title": "\u200b"},
            {"title": "x" * 201},
            {"title": "a\x07b"},
            {"trailer_url": "javascript:alert(1)"},
            {"trailer_url": "ftp://example.com/a.mp4"},
            {"release_date": "2021-02-30"},
        ],
    )
    def test_what_the_api_refuses_is_refused(self, browser, change):
        response = browser.post(page(Movie, "add"), {**FILM, **change})

        assert response.context["errors"]
        assert not Movie.objects.exists()

    def test_editing_is_one_edit(self, browser):
        movie = MovieFactory(title="Dune")

        browser.post(page(Movie, "change", movie.pk), {**FILM, "title": "Dune (2021)"})

        edited = Movie.objects.get()
        assert (edited.title, edited.title_key, edited.version) == ("Dune (2021)", "dune (2021)", 2)

    def test_saving_unchanged_is_no_edit(self, browser):
        movie = MovieFactory(title="Dune", release_date="2021-10-22", synopsis="Sand.")

        browser.post(page(Movie, "change", movie.pk), FILM)

        assert Movie.objects.get().version == 1

    def test_a_search_knows_no_case_and_no_accents(self, browser):
        movie = MovieFactory(title="Amélie")
        MovieFactory()

        assert shown_in_list(browser, f"{page(Movie)}?q=AMELIE") == [movie]

    def test_a_search_finds_by_id(self, browser):
        movie, _ = MovieFactory(title="Amélie"), MovieFactory(title="Dune")

        assert shown_in_list(browser, f"{page(Movie)}?q={movie.pk}") == [movie]

    def test_stars_choose_by_the_rounded_average(self, browser):
        liked = RatingFactory(value=5).movie
        RatingFactory(value=2)

        assert shown_in_list(browser, f"{page(Movie)}?stars=4") == [liked]

    def test_a_film_shows_its_numbers_and_the_way_to_its_opinions(self, browser, user):
        movie = RatingFactory(user=user, value=4).movie

        html = browser.get(page(Movie, "change", movie.pk)).content.decode()

        assert f'<a href="/admin/ratings/rating/?movie__id__exact={movie.pk}">1 ratings</a>' in html
        assert "4.00 on average" in html
        assert "<li>★★★★: 1</li>" in html

    def test_deleting_one_takes_its_opinions_along(self, browser):
        movie = RatingFactory().movie
        ReviewFactory(movie=movie)
        asked = browser.get(page(Movie, "delete", movie.pk)).content.decode()

        browser.post(page(Movie, "delete", movie.pk), {"post": "yes"})

        assert "Ratings: 1" in asked
        assert "Reviews: 1" in asked
        assert not Movie.objects.exists()
        assert not Rating.objects.exists()

    def test_deleting_does_not_read_what_the_database_deletes(self, browser):
        movies = [RatingFactory().movie for _ in range(3)]

        with CaptureQueriesContext(connection) as captured:
            delete_selected(browser, *movies)

        assert [q["sql"] for q in captured if 'FROM "ratings_rating"' in q["sql"]] == []

    def test_deleting_several_leaves_the_others_right(self, browser, user):
        movies = [MovieFactory() for _ in range(3)]
        for movie in movies:
            RatingFactory(user=user, movie=movie)
            ReviewFactory(user=user, movie=movie)

        delete_selected(browser, *movies[:2])

        assert list(Movie.objects.all()) == movies[2:]
        assert (Rating.objects.count(), Review.objects.count()) == (1, 1)
        assert numbers_are_right()


class TestRatings:
    def test_a_corrected_value_moves_the_counters(self, browser):
        rating = RatingFactory(value=1)

        browser.post(page(Rating, "change", rating.pk), {"value": 5})

        assert Rating.objects.get().value == 5
        assert numbers_are_right()

    @pytest.mark.parametrize("value", ["0", "6", "", "many"])
    def test_a_value_that_cannot_be_is_refused(self, browser, value):
        rating = RatingFactory(value=1)

        response = browser.post(page(Rating, "change", rating.pk), {"value": value})

        assert response.context["errors"]
        assert Rating.objects.get().value == 1

    def test_film_and_member_of_a_rating_stay(self, browser):
        rating = RatingFactory()

        form = {"value": 2, "movie": MovieFactory().pk, "user": UserFactory().pk}
        browser.post(page(Rating, "change", rating.pk), form)

        changed = Rating.objects.get()
        assert (changed.movie, changed.user) == (rating.movie, rating.user)
        assert numbers_are_right()

    def test_deleting_one_or_several_keeps_the_numbers_right(self, browser):
        movie = MovieFactory()
        ratings = [RatingFactory(movie=movie, value=value) for value in (1, 3, 4, 5, 5)]

        browser.post(page(Rating, "delete", ratings[0].pk), {"post": "yes"})
        delete_selected(browser, *ratings[1:3], RatingFactory())

        assert Rating.objects.filter(movie=movie).count() == 2
        assert numbers_are_right()

    def test_a_search_finds_by_film_member_or_address(self, browser):
        rating = RatingFactory(
            movie=MovieFactory(title="Amélie"), user=UserFactory(name="Ada", email="ada@shelf.test")
        )
        RatingFactory()

        for words in ("amelie", "ada", "ada@shelf.test"):
            assert shown_in_list(browser, f"{page(Rating)}?q={words}") == [rating]


class TestReviews:
    def test_hiding_and_showing_many_at_once(self, browser, admin):
        movie = MovieFactory()
        reviews = [ReviewFactory(movie=movie) for _ in range(3)]

        act(browser, "hide_reviews", *reviews[:2])

        assert Review.objects.filter(is_hidden=True, hidden_by=admin).count() == 2
        assert numbers_are_right()

        act(browser, "show_reviews", *reviews)

        assert not Review.objects.filter(is_hidden=True).exists()
        assert numbers_are_right()

    def test_hiding_one_in_its_form_says_who_and_why(self, browser, admin):
        review = ReviewFactory(content="Buy now.")

        form = {"content": "Buy now.", "hidden": "on", "reason": "spam"}
        browser.post(page(Review, "change", review.pk), form)

        review = Review.objects.get()
        assert (review.is_hidden, review.hidden_by, review.hidden_reason) == (True, admin, "spam")
        assert numbers_are_right()

    def test_editing_does_not_unhide(self, browser, admin):
        review = ReviewFactory()
        review.hide(by=admin, reason="spoiler")

        form = {"content": "Better.", "hidden": "on", "reason": "spoiler"}
        browser.post(page(Review, "change", review.pk), form)

        review = Review.objects.get()
        assert (review.content, review.is_hidden) == ("Better.", True)
        assert numbers_are_right()

    def test_showing_one_in_its_form(self, browser, admin):
        review = ReviewFactory()
        review.hide(by=admin, reason="spoiler")

        form = {"content": review.content, "reason": "spoiler"}
        browser.post(page(Review, "change", review.pk), form)

        review = Review.objects.get()
        assert (review.is_hidden, review.hidden_by, review.hidden_reason) == (False, None, "")
        assert numbers_are_right()

    def test_markup_is_taken_out_as_the_api_does(self, browser):
        review = ReviewFactory()

        browser.post(page(Review, "change", review.pk), {"content": f"I <3 <b>this</b>{SCRIPT}"})

        assert Review.objects.get().content == "I <3 this"

    @pytest.mark.parametrize("content", ["", " ", "<b></b>", "x" * 5_001, "a\x07b"])
    def test_what_the_api_refuses_is_refused(self, browser, content):
        review = ReviewFactory()

        response = browser.post(page(Review, "change", review.pk), {"content": content})

        assert response.context["errors"]
        assert Review.objects.get().content == review.content

    def test_deleting_one_or_several_keeps_the_numbers_right(self, browser, admin):
        movie = MovieFactory()
        reviews = [ReviewFactory(movie=movie) for _ in range(5)]
        reviews[0].hide(by=admin)
        reviews[1].hide(by=admin)

        browser.post(page(Review, "delete", reviews[0].pk), {"post": "yes"})
        delete_selected(browser, *reviews[1:3])

        assert Review.objects.count() == 2
        assert numbers_are_right()

    def test_a_search_finds_words_films_and_members(self, browser):
        review = ReviewFactory(
            content="Worth a detour.",
            movie=MovieFactory(title="Dune"),
            user=UserFactory(name="Ada"),
        )
        ReviewFactory()

        for words in ("DETOUR", "dune", "ada"):
            assert shown_in_list(browser, f"{page(Review)}?q={words}") == [review]


class TestReports:
    def test_they_are_read_and_not_changed(self, browser):
        report = ReportFactory(note="Ads.")

        html = browser.get(page(Report, "change", report.pk)).content.decode()
        delete_selected(browser, report)

        assert "Ads." in html
        assert report.review.content in html
        assert Report.objects.count() == 1

    def test_a_search_finds_by_film_or_member(self, browser):
        of_review = ReportFactory(review=ReviewFactory(movie=MovieFactory(title="Amélie")))
        of_film = ReportFactory(review=None, movie=MovieFactory(title="Amélie (2001)"))
        ReportFactory()

        assert shown_in_list(browser, f"{page(Report)}?q=amelie") == [of_film, of_review]


class TestMembers:
    def test_a_member_is_added_with_a_password(self, browser):
        browser.post(page(User, "add"), MEMBER)

        added = authenticate(username="ADA@shelf.test", password="a shelf of my own")
        assert (added.name, added.role, added.is_superuser) == ("Ada", "user", False)

    @pytest.mark.parametrize(
        "change",
        [
            {"email": "MEMBER@shelf.test"},
            {"email": "nobody"},
            {"name": " "},
            {"password1": "short", "password2": "short"},
            {"password1": "12345678901", "password2": "12345678901"},
            {"password2": "another shelf of mine"},
        ],
    )
    def test_what_the_api_refuses_is_refused(self, browser, change):
        UserFactory(email="member@shelf.test")
        before = User.objects.count()

        response = browser.post(page(User, "add"), {**MEMBER, **change})

        assert response.context["errors"]
        assert User.objects.count() == before

    def test_no_page_shows_a_hash(self, browser, user):
        html = browser.get(page(User, "change", user.pk)).content.decode()

        assert user.email in html
        assert ">0 ratings</a>" in html
        assert "argon2" not in html
        assert "../password/" in html

    def test_a_new_address_is_the_one_to_log_in_with(self, browser, user):
        browser.post(page(User, "change", user.pk), form_of(user, email="New@shelf.test"))

        assert authenticate(username="new@shelf.test", password=PASSWORD) == user

    def test_another_password_ends_every_login(self, browser, user, api):
        token = api.as_(user)

        browser.post(
            f"{page(User, 'change', user.pk).removesuffix('change/')}password/",
            {
                "password1": "another shelf of mine",
                "password2": "another shelf of mine",
                "usable_password": "true",
                "set-password": "",
            },
        )

        assert authenticate(username=user.email, password="another shelf of mine") == user
        assert token.get("/users/me").status_code == 401

    def test_deactivating_in_the_form_ends_every_login(self, browser, user, api):
        token = api.as_(user)

        browser.post(page(User, "change", user.pk), form_of(user, is_active=""))

        assert not User.objects.get(pk=user.pk).is_active
        assert token.get("/users/me").status_code == 401

    def test_deactivating_many_ends_their_logins_but_not_ones_own(self, browser, admin, api):
        members = [UserFactory() for _ in range(2)]
        tokens = [api.as_(member) for member in members]

        act(browser, "suspend_members", *members, admin)

        assert [token.get("/users/me").status_code for token in tokens] == [401, 401]
        assert User.objects.get(pk=admin.pk).is_active

    def test_deleting_members_keeps_the_numbers_of_their_films_right(self, browser, user, api):
        api.as_(user)
        movie = MovieFactory(created_by=user)
        others = [UserFactory() for _ in range(3)]
        for value, member in enumerate([user, *others], 1):
            RatingFactory(user=member, movie=movie, value=value)
            ReviewFactory(user=member, movie=movie)
        asked = browser.get(page(User, "delete", user.pk)).content.decode()

        browser.post(page(User, "delete", user.pk), {"post": "yes"})
        delete_selected(browser, *others[:2])

        assert "Ratings: 1" in asked
        assert list(Rating.objects.values_list("value", flat=True)) == [4]
        assert Movie.objects.get().created_by is None
        assert numbers_are_right()

    def test_a_member_with_an_admins_log_entries_can_be_deleted(self, superuser):
        other = AdminFactory()
        logged_in(other).post(page(Movie, "add"), FILM)

        logged_in(superuser).post(page(User, "delete", other.pk), {"post": "yes"})

        assert not User.objects.filter(pk=other.pk).exists()


class TestRights:
    def test_a_superuser_makes_others_admin(self, superuser, user):
        browser = logged_in(superuser)

        browser.post(page(User, "change", user.pk), form_of(user, role="admin"))

        assert User.objects.get(pk=user.pk).role == "admin"

    def test_an_admin_does_not(self, browser, user):
        form = form_of(user, role="admin", is_superuser="on")
        browser.post(page(User, "change", user.pk), form)

        unchanged = User.objects.get(pk=user.pk)
        assert (unchanged.role, unchanged.is_superuser) == ("user", False)

    def test_an_admin_does_not_touch_other_admins(self, browser):
        other = AdminFactory()

        browser.post(page(User, "change", other.pk), form_of(other, email="mine@shelf.test"))
        browser.post(page(User, "delete", other.pk), {"post": "yes"})
        browser.post(
            f"/admin/accounts/user/{other.pk}/password/",
            {"password1": "taken over it is", "password2": "taken over it is", "set-password": ""},
        )
        delete_selected(browser, other)
        act(browser, "suspend_members", other)

        standing = User.objects.get(pk=other.pk)
        assert (standing.email, standing.is_active) == (other.email, True)
        assert authenticate(username=other.email, password=PASSWORD) == other

    def test_nobody_deletes_themselves_by_accident(self, superuser):
        browser = logged_in(superuser)

        browser.post(page(User, "delete", superuser.pk), {"post": "yes"})
        delete_selected(browser, superuser)

        assert User.objects.filter(pk=superuser.pk).exists()

    def test_only_an_admin_may_change_roles(self, superuser, user):
        form = form_of(user, is_superuser="on")

        response = logged_in(superuser).post(page(User, "change", user.pk), form)

        assert "Only an admin may change roles." in response.context["errors"].as_text()


class TestLogins:
    def test_ending_logins_is_at_once(self, browser, user, api):
        token = api.as_(user)

        act(browser, "end_logins", *Session.objects.filter(user=user))

        assert token.get("/users/me").status_code == 401
        assert Session.objects.get(user=user).revoked_for == "admin"


class TestLongLists:
    @pytest.mark.parametrize("model", [*OURS, Act])
    def test_no_list_counts_to_the_end_or_looks_for_what_its_filters_may_be(self, browser, model):
        make_rows(1)

        with CaptureQueriesContext(connection) as captured:
            browser.get(page(model))

        counts = [query["sql"] for query in captured if "COUNT(*)" in query["sql"]]
        assert counts
        assert all(f"LIMIT {COUNTED_AT_MOST}" in sql for sql in counts)
        assert not any("DISTINCT" in query["sql"] for query in captured)

    def test_as_many_as_an_action_may_touch_are_confirmed_in_one_form(self, browser):
        movie = MovieFactory()
        form = {"action": "delete_selected", "post": "yes", "why": "spam", "index": "0"}
        chosen = [movie.pk + number for number in range(CHANGED_AT_MOST)]

        response = browser.post(page(Movie), {**form, "_selected_action": chosen})

        assert response.status_code == 302
        assert not Movie.objects.exists()

    def test_no_more_rows_are_counted_than_anybody_reads(self, django_assert_num_queries):
        for _ in range(3):
            MovieFactory()

        with django_assert_num_queries(1) as queries:
            assert BoundedPaginator(Movie.objects.order_by("pk"), 50).count == 3
        assert f"LIMIT {COUNTED_AT_MOST}" in queries[0]["sql"]

    def test_a_count_that_stopped_says_so(self):
        assert str(AtLeast(50_000)) == "50,000+"


def form_of(user: User, **changes: object) -> dict[str, Any]:
    """Give what a browser sends from a member's page; an unchecked box is not sent."""
    form = {
        "name": user.name,
        "email": user.email,
        "role": user.role,
        "is_active": "on" if user.is_active else "",
        "is_superuser": "on" if user.is_superuser else "",
        **changes,
    }
    return {name: value for name, value in form.items() if value}


def test_while_read_only_is_on_nothing_is_changed_and_all_is_shown(admin, settings):
    movie = MovieFactory(title="Dune")
    browser = logged_in(admin)
    settings.READ_ONLY = True

    refused = browser.post(page(Movie, "change", movie.pk), {**FILM, "title": "Other"})
    deleted = browser.post(page(Movie, "delete", movie.pk), {"post": "yes"})

    for answer in (refused, deleted):
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "60"
        assert answer.json()["error"]["code"] == "unavailable"
    assert Movie.objects.get().title == "Dune"
    assert browser.get(page(Movie, "change", movie.pk)).status_code == 200
    login = {"username": admin.email, "password": PASSWORD}
    assert Client().post("/admin/login/", login).status_code == 302
    assert browser.post("/admin/logout/").status_code == 200
