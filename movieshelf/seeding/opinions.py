"""Ratings and reviews, spread like life, made by PostgreSQL from hashes of ids.

Few films have many ratings and most have few: the film at place p in popularity has about
1 / (p + 10)^1.2 of them, and no film more than four members in five. Each film has a hidden
quality and each member a bias, so averages differ. A few members rate nearly everything. People
review what they rated, and write what fits their stars.

To choose n things among many in proportion to their weights, exactly n and without a loop, the
weights are added up along the line, scaled to n, and a thing is chosen once for each whole number
that its stretch of the line crosses.
"""

from random import Random

from django.db import connection

from movieshelf.progress import Advance
from movieshelf.seeding.loading import copy_rows, number, run
from movieshelf.seeding.members import CLOSED, DOMAIN
from movieshelf.seeding.sentences import SLOTS, Sentence, sentences

ROWS_PER_STATEMENT = 400_000
# Where ratings were before, members chosen again are left out, so it takes a few rounds; when one
# adds less than this share of what remains, nearly everybody has rated everything.
LEAST_PROGRESS = 0.05
STEEPNESS, HEAD = 1.2, 10
SHARE_OF_MEMBERS, SPREAD = 0.8, 0.5

# What pg_temp.chance() is asked for, told apart by its salt.
POPULARITY, QUALITY, FIRST_MEMBER, ACTIVITY, BIAS, REACH = 1, 2, 3, 4, 5, 8
# These are asked about a film and a member: the salt is this and the member's id times ten.
TASTE, MOOD, RATED_AT = 1, 2, 3
# And these about a rating and one of its parts or copies.
SENTENCE, REVIEWED_AT = 6, 7


class TooMany(Exception):
    """There are not enough members and films for so many ratings; the message says how many."""


def add_ratings(count: int, well_known: list[str], advance: Advance) -> None:
    """Add ratings by made-up members; nobody rates a film twice. Raises TooMany."""
    _number_members()
    members = number("SELECT count(*) FROM seed_members")
    films = number("SELECT count(*) FROM movies_movie")
    present = number("SELECT count(*) FROM ratings_rating JOIN seed_members m ON m.id = user_id")
    room = members * films - present
    if count > room:
        raise TooMany(
            f"{members:,} made-up members and {films:,} films have room for {room:,} more ratings, "
            f"not {count:,}."
        )
    is_crowded = present + count > members * films / 2
    share, spread = (1.0, 0.0) if is_crowded else (SHARE_OF_MEMBERS, SPREAD)
    while count:
        _weigh_films(
            count, most=share * members, spread=spread, well_known=well_known, salt=present
        )
        added = _rate_weighed(members, skip_rated=present > 0, advance=advance)
        count, present = count - added, present + added
        if added < count * LEAST_PROGRESS:
            break
    if count:
        _rate_anything(count)
        advance(count)


def _number_members() -> None:
    """Line up the made-up members: in front stand those who rate the most."""
    run("DROP TABLE IF EXISTS seed_members")
    run(
        f"""
        CREATE TEMP TABLE seed_members ON COMMIT DROP AS
        SELECT id, created_at,
               row_number() OVER (ORDER BY pg_temp.chance(id, {ACTIVITY}), id) - 1 AS place,
               1.2 * pg_temp.chance(id, {BIAS}) - 0.6 AS bias
        FROM accounts_user WHERE email_key LIKE '%@{DOMAIN}' AND is_active AND role = 'user'
        """
    )
    run("CREATE UNIQUE INDEX ON seed_members (place)")
    run("CREATE UNIQUE INDEX ON seed_members (id)")
    run("ANALYZE seed_members")


