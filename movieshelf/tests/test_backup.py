"""`manage.py backup` and `restore`: the shelf as it was, or nothing (rows 158 and 161)."""

import os
import stat
import subprocess
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.tests.factories import UserFactory
from accounts.tests.steps import log_in
from media.models import Media
from media.tests.factories import an_image
from movies.models import Movie
from movies.tests.factories import MovieFactory
from movieshelf import backups
from movieshelf.management.commands import restore as restoring
from movieshelf.tests.databases import empty_database, pointed_at
from ratings.tests.factories import RatingFactory
from reviews.tests.factories import ReviewFactory

PASSPHRASE = "a passphrase & 'more' = than one word"


def run(command: str, *arguments: object) -> str:
    out = StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def elsewhere(transactional_db) -> Iterator[str]:
    """An empty database."""
    with empty_database() as name:
        yield name


@pytest.fixture
def shelf(transactional_db) -> Movie:
    user = UserFactory(name="Łucja", email="old@shelf.example")
    movie = MovieFactory(title="Ünder Wáter 😀", created_by=user)
    image = an_image(uploader=user)
    movie = movie.edit(poster=image)
    RatingFactory(movie=movie, user=user, value=4)
    ReviewFactory(movie=movie, user=user, content="I <3 this\nand 'that'; \\.")
    return movie


@pytest.fixture
def file(shelf, tmp_path) -> Path:
    run("backup", tmp_path / "shelf.dump")
    return tmp_path / "shelf.dump"


def tables() -> list[str]:
    return connection.introspection.table_names()


def test_what_is_restored_is_the_shelf_that_was_backed_up(api, shelf, file, elsewhere):
    """Row 161: films, numbers, images to the byte, logins, and ids that go on."""
    before = api.get(f"/movies/{shelf.pk}").json(), api.get(f"/movies/{shelf.pk}/reviews").json()
    image = api.get(f"/media/{shelf.poster_id}")
    assert image.status_code == 200

    with pointed_at(elsewhere):
        told = run("restore", file).splitlines()

        assert told[:2] == [
            "Every image is what its SHA-256 says.",
            "Compared 1 film: no number differs from its rows.",
        ]
        assert told[2].startswith(f"Restored {file} in ")
        after = api.get(f"/movies/{shelf.pk}").json(), api.get(f"/movies/{shelf.pk}/reviews").json()
        assert after == before
        assert api.get(f"/media/{shelf.poster_id}").content == image.content
        assert log_in(shelf.created_by).status_code == 200
        assert MovieFactory().pk > shelf.pk
        assert "no number differs" in run("recompute", "--check")


def test_a_backup_may_be_read_by_its_owner_alone_and_leaves_nothing_beside_it(file):
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.stat().st_nlink == 1
    assert [path.name for path in file.parent.iterdir()] == ["shelf.dump"]


def test_a_backup_is_never_written_over_another(shelf, tmp_path):
    taken = tmp_path / "shelf.dump"
    taken.write_bytes(b"precious")

    with pytest.raises(CommandError, match="is there already"):
        run("backup", taken)

    assert taken.read_bytes() == b"precious"


def test_a_file_that_appeared_meanwhile_is_left_alone(shelf, tmp_path, monkeypatch):
    late = tmp_path / "shelf.dump"
    checked = backups.contents_of

    def check_while_another_writes(path):
        late.write_bytes(b"precious")
        return checked(path)

    monkeypatch.setattr(backups, "contents_of", check_while_another_writes)
    with pytest.raises(CommandError, match="appeared meanwhile"):
        run("backup", late)

    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"precious"]


def test_a_backup_that_fails_leaves_no_file(transactional_db, tmp_path, monkeypatch):
    monkeypatch.setattr(backups, "COMPRESSION", "none such")

    with pytest.raises(CommandError, match=r"pg_dump failed: error: .*compression"):
        run("backup", tmp_path / "shelf.dump")

    assert list(tmp_path.iterdir()) == []


def test_a_database_out_of_reach_is_told(tmp_path, file, monkeypatch):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"]["pool"], "timeout", 0.1)
    with pointed_at("no_such_database"):
        for command, path in (("backup", tmp_path / "other.dump"), ("restore", file)):
            with pytest.raises(CommandError, match="database does not answer"):
                run(command, path)


def test_a_folder_that_is_not_there_is_told(transactional_db, tmp_path):
    with pytest.raises(CommandError, match="cannot be written to"):
        run("backup", tmp_path / "nowhere" / "shelf.dump")


