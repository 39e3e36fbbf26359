"""Who sends a POST again with the same key gets the first answer (contract section 8)."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection, transaction
from django.http import HttpResponse
from django.utils import timezone

from accounts.tests.factories import UserFactory
from media.models import Media
from media.tests.pictures import jpeg, png
from movies.models import Movie
from movies.tests.factories import MovieFactory
from movieshelf import models as kept
from movieshelf.api import sweeping
from movieshelf.models import IdempotencyKey
from movieshelf.tests.races import at_once
from reviews.models import Review

pytestmark = pytest.mark.django_db

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
DUNE = {"title": "Dune (2021)", "synopsis": "Sand."}


def keyed(key: str = KEY) -> dict[str, dict[str, str]]:
    return {"headers": {"Idempotency-Key": key}}


def code_of(response: HttpResponse) -> str:
    return response.json()["error"]["code"]


# --- The first answer again -----------------------------------------------------------------------


def test_a_film_added_again_with_the_same_key_is_the_first_answer_to_the_byte(api, user):
    member = api.as_(user)

    first = member.post("/movies", DUNE, **keyed())
    again = member.post("/movies", DUNE, **keyed())

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again["Location"] == first["Location"] == f"/movies/{first.json()['id']}"
    assert again["ETag"] == first["ETag"]
    assert Movie.objects.count() == 1


def test_only_the_repeated_answer_is_marked(api, user):
    member = api.as_(user)

    first = member.post("/movies", DUNE, **keyed())
    again = member.post("/movies", DUNE, **keyed())

    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"


def test_the_answer_is_the_first_one_whatever_became_of_the_film(api, user):
    member = api.as_(user)
    first = member.post("/movies", DUNE, **keyed())
    member.patch(first["Location"], {"synopsis": "Sand and worms."})

    again = member.post("/movies", DUNE, **keyed())

    assert again.content == first.content


def test_without_a_key_nothing_is_kept(api, user):
    api.as_(user).post("/movies", DUNE)

    assert not IdempotencyKey.objects.exists()


def test_a_review_written_again_with_the_same_key_counts_once(api, user):
    movie, member = MovieFactory(), api.as_(user)

    first = member.post(f"/movies/{movie.pk}/reviews", {"content": "Sandy."}, **keyed())
    again = member.post(f"/movies/{movie.pk}/reviews", {"content": "Sandy."}, **keyed())

    assert (again.status_code, again.content) == (201, first.content)
    assert again["Location"] == first["Location"]
    assert Review.objects.count() == 1
    assert api.get(f"/movies/{movie.pk}").json()["reviewCount"] == 1


def test_the_same_body_in_another_spelling_is_the_same_body(api, user):
    member = api.as_(user)
    spelt_otherwise = json.dumps(dict(reversed(DUNE.items())), indent=2)

    first = member.post("/movies", DUNE, **keyed())
    again = member.post("/movies", spelt_otherwise, **keyed())

    assert again.content == first.content
    assert again["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("length", [1, 255])
def test_a_key_may_be_any_visible_ascii(api, user, length):
    member, key = api.as_(user), '~"!/'.ljust(length, "x")[:length]

    member.post("/movies", DUNE, **keyed(key))

    assert member.post("/movies", DUNE, **keyed(key))["Idempotent-Replayed"] == "true"


# --- Uploads --------------------------------------------------------------------------------------


def multipart(image: bytes, *, name: str, boundary: str) -> dict[str, object]:
    """A form as another client would write it."""
    disposition = f'Content-Disposition: form-data; name="image"; filename="{name}"'
    head, tail = f"--{boundary}\r\n{disposition}\r\n\r\n", f"\r\n--{boundary}--\r\n"
    return {
        "data": head.encode() + image + tail.encode(),
        "content_type": f"multipart/form-data; boundary={boundary}",
    }


@pytest.fixture(params=["avatar", "poster"])
def door(request, user) -> str:
    """Where the member may upload an image."""
    if request.param == "avatar":
        return "/users/me/avatar"
    return f"/movies/{MovieFactory(created_by=user).pk}/poster"


def test_an_upload_sent_again_is_kept_once_whatever_its_boundary_and_name(api, user, door):
    member, image = api.as_(user), jpeg()

    first = member.post(door, **multipart(image, name="me.jpg", boundary="one"), **keyed())
    again = member.post(door, **multipart(image, name="copy.png", boundary="two"), **keyed())

    assert first.status_code == 201
    assert (again.status_code, again.content) == (201, first.content)
    assert again["Idempotent-Replayed"] == "true"
    assert Media.objects.count() == 1


def test_another_image_under_the_same_key_is_refused(api, user, door):
    member = api.as_(user)
    member.upload(door, jpeg(), **keyed())

    refused = member.upload(door, png(), **keyed())

    assert (refused.status_code, code_of(refused)) == (422, "idempotency_mismatch")
    assert Media.objects.count() == 1


def test_a_broken_image_is_told_before_the_key_that_was_used(api, user, door):
    member = api.as_(user)
    member.upload(door, jpeg(), **keyed())

    assert member.upload(door, jpeg()[:200], **keyed()).status_code == 400
    assert member.upload(door, b"no image at all", **keyed()).status_code == 415


# --- Another request ------------------------------------------------------------------------------


def test_another_body_under_the_same_key_is_refused(api, user):
    member = api.as_(user)
    first = member.post("/movies", DUNE, **keyed())

    refused = member.post("/movies", {**DUNE, "title": "Dune (1984)"}, **keyed())

    assert (refused.status_code, code_of(refused)) == (422, "idempotency_mismatch")
    assert Movie.objects.count() == 1
    assert member.post("/movies", DUNE, **keyed()).content == first.content


def test_the_same_key_on_another_path_is_refused(api, user):
    member, one, other = api.as_(user), MovieFactory(), MovieFactory()
    member.post(f"/movies/{one.pk}/reviews", {"content": "Sandy."}, **keyed())

    refused = member.post(f"/movies/{other.pk}/reviews", {"content": "Sandy."}, **keyed())

    assert (refused.status_code, code_of(refused)) == (422, "idempotency_mismatch")
    assert Review.objects.count() == 1


def test_a_key_belongs_to_one_member(api, user):
    movie, other = MovieFactory(), UserFactory()
    path, body = f"/movies/{movie.pk}/reviews", {"content": "Sandy."}

    first = api.as_(user).post(path, body, **keyed())
    theirs = api.as_(other).post(path, body, **keyed())

    assert (theirs.status_code, theirs.json()["userId"]) == (201, other.pk)
    assert theirs.json()["id"] != first.json()["id"]
    assert "Idempotent-Replayed" not in theirs


# --- What comes first -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    ["", " ", "x" * 256, "two words", "tab\there", "clé", "ключ", "\x7f"],
    ids=["empty", "blank", "long", "space", "tab", "latin", "cyrillic", "delete"],
)
def test_a_malformed_key_is_refused(api, user, key):
    refused = api.as_(user).post("/movies", DUNE, **keyed(key))

    assert (refused.status_code, code_of(refused)) == (400, "validation_error")
    assert list(refused.json()["error"]["details"]) == ["Idempotency-Key"]
    assert not Movie.objects.exists()


def test_who_is_not_logged_in_is_told_so_first(api):
    for key in (KEY, "two words"):
        assert api.post("/movies", DUNE, **keyed(key)).status_code == 401


def test_a_bad_body_is_told_before_a_malformed_or_used_key(api, user):
    member = api.as_(user)
    member.post("/movies", DUNE, **keyed())

    for key in (KEY, "two words"):
        refused = member.post("/movies", {"title": ""}, **keyed(key))
        assert (refused.status_code, list(refused.json()["error"]["details"])) == (400, ["title"])
        form = member.post("/movies", "title=Dune", content_type="text/plain", **keyed(key))
        assert form.status_code == 415


def test_a_film_that_is_not_there_is_told_before_the_key(api, user):
    member = api.as_(user)

    assert member.post("/movies/4711/reviews", {}, **keyed("two words")).status_code == 404


def test_a_malformed_or_used_key_is_told_before_a_taken_title(api, user):
    member = api.as_(user)
    MovieFactory(title="Solaris")
    member.post("/movies", DUNE, **keyed())

    assert member.post("/movies", {"title": "Solaris"}, **keyed()).status_code == 422
    assert member.post("/movies", {"title": "Solaris"}, **keyed("two words")).status_code == 400


# --- What leaves a key free -----------------------------------------------------------------------


def test_a_conflict_leaves_the_key_free(api, user):
    member, taken = api.as_(user), MovieFactory(title=DUNE["title"])

    assert member.post("/movies", DUNE, **keyed()).status_code == 409
    taken.delete()

    repeated = member.post("/movies", DUNE, **keyed())
    assert repeated.status_code == 201
    assert "Idempotent-Replayed" not in repeated


def test_a_refused_body_leaves_the_key_free_for_a_better_one(api, user):
    member = api.as_(user)

    assert member.post("/movies", {"title": ""}, **keyed()).status_code == 400
    assert member.post("/movies", DUNE, **keyed()).status_code == 201


def test_after_24_hours_a_key_begins_anew(api, user):
    movie = MovieFactory()
    path, body = f"/movies/{movie.pk}/reviews", {"content": "Sandy."}
    first = api.as_(user).post(path, body, **keyed())

    with time_machine.travel(timezone.now() + timedelta(hours=23, minutes=59)):
        still = api.as_(user).post(path, body, **keyed())
    with time_machine.travel(timezone.now() + timedelta(hours=24, seconds=1)):
        anew = api.as_(user).post(path, body, **keyed())
        again = api.as_(user).post(path, body, **keyed())

    assert still.content == first.content
    assert anew.status_code == 201
    assert anew.json()["id"] != first.json()["id"]
    assert again.content == anew.content
    assert Review.objects.count() == 2


def test_after_24_hours_a_key_may_come_with_something_else(api, user):
    api.as_(user).post("/movies", DUNE, **keyed())

    with time_machine.travel(timezone.now() + timedelta(hours=24, seconds=1)):
        other = api.as_(user).post("/movies", {"title": "Solaris"}, **keyed())

    assert other.status_code == 201


# --- Sweeping -------------------------------------------------------------------------------------


def test_sweeping_deletes_what_expired_and_nothing_else(api, user, monkeypatch):
    monkeypatch.setattr(sweeping, "SWEEP_BATCH", 2)
    member = api.as_(user)
    for number in range(6):
        member.post("/movies", {"title": f"Film {number}"}, **keyed(f"key-{number}"))
    old = IdempotencyKey.objects.exclude(key="key-5")
    old.update(created_at=timezone.now() - timedelta(hours=24))

    assert IdempotencyKey.objects.sweep() == 5
    assert IdempotencyKey.objects.get().key == "key-5"


def test_the_sweep_command_says_what_it_would_do_and_what_it_did(api, user):
    api.as_(user).post("/movies", DUNE, **keyed())
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24))

    assert swept("--dry-run") == "1 keys have expired."
    assert swept() == "Deleted 1 keys that had expired."
    assert swept() == "Deleted 0 keys that had expired."


def swept(*options: str) -> str:
    out = StringIO()
    call_command("sweep_idempotency_keys", *options, stdout=out)
    return out.getvalue().strip()


def test_kept_answers_go_with_their_member(api, user):
    api.as_(user).post("/movies", DUNE, **keyed())

    user.delete()

    assert not IdempotencyKey.objects.exists()


# --- Two at once ----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_times_twenty_at_once_make_one_film_and_forty_equal_answers(api, user):
    clients = [api.as_(user), api.as_(user)]

    answers = at_once(
        *(lambda client=client: client.post("/movies", DUNE, **keyed()) for client in clients * 20)
    )

    assert {answer.status_code for answer in answers} == {201}
    assert len({(a.content, a["Location"], a["ETag"]) for a in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer for answer in answers) == 1
    assert Movie.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_twenty_reviews_at_once_count_once(api, user):
    movie, member = MovieFactory(), api.as_(user)
    path, body = f"/movies/{movie.pk}/reviews", {"content": "Sandy."}

    answers = at_once(*[lambda: member.post(path, body, **keyed())] * 20)

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert api.get(f"/movies/{movie.pk}").json()["reviewCount"] == 1


@pytest.mark.django_db(transaction=True)
def test_eight_uploads_at_once_keep_one_image(api, user):
    member, image = api.as_(user), jpeg()

    answers = at_once(*[lambda: member.upload("/users/me/avatar", image, **keyed())] * 8)

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert Media.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_bodies_at_once_under_one_key_one_is_refused(api, user):
    member = api.as_(user)

    answers = at_once(
        lambda: member.post("/movies", {"title": "Solaris"}, **keyed()),
        lambda: member.post("/movies", {"title": "Stalker"}, **keyed()),
    )

    assert sorted(answer.status_code for answer in answers) == [201, 422]
    assert Movie.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_many_who_find_an_expired_key_begin_anew_together(api, user):
    movie, member = MovieFactory(), api.as_(user)
    path, body = f"/movies/{movie.pk}/reviews", {"content": "Sandy."}
    first = member.post(path, body, **keyed())
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24))

    answers = at_once(*[lambda: member.post(path, body, **keyed())] * 10)

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].content != first.content
    assert Review.objects.count() == 2


@pytest.fixture
def first_at_work(user) -> Iterator[threading.Event]:
    """Somebody's transaction has the key and is at work; it rolls back when the event is set."""
    claimed, fail = threading.Event(), threading.Event()

    def work() -> None:
        try:
            with transaction.atomic():
                IdempotencyKey.objects.claim(
                    user_id=user.pk, key=KEY, method="POST", path="/movies", body_sha256=""
                )
                claimed.set()
                fail.wait(timeout=10)
                transaction.set_rollback(True)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(work)
        assert claimed.wait(timeout=10)
        yield fail
        fail.set()


