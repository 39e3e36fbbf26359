from django.db import migrations

# What media.0003 and media.0004 have for the other keys to an image: the link holds it from its
# statement on, and takes away the mark that it is unused.
HOLD_AT_ONCE = """
DO $$
DECLARE link record;
BEGIN
    FOR link IN
        SELECT conname AS name FROM pg_constraint
        WHERE contype = 'f' AND confrelid = 'media_media'::regclass
            AND conrelid = 'moderation_sweptrow'::regclass
    LOOP
        EXECUTE format(
            'ALTER TABLE moderation_sweptrow ALTER CONSTRAINT %I DEFERRABLE INITIALLY IMMEDIATE',
            link.name
        );
    END LOOP;
END
$$;
CREATE OR REPLACE TRIGGER shown_again AFTER INSERT OR UPDATE OF poster_id ON moderation_sweptrow
    FOR EACH ROW WHEN (NEW.poster_id IS NOT NULL) EXECUTE FUNCTION media_shown_again('poster_id')
"""


class Migration(migrations.Migration):

    dependencies = [
        ('moderation', '0002_batches_and_merges'),
        ('media', '0004_unused_since'),
    ]

    operations = [
        migrations.RunSQL(HOLD_AT_ONCE, "DROP TRIGGER shown_again ON moderation_sweptrow"),
    ]
