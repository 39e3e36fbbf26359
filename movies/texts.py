"""Texts that many titles have: how many films have them, by stars, without looking at one title.

A text that more than a few thousand titles contain is one of a few thousand such texts: no shelf
has the letters for more. The one row of CommonTexts holds each of them with its films by stars.
TitleMove, StarMove and marks.Move hold what has changed since, left in the transaction of each
change; so the counts and the moves that one statement sees are together the shelf as it sees it,
as with the marks of the pages.

A text that is not among them is in a few thousand titles at most. Where the trigram index has
nothing rare to look for (there is no trigram in "zq", and only common ones in " the the"),
TitleBlock has all titles so closely packed that looking through every one of a million takes some
fifty milliseconds. docs/lists.md tells the whole story.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from django.contrib.postgres.fields import ArrayField
from django.db import connection, models, transaction

from movies import marks
from movies.words import forget_all_but, learn, words_of
from movieshelf.api.statements import reading_cursor

# A text that more films have is common; of others the films are kept one by one.
FEW = 5_000
# The films whose ids make up a block.
BLOCK_IDS = 64
# When a tenth of the shelf has changed since the texts were found, they are found anew.
STALE_SHARE = 0.1
MAX_TRIES = 3
TRIGRAM = 3

_LEVELS = range(marks.STAR_LEVELS)
_NEW_VERSION = "random(1, 9007199254740991)"

# For each film that changed since the counts were made: its title and stars then, and now; no title
# where it was not there, or no longer is. What a film left and came back to sums up to nothing.
_CHANGES = """
    WITH title AS (
        SELECT movie_id, title, sum(films) AS films FROM movies_titlemove WHERE NOT folded
        GROUP BY movie_id, title HAVING sum(films) <> 0
    ), star AS (
        SELECT movie_id, stars, sum(films) AS films
        FROM (
            SELECT movie_id, stars, films FROM movies_starmove
            UNION ALL SELECT movie_id, stars, films FROM movies_move
        ) moved GROUP BY movie_id, stars HAVING sum(films) <> 0
    ), change AS (
        SELECT movie_id,
            coalesce(
                left_title.title, CASE WHEN new_title.title IS NULL THEN film.title_search END
            ) AS old_title,
            coalesce(left_stars.stars, stats.stars) AS old_stars,
            film.title_search AS title, stats.stars AS stars
        FROM (SELECT movie_id FROM title UNION SELECT movie_id FROM star) changed
        LEFT JOIN (SELECT * FROM title WHERE films < 0) left_title USING (movie_id)
        LEFT JOIN (SELECT * FROM title WHERE films > 0) new_title USING (movie_id)
        LEFT JOIN (SELECT * FROM star WHERE films < 0) left_stars USING (movie_id)
        LEFT JOIN movies_movie film ON film.id = movie_id
        LEFT JOIN movies_moviestats stats USING (movie_id)
    )
"""
_MOVED_TITLES = """
    SELECT version, (
        SELECT coalesce(sum(films), 0) FROM movies_titlemove
        WHERE NOT folded AND strpos(title, %(text)s) > 0
    )
    FROM movies_commontexts
"""
_MOVED_TITLES_AND_STARS = f"""
    {_CHANGES}
    SELECT version, (
        SELECT count(*) FILTER (WHERE strpos(title, %(text)s) > 0 AND stars >= %(stars)s)
            - count(*) FILTER (WHERE strpos(old_title, %(text)s) > 0 AND old_stars >= %(stars)s)
        FROM change
    )
    FROM movies_commontexts
"""
type Counts = dict[str, list[int]]


class StarMove(models.Model):
    """Films that have so many stars (+1), or no longer do (-1), since the texts were counted.

    What marks.Move said of stars, summed up by a trigger when it is folded into the marks.
    """

    pk = models.CompositePrimaryKey("movie_id", "stars")
    movie_id = models.BigIntegerField()
    stars = models.SmallIntegerField()
    films = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.films:+} film {self.movie_id} of {self.stars} stars"


class CommonTexts(models.Model):
    """The one row of texts, each with its films by stars.

    `version` is another after each change, and null while nothing is known. `building` names who
    counts the titles that one snapshot saw; `changes` are the titles that changed since.
    """

    version = models.BigIntegerField(null=True)
    building = models.BigIntegerField(null=True)
    changes = models.IntegerField(default=0)
    films = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "common texts"

    def __str__(self) -> str:
        return f"texts of version {self.version}"


class TitleBlock(models.Model):
    """The titles of the films of neighbouring ids as one text, a line each."""

    id = models.BigIntegerField(primary_key=True)
    ids = ArrayField(models.BigIntegerField())
    titles = models.TextField()

    def __str__(self) -> str:
        return f"titles of {len(self.ids)} films"


class Texts(NamedTuple):
    """The common texts of one version."""

    version: int
    films: Counts

    def films_of(self, text: str) -> int:
        """Give how many films had the text when it was counted; 0 for one that is not common."""
        return sum(self.films.get(text, ()))


def containing(text: str) -> str:
    """Give the pattern of LIKE for what contains a text."""
    escaped = text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"


class _Keeper:
    """This process's copy of the common texts; another version replaces it."""

    held: Texts | None = None

    def of(self, version: int) -> Texts | None:
        held = self.held
        if held is None or held.version != version:
            row = CommonTexts.objects.exclude(version=None).first()
            if row is None:
                return None
            held = self.held = Texts(row.version or 0, row.films)
        return held if held.version == version else None


