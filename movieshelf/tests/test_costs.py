"""What a hot request costs, in calls of Python functions: a count, so no busy machine matters.

A bound is some way above what was counted when it was set (the figure beside it). Who goes over it
has made a path slower that was made fast on purpose, and should know why; who comes in far below
may lower it.
"""

import sys
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from django.test import RequestFactory

from accounts.models import User
from movies.tests.factories import MovieFactory
from movieshelf import hot_answers, short_ways
from movieshelf.tests.client import ApiClient
from movieshelf.wsgi import application
from reviews.tests.factories import ReviewFactory

pytestmark = pytest.mark.django_db(transaction=True)


def calls_of(work: Callable[[], object]) -> int:
    """Count the Python functions that some work calls, those written in C included."""
    count = 0

    def note(frame: Any, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def request(
    path: str, *, method: str = "GET", body: bytes = b"", **environ: Any
) -> Callable[[], None]:
    """Give what makes the server's application answer a request, without the making of it."""
    asked = RequestFactory().generic(method, path, body, "application/json", **environ).environ

    def answer() -> None:
        started: list[str] = []
        fresh = {**asked, "wsgi.input": BytesIO(body)}
        response = application(fresh, lambda status, *rest: started.append(status))
        content = b"".join(response)
        getattr(response, "close", lambda: None)()
        assert started[0].startswith("20"), content

    return answer


@pytest.fixture(autouse=True)
def _ranks_are_held(settings: Any) -> None:
    """As they are between two readings of them; other tests have them read each time."""
    settings.RANK_MAX_AGE_SECONDS = 60.0


def second_time(answer: Callable[[], None]) -> int:
    answer()
    return calls_of(answer)


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/movies", 140),  # 110
        ("/movies/{film}", 135),  # 106
        ("/movies/{film}/reviews", 100),  # 76
    ],
)
def test_an_answer_that_is_given_again(
    path: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    review = ReviewFactory()
    # Whoever else commits to the server beside this test.
    monkeypatch.setattr(hot_answers.Witness, "snapshot", lambda self: "7:7:")

    assert second_time(request(path.format(film=review.movie_id))) < most


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/movies", 2_500),  # 1,968
        ("/movies/{film}", 2_200),  # 1,786
        ("/movies/{film}/reviews", 2_200),  # 1,838
    ],
)
def test_an_answer_that_django_makes(path: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    review = ReviewFactory()
    for _ in range(19):
        MovieFactory()
    monkeypatch.setattr(hot_answers, "key_of", lambda environ: None)

    assert second_time(request(path.format(film=review.movie_id))) < most


WRITES = [
    ("/movies/{film}/rating", "PUT", b'{"value": 4}'),
    ("/movies/{film}/reviews", "POST", b'{"content": "Fine."}'),
]


def write(user: User, path: str, method: str, body: bytes) -> Callable[[], None]:
    login = ApiClient().as_(user).defaults
    return request(path.format(film=MovieFactory().pk), method=method, body=body, **login)


@pytest.mark.parametrize(("how", "most"), zip(WRITES, (1_000, 1_050), strict=True))  # 869, 896
def test_a_write_the_short_way(user: User, how: tuple[str, str, bytes], most: int) -> None:
    assert second_time(write(user, *how)) < most


@pytest.mark.parametrize(("how", "most"), zip(WRITES, (2_900, 3_300), strict=True))
def test_a_write_that_django_does(
    user: User, how: tuple[str, str, bytes], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(short_ways, "is_plain", lambda environ: False)

    assert second_time(write(user, *how)) < most
