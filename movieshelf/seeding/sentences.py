"""What made-up reviews say: short opinions that fit the number of stars.

A review is an opener, and mostly a remark or two and a last word. Each list below is one number of
stars; an article that does not fit its noun, or praise under one star, is a bug.
"""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice, product
from random import Random
from typing import NamedTuple

SLOTS = 360  # so many to choose from for each number of stars and each part, repeats included

OPENERS: dict[int, tuple[str, ...]] = {
    5: (
        "One of those films that I recommend to everybody.",
        "I was not ready for how good this is.",
        "Saw it twice in one week.",
        "It has aged beautifully.",
        "This is why I go to the cinema.",
        "I have loved it since I was twelve, and it holds up.",
        "Wonderful from the first shot to the last.",
        "I sat through the credits because I did not want it to end.",
        "My favourite of the year so far.",
        "They do not make many like this.",
        "Everything works here.",
        "Even better the third time.",
        "I came in knowing nothing and left grinning.",
        "Believe what people say about it.",
        "A film to fall in love with.",
        "We talked about it all the way home.",
        "I cried, my neighbour cried, the projectionist probably cried.",
        "If you see one film this month, let it be this one.",
    ),
    4: (
        "Really enjoyed this one.",
        "Better than I expected.",
        "A strong film with a few rough edges.",
        "Not flawless, but I would happily watch it again.",
        "It took a while to win me over, and then it did.",
        "Very nearly great.",
        "Two hours that went by quickly.",
        "Good company for a rainy Sunday.",
        "I had put this off for years, wrongly.",
        "Warmly recommended.",
        "It got under my skin.",
        "Smart, and kinder than it looks.",
        "A pleasant surprise.",
        "My father loved it; I liked it a lot.",
        "It knows exactly what it wants to be.",
        "Solid work all round.",
        "Went in tired, came out awake.",
        "The kind of film you find by accident and keep.",
    ),
    3: (
        "I am in two minds about this one.",
        "Fine, no more and no less.",
        "Worth seeing once.",
        "The first half is better than the second.",
        "Half a great film.",
        "I wanted to like it more.",
        "A decent evening, forgotten by Tuesday.",
        "Not bad, not special.",
        "It has its moments.",
        "Good ideas, uneven film.",
        "I can see why people love it, and I do not quite.",
        "Somewhere in here is a better film.",
        "It passes the time.",
        "Middling, with flashes of something else.",
        "More curious than good.",
        "I liked it in the cinema and less the morning after.",
        "Depends very much on your mood.",
        "Three stars, and I could argue for two or four.",
    ),
    2: (
        "Disappointing.",
        "I expected more.",
        "It never quite comes together.",
        "A long two hours.",
        "Not for me.",
        "There is one good scene, and it is in the trailer.",
        "I kept checking the clock.",
        "Everybody is trying, which makes it sadder.",
        "Less than the sum of its parts.",
        "The poster promises more.",
        "Watchable, if you are ironing.",
        "I had forgotten most of it by breakfast.",
        "It mistakes slow for deep.",
        "A good premise, thrown away.",
        "My friends liked it; I was lost.",
        "Not terrible, just tired.",
        "It is always about to begin.",
        "I respect it more than I enjoyed it.",
    ),
    1: (
        "I gave up after an hour.",
        "No. Just no.",
        "I want my evening back.",
        "A mess from start to finish.",
        "I have seen better home videos.",
        "Avoid.",
        "How did this get made?",
        "The worst thing I saw this year.",
        "We laughed, but never where we were meant to.",
        "Nothing works.",
        "I walked out, came back, and regretted coming back.",
        "Dull beyond words.",
        "It has contempt for its audience.",
        "Even on a plane I would look out of the window.",
        "I fell asleep, and that was the best part.",
        "One star because there is no zero.",
        "My popcorn had more character.",
        "Who is this for?",
    ),
}

STORY = (
    "The script",
    "The story",
    "The ending",
    "The pacing",
    "The dialogue",
    "The opening half hour",
    "The middle act",
    "The humour",
    "The central idea",
    "The final scene",
)
STORY_JUDGED: dict[int, tuple[str, ...]] = {
    5: (
        "is a small miracle.",
        "stayed with me for days.",
        "does not put a foot wrong.",
        "is worth the ticket alone.",
        "should be taught in schools.",
        "is funny and sad in the same breath.",
        "still gives me goosebumps.",
    ),
    4: (
        "is sharper than it first seems.",
        "has real warmth.",
        "surprised me more than once.",
        "feels honest.",
        "is handled with care.",
        "rewards attention.",
        "is better than it needed to be.",
    ),
    3: (
        "works about half of the time.",
        "is fine without being memorable.",
        "starts well and then drifts.",
        "could have used another draft.",
        "is clever rather than moving.",
        "leans on things we have seen before.",
        "wants to be two films at once.",
    ),
    2: (
        "goes in circles.",
        "is thin.",
        "feels borrowed from better films.",
        "never earns what it asks for.",
        "drags badly.",
        "explains what we have just seen.",
        "is predictable from the first minute.",
    ),
    1: (
        "makes no sense at all.",
        "is an insult.",
        "could have been written on a napkin.",
        "is painful to sit through.",
        "falls apart if you look at it.",
        "has nothing to say and says it twice.",
        "is beyond saving.",
    ),
}

