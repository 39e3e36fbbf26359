"""What holds of all migrations together."""

import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.postgres.operations import CreateExtension
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from accounts.models import User
from accounts.tests.factories import UserFactory
from movies import marks, texts
from movies.models import Movie
from movies.tests.factories import MovieFactory
from movieshelf.tests.databases import empty_database, pointed_at
from movieshelf.tests.numbers import numbers_are_right
from movieshelf.tests.races import at_once
from movieshelf.tests.waiting import until_somebody_waits
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.tests.factories import ReviewFactory

OURS = {
    app.label for app in apps.get_app_configs() if Path(app.path).parent == Path(settings.BASE_DIR)
}
# All that migrations make. A column that comes back stands behind the others, which is all right.
SCHEMA = (
    """
    SELECT pg_get_functiondef(oid) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
    """,
    "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    """
    SELECT concat_ws(' ', relname, relkind, reloptions, attname, format_type(atttypid, atttypmod),
        attnotnull, attstorage, attidentity, attgenerated, pg_get_expr(adbin, adrelid))
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
    """,
    """
    SELECT pg_get_indexdef(indexrelid) FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = 'public'::regnamespace
    """,
    """
    SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    """,
    "SELECT viewname || pg_get_viewdef(viewname::regclass) FROM pg_views"
    " WHERE schemaname = 'public'",
    "SELECT extname::text FROM pg_extension",
)
MISCOUNTED = """
    SELECT count(*)
    FROM (SELECT stars, sum(films) AS films FROM movies_starcount GROUP BY 1) held
    FULL JOIN (SELECT stars, count(*) AS films FROM movies_moviestats GROUP BY 1) actual
        USING (stars)
    WHERE coalesce(held.films, 0) <> coalesce(actual.films, 0)
"""


@pytest.fixture
def elsewhere(transactional_db) -> Iterator[None]:
    """Nothing that fails on the way leaves the database of the other tests half migrated."""
    with empty_database() as name, pointed_at(name):
        yield


def schema() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(SCHEMA))
        return {row for (row,) in cursor}


def migrate_all_before(migration: tuple[str, str] | None) -> None:
    """Apply everything but a migration and what rests on it."""
    executor = MigrationExecutor(connection)
    graph = executor.loader.graph
    resting = set(graph.backwards_plan(migration)) if migration else set()
    last = {app: (app, name) for app, name in sorted(set(graph.nodes) - resting)}
    executor.migrate(list(last.values()))


def add_rated_film(title: str, user: User) -> None:
    """Write as the code of any of the films' migrations may, by way of nothing but triggers."""
    statements = (
        """
        INSERT INTO movies_movie
            (title, title_key, title_search, synopsis, created_at, updated_at, version)
        SELECT name, name, name, '', now(), now(), 1
        FROM unnest(ARRAY[%(title)s, 'gone']) AS name
        """,
        """
        INSERT INTO movies_moviestats (movie_id, created_at, rating_1, rating_2, rating_3,
            rating_4, rating_5, review_count)
        SELECT id, created_at, 0, 0, 0, 0, 0, 0 FROM movies_movie WHERE title IN (%(title)s, 'gone')
        """,
        """
        INSERT INTO ratings_rating (movie_id, user_id, value, created_at, updated_at)
        SELECT id, %(user)s, 4, now(), now() FROM movies_movie WHERE title = %(title)s
        """,
        """
        UPDATE movies_moviestats SET rating_4 = 1
        WHERE movie_id = (SELECT id FROM movies_movie WHERE title = %(title)s)
        """,
        "UPDATE movies_movie SET title_search = 'again' WHERE title = 'gone'",
        "UPDATE movies_movie SET release_date = '1999-03-31' WHERE title = %(title)s",
        "DELETE FROM movies_movie WHERE title = 'gone'",
    )
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, {"title": title, "user": user.pk})
            cursor.execute(MISCOUNTED)
            assert cursor.fetchone() == (0,), statement


def assert_everything_is_counted() -> None:
    assert numbers_are_right()
    by_score = marks.films_by_score()
    assert by_score is not None
    assert sum(by_score) == Rating.objects.values("movie").distinct().count()
    assert Movie.objects.filter(release_date=None).count() == (
        Movie.objects.filter(stats__release_date=None).count()
    )


