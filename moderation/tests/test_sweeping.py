"""Sweeping what one account did, seeing it before, and undoing it as if it had never been."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.models import User
from accounts.tests.factories import AdminFactory, UserFactory
from media.models import Media
from media.tests.factories import an_image
from moderation.deciding import Verdict, decide
from moderation.merging import merge
from moderation.models import Sweep, SweptRow
from moderation.sweeping import TooMuch, hide_all, preview, suspend, sweep
from moderation.undoing import TitleTakenSince, undo
from movies.models import Movie, MovieStats
from movies.tests.factories import MovieFactory
from movieshelf.api import transactions
from movieshelf.api.errors import Conflict, Forbidden, NotFound
from movieshelf.tests.numbers import numbers_are_right
from movieshelf.tests.races import at_once, while_held
from movieshelf.tests.waiting import until_somebody_waits_for_us
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.models import Report, Review
from reviews.tests.factories import ReportFactory, ReviewFactory
from trail.models import Act

TABLES = ("movies_movie", "movies_moviestats", "ratings_rating", "reviews_review", "reviews_report")


def everything() -> dict[str, list[Any]]:
    """Give every row of every table that a sweep touches, but for when it was changed last."""
    with connection.cursor() as cursor:
        found = {}
        for table in TABLES:
            cursor.execute(
                "SELECT to_jsonb(row) - '{change_position,change_created}'::text[]"
                f" FROM {table} row ORDER BY 1"
            )
            found[table] = cursor.fetchall()
    return found


@pytest.fixture
def spammer(db) -> User:
    """A member who rated, wrote, reported and added a film that others had opinions of."""
    member = UserFactory(name="Spammer")
    popular = MovieFactory(title="Popular")
    for value in (2, 4):
        RatingFactory(movie=popular, value=value)
    RatingFactory(movie=popular, user=member, value=1)
    ReviewFactory(movie=popular, user=member, content="Buy “now” \\ and\n\tsave 5 %s 💥")
    hidden = ReviewFactory(movie=popular, user=member)
    hidden.hide(by=AdminFactory(), reason="spam")
    ReportFactory(review=ReviewFactory(movie=popular), reporter=member)
    ReportFactory(review=hidden)
    own = MovieFactory(title="Own", created_by=member, poster=an_image(uploader=member))
    RatingFactory(movie=own, value=3)
    ReportFactory(review=ReviewFactory(movie=own))
    ReportFactory(review=None, movie=own)
    return member


@pytest.mark.django_db
class TestPreview:
    def test_it_says_what_goes_and_which_numbers_move(self, spammer):
        seen = preview(spammer, with_films=False)

        assert (seen.films, seen.ratings, seen.reviews, seen.reports) == (0, 1, 2, 1)
        (move,) = seen.moves
        assert move.film.title == "Popular"
        assert (move.average_now, move.average_then) == (2.33, 3.0)
        assert (move.ratings_now, move.ratings_then) == (3, 2)
        assert (move.reviews_now, move.reviews_then) == (2, 1)

    def test_it_counts_what_others_said_of_films_that_would_go(self, spammer):
        seen = preview(spammer, with_films=True)

        assert (seen.films, seen.others, seen.touched) == (1, 2, 1)

    def test_it_changes_nothing(self, spammer):
        before = everything()

        preview(spammer, with_films=True)

        assert everything() == before
        assert not Sweep.objects.exists()

    @pytest.mark.parametrize("with_films", [True, False])
    def test_it_comes_true(self, spammer, admin, with_films):
        seen = preview(spammer, with_films=with_films)

        sweep(spammer.pk, by=admin, with_films=with_films)

        for move in seen.moves:
            stats = MovieStats.objects.get(pk=move.film.pk)
            assert stats.shown_average == move.average_then
            assert (stats.rating_count, stats.review_count) == (
                move.ratings_then,
                move.reviews_then,
            )


@pytest.mark.django_db
class TestSweep:
    @pytest.mark.parametrize("with_films", [True, False])
    def test_it_takes_all_away_and_the_numbers_are_right(self, spammer, admin, with_films):
        batch = sweep(spammer.pk, by=admin, reason="spam", with_films=with_films)

        for rows in (spammer.ratings, spammer.reviews, spammer.reports):
            assert not rows.exists()
        assert spammer.movies.exists() is not with_films
        assert numbers_are_right()
        assert batch.numbers == (
            {"films": 1, "ratings": 2, "reviews": 3, "reports": 4}
            if with_films
            else {"films": 0, "ratings": 1, "reviews": 2, "reports": 2}
        )

    @pytest.mark.parametrize("with_films", [True, False])
    def test_undoing_brings_everything_back_to_the_letter(self, spammer, admin, with_films):
        before = everything()
        batch = sweep(spammer.pk, by=admin, with_films=with_films)
        assert everything() != before

        undone = undo(batch.pk, by=admin)

        assert everything() == before
        assert (undone.restored, undone.lost) == (sum(batch.numbers.values()), 0)
        assert numbers_are_right()
        assert not SweptRow.objects.exists()

    def test_the_trail_has_both_on_the_member_and_on_the_batch(self, spammer, admin):
        batch = sweep(spammer.pk, by=admin, reason="Casino links")
        undo(batch.pk, by=admin, reason="The wrong one")

        for thing in (spammer, batch):
            acts = Act.objects.on(thing).values_list("verb", "reason")
            assert list(acts)[:2] == [("undo", "The wrong one"), ("sweep", "Casino links")]

    def test_the_poster_of_a_swept_film_waits_with_it(self, spammer, admin):
        sweep(spammer.pk, by=admin, with_films=True)

        assert not Media.objects.all().unused().exists()

    def test_nobody_sweeps_admins_or_themselves(self, admin, spammer):
        for member, by in ((AdminFactory(), admin), (admin, admin)):
            with pytest.raises(Forbidden):
                sweep(member.pk, by=by)
        with pytest.raises(NotFound):
            sweep(0, by=admin)

    def test_too_much_for_one_batch_is_left_as_it_is(self, spammer, admin, monkeypatch):
        monkeypatch.setattr("moderation.sweeping.SWEPT_AT_MOST", 3)
        before = everything()

        with pytest.raises(TooMuch):
            sweep(spammer.pk, by=admin)

        assert everything() == before
        assert not Sweep.objects.exists()


@pytest.mark.django_db
class TestUndoLater:
    def test_a_batch_is_undone_once(self, spammer, admin):
        batch = sweep(spammer.pk, by=admin)
        undo(batch.pk, by=admin)

        with pytest.raises(Conflict, match="undone already"):
            undo(batch.pk, by=admin)

    def test_a_newer_rating_stays(self, spammer, admin):
        movie = Movie.objects.get(title="Popular")
        batch = sweep(spammer.pk, by=admin)
        RatingFactory(movie=movie, user=spammer, value=5)

        undone = undo(batch.pk, by=admin)

        assert Rating.objects.get(movie=movie, user=spammer).value == 5
        assert undone.lost == 1
        assert "1 are not" in str(undone)
        assert numbers_are_right()

    def test_what_was_said_of_a_film_that_is_gone_stays_away(self, spammer, admin):
        batch = sweep(spammer.pk, by=admin)
        Movie.objects.get(title="Popular").delete()

        undone = undo(batch.pk, by=admin)

        assert undone.restored == 0
        assert numbers_are_right()

    def test_what_was_said_of_a_film_that_was_merged_comes_back_there(self, spammer, admin):
        movie, survivor = Movie.objects.get(title="Popular"), MovieFactory()
        batch = sweep(spammer.pk, by=admin)
        merge(movie.pk, into=survivor.pk, by=admin)

        undo(batch.pk, by=admin)

        assert Rating.objects.get(user=spammer).movie == survivor
        assert Review.objects.filter(user=spammer, movie=survivor).count() == 2
        assert numbers_are_right()

    def test_a_title_that_is_taken_since_stops_it_as_a_whole(self, spammer, admin):
        batch = sweep(spammer.pk, by=admin, with_films=True)
        other = MovieFactory(title="OWN")
        before = everything()

        with pytest.raises(TitleTakenSince):
            undo(batch.pk, by=admin)

        assert everything() == before
        other.delete()
        assert undo(batch.pk, by=admin).lost == 0

    def test_the_address_of_a_merged_film_comes_back_with_its_survivor(self, spammer, admin, api):
        old, own = MovieFactory(), Movie.objects.get(title="Own")
        merge(old.pk, into=own.pk, by=admin)
        batch = sweep(spammer.pk, by=admin, with_films=True)
        assert api.get(f"/movies/{old.pk}").status_code == 404

        undo(batch.pk, by=admin)

        assert api.get(f"/movies/{old.pk}")["Location"] == f"/movies/{own.pk}"

    def test_a_batch_goes_with_its_member_and_keeps_nothing_of_others_who_leave(
        self, spammer, admin
    ):
        batch = sweep(spammer.pk, by=admin, with_films=True)
        rater = User.objects.get(
            pk=SweptRow.objects.filter(kind="rating")
            .exclude(user_id=spammer.pk)
            .values_list("user_id", flat=True)
            .first()
        )
        rater.delete()

        undo(batch.pk, by=admin)
        assert not MovieStats.objects.get(movie__title="Own").rating_count
        assert numbers_are_right()

        sweep(spammer.pk, by=admin)
        spammer.delete()
        assert not SweptRow.objects.exists()
        assert not Sweep.objects.exists()


@pytest.mark.django_db
class TestHidingAll:
    def test_suspending_with_what_they_wrote_is_one_batch_that_is_undone_as_one(
        self, spammer, admin, api
    ):
        token, before = api.as_(spammer), everything()

        batch = suspend(spammer.pk, by=admin, reason="spam", and_hide=True)

        assert batch.reviews == 1
        assert not Review.objects.filter(user=spammer, is_hidden=False).exists()
        assert token.get("/users/me").status_code == 401
        assert numbers_are_right()

        undo(batch.pk, by=admin)

        now = everything()
        assert now["reviews_review"] == before["reviews_review"]
        assert now["movies_moviestats"] == before["movies_moviestats"]

    def test_a_review_that_was_hidden_again_since_stays_hidden(self, spammer, admin):
        batch = hide_all(spammer.pk, by=admin)
        review = Review.objects.get(user=spammer, hidden_by=admin)
        review.show(by=admin)
        review.hide(by=admin, reason="abuse")

        undo(batch.pk, by=admin)

        assert Review.objects.get(pk=review.pk).is_hidden

    def test_suspending_alone_hides_nothing(self, spammer, admin):
        assert suspend(spammer.pk, by=admin) is None
        assert Review.objects.filter(user=spammer, is_hidden=False).exists()

    def test_suspending_twice_says_so(self, spammer, admin):
        suspend(spammer.pk, by=admin)

        with pytest.raises(Forbidden):
            suspend(spammer.pk, by=admin)


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_of_two_who_undo_a_batch_one_does(self, spammer):
        one, other = AdminFactory(), AdminFactory()
        before = everything()
        batch = sweep(spammer.pk, by=one, with_films=True)

        outcomes = at_once(lambda: undo(batch.pk, by=one), lambda: undo(batch.pk, by=other))

        assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 1
        assert everything() == before

    def test_who_writes_meanwhile_is_swept_or_stays_but_is_counted(self, spammer, api):
        movies, admin = MovieFactory.create_batch(5), AdminFactory()
        member = api.as_(spammer)

        *answers, _ = at_once(
            *(
                lambda movie=movie: member.put(f"/movies/{movie.pk}/rating", {"value": 2})
                for movie in movies
            ),
            lambda: sweep(spammer.pk, by=admin),
        )

        assert {answer.status_code for answer in answers} == {200}
        assert numbers_are_right()

    def test_a_sweep_beside_raters_deadlocks_with_nobody(self, spammer, api):
        movie, admin = Movie.objects.get(title="Popular"), AdminFactory()
        members = [api.as_(UserFactory()) for _ in range(6)]

        *answers, batch = at_once(
            *(
                lambda member=member: member.put(f"/movies/{movie.pk}/rating", {"value": 3})
                for member in members
            ),
            lambda: sweep(spammer.pk, by=admin),
        )

        assert {answer.status_code for answer in answers} == {200}
        assert undo(batch.pk, by=admin).lost == 0
        assert numbers_are_right()
        assert Report.objects.filter(reporter=spammer).count() == 1

    def test_a_sweep_waits_for_the_films_before_it_holds_the_member(self, spammer, monkeypatch):
        """Who rates has the film and wants the member; the other way round, they deadlock."""
        monkeypatch.setattr(transactions, "MAX_TRIES", 1)
        movie, admin = ReviewFactory(user=spammer).movie, AdminFactory()

        rated, batch = while_held(
            lambda: Movie.objects.lock(movie.pk),
            lambda: sweep(spammer.pk, by=admin),
            then=lambda: Rating.objects.rate(user=spammer, movie_id=movie.pk, value=1),
        )

        assert rated is None
        assert not Rating.objects.filter(user=spammer).exists()
        assert undo(batch.pk, by=admin).lost == 0
        assert Rating.objects.get(user=spammer, movie=movie).value == 1

    def test_what_a_member_writes_during_a_sweep_comes_after_it(self, spammer):
        """Between being written down and being taken away, it would be in no batch and be gone."""
        movie, admin = MovieFactory(), AdminFactory()

        swept, rating = while_held(
            lambda: sweep(spammer.pk, by=admin),
            lambda: Rating.objects.rate(user=spammer, movie_id=movie.pk, value=1),
        )

        assert swept is None
        assert rating.value == 1
        assert Rating.objects.get(user=spammer).movie == movie
        assert not SweptRow.objects.filter(movie_id=movie.pk).exists()
        assert numbers_are_right()

    def test_a_batch_without_films_is_undone_once_too(self):
        report, one, other = ReportFactory(), AdminFactory(), AdminFactory()
        batch = sweep(report.reporter_id, by=one)

        undone, again = while_held(lambda: undo(batch.pk, by=one), lambda: undo(batch.pk, by=other))

        assert undone is None
        assert isinstance(again, Conflict)
        assert Report.objects.count() == 1

    def test_what_a_member_wrote_while_a_sweep_waited_is_kept_as_it_is_when_it_goes(self, spammer):
        """Hidden between being written down and being taken away, it would come back visible."""
        movie, admin = MovieFactory(), AdminFactory()

        def write() -> Review:
            return Review.objects.write(user=spammer, movie_id=movie.pk, content="One more.")

        def hide(review: Review) -> None:
            review.hide(by=admin, reason="spam")

        *others, batch = at_once(*a_sweep_that_waits(spammer, write, hide))

        assert others == [None, None]
        assert not Review.objects.filter(movie=movie).exists()
        undo(batch.pk, by=admin)
        assert Review.objects.get(movie=movie).is_hidden
        assert numbers_are_right()

    def test_what_others_say_of_a_film_that_was_added_while_a_sweep_waited_is_kept(self, spammer):
        rater, admin = UserFactory(), AdminFactory()

        def add() -> Movie:
            return MovieFactory(title="New", created_by=spammer)

        def rate(movie: Movie) -> None:
            Rating.objects.rate(user=rater, movie_id=movie.pk, value=5)

        *others, batch = at_once(*a_sweep_that_waits(spammer, add, rate))

        assert others == [None, None]
        assert not Movie.objects.filter(title="New").exists()
        undo(batch.pk, by=admin)
        assert Rating.objects.get(user=rater).movie.title == "New"
        assert numbers_are_right()

    def test_a_report_that_is_decided_on_meanwhile_comes_back_decided(self):
        """A decision holds the reports, and films that the sweep of a reporter never touches."""
        report, one, other = ReportFactory(), AdminFactory(), AdminFactory()

        decided, batch = while_held(
            lambda: decide(Verdict.DISMISS, by=one, reviews=[report.review_id]),
            lambda: sweep(report.reporter_id, by=other),
        )

        assert decided is None
        assert not Report.objects.exists()
        undo(batch.pk, by=other)
        assert Report.objects.get().outcome == "dismissed"

    def test_what_a_member_said_who_leaves_meanwhile_does_not_come_back(self, spammer):
        """The film they rated is in the batch, so that their leaving does not hold it."""
        rater, admin = User.objects.get(ratings__movie__title="Own"), AdminFactory()
        batch = sweep(spammer.pk, by=admin, with_films=True)

        left, undone = while_held(
            rater.delete, lambda: undo(batch.pk, by=admin), until=until_somebody_waits_for_us
        )

        assert left is None
        assert undone.lost == 1
        assert not Rating.objects.filter(movie__title="Own").exists()
        assert numbers_are_right()


def a_sweep_that_waits(
    member: User, write: Callable[[], Any], change_slowly: Callable[[Any], object]
) -> Sequence[Callable[[], Any]]:
    """Give what to do at once; the last gives the batch.

    A sweep has looked for the member's films and waits for their row; the member writes meanwhile,
    and somebody is changing what they wrote when the sweep goes on.
    """
    admin = AdminFactory()
    is_member_held, sweep_waits, is_changing = (threading.Event() for _ in range(3))

    def edit_profile_slowly() -> None:
        with transaction.atomic():
            member.edit(name="Still here")
            is_member_held.set()
            until_somebody_waits_for_us()
            sweep_waits.set()
            assert is_changing.wait(10)

    def write_and_change() -> None:
        assert sweep_waits.wait(10)
        written = write()
        with transaction.atomic():
            change_slowly(written)
            is_changing.set()
            until_somebody_waits_for_us()

    def sweep_meanwhile() -> Sweep:
        assert is_member_held.wait(10)
        return sweep(member.pk, by=admin, with_films=True)

    return edit_profile_slowly, write_and_change, sweep_meanwhile
