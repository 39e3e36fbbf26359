"""`manage.py doctor`: each thing is broken, and found."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO

import psycopg
import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connection, connections
from django.test import override_settings
from django.utils import timezone

from accounts.models import Session
from accounts.tests.factories import AdminFactory
from accounts.tests.steps import begin
from media.tests.factories import an_image
from movies.models import MovieStats
from movies.tests.factories import MovieFactory
from movieshelf import doctor
from movieshelf.doctor import EXAMINATIONS, Question, Severity, surroundings
from movieshelf.doctor import database as of_database
from movieshelf.doctor import replication as of_replication
from movieshelf.models import IdempotencyKey
from movieshelf.replica import REPLICA
from movieshelf.seeding.members import ADMIN_LOGIN
from movieshelf.tests.databases import pointed_at
from movieshelf.tests.valkey import own_valkey, until

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


PLAINLY = Question()


def examine(name: str, question: Question = PLAINLY) -> list[tuple[Severity, str]]:
    """Do one examination; give how bad each finding is, and its sentence."""
    (one,) = [each for each in EXAMINATIONS if each.name == name]
    return [(found.severity, found.told) for found in doctor._findings(one, question)]


def execute(sql: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


@pytest.fixture
def _waits_for_the_disk(db: None) -> None:
    """As a shelf should, and the one of the tests does not."""
    execute("SET LOCAL synchronous_commit = on")


@pytest.mark.usefixtures("_waits_for_the_disk")
def test_a_sound_shelf_has_no_errors_and_the_command_says_so():
    out = StringIO()

    call_command("doctor", stdout=out)

    lines = out.getvalue().splitlines()
    assert not [line for line in lines if line.startswith("error")]
    assert "ok       numbers" in lines
    assert lines[-1].startswith(f"{len(EXAMINATIONS) + 1} examinations: ")


@pytest.mark.django_db
def test_what_is_broken_is_told_with_a_hint_and_exits_1():
    execute("DROP INDEX movie_uploaded")
    out = StringIO()

    with pytest.raises(SystemExit) as left:
        call_command("doctor", stdout=out)

    assert left.value.code == 1
    assert "error    indexes       The index movie_uploaded of movies_movie is missing" in (
        out.getvalue()
    )
    assert "→ `manage.py sqlmigrate`" in out.getvalue()


@pytest.mark.usefixtures("_waits_for_the_disk")
def test_machines_get_one_document():
    execute("DROP INDEX movie_uploaded")
    out = StringIO()

    with pytest.raises(SystemExit):
        call_command("doctor", json=True, stdout=out)

    told = json.loads(out.getvalue())
    by_name = {each["name"]: each for each in told["examinations"]}
    assert not told["ok"]
    assert told["counts"]["error"] == 1
    assert by_name["indexes"]["severity"] == "error"
    assert by_name["numbers"] == {"name": "numbers", "severity": "ok", "findings": []}
    assert set(by_name["indexes"]["findings"][0]) == {"severity", "told", "hint"}


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_is_one_error_and_the_rest_is_looked_at(monkeypatch):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"]["pool"], "timeout", 0.1)
    with pointed_at("no_such_database"):
        results = {result.name: result for result in doctor.examine_all(Question())}

    assert results["database"].severity == ERROR
    assert "numbers" not in results
    assert results["cache"].findings == []


@pytest.mark.django_db
def test_an_examination_that_fails_is_an_error_and_the_next_one_goes_on(monkeypatch):
    execute("ALTER TABLE procrastinate_workers RENAME TO something_else")

    results = {result.name: result for result in doctor.examine_all(Question())}

    assert results["queue"].severity == ERROR
    assert "could not be examined" in results["queue"].findings[0].told
    assert "disk" in results


@pytest.mark.django_db(transaction=True)
def test_it_changes_nothing():
    execute("CREATE TABLE IF NOT EXISTS scratch (n int)")

    def write(question):
        execute("INSERT INTO scratch VALUES (1)")
        yield from ()

    try:
        each = doctor.Examination("meddling", write, asks_database=True)
        assert "read-only transaction" in doctor._findings(each, Question())[0].told
    finally:
        execute("DROP TABLE scratch")


BREAKAGES = {
    "version": ("SELECT 1", ERROR, "PostgreSQL is 18"),
    "migrations": (
        "DELETE FROM django_migrations WHERE app = 'reviews'",
        ERROR,
        "migrations were not applied",
    ),
    "migrations ": (
        "INSERT INTO django_migrations (app, name, applied) VALUES ('reviews', '9999_new', now())",
        WARNING,
        "that this code does not know",
    ),
    "extensions": ("DROP EXTENSION pg_trgm CASCADE", ERROR, "pg_trgm is missing"),
    "locale": (
        "UPDATE pg_database SET datcollversion = '0' WHERE datname = current_database()",
        ERROR,
        "has changed under the indexes",
    ),
    "locale ": (
        "UPDATE pg_database SET datlocprovider = 'i' WHERE datname = current_database()",
        WARNING,
        "operating system's",
    ),
    "indexes": (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'movie_uploaded'::regclass",
        ERROR,
        "movie_uploaded of movies_movie is not valid",
    ),
    "indexes ": ("DROP INDEX movie_of_member", ERROR, "movie_of_member of movies_movie is missing"),
    "indexes  ": (
        "ALTER TABLE ratings_rating DROP CONSTRAINT rating_once_per_member",
        ERROR,
        "rating_once_per_member of ratings_rating is missing",
    ),
    "constraints": (
        "ALTER TABLE ratings_rating DROP CONSTRAINT rating_from_1_to_5;"
        " ALTER TABLE ratings_rating ADD CONSTRAINT rating_from_1_to_5 CHECK (value > 0) NOT VALID",
        ERROR,
        "does not hold for every row",
    ),
    "constraints ": (
        "ALTER TABLE ratings_rating DROP CONSTRAINT rating_from_1_to_5",
        ERROR,
        "rating_from_1_to_5 of ratings_rating is missing",
    ),
    "triggers": (
        "ALTER TABLE procrastinate_jobs DISABLE TRIGGER USER",
        ERROR,
        "is switched off",
    ),
    "durability": ("SET LOCAL synchronous_commit = off", ERROR, "synchronous_commit is off"),
}


@pytest.mark.parametrize("name", BREAKAGES)
@pytest.mark.django_db
def test_a_database_that_is_not_what_the_migrations_made_is_found(name, monkeypatch):
    sql, severity, told = BREAKAGES[name]
    if name == "version":
        monkeypatch.setattr(of_database, "OLDEST_POSTGRES", 99)
    execute(sql)

    found = examine(name.strip())

    assert (severity, True) in [(how, told in sentence) for how, sentence in found]


@pytest.mark.django_db
def test_dangerous_settings_of_postgresql_are_found(monkeypatch):
    monkeypatch.setattr(of_database, "shown", lambda name: "off")
    monkeypatch.setattr(of_database, "OLD_TRANSACTION_IDS", -1)

    assert [sentence.split()[0] for _, sentence in examine("durability")] == [
        "fsync",
        "full_page_writes",
        "synchronous_commit",
    ]
    assert [how for how, _ in examine("vacuum")] == [ERROR, ERROR]


@pytest.mark.django_db
def test_a_table_full_of_dead_rows_is_found(monkeypatch):
    monkeypatch.setattr(of_database, "DEAD_ROWS", -1)
    monkeypatch.setattr(of_database, "DEAD_SHARE", -1)

    assert any("movies_movie has" in sentence for _, sentence in examine("vacuum"))


@pytest.mark.django_db
def test_time_limits_that_got_lost_on_the_way_are_found(monkeypatch):
    assert examine("time limits") == []

    monkeypatch.setattr(of_database, "rows", lambda sql, *parameters: [("0",)])
    assert [how for how, _ in examine("time limits")] == [WARNING] * 3


@pytest.mark.django_db
def test_connections_that_run_out_are_found(monkeypatch, settings):
    monkeypatch.setattr(of_database, "CROWDED_SHARE", 0)
    settings.WEB_PROCESSES = 1_000

    taken, wanted = examine("connections")

    assert taken[0] == wanted[0] == WARNING
    assert "connections are taken" in taken[1]
    assert "may want 10000 connections" in wanted[1]


@pytest.fixture
def another(django_db_setup) -> Iterator[psycopg.Connection]:
    """A connection that is not Django's, as psql has one."""
    wanted = connection.get_connection_params()
    names = ("dbname", "user", "host", "port")
    with psycopg.connect(**{name: wanted[name] for name in names if name in wanted}) as opened:
        yield opened
        opened.rollback()


