from decimal import Decimal

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import F, Func, Value
from django.db.models.functions import Coalesce

NEWEST = (F("created_at").desc(), F("id").desc())


def release(template):
    return Func(F("release_date"), output_field=models.IntegerField(), template=template)


class Migration(migrations.Migration):
    # Nobody waits for an index of a million films. Each is there before the one it replaces goes.
    atomic = False
    dependencies = [("movies", "0005_page_marks")]

    operations = [
        migrations.RunSQL("SET statement_timeout = 0", migrations.RunSQL.noop),
        AddIndexConcurrently(
            "movie",
            models.Index(
                release("COALESCE(%(expressions)s - DATE '2000-01-01', -10000000)").desc(),
                *NEWEST,
                name="movie_latest",
            ),
        ),
        AddIndexConcurrently(
            "movie",
            models.Index(
                release("COALESCE(DATE '2000-01-01' - %(expressions)s, -10000000)").desc(),
                *NEWEST,
                name="movie_earliest",
            ),
        ),
        AddIndexConcurrently(
            "moviestats",
            models.Index(
                Coalesce("score", Value(Decimal(-1))).desc(),
                F("created_at").desc(),
                F("movie").desc(),
                name="stats_rank",
            ),
        ),
        RemoveIndexConcurrently("movie", "movie_release_desc"),
        RemoveIndexConcurrently("movie", "movie_release_asc"),
        RemoveIndexConcurrently("moviestats", "stats_score"),
        migrations.RunSQL("RESET statement_timeout", migrations.RunSQL.noop),
    ]