def test_a_shelf_that_is_not_empty_is_never_restored_into(file, shelf):
    with pytest.raises(CommandError, match="is not empty"):
        run("restore", file)

    assert Movie.objects.filter(pk=shelf.pk).exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not a backup"),
        (b"PGDMP", "is cut off or damaged"),
        (b"SELECT 1;\n", "is not a backup"),
        (b"\x89PNG\r\n", "is not a backup"),
    ],
    ids=["nothing", "its first bytes", "SQL", "an image"],
)
def test_a_file_that_is_no_backup_is_refused(transactional_db, tmp_path, content, reason):
    file = tmp_path / "file"
    file.write_bytes(content)

    with pytest.raises(CommandError, match=reason):
        run("restore", file)


def test_a_file_that_is_not_there_or_a_folder_is_told(transactional_db, tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(CommandError, match="cannot be read"):
            run("restore", path)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_of_a_file_that_is_cut_off_nothing_is_restored(file, elsewhere, share):
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])

    with pointed_at(elsewhere):
        with pytest.raises(CommandError, match="cut off or damaged"):
            run("restore", file)

        assert tables() == []


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_of_a_file_with_one_wrong_bit_nothing_is_restored(file, elsewhere, share):
    content = bytearray(file.read_bytes())
    content[int(share * len(content))] ^= 1
    file.write_bytes(content)

    with pointed_at(elsewhere):
        with pytest.raises(CommandError, match="cut off or damaged"):
            run("restore", file)

        assert tables() == []


def test_what_fails_half_way_is_undone(file, elsewhere):
    """A sequence is no table, so the database counts as empty; the restore stumbles over it."""
    with pointed_at(elsewhere):
        with connection.cursor() as cursor:
            cursor.execute("CREATE SEQUENCE movies_movie_id_seq")
        with pytest.raises(CommandError, match=r"pg_restore failed: .*already exists"):
            run("restore", file)

        assert tables() == []


def test_a_backup_of_something_else_is_refused(transactional_db, elsewhere, tmp_path):
    other = tmp_path / "other.dump"
    with pointed_at(elsewhere):
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE cats (name text)")
        program = backups._program("pg_dump", at_least=0)
        subprocess.run(
            [program, "--format=custom", f"--file={other}"],
            env=backups._environment(connection.get_connection_params()),
            check=True,
        )
    backups.seal(other)

    with pytest.raises(CommandError, match="another database than MovieShelf's"):
        run("restore", other)


def test_an_image_that_is_not_what_its_sum_says_is_named(file, shelf, elsewhere):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE media_media SET data = 'x' WHERE id = %s", [shelf.poster_id])

    assert backups.damaged_images(connection) == [f"media {shelf.poster_id}"]
    with pointed_at(elsewhere):
        run("restore", file)
        assert backups.damaged_images(connection) == []
        assert Media.objects.count() == 1


@pytest.fixture
def renamed_migration(transactional_db) -> Iterator[None]:
    """A database of another version: it lacks one of our migrations, and has one that we lack."""
    rename = "UPDATE django_migrations SET name = %s WHERE app = 'ratings' AND name = %s"
    names = ["9999_to_come", "0001_initial"]
    with connection.cursor() as cursor:
        cursor.execute(rename, names)
    yield
    with connection.cursor() as cursor:
        cursor.execute(rename, names[::-1])


def test_a_backup_of_a_later_version_is_told(renamed_migration, elsewhere, tmp_path):
    run("backup", tmp_path / "later.dump")

    with pointed_at(elsewhere), pytest.raises(CommandError, match=r"has 1 migrations .* not know"):
        run("restore", tmp_path / "later.dump")


def test_a_backup_of_an_earlier_version_says_what_is_to_come(file, elsewhere, monkeypatch):
    monkeypatch.setattr(restoring, "migrations_apart", lambda database: (2, 0))

    with pointed_at(elsewhere):
        told = run("restore", file)

    assert "2 migrations are to come: `manage.py migrate`" in told


def test_a_password_is_given_in_the_environment_and_our_time_limits_are_not():
    environment = backups._environment(
        {
            "host": "db.example",
            "port": 6543,
            "user": "shelf",
            "password": PASSPHRASE,
            "dbname": "movieshelf",
            "sslmode": "require",
            "options": "-c statement_timeout=10000",
            "context": object(),
        }
    )

    wanted = {
        "PGHOST": "db.example",
        "PGPORT": "6543",
        "PGUSER": "shelf",
        "PGPASSWORD": PASSPHRASE,
        "PGDATABASE": "movieshelf",
        "PGSSLMODE": "require",
    }
    assert wanted.items() <= environment.items()
    assert "PGOPTIONS" not in environment
    assert environment["PATH"] == os.environ["PATH"]


def test_a_client_that_is_older_than_the_server_is_not_used(monkeypatch):
    assert backups._program("pg_dump", at_least=18)
    with pytest.raises(backups.BackupError, match=r"no pg_dump of PostgreSQL 99"):
        backups._program("pg_dump", at_least=99)
