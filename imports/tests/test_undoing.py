"""DELETE /imports/:id: what an import did is taken back, and what was done since then stays."""

from datetime import timedelta

import pytest
from django.db import models
from django.utils import timezone
from procrastinate import JobContext
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.jobs import Job

from accounts.tests.factories import AdminFactory, UserFactory
from imports import jobs
from imports.matching import Found
from imports.models import Import, Row
from imports.running import BATCH_ROWS, carry_on, do_batch
from imports.tests.steps import REVIEWS, bring, counted, letterboxd, send, work
from movies.models import Movie
from movies.tests.factories import MovieFactory
from movieshelf.recomputing import drifted_films, drifted_totals
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.models import Review

pytestmark = pytest.mark.django_db


@pytest.fixture
def member(api, user):
    return api.as_(user)


def undo(member, source) -> dict:
    response = member.delete(f"/imports/{source['id']}")
    assert (response.status_code, response.json()["status"]) == (202, "undoing")
    work()
    return member.get(f"/imports/{source['id']}").json()


def run_context(attempts: int = 0) -> JobContext:
    """What a worker tells a job about itself."""
    job = Job(
        **{"id": 1, "queue": "default", "lock": None, "queueing_lock": None},
        **{"task_name": "imports.run", "attempts": attempts},
    )
    return JobContext(app=app, job=job, start_timestamp=0, abort_reason=lambda: None)


def shelf() -> list:
    """All that an import touches."""
    return [
        list(Movie.objects.order_by("pk").values()),
        list(Rating.objects.order_by("pk").values()),
        list(Review.objects.order_by("pk").values()),
    ]


def test_undoing_leaves_the_shelf_as_it_was(member, user):
    seen = MovieFactory(title="Seen")
    MovieFactory(title="Ikiru")
    bring(member, letterboxd(("Seen", "", 2, "2020-01-01")))
    RatingFactory(movie=seen, value=5)
    before = shelf()
    text = "2024-05-01,{},,x,{},,{},,"
    source = bring(
        member,
        "\n".join(
            [
                REVIEWS,
                text.format("Seen", 4, "Better than I thought."),
                text.format("Seen", 3, "Said twice on one day: kept."),
                text.format("Ikiru", 5, "Right."),
                text.format("New Film", 3, "So-so."),
                text.format("New Film", 3, "Twice."),
            ]
        ),
        createMissing="true",
    )
    assert shelf() != before

    undone = undo(member, source)

    assert shelf() == before
    assert undone["status"] == "undone"
    assert counted(undone["undoneCounts"]) == {
        **{"ratingsRestored": 1, "ratingsRemoved": 2, "reviewsRemoved": 5, "moviesRemoved": 1},
    }
    assert undone["counts"] == source["counts"]
    assert list(drifted_films()) == drifted_totals() == []


def test_two_changes_of_one_rating_are_undone_in_turn(member):
    movie = MovieFactory(title="Ikiru")
    bring(member, letterboxd(("Ikiru", "", 1, "2020-01-01")))
    before = shelf()
    source = bring(
        member, letterboxd(("Ikiru", "", 2, "2021-01-01"), ("Ikiru", "", 3, "2022-01-01"))
    )

    undo(member, source)

    assert shelf() == before
    assert member.get(f"/movies/{movie.pk}").json()["ratingDistribution"]["1"] == 1


def test_what_was_changed_by_hand_since_then_stays(api, member, user):
    for title in ("Rated again", "Unrated", "Edited"):
        MovieFactory(title=title)
    text = "2024-05-01,{},1999,x,4,,{},,"
    titles = ["Rated again", "Unrated", "Edited", "Loved by another", "Described"]
    source = bring(
        member,
        "\n".join([REVIEWS, *[text.format(title, f"About {title}.") for title in titles]]),
        createMissing="true",
    )
    ids = dict(Movie.objects.values_list("title", "pk"))
    member.put(f"/movies/{ids['Rated again']}/rating", {"value": 4})
    member.delete(f"/movies/{ids['Unrated']}/rating")
    edited = Review.objects.get(movie=ids["Edited"])
    member.patch(f"/reviews/{edited.pk}", {"content": "On second thought."})
    another = api.as_(UserFactory())
    another.put(f"/movies/{ids['Loved by another']}/rating", {"value": 5})
    member.patch(f"/movies/{ids['Described']}", {"synopsis": "A film."})

    undone = undo(member, source)

    assert counted(undone["undoneCounts"]) == {
        **{"ratingsKept": 1, "ratingsRemoved": 3, "reviewsRemoved": 4, "reviewsKept": 1},
        "moviesKept": 2,
    }
    assert set(Movie.objects.values_list("title", flat=True)) == set(titles)
    assert Rating.objects.of(user).get().movie.title == "Rated again"
    assert Review.objects.get() == edited
    assert list(drifted_films()) == []


def test_a_review_that_was_hidden_goes_and_is_not_counted_down_twice(member):
    movie = MovieFactory(title="Ikiru")
    source = bring(member, f"{REVIEWS}\n2024-05-01,Ikiru,,x,4,,Right.,,\n")
    Review.objects.get().hide(by=AdminFactory())

    undo(member, source)

    assert not Review.objects.exists()
    assert member.get(f"/movies/{movie.pk}").json()["reviewCount"] == 0