def _weigh_films(
    count: int, *, most: float, spread: float, well_known: list[str], salt: int
) -> None:
    """Say how many ratings each film gets: `count` in all, at most about `most` each."""
    films = number("SELECT count(*) FROM movies_movie")
    weight = f"power((place + {HEAD})::float8, -{STEEPNESS})"
    # Not one limit for all: a dozen films with the same number at the top would look strange.
    most_of_film = f"%(most)s * (1 - %(spread)s * pg_temp.chance(id, {REACH}))"
    run("DROP TABLE IF EXISTS seed_films")
    run(
        f"""
        CREATE TEMP TABLE seed_films ON COMMIT DROP AS
        WITH placed AS (
            SELECT id, created_at, title_key = ANY(%(known)s) AS is_known,
                   row_number() OVER (
                       ORDER BY title_key = ANY(%(known)s) DESC,
                                pg_temp.chance(id, {POPULARITY}), id
                   ) AS place
            FROM movies_movie
        ), summed AS (
            SELECT *, sum(least(%(scale)s * {weight}, {most_of_film})) OVER (ORDER BY id) AS reached
            FROM placed
        ), scaled AS (
            SELECT *, reached / (SELECT max(reached) FROM summed) * %(count)s AS line FROM summed
        )
        SELECT id, created_at,
               floor(line)::bigint AS crossed,
               least(%(members)s, floor(line) - floor(coalesce(lag(line) OVER (ORDER BY id), 0))
               )::bigint AS ratings,
               pg_temp.chance(id, {FIRST_MEMBER} + 1000 * %(salt)s) AS start,
               2.0 + 2.5 * pg_temp.chance(id, {QUALITY}) + CASE WHEN is_known THEN 0.6 ELSE 0 END
                   AS quality
        FROM scaled
        """,
        {
            "known": well_known,
            "most": most,
            "members": number("SELECT count(*) FROM seed_members"),
            "spread": spread,
            "scale": _scale(films, count, most * (1 - spread / 2)),
            "count": count,
            "salt": salt,
        },
    )
    run("DELETE FROM seed_films WHERE ratings = 0")
    run("CREATE INDEX ON seed_films (crossed)")
    run("ANALYZE seed_films")


def _scale(films: int, count: int, most: float) -> float:
    """Give the factor by which the weights, each cut at `most`, add up to `count`."""
    weights = sum((place + HEAD) ** -STEEPNESS for place in range(1, films + 1))
    rest = float(count)
    for place in range(1, films + 1):
        weight = (place + HEAD) ** -STEEPNESS
        if rest / weights * weight <= most:
            break
        rest, weights = rest - most, weights - weight
    return rest / weights if weights > 0 else 1e12


def _rate_weighed(members: int, *, skip_rated: bool, advance: Advance) -> int:
    """Write the ratings of the weighed films, some hundred thousand a statement; give how many."""
    # The n-th of a film's ratings comes from the member at this place. The square makes those in
    # front rate more; it grows ever faster, so from where it overtakes n no place comes twice.
    member_at = (
        f"greatest(nth, least({members} - 1,"
        f" floor({members} * power((nth + film.start) / film.ratings, 2))::bigint))"
    )
    skip = """
        AND NOT EXISTS (
            SELECT FROM ratings_rating rated
            WHERE rated.movie_id = film.id AND rated.user_id = member.id
        )
    """
    added = 0
    for crossed in range(0, number("SELECT max(crossed) FROM seed_films"), ROWS_PER_STATEMENT):
        step = run(
            f"""
            INSERT INTO ratings_rating (movie_id, user_id, value, created_at, updated_at)
            SELECT film_id, member_id, greatest(1, least(5, round(liked))), at, at
            FROM (
                SELECT film.id AS film_id, member.id AS member_id,
                       {_liked("film.quality")} AS liked, {_rated_at("film")} AS at
                FROM seed_films film
                CROSS JOIN LATERAL generate_series(0, film.ratings - 1) AS nth
                JOIN seed_members member ON member.place = {member_at}
                WHERE film.crossed > %s AND film.crossed <= %s {skip if skip_rated else ""}
            ) opinion
            ORDER BY at, film_id, member_id
            """,
            [crossed, crossed + ROWS_PER_STATEMENT],
        )
        added += step
        advance(step)
    return added


def _rate_anything(count: int) -> None:
    """Rate what a member has not rated yet, whatever it is."""
    run(
        f"""
        INSERT INTO ratings_rating (movie_id, user_id, value, created_at, updated_at)
        SELECT film.id, member.id, greatest(1, least(5, round({_liked("3.2")}))), at, at
        FROM movies_movie film CROSS JOIN seed_members member
        CROSS JOIN LATERAL (SELECT {_rated_at("film")} AS at)
        WHERE NOT EXISTS (
            SELECT FROM ratings_rating rated
            WHERE rated.movie_id = film.id AND rated.user_id = member.id
        )
        LIMIT %s
        """,
        [count],
    )


def _liked(quality: str) -> str:
    """Give the SQL of how much a member liked a film; two chances together lean to the middle."""
    return (
        f"{quality} + member.bias + 1.4 * (pg_temp.chance(film.id, {TASTE} + 10 * member.id)"
        f" + pg_temp.chance(film.id, {MOOD} + 10 * member.id) - 1)"
    )


def _rated_at(film: str) -> str:
    """Give the SQL of a time after both the film and the member came to the shelf."""
    both = f"greatest({film}.created_at, member.created_at)"
    return (
        f"{both} + (timestamptz '{CLOSED.isoformat()}' - {both})"
        f" * pg_temp.chance({film}.id, {RATED_AT} + 10 * member.id)"
    )


