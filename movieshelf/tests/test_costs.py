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
from movieshelf import hot_answers
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


def answered(path: str, *, method: str = "GET", body: bytes = b"", **environ: Any) -> bytes:
    """Answer a request as the server has it answered."""
    asked = RequestFactory().generic(method, path, body, "application/json", **environ).environ
    asked["wsgi.input"] = BytesIO(body)
    started: list[str] = []
    answer = application(asked, lambda status, *rest: started.append(status))
    content = b"".join(answer)
    getattr(answer, "close", lambda: None)()
    assert started[0].startswith("20"), content
    return content


@pytest.mark.parametrize(
    ("path", "most"),
    [("/movies", 450), ("/movies/{film}", 300), ("/movies/{film}/reviews", 300)],  # 348, 226, 223
)
def test_an_answer_that_is_given_again(
    path: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    review = ReviewFactory()
    path = path.format(film=review.movie_id)
    # Whoever else commits to the server beside this test.
    monkeypatch.setattr(hot_answers.Witness, "snapshot", lambda self: "7:7:")
    answered(path)

    assert calls_of(lambda: answered(path)) < most


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/movies", 5_500),
        ("/movies/{film}", 2_600),
        ("/movies/{film}/reviews", 5_500),
    ],
)
def test_an_answer_that_django_makes(
    path: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    review = ReviewFactory()
    for _ in range(19):
        MovieFactory()
    path = path.format(film=review.movie_id)
    monkeypatch.setattr(hot_answers, "key_of", lambda environ: None)
    answered(path)

    assert calls_of(lambda: answered(path)) < most


def test_a_rating(user: User) -> None:
    film, login = MovieFactory(), ApiClient().as_(user).defaults
    path = f"/movies/{film.pk}/rating"
    answered(path, method="PUT", body=b'{"value": 3}', **login)

    again = calls_of(lambda: answered(path, method="PUT", body=b'{"value": 4}', **login))

    assert again < 3_500


def test_a_review(user: User) -> None:
    film, login = MovieFactory(), ApiClient().as_(user).defaults
    path = f"/movies/{film.pk}/reviews"
    answered(path, method="POST", body=b'{"content": "Fine."}', **login)

    again = calls_of(lambda: answered(path, method="POST", body=b'{"content": "Good."}', **login))

    assert again < 5_000