_keeper = _Keeper()


def films_having(text: str, *, stars: int = 0) -> int | None:
    """Give how many films of at least so many stars have a common text; None for any other."""
    held = _keeper.held
    if held is not None and text not in held.films:
        return None
    # Who folds between the two statements makes one ask again.
    for _ in range(MAX_TRIES):
        version, moved = _ask(text, stars)
        if version is None:
            return None
        if texts := _keeper.of(version):
            by_stars = texts.films.get(text)
            return None if by_stars is None else sum(by_stars[stars:]) + int(moved)
    return None


def current() -> Texts | None:
    """Give the common texts as they are now, None while they are not known."""
    version = CommonTexts.objects.values_list("version", flat=True).first()
    return None if version is None else _keeper.of(version)


def has_rare_trigram(text: str, texts: Texts) -> bool:
    """Tell whether the trigram index has something to look for that few titles have."""
    trigrams = (text[n : n + TRIGRAM] for n in range(len(text) - TRIGRAM + 1))
    return any(trigram.isalnum() and trigram not in texts.films for trigram in trigrams)


def films_in_blocks(text: str) -> list[int]:
    """Give the films that have a text in their titles, however many, while texts are known."""
    with reading_cursor(CommonTexts) as cursor:
        cursor.execute(f"{FILMS_IN_BLOCKS} SELECT id FROM few", {"text": text})
        return [pk for (pk,) in cursor]


# The films that have a text in their titles, found in the blocks but for those whose titles moved.
FILMS_IN_BLOCKS = """
    WITH moved AS MATERIALIZED (
        SELECT DISTINCT movie_id FROM movies_titlemove WHERE NOT folded AND movie_id IS NOT NULL
    ), few AS (
        SELECT film.id
        FROM movies_titleblock block,
            unnest(block.ids, string_to_array(block.titles, E'\\n')) AS film (id, title)
        WHERE strpos(block.titles, %(text)s) > 0 AND strpos(film.title, %(text)s) > 0
            AND film.id NOT IN (SELECT movie_id FROM moved)
        UNION ALL
        SELECT id FROM movies_movie
        WHERE id IN (SELECT movie_id FROM moved) AND strpos(title_search, %(text)s) > 0
    )
"""


def _ask(text: str, stars: int) -> tuple[int | None, int]:
    with reading_cursor(CommonTexts) as cursor:
        cursor.execute(
            _MOVED_TITLES_AND_STARS if stars else _MOVED_TITLES, {"text": text, "stars": stars}
        )
        return cursor.fetchone() or (None, 0)


@marks.in_one_snapshot
def fold(cursor: Any) -> bool:
    """Count what changed, once and for all, unless another does; tell whether it was done."""
    row = _lock()
    if row is None or row.version is None or not marks.fold():
        return False
    _fold(cursor, row)
    return True


def _lock() -> CommonTexts | None:
    return CommonTexts.objects.select_for_update(skip_locked=True).first()


