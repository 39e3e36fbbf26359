"""How a view says that its answer may be given again, and how one finds out whether it still is so.

`movieshelf.hot_answers` keeps such answers and gives them again without asking Django.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.http.response import HttpResponseBase


class Shown(NamedTuple):
    """What an answer shows, so that it can be compared with what there is.

    While nothing at all was committed, every answer is still right. When something was, one with a
    `question` is right as long as PostgreSQL gives this `answer` to it, and one without is made
    anew. `is_current` says whether what does not follow from the database's rows alone (the number
    in `rank` lags) is still as it was; it must be quick and ask nobody.
    """

    question: str | None = None
    parameters: tuple[Any, ...] = ()
    answer: tuple[Any, ...] | None = None
    is_current: Callable[[], bool] | None = None


ANYTHING = Shown()


def may_be_kept[R: HttpResponseBase](response: R, shown: Shown = ANYTHING) -> R:
    """Mark a public answer that is the same for everybody who sends the same request.

    What is read for it must come from where the request reads from, after the request came in.
    """
    response.shown = shown  # type: ignore[attr-defined]  # ours, on Django's response
    return response


def what_is_shown(response: object) -> Shown | None:
    """Give what a view marked its answer with, None for one that must not be kept."""
    shown: Shown | None = getattr(response, "shown", None)
    return shown
