"""MovieShelf beside other builds of its API, in one run of the driver that times them all.

    .venv/bin/python benchmarks/peers.py fill DRIVER_FOLDER S         once for each size (S, L)
    .venv/bin/python benchmarks/peers.py run DRIVER_FOLDER S [options of the driver]

DRIVER_FOLDER holds the driver (`bench.py`) and the peers, set up as its README says. `fill` makes a
database `shelf_<size>` beside the driver's `movieshelf_<size>`, with the same films, members,
ratings, reviews and images under the same ids, and a schema `bench` of views over our tables, by
which the driver checks every answer and counts drift. `run` serves it as `make run` would, with
the server's defaults, and gives the driver these options and:

    --target shelf=http://127.0.0.1:8150 --db shelf=shelf_<size>

What the driver has to know of us, and is told here: tokens of real logins; images have UUIDs; the
peers' default order is our `sort=reviews_desc`; among equal averages more ratings come first, and
among films of one day the newest. Ceilings are on and counted, but high: a thousand members send
thousands of ratings a second.
"""

import contextlib
import importlib.util
import os
import re
import secrets
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
from shelves import HOST, ROOT, served

PORT = 8150
TARGET = f"http://{HOST}:{PORT}"
PGPORT = os.environ.get("PGPORT", "5544")
KEY_FILE = Path(os.environ.get("BENCH_TMP", "/tmp/bench")) / "shelf.key"  # the driver's own
ORDERS = {
    "rating_desc": "average_rating DESC, rating_count DESC, id DESC",
    "release_asc": "release_date, id DESC",
}
# The driver knows images by number.
MEDIA_ID = "00000000-0000-7000-8000-{:012d}"
LOGINS = uuid.UUID("00000000-0000-7000-9000-000000000000")

VIEWS = """
    CREATE SCHEMA bench;
    CREATE VIEW bench.movies AS
        SELECT film.id, film.title, film.release_date, film.created_by_id AS created_by,
            film.created_at, rating_count, review_count, rating_sum,
            coalesce((rating_sum::numeric / nullif(rating_count, 0))::float8, 0) AS average_rating
        FROM movies_movie film
        JOIN movies_moviestats stats ON stats.movie_id = film.id
        CROSS JOIN LATERAL (
            SELECT (rating_1 + 2 * rating_2 + 3 * rating_3 + 4 * rating_4 + 5 * rating_5)::bigint
        ) sums (rating_sum);
    CREATE VIEW bench.ratings AS
        SELECT id, movie_id, user_id, value, created_at, updated_at FROM ratings_rating;
    CREATE VIEW bench.reviews AS
        SELECT id, movie_id, user_id, content, created_at, updated_at
        FROM reviews_review WHERE NOT is_hidden;
    CREATE VIEW bench.users AS SELECT id, name, email, role, is_active FROM accounts_user;
    CREATE VIEW bench.media AS
        SELECT right(id::text, 12)::int AS id, content_type AS mime_type, sha256, data
        FROM media_media;
    -- The driver repairs what peers got wrong. Here there must be nothing to repair.
    CREATE FUNCTION bench.refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'film % has a wrong number', OLD.id; END $$;
    CREATE TRIGGER refuse INSTEAD OF UPDATE ON bench.movies
        FOR EACH ROW EXECUTE FUNCTION bench.refuse();
"""


def main(action: str, driver: str, size: str, *options: str) -> None:
    from movieshelf.embedded import services

    services.start()
    os.environ |= {
        "REDIS_URL": f"unix://{services.run_dir}/valkey.sock?db=9",
        "DATABASE_URL": f"postgresql://postgres@{HOST}:{PGPORT}/shelf_{size.lower()}",
        "DEBUG": "false",
        "ALLOWED_HOSTS": HOST,
        "SECRET_KEY": secrets.token_urlsafe(48),
        "JWT_SIGNING_KEY": signing_key(),
        "JWT_SECRET": signing_key(),  # the peers' name for it
    }
    if action == "fill":
        fill(size.lower())
    else:
        run(Path(driver), size, list(options))


def signing_key() -> str:
    if not KEY_FILE.exists():
        KEY_FILE.write_text(secrets.token_urlsafe(48))
    return KEY_FILE.read_text()