def add_reviews(count: int, random: Random, advance: Advance) -> None:
    """Add reviews of films by made-up members who rated them. Raises TooMany."""
    _number_members()
    run("ANALYZE ratings_rating")
    total = number("SELECT count(*) FROM ratings_rating JOIN seed_members m ON m.id = user_id")
    if not total:
        raise TooMany("Made-up members review what they rated, and they have rated nothing yet.")
    run("DROP TABLE IF EXISTS seed_sentences")
    run(
        "CREATE TEMP TABLE seed_sentences (stars int, part int, slot int, text text,"
        " PRIMARY KEY (stars, part, slot)) ON COMMIT DROP"
    )
    copy_rows("seed_sentences", Sentence._fields, sentences(random), lambda done: None)
    run("ANALYZE seed_sentences")
    past = number("SELECT count(*) FROM reviews_review")
    last_id = done = 0
    while done < total:
        last_id, passed, added = _review_some(last_id, done, total, count, past)
        done += passed
        advance(added)


def _review_some(
    last_id: int, done: int, total: int, count: int, past: int
) -> tuple[int, int, int]:
    """Review some of the next ratings.

    Gives the id of the last one looked at, how many were, and how many reviews were added.
    """
    # Looked up one by one: for a join the planner expects a thousand copies of each rating, and
    # chooses what would suit four hundred million rows.
    texts = ", ".join(
        f"""(SELECT text FROM seed_sentences
             WHERE stars = rating.value AND part = {part} AND slot = floor({SLOTS} * pg_temp.chance(
                 rating.id, {SENTENCE} + 10 * (4 * copy + {part}) + 997 * %(past)s))::int)"""
        for part in range(4)
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH rating AS MATERIALIZED (
                SELECT ratings_rating.*, %(done)s + row_number() OVER (ORDER BY id) AS nth
                FROM ratings_rating
                WHERE id > %(last_id)s AND user_id IN (SELECT id FROM seed_members)
                ORDER BY id LIMIT {ROWS_PER_STATEMENT}
            ), added AS (
                INSERT INTO reviews_review
                    (movie_id, user_id, content, is_hidden, hidden_reason, created_at, updated_at)
                SELECT rating.movie_id, rating.user_id, concat_ws(' ', {texts}), false, '', at, at
                FROM rating
                CROSS JOIN LATERAL generate_series(
                    (nth - 1) * %(count)s / %(total)s, nth * %(count)s / %(total)s - 1
                ) AS copy
                CROSS JOIN LATERAL (
                    SELECT least(timestamptz '{CLOSED.isoformat()}', rating.created_at
                        + interval '2 days'
                        * pg_temp.chance(rating.id, {REVIEWED_AT} + 10 * copy)) AS at
                ) written
                ORDER BY at, rating.id, copy
                RETURNING 1
            )
            SELECT (SELECT max(id) FROM rating), (SELECT count(*) FROM rating),
                   (SELECT count(*) FROM added)
            """,
            {"done": done, "last_id": last_id, "count": count, "total": total, "past": past},
        )
        looked_up_to, passed, added = cursor.fetchone() or (last_id, 0, 0)
    return looked_up_to, passed, added


def count_opinions() -> None:
    """Make the numbers of every film, old or new, what its rows say."""
    values = ", ".join(f"count(*) FILTER (WHERE value = {v}) AS rating_{v}" for v in range(1, 6))
    columns = (*(f"rating_{v}" for v in range(1, 6)), "review_count")
    counted = ", ".join(f"coalesce({column}, 0)" for column in columns)
    news = ", ".join(f"{column} = excluded.{column}" for column in columns)
    ours, theirs = (", ".join(f"{t}.{c}" for c in columns) for t in ("stats", "excluded"))
    run(
        f"""
        INSERT INTO movies_moviestats AS stats
            (movie_id, created_at, release_date, {", ".join(columns)})
        SELECT film.id, film.created_at, film.release_date, {counted}
        FROM movies_movie film
        LEFT JOIN (
            SELECT movie_id, {values} FROM ratings_rating GROUP BY movie_id
        ) rated ON rated.movie_id = film.id
        LEFT JOIN (
            SELECT movie_id, count(*) AS review_count FROM reviews_review
            WHERE NOT is_hidden GROUP BY movie_id
        ) reviewed ON reviewed.movie_id = film.id
        ORDER BY film.id
        ON CONFLICT (movie_id) DO UPDATE SET {news} WHERE ({ours}) IS DISTINCT FROM ({theirs})
        """
    )