def _fold(cursor: Any, row: CommonTexts) -> None:
    """Add the changes to the counts; there is nothing in movies_move that this snapshot sees."""
    cursor.execute(f"{_CHANGES} SELECT old_title, old_stars, title, stars FROM change")
    changes = cursor.fetchall()
    for old_title, old_stars, title, stars in changes:
        if old_title is not None and old_stars is not None:
            _count(row.films, old_title, old_stars, -1)
        if title is not None and stars is not None:
            _count(row.films, title, stars, 1)
    learn(words_of(title for _, _, title, _ in changes if title is not None))
    moved = _take_moves(cursor)
    if not changes and not moved:
        return
    _pack(cursor, sorted({pk // BLOCK_IDS for pk in moved}))
    row.version, row.building, row.changes = _new_version(cursor), None, row.changes + len(moved)
    row.save()


def _count(films: Counts, title: str, stars: int, by: int) -> None:
    for text in texts_of(title, films):
        films[text][stars] += by


def texts_of(title: str, films: Mapping[str, Any]) -> set[str]:
    """Give the common texts that a title contains: each begins with one that is common, too."""
    found = set()
    for start in range(len(title)):
        for end in range(start + 1, len(title) + 1):
            text = title[start:end]
            if text not in films:
                break
            found.add(text)
    return found


def _take_moves(cursor: Any) -> list[int]:
    """Call all moves counted that this snapshot sees; give the films whose titles moved."""
    cursor.execute("DELETE FROM movies_starmove")
    cursor.execute("UPDATE movies_titlemove SET folded = true WHERE NOT folded RETURNING movie_id")
    return sorted({pk for (pk,) in cursor if pk is not None})


def _pack(cursor: Any, blocks: Sequence[int] | None = None) -> None:
    """Pack the titles of these blocks anew, or of all."""
    only = "" if blocks is None else "WHERE id = ANY(%(blocks)s)"
    cursor.execute(f"DELETE FROM movies_titleblock {only}", {"blocks": blocks})
    # A range of ids for each block, which the primary key finds.
    films = (
        "movies_movie"
        if blocks is None
        else """
        unnest(%(blocks)s::bigint[]) AS block (number)
        JOIN movies_movie ON id >= number * %(size)s AND id < (number + 1) * %(size)s
    """
    )
    cursor.execute(
        f"""
        INSERT INTO movies_titleblock (id, ids, titles)
        SELECT id / %(size)s, array_agg(id ORDER BY id),
            string_agg(title_search, E'\\n' ORDER BY id)
        FROM {films} GROUP BY 1
        """,
        {"blocks": blocks, "size": BLOCK_IDS},
    )


def _new_version(cursor: Any) -> int:
    cursor.execute(f"SELECT {_NEW_VERSION}")
    return int(cursor.fetchone()[0])


def need_build() -> bool:
    """Tell whether the common texts are unknown, or out of date: texts may have become common."""
    row = CommonTexts.objects.defer("films").first()
    if row is None or row.version is None:
        return True
    return row.changes > FEW and row.changes > STALE_SHARE * _films_now()


def _films_now() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(films), 0)::bigint FROM movies_starcount")
        return int(cursor.fetchone()[0])


def build() -> bool:
    """Find the common texts, beside traffic; give False where somebody was in the way.

    What one snapshot saw is counted when its transaction is over, which takes a while: the moves of
    the meantime wait. Who folds meanwhile, or loads in bulk, makes `building` another.
    """
    read: list[tuple[int, str]] = []
    token = _read_everything(read)
    if not token:
        return False
    films = _common_texts(read)
    words = words_of(titles for _, titles in read)
    learn(words)
    with connection.cursor() as cursor:
        version = _new_version(cursor)
    with transaction.atomic():
        built = CommonTexts.objects.filter(building=token)
        if not built.update(version=version, building=None, changes=0, films=films):
            return False
        forget_all_but(words)
    return True


def _read_everything(read: list[tuple[int, str]]) -> int:
    """Read all titles with their stars, and pack the blocks; give the name of this building."""
    token = 0

    def work(cursor: Any) -> bool:
        nonlocal token
        row = _lock()
        if row is None or not marks.fold():
            return False
        if row.version is None:
            _take_moves(cursor)
            _pack(cursor)
        else:
            _fold(cursor, row)
        cursor.execute(
            "SELECT stars, string_agg(title_search, E'\\n') FROM movies_movie"
            " JOIN movies_moviestats ON movie_id = id GROUP BY stars, id / 4096"
        )
        read.extend(cursor)
        token = _new_version(cursor)
        return bool(CommonTexts.objects.update(building=token))

    return token if marks.in_one_snapshot(work)() else 0


def _common_texts(read: Iterable[tuple[int, str]]) -> Counts:
    """Count the texts of one character, then of two, and so on, as long as there are common ones.

    A text is only counted where both texts of one character less that it contains are common.
    """
    common: Counts = {}
    shorter: set[str] | None = None
    left = list(read)
    length = 0
    while left:
        length += 1
        counted: dict[int, Counter[str]] = defaultdict(Counter)
        longer: list[tuple[int, str]] = []
        for stars, titles in left:
            texts_of_title = partial(_texts_of_length, length=length, shorter=shorter)
            having = []
            for title in titles.split("\n"):
                if texts := texts_of_title(title):
                    counted[stars].update(texts)
                    having.append(title)
            if having:
                longer.append((stars, "\n".join(having)))
        all_together: Counter[str] = sum(counted.values(), Counter())
        shorter = {text for text, films in all_together.items() if films > FEW}
        for text in shorter:
            common[text] = [counted[stars][text] for stars in _LEVELS]
        left = longer if shorter else []
    return common


def _texts_of_length(title: str, *, length: int, shorter: set[str] | None) -> set[str]:
    if shorter is None:
        return set(title)
    less = length - 1
    return {
        title[n : n + length]
        for n in range(len(title) - less)
        if title[n : n + less] in shorter and title[n + 1 : n + length] in shorter
    }
