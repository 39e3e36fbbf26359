from django.db import migrations, models

# More titles than this at once, and what was found for any text is looked for again.
MANY = 1000

# What 0008 does otherwise, and gives back when it is undone.
NOTE = f"""
    CREATE FUNCTION movies_note_titles(films int, titles text[]) RETURNS void
    LANGUAGE plpgsql AS $$
    BEGIN
        IF cardinality(titles) > {MANY} THEN
            titles := ARRAY[NULL::text];
        END IF;
        INSERT INTO movies_titlemove (films, title, transaction, at)
        SELECT films, title, pg_current_xact_id()::text::bigint, clock_timestamp()
        FROM unnest(titles) AS title;
        -- Finds are kept for half an hour.
        IF random() < 0.01 THEN
            DELETE FROM movies_titlemove WHERE id IN (
                SELECT id FROM movies_titlemove WHERE at < now() - interval '1 hour'
                FOR UPDATE SKIP LOCKED
            );
        END IF;
    END $$;

    CREATE OR REPLACE FUNCTION movies_note_added_titles() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM movies_note_titles(1, ARRAY(SELECT title_search FROM added LIMIT {MANY + 1}));
        RETURN NULL;
    END $$;
    CREATE OR REPLACE FUNCTION movies_note_removed_titles() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM movies_note_titles(-1, ARRAY(SELECT title_search FROM removed LIMIT {MANY + 1}));
        RETURN NULL;
    END $$;
    CREATE OR REPLACE FUNCTION movies_note_changed_title() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM movies_note_titles(-1, ARRAY[OLD.title_search]);
        PERFORM movies_note_titles(1, ARRAY[NEW.title_search]);
        RETURN NULL;
    END $$;
    CREATE OR REPLACE FUNCTION movies_note_emptied_titles() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM movies_note_titles(0, ARRAY[NULL::text]);
        RETURN NULL;
    END $$;
"""
NOTING = f"""
    {NOTE}
    CREATE TRIGGER movies_titles_added AFTER INSERT ON movies_movie
        REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION movies_note_added_titles();
    CREATE TRIGGER movies_titles_removed AFTER DELETE ON movies_movie
        REFERENCING OLD TABLE AS removed
        FOR EACH STATEMENT EXECUTE FUNCTION movies_note_removed_titles();
    CREATE TRIGGER movies_title_changed AFTER UPDATE OF title_search ON movies_movie
        FOR EACH ROW WHEN (OLD.title_search IS DISTINCT FROM NEW.title_search)
        EXECUTE FUNCTION movies_note_changed_title();
    CREATE TRIGGER movies_titles_emptied AFTER TRUNCATE ON movies_movie
        FOR EACH STATEMENT EXECUTE FUNCTION movies_note_emptied_titles();
"""

NOT_NOTING = """
    DROP TRIGGER movies_titles_added ON movies_movie;
    DROP TRIGGER movies_titles_removed ON movies_movie;
    DROP TRIGGER movies_title_changed ON movies_movie;
    DROP TRIGGER movies_titles_emptied ON movies_movie;
    DROP FUNCTION movies_note_added_titles, movies_note_removed_titles, movies_note_changed_title,
        movies_note_emptied_titles, movies_note_titles;
"""


class Migration(migrations.Migration):
    dependencies = [("movies", "0006_ordered_indexes")]

    operations = [
        migrations.CreateModel(
            name="TitleMove",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("films", models.SmallIntegerField()),
                ("title", models.TextField(null=True)),
                ("transaction", models.BigIntegerField()),
                ("at", models.DateTimeField()),
            ],
            options={
                "indexes": [models.Index("transaction", name="titlemove_transaction")],
            },
        ),
        migrations.RunSQL(NOTING, NOT_NOTING),
    ]
