"""Keeping house: removing on purpose, and sweeping what nothing points to (issue 6 point 4)."""

import threading
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import User
from accounts.tests.factories import PASSWORD, UserFactory
from media import models
from media.jobs import sweep
from media.models import Derivative, Media, pointers
from media.signals import images_leaving
from media.tests import pictures
from media.tests.factories import LONG_AGO, an_image
from media.tests.queries import asked, touching_bytes
from movies.models import Movie
from movies.tests.factories import MovieFactory
from movieshelf.api import transactions
from movieshelf.tests.client import ApiClient
from movieshelf.tests.races import at_once
from movieshelf.tests.waiting import until_somebody_waits, until_somebody_waits_for_us


def wear(user: User, media: Media) -> None:
    User.objects.filter(pk=user.pk).update(avatar=media)


def sweep_a_day_later() -> int:
    with time_machine.travel(timezone.now() + timedelta(days=1, minutes=1)):
        return Media.objects.sweep()


# --- What is swept -----------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_old_image_that_nothing_points_to_is_swept() -> None:
    media = an_image(unused_for=LONG_AGO)
    Derivative.objects.made(media.pk, 160)

    assert Media.objects.sweep() == 1

    assert not Media.objects.exists()
    assert not Derivative.objects.exists()


@pytest.mark.django_db
def test_an_image_unused_for_less_than_a_day_is_left_alone() -> None:
    an_image(age=timedelta(days=365), unused_for=timedelta(hours=23, minutes=59))

    assert Media.objects.sweep() == 0


@pytest.mark.django_db
def test_a_replaced_avatar_stays_a_day_however_old_it_is(member: ApiClient, user: User) -> None:
    """Contract section 7: a day after nothing points to it any more, not after its upload."""
    worn_for_a_year = an_image(uploader=user, age=timedelta(days=365))
    wear(user, worn_for_a_year)
    member.upload("/users/me/avatar", pictures.jpeg((8, 8)))

    swept_at_once = Media.objects.sweep()
    swept_a_day_later = sweep_a_day_later()

    assert (swept_at_once, swept_a_day_later) == (0, 1)
    assert not Media.objects.filter(pk=worn_for_a_year.pk).exists()


@pytest.mark.django_db
def test_another_sweep_does_not_begin_the_day_anew() -> None:
    media = an_image(unused_for=timedelta(hours=23))

    Media.objects.sweep()

    assert Media.objects.get().unused_since == media.unused_since


@pytest.mark.django_db
def test_an_image_shown_again_has_another_day(member: ApiClient, user: User) -> None:
    """Even where no sweep came by while it was shown."""
    media = an_image(uploader=user, unused_for=timedelta(hours=23))
    avatar = {"avatarMediaId": str(media.pk)}
    assert member.patch("/users/me", avatar).status_code == 200
    assert member.patch("/users/me", {"avatarMediaId": None}).status_code == 200
    Media.objects.sweep()

    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        swept_two_hours_later = Media.objects.sweep()

    assert swept_two_hours_later == 0
    assert sweep_a_day_later() == 1


@pytest.mark.django_db
def test_whatever_shows_an_image_again_takes_the_mark_away() -> None:
    worn, replaced, on_a_new_film, on_a_film = (an_image(unused_for=LONG_AGO) for _ in range(4))
    member, film = UserFactory(avatar=replaced), MovieFactory()

    wear(member, worn)
    MovieFactory(poster=on_a_new_film)
    film.edit(poster=on_a_film)

    assert set(Media.objects.values_list("unused_since", flat=True)) == {None}


