from django.db import migrations

# Django checks foreign keys at the commit. Those that point to an image are checked with the
# statement that makes the link, so that from then on the link holds the image (FOR KEY SHARE), and
# a sweep at the same moment leaves it alone.
LINKS_ARE_CHECKED_AT = """
DO $$
DECLARE link record;
BEGIN
    FOR link IN
        SELECT conrelid::regclass AS of_table, conname AS name
        FROM pg_constraint
        WHERE contype = 'f' AND confrelid = 'media_media'::regclass
    LOOP
        EXECUTE format(
            'ALTER TABLE %s ALTER CONSTRAINT %I DEFERRABLE INITIALLY {moment}',
            link.of_table, link.name
        );
    END LOOP;
END
$$
"""


class Migration(migrations.Migration):

    dependencies = [
        ('media', '0002_derivatives_and_links'),
        ('accounts', '0002_initial'),
        ('movies', '0001_initial'),
    ]

    operations = [
        migrations.RunSQL(
            LINKS_ARE_CHECKED_AT.format(moment="IMMEDIATE"),
            LINKS_ARE_CHECKED_AT.format(moment="DEFERRED"),
        ),
    ]