# --- The same data -------------------------------------------------------------------------------


def fill(size: str) -> None:
    """Copy the driver's database of one size into one of ours."""
    started = time.monotonic()
    with connect("postgres") as server:
        server.execute(f"DROP DATABASE IF EXISTS shelf_{size} WITH (FORCE)")
        server.execute(
            f"CREATE DATABASE shelf_{size} TEMPLATE template0"
            " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"
        )
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=ROOT,
        check=True,
        env={**os.environ, "DATABASE_STATEMENT_TIMEOUT_MS": "0"},
    )
    os.environ["DJANGO_SETTINGS_MODULE"] = "movieshelf.settings"
    import django

    django.setup(set_prefix=False)
    copy_all(size)
    with connect(f"shelf_{size}") as ours:
        ours.execute(VIEWS)
        ours.execute("VACUUM ANALYZE")
    subprocess.run([sys.executable, "manage.py", "recompute", "--check"], cwd=ROOT, check=True)
    print(f"shelf_{size} is filled, in {time.monotonic() - started:.0f} s.")


def connect(database: str) -> psycopg.Connection[Any]:
    return psycopg.connect(
        f"host={HOST} port={PGPORT} user=postgres dbname={database}", autocommit=True
    )


def copy_all(size: str) -> None:
    from django.db import connection, transaction

    from accounts.models import User, email_key
    from media.models import Media
    from movies import marks
    from movies.models import Movie, MovieStats
    from movies.titles import search_fold, title_key
    from movieshelf.progress import Silence
    from movieshelf.seeding.loading import prepare_session, run, without_indexes
    from movieshelf.seeding.opinions import count_opinions
    from ratings.models import Rating
    from reviews.models import Review

    def in_python(
        table: str, columns: str, question: str, change: Callable[[Any], Sequence[Any]]
    ) -> None:
        with (
            theirs.cursor(name="rows") as rows,
            connection.cursor() as cursor,
            cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy,
        ):
            rows.itersize = 5_000
            for row in rows.execute(question):
                copy.write_row(change(row))

    def as_it_is(table: str, columns: str, question: str) -> None:
        with (
            theirs.cursor() as source,
            source.copy(f"COPY ({question}) TO STDOUT (FORMAT BINARY)") as rows,
            connection.cursor() as cursor,
            cursor.copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)") as copy,
        ):
            for part in rows:
                copy.write(part)

    many = 1_000_000_000  # more than there are: indexes are built in the end
    with connect(f"movieshelf_{size}") as theirs, transaction.atomic():
        theirs.autocommit = False
        # A cursor is planned for its first rows; all of them are wanted here.
        theirs.execute("SET cursor_tuple_fraction = 1")
        prepare_session(0)
        rebuild = without_indexes(
            dict.fromkeys((User, Media, Movie, MovieStats, Rating, Review), many)
        )
        in_python(
            "accounts_user",
            "id, name, email, email_key, role, is_superuser, is_active, password, created_at",
            "SELECT id, name, email, role, is_active, created_at FROM users ORDER BY id",
            lambda u: (*u[:3], email_key(u[2]), u[3], False, u[4], "!", u[5]),
        )
        in_python(
            "media_media",
            "id, data, content_type, width, height, bytes, sha256, created_at",
            "SELECT id, data, mime_type, size, sha256, created_at FROM media ORDER BY id",
            lambda m: (MEDIA_ID.format(m[0]), *m[1:3], 800, 600, *m[3:]),
        )
        # Newest last, as ids are given: the peers' ties go by id, and ours by the time.
        in_python(
            "movies_movie",
            "id, title, title_key, title_search, release_date, synopsis, trailer_url, poster_id,"
            " created_by_id, created_at, updated_at, version",
            "SELECT m.id, title, release_date, synopsis, trailer_url, poster_media_id, created_by,"
            " t.created_at FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM movies) m"
            " JOIN (SELECT created_at, row_number() OVER (ORDER BY created_at) AS n FROM movies) t"
            " USING (n) ORDER BY m.id",
            lambda m: (
                *(m[0], m[1], title_key(m[1]), search_fold(m[1]), m[2], m[3], m[4]),
                *(m[5] and MEDIA_ID.format(m[5]), m[6], m[7], m[7], 1),
            ),
        )
        as_it_is(
            "ratings_rating",
            "id, movie_id, user_id, value, created_at, updated_at",
            "SELECT id, movie_id::bigint, user_id::bigint, value, created_at, updated_at"
            " FROM ratings",
        )
        as_it_is(
            "reviews_review",
            "id, movie_id, user_id, content, is_hidden, hidden_reason, created_at, updated_at",
            "SELECT id, movie_id::bigint, user_id::bigint, content, false, ''::varchar,"
            " created_at, updated_at FROM reviews",
        )
        count_opinions()
        rebuild(Silence())
        for table in ("accounts_user", "movies_movie", "ratings_rating", "reviews_review"):
            run(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
        run(
            """
            INSERT INTO accounts_session (id, user_id, generation, created_at, last_used_at,
                rotated_at, expires_at, ends_at, revoked_for, user_agent)
            SELECT (left(%(logins)s, 24) || lpad(id::text, 12, '0'))::uuid, id, 0, now(), now(),
                now(), now() + %(lasting)s, now() + %(lasting)s, '', 'benchmark'
            FROM accounts_user
            """,
            {"logins": str(LOGINS), "lasting": timedelta(days=30)},
        )
    marks.rebuild()


# --- The same driver -----------------------------------------------------------------------------


def run(driver: Path, size: str, options: list[str]) -> None:
    """Serve our database of one size, and have the driver time it with its peers."""
    bench = load(driver / "bench.py")
    teach(bench)
    with serving():
        sys.argv = [
            *("bench.py", "--size", size, *options),
            *("--target", f"shelf={TARGET}", "--db", f"shelf=shelf_{size.lower()}"),
        ]
        bench.main()


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def teach(bench: Any) -> None:
    """Tell the driver how our requests are spelt, and how our lists are ordered."""
    their_orders, http = dict(bench.ORDER), bench.http

    class Bench(bench.Bench):  # type: ignore[misc]  # of a module that is loaded here
        def use(self, target: str) -> None:
            super().use(target)
            bench.ORDER.update(ORDERS if target == "shelf" else their_orders)

        def requests(self, endpoint: str, base: str) -> Any:
            asked = super().requests(endpoint, base)
            if base != TARGET:
                return asked
            return [(method, spelt(path), *rest) for method, path, *rest in asked]

    def ask(method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        if url.startswith(TARGET):
            url = TARGET + spelt(url.removeprefix(TARGET))
        return http(method, url, *args, **kwargs)

    bench.Bench, bench.http, bench.token = Bench, ask, token


def spelt(path: str) -> str:
    """Give a path of the driver as we spell it."""
    if image := re.fullmatch(r"/media/(\d+)", path):
        return "/media/" + MEDIA_ID.format(int(image[1]))
    if re.match(r"/movies($|\?)", path) and "sort=" not in path:
        return f"{path}{'&' if '?' in path else '?'}sort=reviews_desc"
    return path


def token(user_id: int, role: str = "user") -> str:
    """Sign a token that the peers take as well: theirs is a part of ours."""
    import jwt

    now = int(time.time())
    claims = {
        **{"sub": str(user_id), "user_id": user_id, "role": role, "jti": f"{user_id:032x}"},
        **{"token_type": "access", "type": "access", "iat": now, "exp": now + 86_400},
        **{"iss": "movieshelf", "aud": "movieshelf", "sid": f"{str(LOGINS)[:24]}{user_id:012d}"},
    }
    return jwt.encode(claims, signing_key(), algorithm="HS256")


@contextlib.contextmanager
def serving() -> Iterator[None]:
    """Serve with the server's defaults until the block ends."""
    environment = {
        **os.environ,
        "RATELIMIT_WRITES_USER": "1000000/m",
        "WEB_PROCESSES": os.environ.get("WORKERS", "2"),
    }
    with (KEY_FILE.parent / "shelf.log").open("w") as log, served(PORT, environment, log=log):
        yield


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in ("fill", "run"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