@pytest.mark.django_db
def test_every_link_to_an_image_takes_its_mark_away() -> None:
    """A new foreign key to Media needs the trigger that media.0004 has for the first two."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text, attname FROM pg_trigger"
            " JOIN pg_attribute ON attrelid = tgrelid AND attnum = ANY (tgattr)"
            " WHERE tgname = 'shown_again'"
        )
        listened_to = set(cursor.fetchall())

    assert listened_to == {(field.model._meta.db_table, field.column) for field in pointers()}


@pytest.mark.django_db
def test_an_image_that_is_shown_is_left_alone() -> None:
    wear(UserFactory(), an_image())
    MovieFactory(poster=an_image())

    assert Media.objects.sweep() == 0
    assert sweep_a_day_later() == 0
    assert Media.objects.count() == 2


@pytest.mark.django_db
def test_an_image_that_is_shown_is_left_alone_even_where_it_is_marked() -> None:
    wear(UserFactory(), an_image())
    Media.objects.update(unused_since=timezone.now() - LONG_AGO)

    assert Media.objects.sweep() == 0


@pytest.mark.django_db
def test_what_points_to_an_image_is_found_in_every_app() -> None:
    assert {field.model._meta.label + "." + field.name for field in pointers()} == {
        "accounts.User.avatar",
        "movies.Movie.poster",
        # A film that was swept may come back.
        "moderation.SweptRow.poster",
    }


@pytest.mark.django_db
@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_a_sweep_goes_on_until_nothing_is_left(batch: int) -> None:
    images = [an_image(unused_for=LONG_AGO) for _ in range(6)]
    shown = images[2]
    MovieFactory(poster=shown)

    assert Media.objects.sweep(batch=batch) == 5

    assert list(Media.objects.all()) == [shown]


@pytest.mark.django_db
def test_replaced_avatars_are_swept(member: ApiClient, user: User) -> None:
    """Row 126: a hundred replaced, ninety-nine swept, and the answer points to what is there."""
    for _ in range(100):
        response = member.upload("/users/me/avatar", pictures.jpeg((8, 8)))
        assert response.status_code == 201
    assert Media.objects.sweep() == 0

    assert sweep_a_day_later() == 99

    shown = member.get("/users/me").json()["avatarUrl"]
    assert shown == response.json()["url"]
    assert member.get(shown).status_code == 200


@pytest.mark.django_db
def test_the_poster_of_a_deleted_film_is_swept(member: ApiClient, user: User) -> None:
    """Row 126."""
    movie = MovieFactory(created_by=user, poster=an_image(uploader=user))
    member.delete(f"/movies/{movie.pk}")

    sweep(timestamp=0)
    with time_machine.travel(timezone.now() + timedelta(days=1, minutes=1)):
        sweep(timestamp=0)

    assert not Media.objects.exists()


@pytest.mark.django_db
def test_what_a_deleted_member_uploaded_is_swept_unless_it_is_shown(
    member: ApiClient, user: User
) -> None:
    """Row 126: the film stays, and so does its poster."""
    an_image(uploader=user)
    poster = an_image(uploader=user)
    MovieFactory(created_by=user, poster=poster)
    member.delete("/users/me", {"password": PASSWORD}, content_type="application/json")

    Media.objects.sweep()
    sweep_a_day_later()

    assert list(Media.objects.all()) == [poster]
    assert Media.objects.get().uploader is None


@pytest.mark.django_db
def test_a_sweep_loads_no_bytes() -> None:
    an_image(unused_for=LONG_AGO)

    with asked() as statements:
        Media.objects.sweep()

    assert not touching_bytes(statements)


# --- The command -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_command_sweeps_and_says_how_many() -> None:
    an_image(unused_for=LONG_AGO)
    an_image()
    out = StringIO()

    call_command("sweep_media", stdout=out)
    call_command("sweep_media", stdout=out)

    assert out.getvalue() == "1 images were removed.\n0 images were removed.\n"
    assert Media.objects.count() == 1


@pytest.mark.django_db
def test_the_command_only_counts_in_a_dry_run() -> None:
    an_image(unused_for=LONG_AGO)
    out = StringIO()

    call_command("sweep_media", dry_run=True, stdout=out)

    assert out.getvalue() == "1 images would be removed.\n"
    assert Media.objects.count() == 1


# --- Beside links and other sweeps -------------------------------------------------------------


@pytest.mark.django_db
def test_a_link_to_an_image_holds_from_its_statement_on() -> None:
    """Not only from the commit, which is Django's default: a sweep in between would win.

    A new foreign key to Media needs the migration that media.0002 has for the first two.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname FROM pg_constraint"
            " WHERE contype = 'f' AND confrelid = 'media_media'::regclass AND condeferred"
        )
        deferred = cursor.fetchall()

    assert deferred == []


