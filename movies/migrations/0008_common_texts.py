from importlib import import_module

import django.contrib.postgres.fields
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import migrations, models

page_marks = import_module("movies.migrations.0005_page_marks")
title_moves = import_module("movies.migrations.0007_title_moves")

# More titles than this at once, and nothing is known of any text until they are counted.
MANY = 1000
# So many that nobody folds (no worker runs), and the same.
MAX_MOVES = 20_000

# Before all else, both ways: who changes a title ends first, or waits and finds the other triggers.
# In the midst of the old ones they would miss a function or a column.
QUIET = "LOCK TABLE movies_movie IN SHARE ROW EXCLUSIVE MODE;"
NOTING = f"""
    CREATE FUNCTION movies_forget_texts() RETURNS void LANGUAGE sql AS $$
        UPDATE movies_commontexts SET version = NULL, building = NULL
    $$;

    -- Whoever deletes moves has counted them in the marks; the texts are counted less often.
    CREATE FUNCTION movies_carry_stars() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO movies_starmove (movie_id, stars, films)
        SELECT movie_id, stars, sum(films) FROM removed
        GROUP BY movie_id, stars HAVING sum(films) <> 0
        ON CONFLICT (movie_id, stars) DO UPDATE SET films = movies_starmove.films + excluded.films;
        RETURN NULL;
    END $$;
    CREATE TRIGGER movies_stars_carried AFTER DELETE ON movies_move
        REFERENCING OLD TABLE AS removed
        FOR EACH STATEMENT EXECUTE FUNCTION movies_carry_stars();

    CREATE OR REPLACE FUNCTION movies_count_added_stars() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO movies_starcount (stars, films)
        SELECT stars, count(*) FROM added GROUP BY stars;
        IF (SELECT count(*) FROM added) > {MANY} THEN
            UPDATE movies_pagemarks SET version = NULL;
            PERFORM movies_forget_texts();
        ELSE
            INSERT INTO movies_move (films, movie_id, created_at, release_date, stars, review_count,
                average_rating, rating_count, score)
            SELECT 1, movie_id, created_at, release_date, stars, review_count, average_rating,
                rating_count, score FROM added;
        END IF;
        IF random() < 0.02 THEN
            PERFORM movies_fold_star_counts();
        END IF;
        RETURN NULL;
    END $$;

    CREATE OR REPLACE FUNCTION movies_forget_stars() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM movies_starcount;
        DELETE FROM movies_move;
        DELETE FROM movies_starmove;
        DELETE FROM movies_pagemarks;
        DELETE FROM movies_commontexts;
        INSERT INTO movies_pagemarks (boundaries, counts, scores) VALUES ('', '', '');
        INSERT INTO movies_commontexts (changes, films) VALUES (0, '{{}}');
        RETURN NULL;
    END $$;

    CREATE FUNCTION movies_note_titles(films int, titles text[], ids bigint[]) RETURNS void
    LANGUAGE plpgsql AS $$
    BEGIN
        IF cardinality(titles) > {MANY} OR titles[1] IS NULL THEN
            titles := ARRAY[NULL::text];
            ids := ARRAY[NULL::bigint];
            PERFORM movies_forget_texts();
        END IF;
        INSERT INTO movies_titlemove (films, movie_id, title, transaction, at, folded)
        SELECT films, id, title, pg_current_xact_id()::text::bigint, clock_timestamp(), false
        FROM unnest(ids, titles) AS moved (id, title);
        IF random() < 0.01 THEN
            PERFORM movies_bound_title_moves();
        END IF;
    END $$;

    CREATE FUNCTION movies_bound_title_moves() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        -- Finds are kept for half an hour.
        DELETE FROM movies_titlemove WHERE id IN (
            SELECT id FROM movies_titlemove WHERE folded AND at < now() - interval '1 hour'
            FOR UPDATE SKIP LOCKED
        );
        IF (SELECT count(*) FROM (
            SELECT FROM movies_titlemove WHERE NOT folded LIMIT {MAX_MOVES + 1}
        ) counted) > {MAX_MOVES} THEN
            PERFORM FROM movies_commontexts FOR UPDATE SKIP LOCKED;
            IF FOUND THEN
                PERFORM movies_forget_texts();
                UPDATE movies_titlemove SET folded = true WHERE NOT folded;
            END IF;
        END IF;
    END $$;

    CREATE OR REPLACE FUNCTION movies_note_added_titles() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM movies_note_titles(1, array_agg(title_search), array_agg(id))
        FROM (SELECT id, title_search FROM added LIMIT {MANY + 1}) seen HAVING count(*) > 0;
        RETURN NULL;
    END $$;
    CREATE OR REPLACE FUNCTION movies_note_removed_titles() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM movies_note_titles(-1, array_agg(title_search), array_agg(id))
        FROM (SELECT id, title_search FROM removed LIMIT {MANY + 1}) seen HAVING count(*) > 0;
        RETURN NULL;
    END $$;
    CREATE OR REPLACE FUNCTION movies_note_changed_title() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM movies_note_titles(-1, ARRAY[OLD.title_search], ARRAY[OLD.id]);
        PERFORM movies_note_titles(1, ARRAY[NEW.title_search], ARRAY[NEW.id]);
        RETURN NULL;
    END $$;
    CREATE OR REPLACE FUNCTION movies_note_emptied_titles() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM movies_titleblock;
        PERFORM movies_note_titles(0, ARRAY[NULL::text], ARRAY[NULL::bigint]);
        RETURN NULL;
    END $$;
    DROP FUNCTION movies_note_titles(int, text[]);

    INSERT INTO movies_commontexts (changes, films) VALUES (0, '{{}}');
    -- A block stands in one page, as it is: nothing has to be fetched or unpacked.
    ALTER TABLE movies_titleblock SET (toast_tuple_target = 8160);
    ALTER TABLE movies_titleblock ALTER COLUMN titles SET STORAGE EXTERNAL,
        ALTER COLUMN ids SET STORAGE EXTERNAL;
    ALTER TABLE movies_starmove SET (
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000
    );
"""
NOT_NOTING = f"""
    {QUIET}
    {page_marks.COUNT_ADDED}
    {page_marks.FORGET}
    {title_moves.NOTE}
    DROP TRIGGER movies_stars_carried ON movies_move;
    DROP FUNCTION movies_note_titles(int, text[], bigint[]), movies_bound_title_moves,
        movies_carry_stars, movies_forget_texts;
"""


