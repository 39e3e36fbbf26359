from django.db import migrations, models

# One transaction that adds a film or moves its stars leaves rows here instead of updating one that
# everybody would wait for; their sum is the count, in whatever snapshot it is read. Every fiftieth
# folds what nobody else holds, so the table stays as short as that.
FOLD = """
    CREATE FUNCTION movies_fold_star_counts() RETURNS void LANGUAGE sql AS $$
        WITH taken AS (
            DELETE FROM movies_starcount WHERE id IN (
                SELECT id FROM movies_starcount LIMIT 10000 FOR UPDATE SKIP LOCKED
            ) RETURNING stars, films
        )
        INSERT INTO movies_starcount (stars, films)
        SELECT stars, sum(films) FROM taken GROUP BY stars HAVING sum(films) <> 0
    $$;
"""
# What 0005 does otherwise, and gives back when it is undone.
COUNT_MOVED = """
    CREATE FUNCTION movies_count_moved_stars() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO movies_starcount (stars, films) VALUES (OLD.stars, -1), (NEW.stars, 1);
        IF random() < 0.02 THEN
            PERFORM movies_fold_star_counts();
        END IF;
        RETURN NULL;
    END $$;

    CREATE TRIGGER movies_stars_moved AFTER UPDATE ON movies_moviestats
        FOR EACH ROW WHEN (OLD.stars IS DISTINCT FROM NEW.stars)
        EXECUTE FUNCTION movies_count_moved_stars();
"""
COUNT_OTHERS = """
    CREATE OR REPLACE FUNCTION movies_count_added_stars() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO movies_starcount (stars, films)
        SELECT stars, count(*) FROM added GROUP BY stars;
        IF random() < 0.02 THEN
            PERFORM movies_fold_star_counts();
        END IF;
        RETURN NULL;
    END $$;

    CREATE OR REPLACE FUNCTION movies_count_removed_stars() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO movies_starcount (stars, films)
        SELECT stars, -count(*) FROM removed GROUP BY stars;
        IF random() < 0.02 THEN
            PERFORM movies_fold_star_counts();
        END IF;
        RETURN NULL;
    END $$;

    CREATE OR REPLACE FUNCTION movies_forget_stars() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM movies_starcount;
        RETURN NULL;
    END $$;
"""
COUNTING = f"""
    {FOLD}
    {COUNT_MOVED}
    {COUNT_OTHERS}
    CREATE TRIGGER movies_stars_added AFTER INSERT ON movies_moviestats
        REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION movies_count_added_stars();
    CREATE TRIGGER movies_stars_removed AFTER DELETE ON movies_moviestats
        REFERENCING OLD TABLE AS removed
        FOR EACH STATEMENT EXECUTE FUNCTION movies_count_removed_stars();
    CREATE TRIGGER movies_stars_forgotten AFTER TRUNCATE ON movies_moviestats
        FOR EACH STATEMENT EXECUTE FUNCTION movies_forget_stars();

    -- Writers wait until what stands there already is counted, or they would be counted twice.
    LOCK TABLE movies_moviestats IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO movies_starcount (stars, films)
    SELECT stars, count(*) FROM movies_moviestats GROUP BY stars;

    ALTER TABLE movies_starcount SET (
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500
    );
"""

NOT_COUNTING = """
    DROP TRIGGER movies_stars_moved ON movies_moviestats;
    DROP TRIGGER movies_stars_added ON movies_moviestats;
    DROP TRIGGER movies_stars_removed ON movies_moviestats;
    DROP TRIGGER movies_stars_forgotten ON movies_moviestats;
    DROP FUNCTION movies_count_moved_stars, movies_count_added_stars,
        movies_count_removed_stars, movies_forget_stars, movies_fold_star_counts;
"""


class Migration(migrations.Migration):
    dependencies = [("movies", "0002_base_managers")]

    operations = [
        migrations.CreateModel(
            name="StarCount",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("stars", models.SmallIntegerField()),
                ("films", models.BigIntegerField()),
            ],
        ),
        migrations.RunSQL(COUNTING, NOT_COUNTING),
    ]