CRAFT = (
    "The lead",
    "The supporting cast",
    "The camera work",
    "The music",
    "The editing",
    "The sound",
    "The lighting",
    "The set design",
    "The photography",
    "The score",
)
CRAFT_JUDGED: dict[int, tuple[str, ...]] = {
    5: (
        "is extraordinary.",
        "is a joy from beginning to end.",
        "deserves every prize there is.",
        "lifts every scene.",
        "could carry a lesser film alone.",
        "is as good as it gets.",
    ),
    4: (
        "is excellent.",
        "does a lot with little.",
        "is a pleasure.",
        "carries the slower stretches.",
        "is quietly impressive.",
        "deserves a mention.",
    ),
    3: (
        "is good enough.",
        "is uneven.",
        "does the job.",
        "is the best thing about it, for what that is worth.",
        "tries a little too hard.",
        "is neither here nor there.",
    ),
    2: (
        "is flat.",
        "gets in the way.",
        "does not help.",
        "cannot save it.",
        "looks and sounds like television.",
        "is wasted here.",
    ),
    1: (
        "is atrocious.",
        "belongs in another film, or in none.",
        "hurts.",
        "seems to be asleep.",
        "is amateurish.",
        "makes everything worse.",
    ),
}

LAST_WORDS: dict[int, tuple[str, ...]] = {
    5: (
        "See it on the largest screen you can find.",
        "I will be watching this every winter.",
        "A masterpiece, and I do not use the word often.",
        "Thank you to whoever put it on this shelf.",
        "I envy everybody who has not seen it yet.",
        "Five stars, no hesitation.",
    ),
    4: (
        "Give it twenty minutes and it will have you.",
        "I would see whatever these people do next.",
        "Recommended, with a friend.",
        "Just short of a favourite.",
        "Worth the late night.",
        "I am glad that I finally got round to it.",
    ),
    3: (
        "Borrow it, do not buy it.",
        "Maybe I should watch it again in ten years.",
        "No regrets, no second viewing.",
        "See it for the good parts.",
        "Fans will be happy.",
        "Ask me again next week.",
    ),
    2: (
        "There are better ways to spend an evening.",
        "I hoped to the end, in vain.",
        "Perhaps it is me.",
        "Somebody should try again with the same idea.",
        "Only for completists.",
        "I would not warn you off, but I would not push you either.",
    ),
    1: (
        "Life is short.",
        "Do not believe the posters.",
        "Please, no sequel.",
        "Save your money.",
        "I have nothing nice to add.",
        "Watch anything else.",
    ),
}


class Sentence(NamedTuple):
    """One slot of the table from which the database composes; None is a part left out."""

    stars: int
    part: int
    slot: int
    text: str | None


def sentences(random: Random) -> Iterator[Sentence]:
    """Give SLOTS sentences for each number of stars and each of the four parts."""
    for stars in OPENERS:
        parts = (
            _slots(OPENERS[stars], 1.0, random),
            _slots(_judged(STORY, STORY_JUDGED[stars]), 0.7, random),
            _slots(_judged(CRAFT, CRAFT_JUDGED[stars]), 0.55, random),
            _slots(LAST_WORDS[stars], 0.45, random),
        )
        for part, texts in enumerate(parts):
            for slot, text in enumerate(texts):
                yield Sentence(stars, part, slot, text)


def _judged(subjects: Sequence[str], judgements: Sequence[str]) -> list[str]:
    return [f"{subject} {judgement}" for subject, judgement in product(subjects, judgements)]


def _slots(texts: Sequence[str], share_present: float, random: Random) -> list[str | None]:
    """Fill this share of the slots with the texts, each about as often, in no order."""
    filled = round(SLOTS * share_present)
    chosen: list[str | None] = list(islice(cycle(random.sample(texts, len(texts))), filled))
    chosen += [None] * (SLOTS - filled)
    random.shuffle(chosen)
    return chosen
