from django.db import migrations, models

# An image that is shown again is not unused any more, however it is linked: by the API, the admin,
# `update()` or SQL. What is not marked is not touched, so that a link costs one look-up by id.
FORGET_THE_MARK = """
CREATE FUNCTION media_shown_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'UPDATE media_media SET unused_since = NULL'
        ' WHERE id = ($1).%I AND unused_since IS NOT NULL', TG_ARGV[0]
    ) USING NEW;
    RETURN NULL;
END
$$
"""
# What goes with the image (a derivative) does not show it.
EACH_LINK = """
DO $$
DECLARE link record;
BEGIN
    FOR link IN
        SELECT conrelid::regclass AS of_table, attname AS name
        FROM pg_constraint
        JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
        WHERE contype = 'f' AND confrelid = 'media_media'::regclass AND confdeltype <> 'c'
    LOOP
        EXECUTE format({statement}, link.of_table, link.name);
    END LOOP;
END
$$
"""
# The name sorts behind those of the foreign keys' triggers, which wait for a sweep that is marking.
LISTEN = EACH_LINK.format(
    statement="""
        'CREATE TRIGGER shown_again AFTER INSERT OR UPDATE OF %2$I ON %1$s FOR EACH ROW
         WHEN (NEW.%2$I IS NOT NULL) EXECUTE FUNCTION media_shown_again(%2$L)'
    """
)
LISTEN_NO_MORE = EACH_LINK.format(statement="'DROP TRIGGER shown_again ON %1$s'")


class Migration(migrations.Migration):

    dependencies = [
        ('media', '0003_links_hold_at_once'),
    ]

    operations = [
        migrations.AddField(
            model_name='media',
            name='unused_since',
            field=models.DateTimeField(editable=False, help_text='When the sweep first found it shown nowhere.', null=True),
        ),
        migrations.AddIndex(
            model_name='media',
            index=models.Index(models.F('unused_since'), condition=models.Q(('unused_since', None), _negated=True), name='media_unused'),
        ),
        migrations.RunSQL(FORGET_THE_MARK, "DROP FUNCTION media_shown_again()"),
        migrations.RunSQL(LISTEN, LISTEN_NO_MORE),
    ]