@pytest.mark.django_db(transaction=True)
def test_a_link_that_is_not_committed_yet_wins_against_a_sweep() -> None:
    user = UserFactory()
    media = an_image(unused_for=LONG_AGO)

    with transaction.atomic():
        wear(user, media)
        swept = at_once(Media.objects.sweep)

    assert swept == [0]
    user.refresh_from_db()
    assert user.avatar == media


@pytest.mark.django_db(transaction=True)
def test_links_made_while_sweeps_run_are_all_kept() -> None:
    """Whoever was told that his link stands finds it standing."""
    tiny = pictures.png((1, 1))
    pairs = [(UserFactory(), an_image(unused_for=LONG_AGO, data=tiny)) for _ in range(60)]
    linked: list[tuple[User, Media]] = []
    done = threading.Event()

    def link() -> None:
        try:
            for user, media in pairs:
                with suppress(IntegrityError):  # swept before we came to it
                    wear(user, media)
                    linked.append((user, media))
        finally:
            done.set()

    def sweep_on() -> None:
        while not done.is_set():
            Media.objects.sweep(batch=1)

    at_once(link, sweep_on, sweep_on)

    assert {(user.pk, media.pk) for user, media in linked} == set(
        User.objects.exclude(avatar=None).values_list("pk", "avatar")
    )
    assert Media.objects.count() == len(linked)