@pytest.mark.django_db
def test_no_migration_takes_an_extension_away_when_it_goes_back():
    """Indexes of other apps need it still: `migrate accounts 0002` failed (row 158)."""
    taken = [
        (operation.name, str(migration))
        for migration in MigrationLoader(connection).disk_migrations.values()
        for operation in migration.operations
        if isinstance(operation, CreateExtension)
    ]

    assert taken == []


@pytest.mark.django_db
def test_no_migration_of_ours_is_one_way():
    one_way = [
        str(migration)
        for migration in MigrationLoader(connection).disk_migrations.values()
        if migration.app_label in OURS
        for operation in migration.operations
        if not operation.reversible
    ]

    assert one_way == []


def test_each_migration_of_the_films_can_be_undone(elsewhere):
    """Row 158: going back, there is what there was; and counting is right all the time."""
    names = [
        name for app, name in sorted(MigrationLoader(connection).graph.nodes) if app == "movies"
    ]
    was: dict[str, set[str]] = {}
    for earlier, name in pairwise(["zero", *names]):
        migrate_all_before(("movies", name))
        was[earlier] = schema()
    migrate_all_before(None)
    now = schema()
    user = UserFactory()
    RatingFactory(movie=MovieFactory(), user=user, value=5)
    ReviewFactory(movie=MovieFactory())
    assert marks.rebuild()
    assert texts.build()

    for name in reversed(names[:-1]):
        call_command("migrate", "movies", name, verbosity=0)
        assert schema() == was[name], name
        if name >= "0003":
            add_rated_film(f"of {name}", user)
        if name >= "0005":
            migrate_all_before(None)
            assert schema() == now
            assert_everything_is_counted()
            call_command("migrate", "movies", name, verbosity=0)

    migrate_all_before(None)
    assert marks.rebuild()
    assert texts.build()
    assert_everything_is_counted()
    call_command("migrate", "movies", "zero", verbosity=0)
    assert schema() == was["zero"]
    migrate_all_before(None)
    assert schema() == now


@pytest.mark.parametrize(
    ("before", "after", "held"),
    [
        ("0007", "0008", "movies_move IN ROW EXCLUSIVE"),
        ("0008", "0007", "movies_titleword IN ACCESS SHARE"),
    ],
)
def test_who_renames_a_film_while_the_triggers_become_others_waits(elsewhere, before, after, held):
    """Row 158: they called a function that was gone, or filled a column that was."""
    migrate_all_before(None)
    film = MovieFactory()
    call_command("migrate", "movies", before, verbosity=0)
    is_held, is_half_migrated = threading.Event(), threading.Event()

    def hold_up() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {held} MODE")
            is_held.set()
            until_somebody_waits()
            is_half_migrated.set()
            until_somebody_waits(at_least=2)

    def migrate() -> None:
        assert is_held.wait(10)
        call_command("migrate", "movies", after, verbosity=0)

    def rename() -> None:
        assert is_half_migrated.wait(10)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE movies_movie SET title_search = 'new' WHERE id = %s", [film.pk])

    assert at_once(hold_up, migrate, rename) == [None, None, None]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("UPDATE movies_moviestats SET rating_1 = 1", "SELECT FROM movies_movie FOR KEY SHARE"),
        ("SELECT FROM movies_movie", "SELECT FROM movies_moviestats"),
        ("UPDATE movies_movie SET version = 2", "UPDATE movies_moviestats SET rating_1 = 1"),
    ],
)
@pytest.mark.parametrize(
    ("app", "before", "after"),
    [
        ("movies", "0005", "0004"),
        ("movies", "0004", "0005"),
        ("changes", "0001", "zero"),
        ("changes", "zero", "0001"),
    ],
)
def test_who_takes_the_films_and_their_numbers_in_turn_is_in_no_deadlock_with_a_migration(
    elsewhere, app, before, after, first, then
):
    """Row 158: rating while `changes` or `movies 0005` went back ended one of the two."""
    migrate_all_before(None)
    MovieFactory()
    call_command("migrate", app, before, verbosity=0)
    is_begun = threading.Event()

    def rate() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(first)
            is_begun.set()
            until_somebody_waits()
            cursor.execute(then)

    def migrate() -> None:
        assert is_begun.wait(10)
        call_command("migrate", app, after, verbosity=0)

    assert at_once(rate, migrate) == [None, None]
