"""The titles that come closest to a text that no title contains: a typo, or a few.

On a shelf whose common texts are known (movies.texts), a text is mended word by word: a few hundred
thousand words are all that a million titles have, so the nearest ones are found in little time, and
then the titles that have them. Elsewhere the titles themselves are compared, which takes as long as
there are titles that share a trigram with the text.
"""

from collections.abc import Sequence
from typing import Any

from movies.texts import TRIGRAM, Texts, containing, current
from movies.words import MAX_WORD_LENGTH, WORD, TitleWord
from movieshelf.api.statements import reading_cursor

# The closest titles that are kept, from which other filters choose.
MAX_NEAR = 200
# The contract offers twenty. With so many of one kind those that are less close need no look.
ENOUGH = 20
# Word similarity, from near to far: the farther, the more titles are read.
THRESHOLDS = (0.5, 0.3)
# What is looked for of a long text, and what each word may have meant.
MAX_WORDS = 4
MAX_MEANT = 3
# A word that more titles have tells too little to be looked for.
MAX_FILMS = 50_000
# Titles that are compared with the text.
MAX_COMPARED = 5_000


def closest(text: str) -> list[int]:
    """Give the films with the closest titles, the nearest first. Needs a transaction."""
    texts = current()
    if texts is None:
        return _closest_titles(text)
    return _with_words(text, texts)


def _with_words(text: str, texts: Texts) -> list[int]:
    """Find titles with the words of the text, or with those that they come closest to."""
    words = [word for word in dict.fromkeys(WORD.findall(text)) if len(word) <= MAX_WORD_LENGTH]
    with reading_cursor(TitleWord) as cursor:
        cursor.execute("SELECT set_config('pg_trgm.word_similarity_threshold', '0.3', true)")
        meant = [found for word in words[: 2 * MAX_WORDS] if (found := _meant(cursor, word))]
        # Those that fewer titles have, first.
        meant.sort(key=lambda some: sum(map(texts.films_of, some)))
        telling = [some for some in meant if all(_is_telling(word, texts) for word in some)]
        telling = telling[:MAX_WORDS]
        for wanted in (meant, telling[:1]):
            if wanted and (ids := _titles_with(cursor, text, wanted, telling)):
                return ids
    return []


def _is_telling(word: str, texts: Texts) -> bool:
    return len(word) >= TRIGRAM and texts.films_of(word) <= MAX_FILMS


def _meant(cursor: Any, word: str) -> list[str]:
    """Give the word where there is one, else the one with two letters swapped, or the nearest."""
    swapped = [
        f"{word[:n]}{word[n + 1]}{word[n]}{word[n + 2 :]}"
        for n in range(min(len(word), MAX_WORD_LENGTH) - 1)
    ]
    cursor.execute(
        f"""
        WITH added AS (
            SELECT DISTINCT word FROM movies_titlemove,
                regexp_split_to_table(title, '\\W+') AS word
            WHERE NOT folded AND films > 0
        ), same AS (
            SELECT word, word <> %(word)s AS is_other FROM movies_titleword
            WHERE word = ANY(%(same)s)
            UNION SELECT word, word <> %(word)s FROM added WHERE word = ANY(%(same)s)
        ), near AS (
            SELECT word FROM movies_titleword WHERE word %%> %(word)s
            UNION SELECT word FROM added WHERE word %%> %(word)s
        )
        SELECT word, is_other::int AS farness FROM same
        UNION ALL
        SELECT word, 2 - similarity(word, %(word)s) FROM near
        WHERE NOT EXISTS (SELECT FROM same)
        ORDER BY farness, word LIMIT {MAX_MEANT}
        """,
        {"word": word, "same": [word, *swapped]},
    )
    found = [word for word, _ in cursor]
    return found[:1] if found[:1] == [word] else found


def _titles_with(
    cursor: Any, text: str, meant: Sequence[Sequence[str]], telling: Sequence[Sequence[str]]
) -> list[int]:
    """Find titles with one of each few words; the telling ones are looked for in the index."""
    conditions, parameters = [], []
    for some in meant:
        # An index would read all titles that have a common word.
        has = "title_search LIKE %s" if some in telling else "strpos(title_search, %s) > 0"
        conditions.append(f"({' OR '.join([has] * len(some))})")
        parameters += [containing(word) if some in telling else word for word in some]
    # Of common words alone, the newest films have enough.
    newest = "SELECT * FROM movies_movie ORDER BY created_at DESC, id DESC"
    films = "movies_movie" if telling else f"({newest} LIMIT {4 * MAX_COMPARED}) newest"
    cursor.execute(
        f"""
        SELECT id FROM (
            SELECT id, title_search, created_at FROM {films}
            WHERE {" AND ".join(conditions)} LIMIT {MAX_COMPARED}
        ) found
        ORDER BY word_similarity(%s, title_search) DESC, length(title_search), created_at DESC,
            id DESC LIMIT {MAX_NEAR}
        """,
        [*parameters, text],
    )
    return [pk for (pk,) in cursor]


def _closest_titles(text: str) -> list[int]:
    ids = _with_two_letters_swapped(text)
    for threshold in THRESHOLDS:
        if len(ids) < MAX_NEAR:
            ids += [pk for pk in _similar(text, threshold) if pk not in ids]
        if len(ids) >= ENOUGH:
            break
    return ids[:MAX_NEAR]


def _with_two_letters_swapped(folded: str) -> list[int]:
    """Find titles that contain the text but for two neighbours: hardly a trigram is left of it."""
    if len(folded) > MAX_WORD_LENGTH:
        return []
    swapped = {
        f"{folded[:n]}{folded[n + 1]}{folded[n]}{folded[n + 2 :]}" for n in range(len(folded) - 1)
    }
    like = " OR ".join(["title_search LIKE %s"] * len(swapped))
    with reading_cursor(TitleWord) as cursor:
        cursor.execute(
            f"SELECT id FROM movies_movie WHERE {like}"
            f" ORDER BY length(title_search), created_at DESC, id DESC LIMIT {MAX_NEAR}",
            [containing(text) for text in sorted(swapped)],
        )
        return [pk for (pk,) in cursor]


def _similar(folded: str, threshold: float) -> list[int]:
    """Find titles one of whose stretches of words shares this part of the text's trigrams."""
    with reading_cursor(TitleWord) as cursor:
        cursor.execute(
            "SELECT set_config('pg_trgm.word_similarity_threshold', %s, true)", [str(threshold)]
        )
        cursor.execute(
            "SELECT id FROM movies_movie WHERE title_search %%> %s"
            " ORDER BY word_similarity(%s, title_search) DESC, created_at DESC, id DESC"
            f" LIMIT {MAX_NEAR}",
            [folded, folded],
        )
        return [pk for (pk,) in cursor]