@pytest.mark.django_db(transaction=True)
def test_a_link_made_between_the_choice_and_the_lock_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The image was chosen as unused; by the time it is deleted somebody shows it."""
    user = UserFactory()
    media = an_image(unused_for=LONG_AGO)
    delete = models._delete

    def overtaken(images: Any) -> int:
        # As if the link had been committed just before the lock was taken.
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE accounts_user SET avatar_id = %s WHERE id = %s", [media.pk, user.pk]
            )
        return delete(images)

    monkeypatch.setattr(models, "_delete", overtaken)

    assert Media.objects.sweep() == 0
    user.refresh_from_db()
    assert user.avatar == media


@pytest.mark.django_db(transaction=True)
def test_a_link_made_while_a_sweep_marks_its_image_takes_the_mark_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user, media = UserFactory(), an_image()
    mark = models._mark_unused
    is_marked = threading.Event()

    def mark_until_the_link_waits(images: Any) -> int:
        marked = mark(images)
        is_marked.set()
        until_somebody_waits()
        return marked

    def link() -> None:
        is_marked.wait(timeout=10)
        wear(user, media)

    monkeypatch.setattr(models, "_mark_unused", mark_until_the_link_waits)

    assert at_once(Media.objects.sweep, link) == [0, None]

    media.refresh_from_db()
    assert media.unused_since is None


@pytest.mark.django_db(transaction=True)
def test_an_image_linked_between_the_choice_and_the_lock_is_not_marked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user, media = UserFactory(), an_image()
    mark = models._mark_unused

    def overtaken(images: Any) -> int:
        wear(user, media)
        return mark(images)

    monkeypatch.setattr(models, "_mark_unused", overtaken)

    Media.objects.sweep()

    media.refresh_from_db()
    assert media.unused_since is None


@pytest.mark.django_db(transaction=True)
def test_sweeps_at_once_share_the_work() -> None:
    for _ in range(12):
        an_image(unused_for=LONG_AGO, data=pictures.png((1, 1)))

    counts = at_once(*[lambda: Media.objects.sweep(batch=2)] * 4)

    assert sum(counts) == 12
    assert not Media.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_sweeps_that_mark_at_once_do_not_wait_for_each_other() -> None:
    for _ in range(12):
        an_image(data=pictures.png((1, 1)))

    counts = at_once(*[lambda: Media.objects.sweep(batch=2)] * 4)

    assert counts == [0] * 4
    assert not Media.objects.filter(unused_since=None).exists()


# --- On purpose --------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_image_removed_on_purpose_is_shown_nowhere(api: ApiClient, user: User) -> None:
    media = an_image()
    wear(user, media)
    movie = MovieFactory(poster=media)

    assert Media.objects.filter(pk=media.pk).remove() == 1

    assert api.get(media.url).status_code == 404
    assert api.get(f"/movies/{movie.pk}").json()["posterUrl"] is None
    assert api.as_(user).get("/users/me").json()["avatarUrl"] is None


@pytest.mark.django_db
def test_a_film_that_loses_its_poster_has_another_etag(api: ApiClient) -> None:
    media = an_image()
    movie = MovieFactory(poster=media)
    etag = api.get(f"/movies/{movie.pk}")["ETag"]

    media.remove()

    response = api.get(f"/movies/{movie.pk}", headers={"if-none-match": etag})
    assert response.status_code == 200
    assert response.json()["posterMediaId"] is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    "remove",
    [
        pytest.param(lambda media: media.remove(), id="remove"),
        pytest.param(lambda media: media.delete(), id="delete"),
        pytest.param(lambda media: Media.objects.filter(pk=media.pk).delete(), id="queryset"),
    ],
)
def test_however_it_is_removed_the_apps_above_are_told(remove: Any) -> None:
    media = an_image()
    told: list[Any] = []

    def listen(sender: type[Media], media_ids: list[Any], **kwargs: object) -> None:
        told.extend(media_ids)

    images_leaving.connect(listen)
    try:
        remove(media)
    finally:
        images_leaving.disconnect(listen)

    assert told == [media.pk]
    assert not Media.objects.exists()


@pytest.mark.django_db
def test_removing_loads_no_bytes() -> None:
    MovieFactory(poster=an_image())

    with asked() as statements:
        Media.objects.all().remove()

    assert not touching_bytes(statements)


@pytest.mark.django_db(transaction=True)
def test_images_removed_and_linked_crosswise_deadlock_nobody() -> None:
    """Removers and editors meet at the same films in every order; nobody gets an error."""
    movies = [MovieFactory(poster=an_image(data=pictures.png((1, 1)))) for _ in range(8)]
    images = [movie.poster for movie in movies]

    def remove() -> None:
        for media in images:
            media.remove()

    def edit() -> None:
        for movie, media in zip(reversed(movies), images, strict=True):
            with suppress(IntegrityError):  # the image went first
                movie.edit(poster=media)

    assert at_once(remove, edit, edit) == [None, None, None]
    assert not Media.objects.exists()
    assert set(Movie.objects.values_list("poster", flat=True)) == {None}


def lock_film(movie: Movie) -> None:
    Movie.objects.lock_row(movie.pk)


def lock_member(user: User) -> None:
    User.objects.select_for_update(no_key=True).get(pk=user.pk)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("owner", "column", "lock"),
    [(MovieFactory, "poster", lock_film), (UserFactory, "avatar", lock_member)],
)
def test_images_that_leave_wait_for_who_shows_them_before_they_are_held(
    owner: Any, column: str, lock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who shows another image has the row and wants the image; the other way round, they deadlock.

    Both images leave: the one that was shown, and the one that is shown instead.
    """
    monkeypatch.setattr(transactions, "MAX_TRIES", 1)
    old, new = an_image(), an_image()
    shower = owner(**{column: old})
    is_held = threading.Event()

    def show_slowly() -> None:
        with transaction.atomic():
            lock(shower)
            is_held.set()
            until_somebody_waits_for_us()
            shower.edit(**{column: new})

    def remove_meanwhile() -> int:
        assert is_held.wait(10)
        return Media.objects.filter(pk__in=[old.pk, new.pk]).remove()

    assert at_once(show_slowly, remove_meanwhile) == [None, 2]
    shower.refresh_from_db()
    assert getattr(shower, column) is None