@pytest.mark.django_db
def test_a_transaction_that_stays_open_is_found(another, monkeypatch):
    monkeypatch.setattr(of_database, "LONG_TRANSACTION", "0 seconds")
    another.execute("SELECT 1")

    found = examine("transactions")

    assert (WARNING, True) in [
        (how, f"Process {another.info.backend_pid} (idle in transaction)" in sentence)
        for how, sentence in found
    ]


@pytest.mark.django_db
def test_who_waits_for_a_lock_is_found_with_who_holds_it(another, monkeypatch):
    monkeypatch.setattr(of_database, "LONG_WAIT", "0 seconds")
    another.execute("SELECT pg_advisory_lock(4711)")
    waits = threading.Thread(target=wait_for_lock, args=(another.info.dsn,))
    waits.start()
    try:
        until(lambda: of_database.rows("SELECT 1 FROM pg_locks WHERE NOT granted"))
        found = examine("transactions")
    finally:
        another.execute("SELECT pg_advisory_unlock(4711)")
        waits.join()

    assert f"waiting for a lock of process {{{another.info.backend_pid}}}" in str(found)


def wait_for_lock(dsn: str) -> None:
    with psycopg.connect(dsn) as waiting:
        waiting.execute("SELECT pg_advisory_lock(4711)")


