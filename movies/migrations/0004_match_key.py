from django.db import migrations

ARTICLES = "the|a|an|le|la|les|un|une|der|die|das|ein|eine|el|los|las|una|il|lo|gli|de|het|een|den|det"

# COLLATE "C": what the expressions mean must not depend on the database's locale, as the index rests
# on it. 300 characters of UTF-8 are less than an index entry may have.
CREATE = f"""
CREATE FUNCTION movies_match_key(folded text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN left(coalesce(nullif(btrim(
    regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
        folded COLLATE "C",
        '\\s*\\((18|19|20)[0-9]{{2}}\\)\\s*$', ''),
        '^(.+), ({ARTICLES}|l[''’])$', '\\1'),
        '^({ARTICLES}) +(?=[^ ])|^l[''’](?=[^ ])', ''),
        ' *& *', ' and ', 'g'),
        '[''’‘`´]', '', 'g'),
        '[-!"#$%%()*+,./:;<=>?@\\[\\\\\\]^_{{|}}~–—·…“”«»¡¿ ]+', ' ', 'g')
), ''), folded), 300)
"""


class Migration(migrations.Migration):
    dependencies = [("movies", "0003_starcount")]

    operations = [
        migrations.RunSQL(CREATE.replace("%%", "%"), "DROP FUNCTION movies_match_key(text)"),
        # Building it takes longer than a request may, where films are many.
        migrations.RunSQL("SET LOCAL statement_timeout = 0", migrations.RunSQL.noop),
        migrations.RunSQL(
            "CREATE INDEX movie_match_key ON movies_movie (movies_match_key(title_search))",
            "DROP INDEX movie_match_key",
        ),
    ]