def test_undoing_twice_is_undoing_once(member, user):
    MovieFactory(title="Ikiru")
    source = bring(member, letterboxd(("Ikiru", "", 4)))
    undo(member, source)
    again = bring(member, letterboxd(("Ikiru", "", 4)))

    response = member.delete(f"/imports/{source['id']}")

    assert (response.status_code, response.json()["status"]) == (202, "undone")
    work()
    assert Rating.objects.of(user).count() == 1
    assert again["counts"]["ratingsAdded"] == 1


def test_a_dry_run_is_undone_without_touching_anything(member, user):
    MovieFactory(title="Ikiru")
    source = bring(member, letterboxd(("Ikiru", "", 4)), dryRun="true")
    RatingFactory(user=user, movie=Movie.objects.get(), value=4)

    undone = undo(member, source)

    assert counted(undone["undoneCounts"]) == {}
    assert Rating.objects.count() == 1


def test_an_import_that_waits_or_runs_is_stopped_and_undone(member, user):
    titles = [f"Film {n}" for n in range(BATCH_ROWS + 5)]
    location = send(
        member, letterboxd(*[(title, 1999, 3) for title in titles]), createMissing="true"
    ).headers["Location"]
    source = Import.objects.get()
    do_batch(source, Found.all_of(source.sheet())[:BATCH_ROWS])
    assert Rating.objects.count() == BATCH_ROWS

    assert member.delete(location).json()["status"] == "undoing"
    work()

    undone = member.get(location).json()
    assert (undone["status"], undone["rowsDone"]) == ("undone", BATCH_ROWS)
    assert counted(undone["undoneCounts"]) == {
        "ratingsRemoved": BATCH_ROWS,
        "moviesRemoved": BATCH_ROWS,
    }
    assert not Movie.objects.exists()


def test_a_member_undoes_nothing_while_another_import_runs(member):
    MovieFactory(title="Ikiru")
    source = bring(member, letterboxd(("Ikiru", "", 4)))
    send(member, letterboxd(("Ikiru", "", 4)))

    response = member.delete(f"/imports/{source['id']}")

    assert (response.status_code, response.json()["error"]["code"]) == (409, "conflict")
    assert Import.objects.get(pk=source["id"]).status == "done"


def test_a_worker_that_stops_between_batches_is_taken_over_from(member):
    """Each call of carry_on is a job of its own; none does a row twice."""
    titles = [f"Film {n}" for n in range(2 * BATCH_ROWS + 7)]
    data = letterboxd(*[(title, 1999, 3) for title in titles])
    location = send(member, data, createMissing="true").headers["Location"]
    pk = Import.objects.get().pk

    jobs = 0
    while carry_on(pk, seconds=0.0):
        jobs += 1
        assert jobs < 10

    done = member.get(location).json()
    assert counted(done["counts"]) == {"created": len(titles), "ratingsAdded": len(titles)}
    assert Row.objects.count() == Rating.objects.count() == len(titles)


def test_what_a_killed_worker_left_is_taken_over(member):
    """Its job stays `doing` for ever; the import has not moved for half a minute."""
    MovieFactory(title="Ikiru")
    location = send(member, letterboxd(("Ikiru", "", 4))).headers["Location"]
    ProcrastinateJob.objects.filter(status="todo").update(status="doing")

    app.tasks["imports.take_over"](timestamp=0)
    work()
    assert member.get(location).json()["status"] == "waiting"

    models.QuerySet.update(Import.objects.all(), updated_at=timezone.now() - timedelta(seconds=31))
    app.tasks["imports.take_over"](timestamp=0)
    work()
    assert member.get(location).json()["status"] == "done"


def test_old_imports_are_swept_with_their_reports_and_those_under_way_are_not(member):
    bring(member, letterboxd(("A film", 1999, 3)))
    send(member, letterboxd(("A film", 1999, 3)))
    Import.objects.update(created_at=timezone.now() - timedelta(days=91))

    app.tasks["imports.sweep"](timestamp=0)

    assert [source.status for source in Import.objects.all()] == ["waiting"]
    assert not Row.objects.exists()


def test_an_import_that_fails_for_good_says_so_and_can_be_undone(member, monkeypatch):
    MovieFactory(title="Ikiru")
    location = send(member, letterboxd(("Ikiru", "", 4))).headers["Location"]
    pk = Import.objects.get().pk
    monkeypatch.setattr(jobs, "carry_on", lambda import_id: 1 / 0)

    for attempts in range(jobs.MAX_ATTEMPTS + 1):
        with pytest.raises(ZeroDivisionError):
            jobs.run(run_context(attempts), import_id=pk)

    failed = member.get(location).json()
    assert (failed["status"], failed["error"]) == ("failed", jobs.GAVE_UP)
    assert failed["finishedAt"]
    monkeypatch.undo()
    assert member.delete(location).status_code == 202
    work()
    assert member.get(location).json()["status"] == "undone"