@pytest.mark.parametrize(("apart", "severity"), [(100, ERROR), (-100, ERROR), (5, WARNING)])
@pytest.mark.django_db
def test_clocks_that_differ_are_found(apart, severity, monkeypatch):
    now = time.time
    monkeypatch.setattr(of_database.time, "time", lambda: now() + apart)

    ((how, sentence),) = examine("clock")

    assert how == severity
    assert "s apart" in sentence


@pytest.mark.django_db
def test_drift_is_found():
    stats = MovieStats.objects.filter(pk=MovieFactory().pk)
    super(type(stats), stats).update(rating_5=9)

    found = examine("numbers")

    assert found[0][0] == ERROR
    assert f"numbers of 1 films are not what their rows say ({stats.get().pk})" in found[0][1]


@pytest.mark.django_db
def test_forgotten_and_damaged_images_are_found(user):
    image = an_image(uploader=user, age=timedelta(days=3))
    an_image(uploader=user, age=timedelta(days=3), unused_for=timedelta(days=2))
    an_image(uploader=user, age=timedelta(days=3), unused_for=timedelta(hours=2))
    an_image(uploader=user)
    execute("UPDATE media_media SET data = 'x' WHERE id = %s", image.pk)

    assert examine("images") == [(WARNING, "2 images are shown nowhere.")]
    assert f"media {image.pk}" in examine("images", Question(thoroughly=True))[1][1]


@pytest.mark.django_db
def test_logins_that_were_not_swept_are_found(user):
    session = begin(user)
    begin(user)
    Session.objects.filter(pk=session.pk).update(expires_at=timezone.now() - timedelta(hours=4))

    assert examine("logins") == [(WARNING, "1 logins are over and still kept.")]


@pytest.mark.django_db
def test_the_demo_s_admin_is_found_in_production_until_its_password_is_another():
    email, password = ADMIN_LOGIN
    admin = AdminFactory(email=email)
    assert examine("logins") == []

    admin.set_password(password)
    admin.save()
    assert examine("logins") == [
        (ERROR, f"{email} logs in with a password that everybody knows."),
    ]


@pytest.mark.django_db
def test_idempotency_keys_that_were_not_swept_are_found(user):
    for days in (0, 2):
        IdempotencyKey.objects.create(
            user=user, key=f"{days}", created_at=timezone.now() - timedelta(days=days)
        )

    assert examine("retries") == [
        (WARNING, "1 idempotency keys have expired and are still kept."),
    ]


def a_job(status: str = "todo", *, age: timedelta = timedelta(0), **columns: object) -> None:
    names = ["queue_name", "task_name", "status", *columns]
    values = ["default", "media.sweep", status, *columns.values()]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO procrastinate_jobs ({', '.join(names)})"
            f" VALUES ({', '.join(['%s'] * len(values))}) RETURNING id",
            values,
        )
        (job,) = cursor.fetchone()
        cursor.execute("UPDATE procrastinate_events SET at = at - %s WHERE job_id = %s", [age, job])


@pytest.mark.django_db
def test_no_worker_is_a_note():
    execute("DELETE FROM procrastinate_workers")

    assert examine("queue") == [(NOTE, "No worker is running.")]


@pytest.mark.django_db
def test_jobs_that_failed_wait_or_were_left_behind_are_found():
    execute("DELETE FROM procrastinate_workers")
    execute("INSERT INTO procrastinate_workers DEFAULT VALUES")
    a_job("failed")
    a_job(age=timedelta(minutes=20))
    a_job()
    a_job(age=timedelta(minutes=20), scheduled_at=timezone.now() + timedelta(hours=1))
    a_job("doing")

    assert examine("queue") == [
        (WARNING, "1 jobs failed for good (media.sweep)."),
        (ERROR, "2 jobs wait, the oldest for 20 minutes."),
        (WARNING, "1 jobs are in the hands of workers that died."),
    ]