@pytest.mark.django_db(transaction=True)
def test_the_second_does_the_work_when_the_first_fails(api, user, first_at_work):
    member = api.as_(user)

    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(in_thread, lambda: member.post("/movies", DUNE, **keyed()))
        wait_until_somebody_waits_for_a_lock()
        first_at_work.set()

    assert second.result().status_code == 201
    assert "Idempotent-Replayed" not in second.result()


@pytest.mark.django_db(transaction=True)
def test_who_waits_too_long_for_the_first_is_told_to_try_again(
    api, user, first_at_work, monkeypatch
):
    monkeypatch.setattr(kept, "WAIT_FOR_FIRST_MS", 50)

    second = api.as_(user).post("/movies", DUNE, **keyed())

    assert (second.status_code, code_of(second)) == (503, "unavailable")
    assert second["Retry-After"]


def in_thread(request: Callable[[], HttpResponse]) -> HttpResponse:
    try:
        return request()
    finally:
        connection.close()


def wait_until_somebody_waits_for_a_lock() -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    with connection.cursor() as cursor:
        for _ in range(100_000):
            cursor.execute(f"{waiting} AND wait_event_type = 'Lock'")
            if cursor.fetchone()[0]:
                return
    raise AssertionError("Nobody waits.")


# --- Crashes --------------------------------------------------------------------------------------


