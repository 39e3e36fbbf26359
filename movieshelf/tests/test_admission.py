"""Many requests at once: how many work, who waits, who is told to come back."""

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.test import RequestFactory

from movieshelf import admission
from movieshelf.admission import Door, Places
from movieshelf.tests.valkey import until
from movieshelf.wsgi import UTF8Handler

MANY_SECONDS = 30.0


class Work:
    """An application that works until it is let go, and how many requests it works on."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.order: list[str] = []
        self.most = 0
        self.may_end = threading.Event()
        self._changing = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        name = environ["PATH_INFO"]
        with self._changing:
            self.inside.append(name)
            self.order.append(name)
            self.most = max(self.most, len(self.inside))
        if name.startswith("/movies"):
            assert self.may_end.wait(MANY_SECONDS)
        with self._changing:
            self.inside.remove(name)
        start_response("200 OK", [])
        return [b"done"]


def ask(application: Any, path: str, **environ: Any) -> str:
    """Ask, and give the status."""
    started: list[Any] = []
    asked = RequestFactory().get(path, **environ).environ
    b"".join(application(asked, lambda *answer: started.extend(answer)))
    return str(started[0])


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def threads(work: Work) -> Any:
    with ThreadPoolExecutor(20) as threads:
        yield threads
        work.may_end.set()


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing counts as stuck, however slow the machine is."""
    monkeypatch.setattr(admission, "STUCK_SECONDS", MANY_SECONDS)


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("at_once", [1, 2])
def test_so_many_work_at_once_and_the_others_come_in_order(work, threads, at_once):
    places = Places(work, at_once=at_once)
    asked = []
    for number in range(6):
        asked.append(threads.submit(ask, places, f"/movies/{number}"))
        until(lambda done=number + 1: len(work.inside) + len(places._line) == done)

    work.may_end.set()

    assert [one.result() for one in asked] == ["200 OK"] * 6
    assert work.most == at_once
    if at_once == 1:  # two who are called at the same time may come in either order
        assert work.order == [f"/movies/{number}" for number in range(6)]


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    ("path", "environ"),
    [
        ("/auth/login", {}),
        ("/users/me/avatar", {"CONTENT_TYPE": "multipart/form-data; boundary=x"}),
    ],
)
def test_what_mostly_waits_takes_no_place(work, threads, path, environ):
    places = Places(work, at_once=1)
    threads.submit(ask, places, "/movies")
    until(lambda: work.inside)

    assert ask(places, path, **environ) == "200 OK"


def test_who_finds_every_place_stuck_goes_in_without_one(work, threads):
    places = Places(work, at_once=1)
    threads.submit(ask, places, "/movies")
    until(lambda: work.inside)

    assert ask(places, "/reviews/1") == "200 OK"
    assert places._line == admission.deque()

    work.may_end.set()
    until(lambda: places._free == 1)


@pytest.mark.usefixtures("patience")
def test_a_place_is_given_back_by_a_request_that_fails(work):
    def fail(environ: Any, start_response: Any) -> Any:
        raise RuntimeError

    places = Places(fail, at_once=1)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            ask(places, "/movies")

    assert places._free == 1


def test_places_are_neither_lost_nor_made_up(monkeypatch):
    """Whoever gives up waiting at the moment of being called must not take the place along."""
    monkeypatch.setattr(admission, "STUCK_SECONDS", 0.0005)
    places = Places(lambda environ, start_response: start_response("200 OK", []) or [], at_once=2)

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(lambda _: ask(places, "/movies"), range(4_000))) == {"200 OK"}

    assert places._free == 2


class Full:
    """A door in front of Django with room for nobody."""

    def __init__(self) -> None:
        self.door = Door(UTF8Handler(), room=0)

    def ask(self, method: str = "GET", path: str = "/movies", **environ: Any) -> Any:
        started: list[Any] = []
        asked = RequestFactory().generic(method, path, **environ).environ
        body = b"".join(self.door(asked, lambda *answer: started.extend(answer)))
        return started[0], dict(started[1]), body


@pytest.fixture
def full() -> Full:
    return Full()


@pytest.mark.django_db
def test_who_comes_when_it_is_full_is_told_to_come_back(full, client):
    status, headers, body = full.ask("POST", "/movies/7/reviews")

    assert status == "503 Service Unavailable"
    assert headers["Retry-After"] == "2"
    assert b'"code":"unavailable"' in body
    assert headers["Content-Length"] == str(len(body))
    assert (
        headers.items()
        >= {
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Server": "MovieShelf",
        }.items()
    )


@pytest.mark.django_db
@pytest.mark.parametrize("time", ["first", "second"])
def test_a_browser_is_shown_the_refusal_on_allowed_origins_alone(full, time, settings):
    """Row 21."""
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example"]
    for _ in range(1 if time == "first" else 2):
        _, allowed, _ = full.ask(HTTP_ORIGIN="https://app.example")
        _, evil, _ = full.ask(HTTP_ORIGIN="https://evil.example")

    assert allowed["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-origin" not in evil


@pytest.mark.django_db
def test_the_second_refusal_costs_django_nothing(full, monkeypatch):
    first = full.ask()
    monkeypatch.setattr(full.door, "application", None)

    second = full.ask("HEAD", "/users/me", HTTP_AUTHORIZATION="Bearer x", HTTP_COOKIE="a=b")

    assert second[:2] == first[:2]
    assert second[2] == b""


@pytest.mark.django_db
def test_health_answers_however_full_it_is(full):
    assert full.ask(path="/healthz")[0] == "200 OK"


@pytest.mark.usefixtures("patience")
def test_there_is_room_again_once_somebody_has_left(work, threads):
    door = Door(work, room=2)
    asked = [threads.submit(ask, door, "/movies") for _ in range(2)]
    until(lambda: len(work.inside) == 2)

    work.may_end.set()
    for one in asked:
        one.result()

    assert ask(door, "/movies") == "200 OK"