class Migration(migrations.Migration):
    dependencies = [("movies", "0007_title_moves")]

    operations = [
        migrations.RunSQL(QUIET, migrations.RunSQL.noop),
        migrations.CreateModel(
            name="CommonTexts",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("version", models.BigIntegerField(null=True)),
                ("building", models.BigIntegerField(null=True)),
                ("changes", models.IntegerField(default=0)),
                ("films", models.JSONField(default=dict)),
            ],
            options={"verbose_name_plural": "common texts"},
        ),
        migrations.CreateModel(
            name="StarMove",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "movie_id",
                        "stars",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("movie_id", models.BigIntegerField()),
                ("stars", models.SmallIntegerField()),
                ("films", models.IntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="TitleBlock",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                (
                    "ids",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField()),
                ),
                ("titles", models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name="TitleWord",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("word", models.TextField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("word",), name="titleword_unique")
                ],
                "indexes": [
                    GinIndex(OpClass("word", name="gin_trgm_ops"), name="titleword_trigrams")
                ],
            },
        ),
        migrations.AddField(
            model_name="titlemove",
            name="folded",
            field=models.BooleanField(db_default=False),
        ),
        migrations.AddField(
            model_name="titlemove",
            name="movie_id",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddIndex(
            model_name="titlemove",
            index=models.Index(
                "movie_id", condition=models.Q(("folded", False)), name="titlemove_not_folded"
            ),
        ),
        migrations.RunSQL(NOTING, NOT_NOTING),
    ]