def test_unsafe_settings_are_found(settings):
    settings.JWT_SIGNING_KEY = "short"
    settings.READ_ONLY = True

    assert [how for how, _ in examine("settings")] == [ERROR, NOTE, WARNING]

    settings.DEBUG = True
    assert examine("settings")[0][1].startswith("DEBUG is on")


NGINX = """
server {{
    client_max_body_size {limit};
    location / {{ proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }}
}}
"""


@pytest.mark.parametrize(
    ("limit", "found"),
    [("5184k", []), ("6m", []), ("5m", [ERROR]), ("1g", [WARNING]), ("0", [WARNING])],
)
def test_a_proxy_with_another_limit_is_found(limit, found, tmp_path, settings):
    settings.TRUSTED_PROXIES = 1
    file = tmp_path / "nginx.conf"
    file.write_text(NGINX.format(limit=limit))

    assert [how for how, _ in examine("proxy", Question(nginx=str(file)))] == found


def test_a_proxy_that_takes_images_and_no_imports_is_found(tmp_path, settings):
    settings.TRUSTED_PROXIES = 1
    settings.IMPORT_MAX_BYTES = 2 * settings.MEDIA_MAX_BYTES
    file = tmp_path / "nginx.conf"
    file.write_text(NGINX.format(limit="5184k"))

    assert [how for how, _ in examine("proxy", Question(nginx=str(file)))] == [ERROR]


def test_a_proxy_that_says_nothing_and_is_not_trusted_is_found(tmp_path):
    file = tmp_path / "nginx.conf"
    file.write_text("server { listen 80; }\n")

    assert [how for how, _ in examine("proxy", Question(nginx=str(file)))] == [ERROR] * 3
    assert examine("proxy", Question(nginx=str(tmp_path / "none")))[0][0] == ERROR
    assert examine("proxy") == []


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--maxmemory", "64mb", "--maxmemory-policy", "volatile-lfu"], []),
        (["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"], [ERROR]),
        (["--maxmemory", "64mb", "--maxmemory-policy", "noeviction"], [WARNING]),
        ([], [WARNING]),
    ],
    ids=["as it should be", "throws away versions", "refuses", "unbounded"],
)
def test_a_valkey_that_forgets_the_wrong_things_is_found(options, found):
    with own_valkey() as valkey:
        valkey.start(*options)
        with caches_at(valkey.url):
            assert [how for how, _ in examine("cache")] == found


def test_a_valkey_that_is_away_or_none_is_found():
    with caches_at("unix:///tmp/no-such-valkey.sock?db=0"):
        assert [how for how, _ in examine("cache")] == [WARNING]
    own = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    with override_settings(CACHES={"default": own}):
        assert [how for how, _ in examine("cache")] == [NOTE]


def caches_at(url: str) -> override_settings:
    return override_settings(
        CACHES={"default": {**django_settings.CACHES["default"], "LOCATION": url}}
    )


@pytest.mark.django_db
def test_a_disk_that_fills_up_is_found(monkeypatch):
    monkeypatch.setattr(surroundings, "LOW_SHARE", 2)
    assert [how for how, _ in examine("disk")] == [WARNING]

    monkeypatch.setattr(surroundings, "OUT_SHARE", 2)
    assert [how for how, _ in examine("disk")] == [ERROR]


@pytest.mark.django_db
def test_commits_that_wait_for_a_standby_that_is_gone_are_found(monkeypatch):
    assert examine("replication") == []

    monkeypatch.setattr(of_replication, "shown", lambda name: "standby")
    ((how, sentence),) = examine("replication")

    assert how == ERROR
    assert "(standby): every write hangs" in sentence


@pytest.mark.parametrize(
    ("standby", "found"),
    [
        (("standby", "streaming", "async", 0), [NOTE]),
        (("standby", "catchup", "async", 0), [WARNING, NOTE]),
        (("standby", "streaming", "sync", 10**9), [WARNING, NOTE]),
    ],
)
@pytest.mark.django_db
def test_a_standby_that_is_behind_and_what_its_readers_may_see_are_told(
    standby, found, monkeypatch
):
    asked = of_replication.rows
    monkeypatch.setattr(
        of_replication,
        "rows",
        lambda sql: [standby] if "pg_stat_replication" in sql else asked(sql),
    )
    monkeypatch.setitem(connections.databases, REPLICA, connections.databases["default"])

    assert [how for how, _ in examine("replication")] == found


@pytest.mark.django_db
def test_a_replica_that_nobody_streams_to_is_found(monkeypatch):
    monkeypatch.setitem(connections.databases, REPLICA, connections.databases["default"])

    assert [how for how, _ in examine("replication")] == [WARNING, NOTE]
