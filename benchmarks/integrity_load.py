"""Delete, merge, sweep and recompute at their largest, in a big catalogue, and print a table.

    DATABASE_URL=... REDIS_URL=... DEBUG=true .venv/bin/python benchmarks/integrity_load.py

The catalogue should be big (`make bench-scale` makes one of a million films) and no server's. Adds,
by SQL, what is then taken away by the very methods that the API and the admin call:

- a film with a rating of every member, at most 999,999, and 100,000 reviews; deleted
- a member with 10,001 ratings and 1,000 reviews; deleted
- two films, each rated by half of all members and half of those the same; merged
- a member with 89,000 ratings and 10,000 reviews; a sweep seen before, done and undone
- `recompute`, with nothing to repair, and after 20,000 films had their numbers set to nought

Statements are counted with BEGIN and COMMIT. Memory is the most that the process had. Exits 1 when
`recompute --check` finds drift in the end.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["DJANGO_SETTINGS_MODULE"] = "movieshelf.settings"

import django

django.setup()

from django.conf import settings  # noqa: E402  # after setup()
from django.db import connection, transaction  # noqa: E402  # after setup()
from django.test.utils import CaptureQueriesContext  # noqa: E402  # after setup()

from accounts.models import User  # noqa: E402  # after setup()
from moderation.merging import merge  # noqa: E402  # after setup()
from moderation.sweeping import preview, sweep  # noqa: E402  # after setup()
from moderation.undoing import undo  # noqa: E402  # after setup()
from movies.models import Movie, MovieStats  # noqa: E402  # after setup()

MOST_RATINGS = 999_999
DRIFTED_FILMS = 20_000
NOW = "clock_timestamp()"


def main() -> None:
    admin = User.objects.create_user("bench@integrity.example", name="Bench", role="admin")
    print("| what | time | statements |\n|---|---|---|")
    try:
        delete_a_film()
        delete_a_member()
        merge_two_films(admin)
        sweep_a_member(admin)
    finally:
        admin.delete()
    recompute("`recompute`, nothing to repair")
    changed(
        "UPDATE movies_moviestats SET rating_1 = 0, rating_2 = 0, rating_3 = 0, rating_4 = 0,"
        " rating_5 = 0 WHERE movie_id IN (SELECT movie_id FROM movies_moviestats"
        " ORDER BY rating_count DESC LIMIT %s)",
        [DRIFTED_FILMS],
    )
    recompute(f"`recompute`, the {DRIFTED_FILMS:,} most rated films at nought")
    sys.exit(recompute("`recompute --check` afterwards", "--check"))


def delete_a_film() -> None:
    film = Movie.objects.create(title="Rated by All")
    ratings, reviews = rate(film, members=MOST_RATINGS), review(film, reviews=100_000)
    count(film)
    with timed(f"delete a film with {ratings:,} ratings and {reviews:,} reviews"):
        film.delete()


def delete_a_member() -> None:
    member = a_member_with(ratings=10_001, reviews=1_000)
    with timed("delete a member with 10,001 ratings and 1,000 reviews"):
        member.delete()


def merge_two_films(admin: User) -> None:
    one, other = Movie.objects.create(title="One Entry"), Movie.objects.create(title="The Other")
    half = min(User.objects.count(), MOST_RATINGS) // 2
    ratings = rate(one, members=half) + rate(other, members=half, but_first=half // 2)
    reviews = review(one, reviews=10_000) + review(other, reviews=10_000)
    count(one, other)
    what = f"merge two films with {ratings:,} ratings, half of them by who rated both"
    with timed(f"{what}, and {reviews:,} reviews"):
        survivor = merge(one.pk, into=other.pk, by=admin)
    survivor.delete()


def sweep_a_member(admin: User) -> None:
    member = a_member_with(ratings=89_000, reviews=10_000)
    what = "a sweep of 89,000 ratings and 10,000 reviews"
    with timed(f"see {what} before"):
        preview(member, with_films=True)
    with timed(f"do {what}"):
        batch = sweep(member.pk, by=admin, with_films=True)
    with timed("undo it"):
        undo(batch.pk, by=admin)
    member.delete()


def recompute(what: str, *arguments: str) -> int:
    """Run the command, print its time and memory, and give how it ended."""
    command = [sys.executable, "manage.py", "recompute", *arguments]
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read().splitlines()
    _, status, used = os.wait4(process.pid, 0)
    seconds, peak = time.monotonic() - began, used.ru_maxrss // 1024
    print(f"| {what}: {said[-1]} | {seconds:.1f} s, {peak} MiB at most | |", flush=True)
    return os.waitstatus_to_exitcode(status)


def rate(film: Movie, *, members: int, but_first: int = 0) -> int:
    """Let so many members rate the film, beginning behind the first."""
    return changed(
        "INSERT INTO ratings_rating (movie_id, user_id, value, created_at, updated_at)"
        f" SELECT %s, id, 1 + id %% 5, {NOW}, {NOW} FROM accounts_user"
        " ORDER BY id LIMIT %s OFFSET %s",
        [film.pk, members, but_first],
    )


def review(film: Movie, *, reviews: int) -> int:
    return changed(
        f"INSERT INTO reviews_review ({REVIEW}) SELECT %s, id, 'Seen.', false, '', {NOW}, {NOW}"
        " FROM accounts_user ORDER BY id LIMIT %s",
        [film.pk, reviews],
    )


REVIEW = "movie_id, user_id, content, is_hidden, hidden_reason, created_at, updated_at"


def a_member_with(*, ratings: int, reviews: int) -> User:
    address = f"busy-{ratings}@integrity.example"
    member = User.objects.create_user(address, name="Busy")
    changed(
        "INSERT INTO ratings_rating (movie_id, user_id, value, created_at, updated_at)"
        f" SELECT id, %s, 1 + id %% 5, {NOW}, {NOW} FROM movies_movie ORDER BY id LIMIT %s",
        [member.pk, ratings],
    )
    changed(
        f"INSERT INTO reviews_review ({REVIEW}) SELECT id, %s, 'Seen.', false, '', {NOW}, {NOW}"
        " FROM movies_movie ORDER BY id LIMIT %s",
        [member.pk, reviews],
    )
    # Their films count one more each.
    given = "(1 + movie_id %% 5)"
    stars = ", ".join(f"rating_{v} = rating_{v} + ({given} = {v})::int" for v in range(1, 6))
    changed(
        f"UPDATE movies_moviestats SET {stars} WHERE movie_id IN"
        " (SELECT movie_id FROM ratings_rating WHERE user_id = %s)",
        [member.pk],
    )
    changed(
        "UPDATE movies_moviestats SET review_count = review_count + 1 WHERE movie_id IN"
        " (SELECT movie_id FROM reviews_review WHERE user_id = %s)",
        [member.pk],
    )
    return member


def count(*films: Movie) -> None:
    for film in films:
        quietly("recompute", "--movie", str(film.pk))
        film.stats = MovieStats.objects.get(pk=film.pk)


def quietly(*arguments: str) -> None:
    command = [sys.executable, "manage.py", *arguments]
    subprocess.run(command, cwd=settings.BASE_DIR, check=True, stdout=subprocess.DEVNULL)


def changed(statement: str, values: list[Any]) -> int:
    """Give how many rows a statement changed, which may take its time."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(statement, values)
        return int(cursor.rowcount)


@contextmanager
def timed(what: str) -> Iterator[None]:
    with CaptureQueriesContext(connection) as queries:
        began = time.monotonic()
        yield
        seconds = time.monotonic() - began
    print(f"| {what} | {seconds:.2f} s | {len(queries)} |", flush=True)


if __name__ == "__main__":
    main()
