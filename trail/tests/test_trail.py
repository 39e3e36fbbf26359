"""Every act of a moderator is written down, and stays."""

import pytest
from django.db import IntegrityError, InternalError, connection, transaction
from django.test import Client

from accounts.models import User
from accounts.tests.factories import AdminFactory, UserFactory
from media.tests.pictures import png
from movies.models import Movie
from movies.tests.factories import MovieFactory
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.models import Review
from reviews.tests.factories import ReviewFactory
from trail.models import Act, Verb

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("numbers_stay_right")]


def acts() -> list[tuple[str, str, str]]:
    return list(Act.objects.order_by("pk").values_list("verb", "thing_type", "reason"))


@pytest.mark.parametrize(
    "forbidden",
    [
        "UPDATE trail_act SET reason = 'another'",
        "UPDATE trail_act SET by_id = NULL",
        "DELETE FROM trail_act",
    ],
)
def test_the_database_refuses_to_change_what_is_written(admin, forbidden):
    Act.objects.record(Verb.HIDE, [ReviewFactory()], by=admin, reason="spam")

    with (
        pytest.raises((InternalError, IntegrityError), match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(forbidden)

    assert acts() == [("hide", "review", "spam")]


def test_an_act_outlives_whoever_did_it_and_what_it_was_done_to(admin, client):
    review = ReviewFactory(content="Buy now.")
    pk, name = review.pk, admin.name
    review.delete(by=admin, reason="spam")
    admin.delete()

    act = Act.objects.get()
    assert (act.by_name, act.thing_id) == (name, str(pk))
    assert (act.before["content"], act.before["user_id"]) == ("Buy now.", review.user_id)
    client.force_login(AdminFactory())
    assert name in client.get("/admin/trail/act/").content.decode()


def test_what_a_moderator_does_through_the_api_is_written_down(api, admin):
    moderator = api.as_(admin)
    review, movie = ReviewFactory(content="Rude."), MovieFactory(synopsis="Sand.")
    path = f"/reviews/{review.pk}"

    moderator.patch(path, {"hidden": True, "reason": "abuse"})
    moderator.patch(path, {"hidden": False})
    moderator.patch(path, {"content": "[removed]"})
    moderator.delete(path)
    moderator.patch(f"/movies/{movie.pk}", {"synopsis": "Spice."})
    moderator.upload(f"/movies/{movie.pk}/poster", png())
    moderator.delete(f"/movies/{movie.pk}")

    assert acts() == [
        ("hide", "review", "abuse"),
        ("show", "review", ""),
        ("edit", "review", ""),
        ("delete", "review", ""),
        ("edit", "movie", ""),
        ("edit", "movie", ""),
        ("delete", "movie", ""),
    ]
    before = Act.objects.order_by("pk").values_list("before", flat=True)
    assert before[1]["hidden_reason"] == "abuse"
    assert before[2]["content"] == "Rude."
    assert before[4]["synopsis"] == "Sand."
    assert before[6]["title"] == movie.title


def test_what_members_do_with_what_is_theirs_is_not(api, user):
    member = api.as_(user)
    review, movie = ReviewFactory(user=user), MovieFactory(created_by=user)

    member.patch(f"/reviews/{review.pk}", {"content": "Better."})
    member.delete(f"/reviews/{review.pk}")
    member.patch(f"/movies/{movie.pk}", {"synopsis": "Spice."})
    member.delete(f"/movies/{movie.pk}")

    assert acts() == []


class TestTheAdmin:
    @pytest.fixture
    def desk(self) -> Client:
        client = Client()
        client.force_login(AdminFactory(is_superuser=True))
        return client

    @pytest.mark.parametrize("make", [ReviewFactory, RatingFactory, MovieFactory, UserFactory])
    @pytest.mark.parametrize("bulk", [True, False])
    def test_a_deletion_is_written_down_with_its_reason_and_what_is_gone(self, desk, make, bulk):
        row = make()
        page = f"/admin/{row._meta.app_label}/{row._meta.model_name}/"

        if bulk:
            form = {"action": "delete_selected", "_selected_action": row.pk, "why": "spam"}
            desk.post(page, {**form, "post": "yes"})
        else:
            desk.post(f"{page}{row.pk}/delete/", {"post": "yes", "why": "spam"})

        act = Act.objects.get()
        assert (act.verb, act.thing_id, act.reason) == ("delete", str(row.pk), "spam")
        assert act.before
        assert not type(row).objects.filter(pk=row.pk).exists()

    def test_a_changed_role_is_written_down_with_the_old_one(self, desk, user):
        form = {"name": user.name, "email": user.email, "is_active": "on", "role": "admin"}

        desk.post(f"/admin/accounts/user/{user.pk}/change/", {**form, "why": "helps out"})

        act = Act.objects.get()
        assert (act.verb, act.before, act.reason) == ("role", {"role": "user"}, "helps out")

    def test_an_edit_keeps_the_old_value_and_no_address(self, desk, user):
        form = {"name": "Ada", "email": "ada@shelf.test", "is_active": "on", "role": "user"}

        desk.post(f"/admin/accounts/user/{user.pk}/change/", form)

        assert Act.objects.get().before == {"name": user.name, "email": "another"}

    def test_another_password_is_written_down_without_it(self, desk, user):
        form = {"password1": "a shelf of my own", "password2": "a shelf of my own"}

        desk.post(f"/admin/accounts/user/{user.pk}/password/", {**form, "usable_password": "true"})

        assert Act.objects.get().verb == "edit"
        assert "shelf of my own" not in str(Act.objects.get().before)

    @pytest.mark.parametrize(
        ("action", "verb"), [("suspend_members", "suspend"), ("reinstate_members", "reinstate")]
    )
    def test_a_suspension_and_its_end_are_written_down(self, desk, user, action, verb):
        if verb == "reinstate":
            User.objects.filter(pk=user.pk).deactivate()

        form = {"action": action, "_selected_action": user.pk, "why": "spammer"}
        desk.post("/admin/accounts/user/", form)

        act = Act.objects.get()
        assert (act.verb, act.before) == (verb, {"is_active": verb == "suspend"})
        assert User.objects.get(pk=user.pk).is_active is (verb == "reinstate")

    def test_a_reason_is_shown_as_text(self, desk):
        movie = MovieFactory()
        script = "<script>alert(1)</script>"

        desk.post(f"/admin/movies/movie/{movie.pk}/delete/", {"post": "yes", "why": script})

        for page in ("/admin/trail/act/", f"/admin/trail/act/{Act.objects.get().pk}/change/"):
            html = desk.get(page).content.decode()
            assert script not in html
            assert "&lt;script&gt;" in html

    def test_the_trail_is_found_by_thing_moderator_and_words(self, desk, admin):
        review = ReviewFactory()
        review.hide(by=admin, reason="Casino links")
        ReviewFactory().hide(by=AdminFactory(), reason="rude")

        for query in (
            f"thing_type__exact=review&thing_id__exact={review.pk}",
            f"by__id__exact={admin.pk}",
            "q=casino",
        ):
            found = desk.get(f"/admin/trail/act/?{query}").context["cl"].result_list
            assert [act.thing_id for act in found] == [str(review.pk)]

    def test_the_page_of_a_thing_leads_to_its_trail(self, desk):
        movie = MovieFactory()

        response = desk.get(f"/admin/movies/movie/{movie.pk}/history/")

        assert response["Location"].endswith(f"thing_type__exact=movie&thing_id__exact={movie.pk}")

    def test_nobody_writes_it_by_hand(self, desk, admin):
        Act.objects.record(Verb.HIDE, [ReviewFactory()], by=admin)
        page = f"/admin/trail/act/{Act.objects.get().pk}"

        assert desk.get("/admin/trail/act/add/").status_code == 403
        assert desk.post(f"{page}/change/", {"reason": "x"}).status_code == 403
        assert desk.post(f"{page}/delete/", {"post": "yes"}).status_code == 403

    def test_more_than_can_be_done_at_once_is_refused_as_a_whole(self, desk, monkeypatch):
        monkeypatch.setattr("movieshelf.admin.CHANGED_AT_MOST", 2)
        ReviewFactory.create_batch(3)

        page = desk.post(
            "/admin/reviews/review/",
            {"action": "hide_reviews", "select_across": "1", "_selected_action": 1, "index": "0"},
            follow=True,
        )

        assert "at most 2 reviews; nothing was changed" in page.content.decode()
        assert not Review.objects.filter(is_hidden=True).exists()
        assert acts() == []


def test_deleting_what_is_gone_already_writes_nothing(admin):
    movie, rating = MovieFactory(), RatingFactory()
    Movie.objects.filter(pk=movie.pk).delete()
    Rating.objects.filter(pk=rating.pk).delete()

    Movie.objects.filter(pk=movie.pk).delete(by=admin)
    Rating.objects.filter(pk=rating.pk).delete(by=admin)

    assert acts() == []
