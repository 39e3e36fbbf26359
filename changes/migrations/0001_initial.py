from django.db import migrations

from changes.eras import STAMP, STAMPED
from movieshelf.table_locks import lock_at_once

LOCKED = lock_at_once(*STAMPED)

# A row's position is the transaction that changed it last. The column is none of the models': nobody
# but this app reads it, and nobody at all writes it but the trigger.
COLUMNS = f"""
    {LOCKED}
    SET LOCAL statement_timeout = 0;
    CREATE TABLE changes_era (
        identity text,
        shift bigint NOT NULL DEFAULT 0,
        swept bigint NOT NULL DEFAULT 0,
        generation bigint NOT NULL DEFAULT 0
    );
    CREATE UNIQUE INDEX changes_era_single ON changes_era ((true));
    INSERT INTO changes_era DEFAULT VALUES;

    CREATE TABLE changes_gone (
        position bigint NOT NULL,
        kind "char" NOT NULL,
        id bigint NOT NULL,
        gone_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (position, id, kind)
    );
    CREATE INDEX changes_gone_age ON changes_gone (gone_at);

    ALTER TABLE movies_movie
        ADD COLUMN change_position bigint NOT NULL DEFAULT 0,
        ADD COLUMN change_created bigint NOT NULL DEFAULT 0;
    ALTER TABLE movies_moviestats
        ADD COLUMN change_position bigint NOT NULL DEFAULT 0,
        ADD COLUMN change_created bigint NOT NULL DEFAULT 0;
    ALTER TABLE reviews_review
        ADD COLUMN change_position bigint NOT NULL DEFAULT 0,
        ADD COLUMN change_created bigint NOT NULL DEFAULT 0;
    CREATE INDEX movie_changes ON movies_movie (change_position, id);
    CREATE INDEX stats_changes ON movies_moviestats (change_position, movie_id);
    CREATE INDEX review_changes ON reviews_review (change_position, id);
"""

TRIGGERS = """
    CREATE TRIGGER movies_movie_stamp BEFORE INSERT OR UPDATE ON movies_movie
        FOR EACH ROW EXECUTE FUNCTION changes_stamp();
    CREATE TRIGGER movies_moviestats_stamp BEFORE INSERT OR UPDATE ON movies_moviestats
        FOR EACH ROW EXECUTE FUNCTION changes_stamp();
    CREATE TRIGGER reviews_review_stamp BEFORE INSERT OR UPDATE ON reviews_review
        FOR EACH ROW EXECUTE FUNCTION changes_stamp();

    CREATE FUNCTION changes_bury() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO changes_gone (position, kind, id)
        SELECT pg_current_xact_id()::text::bigint + (SELECT shift FROM changes_era),
            TG_ARGV[0]::"char", id
        FROM gone
        ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$;
    CREATE TRIGGER movies_movie_bury AFTER DELETE ON movies_movie
        REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION changes_bury('m');
    CREATE TRIGGER reviews_review_bury AFTER DELETE ON reviews_review
        REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION changes_bury('r');

    -- An emptied table leaves no tombstones: whoever follows begins anew.
    CREATE FUNCTION changes_forget() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE changes_era SET generation = generation + 1;
        RETURN NULL;
    END $$;
    CREATE TRIGGER movies_movie_forget AFTER TRUNCATE ON movies_movie
        FOR EACH STATEMENT EXECUTE FUNCTION changes_forget();
    CREATE TRIGGER reviews_review_forget AFTER TRUNCATE ON reviews_review
        FOR EACH STATEMENT EXECUTE FUNCTION changes_forget();
"""

UNDO = f"""
    {LOCKED}
    DROP TRIGGER movies_movie_stamp ON movies_movie;
    DROP TRIGGER movies_moviestats_stamp ON movies_moviestats;
    DROP TRIGGER reviews_review_stamp ON reviews_review;
    DROP TRIGGER movies_movie_bury ON movies_movie;
    DROP TRIGGER reviews_review_bury ON reviews_review;
    DROP TRIGGER movies_movie_forget ON movies_movie;
    DROP TRIGGER reviews_review_forget ON reviews_review;
    DROP FUNCTION changes_stamp, changes_bury, changes_forget;
    ALTER TABLE movies_movie DROP COLUMN change_position, DROP COLUMN change_created;
    ALTER TABLE movies_moviestats DROP COLUMN change_position, DROP COLUMN change_created;
    ALTER TABLE reviews_review DROP COLUMN change_position, DROP COLUMN change_created;
    DROP TABLE changes_gone, changes_era;
"""


class Migration(migrations.Migration):
    dependencies = [("movies", "0004_match_key"), ("reviews", "0004_reports_of_films")]

    operations = [
        migrations.RunSQL(COLUMNS, migrations.RunSQL.noop),
        migrations.RunSQL(STAMP.format(shift=0), migrations.RunSQL.noop),
        migrations.RunSQL(TRIGGERS, UNDO),
    ]