@pytest.fixture
def trouble() -> Iterator[Callable[[str, str], None]]:
    """Let something happen in PostgreSQL when a kept answer is written, or when that is committed.

    What is asked for is an expression of SQL; `trouble("NULL")` ends it.
    """

    def cause(statement: str, when: str = "BEFORE UPDATE") -> None:
        kind = "CONSTRAINT TRIGGER" if when.startswith("AFTER") else "TRIGGER"
        late = "DEFERRABLE INITIALLY DEFERRED" if when.startswith("AFTER") else ""
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                CREATE OR REPLACE FUNCTION cause_trouble() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN PERFORM {statement}; RETURN NEW; END $$;
                DROP TRIGGER IF EXISTS trouble ON movieshelf_idempotencykey;
                CREATE {kind} trouble {when} ON movieshelf_idempotencykey {late}
                FOR EACH ROW EXECUTE FUNCTION cause_trouble()
                """
            )

    yield cause
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER IF EXISTS trouble ON movieshelf_idempotencykey")
        cursor.execute("DROP FUNCTION IF EXISTS cause_trouble")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("when", ["BEFORE UPDATE", "AFTER UPDATE"], ids=["storing", "commit"])
@pytest.mark.parametrize(
    ("statement", "status"),
    [("1 / 0", 500), ("pg_terminate_backend(pg_backend_pid())", 503)],
    ids=["error", "killed"],
)
def test_a_crash_between_the_work_and_its_answer_leaves_neither(
    api, user, trouble, statement, status, when
):
    member = api.as_(user)
    trouble(statement, when)

    assert member.post("/movies", DUNE, **keyed()).status_code == status

    assert not Movie.objects.exists()
    assert not IdempotencyKey.objects.exists()
    trouble("NULL")
    assert member.post("/movies", DUNE, **keyed()).status_code == 201
    assert Movie.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_answer_that_was_lost_after_the_commit_is_given_to_who_asks_again(
    api, user, monkeypatch
):
    member = api.as_(user)
    with monkeypatch.context() as broken:
        # The process dies between the commit and the answer.
        broken.setattr("movieshelf.api.rendering.ORJSONRenderer.render", None)
        lost = member.post("/movies", DUNE, **keyed())

    again = member.post("/movies", DUNE, **keyed())

    assert lost.status_code == 500
    assert (again.status_code, again["Idempotent-Replayed"]) == (201, "true")
    assert again["Location"] == f"/movies/{Movie.objects.get().pk}"


def test_only_the_wait_for_the_first_is_longer_than_for_other_locks(user, trouble):
    trouble("set_config('shelf.seen', current_setting('lock_timeout'), true)", "BEFORE INSERT")

    IdempotencyKey.objects.claim(
        user_id=user.pk, key=KEY, method="POST", path="/movies", body_sha256=""
    )

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('shelf.seen'), current_setting('lock_timeout')")
        assert cursor.fetchone() == ("8s", "3s")


@pytest.mark.django_db(transaction=True)
def test_a_deadlock_runs_the_work_and_its_key_again_as_a_whole(api, user, trouble):
    member = api.as_(user)
    with connection.cursor() as cursor:
        cursor.execute("CREATE SEQUENCE tries")
        cursor.execute(
            """
            CREATE FUNCTION deadlock_once() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('tries') = 1 THEN RAISE EXCEPTION 'again' USING ERRCODE = '40P01';
            END IF; END $$
            """
        )
    trouble("deadlock_once()")

    first = member.post("/movies", DUNE, **keyed())

    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM tries")
        assert cursor.fetchone()[0] == 2
        cursor.execute("DROP SEQUENCE tries CASCADE")
        cursor.execute("DROP FUNCTION deadlock_once")
    assert first.status_code == 201
    assert Movie.objects.count() == 1


# --- The document ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["/movies", "/reviews", "/poster", "/avatar"])
def test_the_document_names_the_key_its_mark_and_its_error(api, ending):
    paths = api.get("/openapi.json").json()["paths"]

    operation = next(paths[path]["post"] for path in paths if path.endswith(ending))

    asked = {parameter["name"]: parameter for parameter in operation["parameters"]}
    assert asked["Idempotency-Key"]["in"] == "header"
    assert not asked["Idempotency-Key"].get("required")
    assert asked["Idempotency-Key"]["schema"]["maxLength"] == 255
    assert "Idempotent-Replayed" in operation["responses"]["201"]["headers"]
    assert "422" in operation["responses"]


def test_the_document_names_no_key_where_none_is_taken(api):
    document = api.get("/openapi.json").json()

    login = document["paths"]["/auth/login"]["post"]

    assert "422" not in login["responses"]
    assert "Idempotency-Key" not in json.dumps(login)
