from importlib import import_module

from django.db import migrations, models

from movieshelf.table_locks import lock_at_once

starcount = import_module("movies.migrations.0003_starcount")

# Before all else, both ways: each has a trigger more, or less.
LOCKED = lock_at_once("movies_movie", "movies_moviestats")

# What the numbers of a film and Move have in common.
PLACE = (
    "movie_id, created_at, release_date, stars, review_count, average_rating, rating_count, score"
)
OLD, NEW = (", ".join(f"{row}.{name}" for name in PLACE.split(", ")) for row in ("OLD", "NEW"))

MIRRORING = """
    SET LOCAL statement_timeout = 0;
    UPDATE movies_moviestats stats SET release_date = film.release_date
    FROM movies_movie film WHERE film.id = stats.movie_id AND film.release_date IS NOT NULL;

    CREATE FUNCTION movies_mirror_release() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE movies_moviestats SET release_date = NEW.release_date WHERE movie_id = NEW.id;
        RETURN NULL;
    END $$;
    CREATE TRIGGER movies_release_mirrored AFTER UPDATE OF release_date ON movies_movie
        FOR EACH ROW WHEN (OLD.release_date IS DISTINCT FROM NEW.release_date)
        EXECUTE FUNCTION movies_mirror_release();
"""
NOT_MIRRORING = """
    DROP TRIGGER movies_release_mirrored ON movies_movie;
    DROP FUNCTION movies_mirror_release;
"""

# What 0008 does otherwise, and gives back when it is undone.
COUNT_ADDED = f"""
    CREATE OR REPLACE FUNCTION movies_count_added_stars() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO movies_starcount (stars, films)
        SELECT stars, count(*) FROM added GROUP BY stars;
        IF (SELECT count(*) FROM added) > 1000 THEN
            UPDATE movies_pagemarks SET version = NULL;
        ELSE
            INSERT INTO movies_move (films, {PLACE}) SELECT 1, {PLACE} FROM added;
        END IF;
        IF random() < 0.02 THEN
            PERFORM movies_fold_star_counts();
        END IF;
        RETURN NULL;
    END $$;
"""
FORGET = """
    CREATE OR REPLACE FUNCTION movies_forget_stars() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM movies_starcount;
        DELETE FROM movies_move;
        DELETE FROM movies_pagemarks;
        INSERT INTO movies_pagemarks (boundaries, counts, scores) VALUES ('', '', '');
        RETURN NULL;
    END $$;
"""

# The marks and the moves that one snapshot sees are the shelf that it sees, or the marks are
# unknown. A bulk load makes them unknown; so does who finds too many moves that nobody folded.
NOTING = f"""
    CREATE FUNCTION movies_bound_moves() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        IF (SELECT count(*) FROM (SELECT FROM movies_move LIMIT 50001) counted) > 50000 THEN
            PERFORM FROM movies_pagemarks FOR UPDATE SKIP LOCKED;
            IF FOUND THEN
                UPDATE movies_pagemarks SET version = NULL;
                DELETE FROM movies_move;
            END IF;
        END IF;
    END $$;

    CREATE FUNCTION movies_note_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO movies_move (films, {PLACE}) VALUES (-1, {OLD}), (1, {NEW});
        IF OLD.stars <> NEW.stars THEN
            INSERT INTO movies_starcount (stars, films) VALUES (OLD.stars, -1), (NEW.stars, 1);
            IF random() < 0.02 THEN
                PERFORM movies_fold_star_counts();
            END IF;
        END IF;
        IF random() < 0.0002 THEN
            PERFORM movies_bound_moves();
        END IF;
        RETURN NULL;
    END $$;

    {COUNT_ADDED}
    CREATE OR REPLACE FUNCTION movies_count_removed_stars() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO movies_starcount (stars, films)
        SELECT stars, -count(*) FROM removed GROUP BY stars;
        INSERT INTO movies_move (films, {PLACE}) SELECT -1, {PLACE} FROM removed;
        IF random() < 0.02 THEN
            PERFORM movies_fold_star_counts();
        END IF;
        RETURN NULL;
    END $$;

    {FORGET}
    DROP TRIGGER movies_stars_moved ON movies_moviestats;
    DROP FUNCTION movies_count_moved_stars;
    CREATE TRIGGER movies_changed AFTER UPDATE ON movies_moviestats
        FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)
        EXECUTE FUNCTION movies_note_changed();

    INSERT INTO movies_pagemarks (boundaries, counts, scores) VALUES ('', '', '');
    ALTER TABLE movies_pagemarks ALTER COLUMN boundaries SET STORAGE EXTERNAL,
        ALTER COLUMN counts SET STORAGE EXTERNAL, ALTER COLUMN scores SET STORAGE EXTERNAL;
    ALTER TABLE movies_pagemarks SET (
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20,
        toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 2000
    );
    ALTER TABLE movies_move SET (
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_insert_threshold = -1
    );
"""
NOT_NOTING = f"""
    {LOCKED}
    DROP TRIGGER movies_changed ON movies_moviestats;
    DROP FUNCTION movies_note_changed, movies_bound_moves;
    {starcount.COUNT_MOVED}
    {starcount.COUNT_OTHERS}
"""


class Migration(migrations.Migration):
    dependencies = [("movies", "0004_match_key")]

    operations = [
        migrations.RunSQL(LOCKED, migrations.RunSQL.noop),
        migrations.AddField(
            model_name="moviestats",
            name="release_date",
            field=models.DateField(editable=False, null=True),
        ),
        migrations.RunSQL(MIRRORING, NOT_MIRRORING),
        migrations.CreateModel(
            name="Move",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("films", models.SmallIntegerField()),
                ("movie_id", models.BigIntegerField()),
                ("created_at", models.DateTimeField()),
                ("release_date", models.DateField(null=True)),
                ("stars", models.SmallIntegerField()),
                ("review_count", models.IntegerField()),
                ("average_rating", models.DecimalField(decimal_places=15, max_digits=16)),
                ("rating_count", models.IntegerField()),
                ("score", models.DecimalField(decimal_places=3, max_digits=4, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="PageMarks",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("version", models.BigIntegerField(null=True)),
                ("boundaries", models.BinaryField(default=b"")),
                ("counts", models.BinaryField(default=b"")),
                ("scores", models.BinaryField(default=b"")),
            ],
        ),
        migrations.RunSQL(NOTING, NOT_NOTING),
    ]
