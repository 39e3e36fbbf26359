"""Titles of films that nobody made, out of word lists and the titles of real films."""

import re
from collections.abc import Iterator, Sequence
from random import Random

from movies.titles import title_key
from movieshelf.seeding.words import ADJECTIVES, NOUNS, PLACES

_YEAR = re.compile(r" \(\d{4}\)$")
# "The Silence of the | Lambs", "Rosemary's | Baby".
_JOINT = re.compile(
    r"^(?P<head>.{2,36}? (?:of|and|in|from|with|for|on) (?:the |a |an |her |his |my )?"
    r"|.{2,20}?[’']s )(?P<tail>[^:,()]{3,30})$"
)

SEQUELS = ("II", "III", "Returns", "Revisited", "Forever", "Part Two", "The Return", "IV")

FORMS = (
    "The {adjective} {noun}",
    "{adjective} {noun}",
    "The {noun} of {place}",
    "{noun} in {place}",
    "The {noun} and the {other}",
    "A {adjective} {noun} in {place}",
    "The {noun}’s {adjective} {other}",
    "{noun}, {other} and the {adjective} {third}",
    "The {adjective} {noun} from {place}",
    "Last {noun} to {place}",
    "My {adjective} {noun}",
    "The {noun} Who Loved {place}",
    "{adjective} {noun}, {another} {other}",
    "No {noun} for the {adjective} {other}",
)


def made_up_titles(
    real_titles: Sequence[str], taken: set[str], random: Random
) -> Iterator[tuple[str, str]]:
    """Give titles and their keys without end; none is, or will be, among the `taken` keys.

    Some words are frequent and some rare, as in life.
    """
    compose = _Composer(real_titles, random)
    while True:
        title = compose()
        key = title_key(title)
        if key in taken:
            title = f"{title} {_skewed(SEQUELS, random)}"
            key = title_key(title)
        if key in taken:
            title = f"{title} ({1920 + random.randrange(107)})"
            key = title_key(title)
        if key not in taken:
            taken.add(key)
            yield title, key


class _Composer:
    def __init__(self, real_titles: Sequence[str], random: Random) -> None:
        plain = [_YEAR.sub("", title) for title in real_titles]
        joints = [joint for joint in map(_JOINT.match, plain) if joint]
        pairs = [words for words in map(str.split, plain) if len(words) == 2]
        self.heads = sorted({joint["head"] for joint in joints}) or ["The Last of the "]
        self.tails = sorted({joint["tail"] for joint in joints}) or ["Tales"]
        self.firsts = sorted({first for first, _ in pairs}) or [*ADJECTIVES]
        self.seconds = sorted({second for _, second in pairs}) or [*NOUNS]
        self.random = random
        for words in (self.heads, self.tails, self.firsts, self.seconds):
            random.shuffle(words)

    def __call__(self) -> str:
        kind = self.random.random()
        if kind < 0.35:
            return _skewed(self.heads, self.random) + _skewed(self.tails, self.random)
        if kind < 0.45:
            return f"{_skewed(self.firsts, self.random)} {_skewed(self.seconds, self.random)}"
        return self._of_the_lists()

    def _of_the_lists(self) -> str:
        random = self.random
        return _skewed(FORMS, random).format(
            adjective=_skewed(ADJECTIVES, random),
            another=_skewed(ADJECTIVES, random),
            noun=_skewed(NOUNS, random),
            other=_skewed(NOUNS, random),
            third=_skewed(NOUNS, random),
            place=_skewed(PLACES, random),
        )


def _skewed(words: Sequence[str], random: Random) -> str:
    """Choose a word, those in front more often."""
    return words[int(len(words) * random.random() ** 1.6)]
