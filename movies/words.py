"""The words of all titles, among which a typo is mended."""

import re
from collections.abc import Iterable

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import connection, models

WORD = re.compile(r"\w+")
# What is longer is no word, and mended by nobody.
MAX_WORD_LENGTH = 40


class TitleWord(models.Model):
    """A word of a title, or of one that is gone since the words were collected."""

    word = models.TextField()

    class Meta:
        # A unique field would have a second index, for LIKE.
        constraints = (models.UniqueConstraint(fields=["word"], name="titleword_unique"),)
        indexes = (GinIndex(OpClass("word", name="gin_trgm_ops"), name="titleword_trigrams"),)

    def __str__(self) -> str:
        return self.word


def words_of(titles: Iterable[str]) -> set[str]:
    words = {word for title in titles for word in WORD.findall(title)}
    return {word for word in words if len(word) <= MAX_WORD_LENGTH}


def learn(words: set[str]) -> None:
    """Have these among the words."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO movies_titleword (word) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING",
            [sorted(words)],
        )


def forget_all_but(words: set[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM movies_titleword known WHERE NOT EXISTS"
            " (SELECT FROM unnest(%s::text[]) AS word WHERE word = known.word)",
            [sorted(words)],
        )
