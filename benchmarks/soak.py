"""Soak a running MovieShelf: mixed writers and readers, each answer checked as it comes.

    make run                                                 # in another terminal
    .venv/bin/python benchmarks/soak.py --seconds 60         # four processes of four threads

Every film that is read must be what its own distribution says; no answer may be a 5xx; and in the
end `manage.py recompute --check` must find no drift, before and after the members have left. Needs
nothing but the standard library, and registers its own members. With the ceilings on, members are
made as slowly as they allow, and writes over them are counted as refused. Exits 1 on any violation.

`--admin EMAIL:PASSWORD` adds a moderator who hides and shows reviews.
"""

import argparse
import http.client
import json
import multiprocessing
import random
import secrets
import subprocess
import sys
import threading
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "a phrase for the soak"
SORTS = ("latest", "reviews", "top", "rank", "release_desc", "release_asc")
# What each kind of request may be answered with while others delete what it is about.
ALLOWED = {
    "rate": {200, 404},
    "unrate": {204, 404},
    "review": {201, 404},
    "edit review": {200, 404},
    "delete review": {204, 404},
    "hide or show": {200, 404},
    "edit film": {200},
    "replace film": {201, 204},
    "read film": {200, 404},
    "read list": {200},
    "read reviews": {200, 404},
    "read rank": {200, 404},
}
WEIGHTS = {
    "rate": 30,
    "unrate": 6,
    "review": 8,
    "edit review": 4,
    "delete review": 5,
    "hide or show": 4,
    "edit film": 4,
    "replace film": 1,
    "read film": 20,
    "read list": 12,
    "read reviews": 4,
    "read rank": 2,
}


class Api:
    """One connection, kept open."""

    def __init__(self, url: str) -> None:
        self.host = urlsplit(url).netloc
        self.connection = http.client.HTTPConnection(self.host, timeout=30)

    def call(
        self, method: str, path: str, body: Any = None, token: str | None = None
    ) -> tuple[int, Any, float]:
        """Give the status, the JSON and the seconds it took; 0 for a broken connection."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        started = time.perf_counter()
        try:
            data = None if body is None else json.dumps(body)
            self.connection.request(method, path, data, headers)
            response = self.connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            return 0, {}, time.perf_counter() - started
        if response.status == 429:
            raw = json.dumps({"wait": int(response.headers["Retry-After"])}).encode()
        return response.status, json.loads(raw or b"{}"), time.perf_counter() - started


class Member:
    def __init__(self, email: str, password: str) -> None:
        self.email, self.password = email, password
        self.token = ""
        self.reviews: list[int] = []

    def enter(self, api: Api, *, register: bool) -> None:
        """Register or log in, as often as the ceilings allow."""
        body = {"email": self.email, "password": self.password}
        body |= {"name": "Soaker"} if register else {}
        path = "/auth/register" if register else "/auth/login"
        while True:
            status, answer, _ = api.call("POST", path, body)
            if status in (200, 201):
                self.token = answer["accessToken"]
                return
            if status != 429:
                raise SystemExit(f"{path} answered {status}: {answer}")
            time.sleep(answer["wait"])


class Tally:
    """What happened, added up over threads and processes."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.violations: list[str] = []
        self.seconds: list[float] = []

    def add(self, other: "Tally") -> None:
        self.done += other.done
        self.statuses += other.statuses
        self.violations += other.violations
        self.seconds += other.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.seconds) or [0.0]
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Soaker:
    """One thread: does one thing after another and checks each answer."""

    def __init__(
        self, url: str, members: list[Member], admin: Member | None, films: Any, place: int
    ) -> None:
        self.api, self.members, self.admin = Api(url), members, admin
        # All threads share the films; the one at `place` belongs to this thread's first member.
        self.films, self.place = films, place
        self.dice = random.Random(place)
        self.tally = Tally()

    def run(self, until: float) -> None:
        kinds = [kind for kind in WEIGHTS if self.admin or kind != "hide or show"]
        weights = [WEIGHTS[kind] for kind in kinds]
        while time.time() < until:
            kind = self.dice.choices(kinds, weights)[0]
            getattr(self, kind.replace(" ", "_"))(kind, self.dice.choice(self.members))

    def ask(
        self, kind: str, method: str, path: str, body: Any = None, *, by: Member | None = None
    ) -> tuple[int, Any]:
        status, answer, seconds = self.api.call(method, path, body, by.token if by else None)
        self.tally.statuses[status] += 1
        if status == 401 and by:
            by.enter(self.api, register=False)
        elif status == 429:
            time.sleep(0.2)
        else:
            self.tally.done[kind] += 1
            self.tally.seconds.append(seconds)
            if status not in ALLOWED[kind]:
                self.tally.violations.append(f"{method} {path} answered {status}: {answer}")
        return status, answer

    def any_film(self) -> int:
        return int(self.dice.choice(self.films))

    def rate(self, kind: str, member: Member) -> None:
        value = self.dice.randint(1, 5)
        path = f"/movies/{self.any_film()}/rating"
        status, answer = self.ask(kind, "PUT", path, {"value": value}, by=member)
        if status == 200:
            self.check(answer, path)
            if answer["value"] != value or answer["ratingDistribution"][str(value)] < 1:
                self.tally.violations.append(f"PUT {path} does not show its own effect: {answer}")

    def unrate(self, kind: str, member: Member) -> None:
        self.ask(kind, "DELETE", f"/movies/{self.any_film()}/rating", by=member)

    def review(self, kind: str, member: Member) -> None:
        path = f"/movies/{self.any_film()}/reviews"
        status, answer = self.ask(kind, "POST", path, {"content": "Soaked."}, by=member)
        if status == 201:
            member.reviews.append(answer["id"])

    def edit_review(self, kind: str, member: Member) -> None:
        if member.reviews:
            path = f"/reviews/{self.dice.choice(member.reviews)}"
            self.ask(kind, "PATCH", path, {"content": "Wrung out."}, by=member)

    def delete_review(self, kind: str, member: Member) -> None:
        if member.reviews:
            review = member.reviews.pop(self.dice.randrange(len(member.reviews)))
            self.ask(kind, "DELETE", f"/reviews/{review}", by=member)

    def hide_or_show(self, kind: str, member: Member) -> None:
        if member.reviews:
            path = f"/reviews/{self.dice.choice(member.reviews)}"
            self.ask(kind, "PATCH", path, {"hidden": self.dice.random() < 0.6}, by=self.admin)

    def edit_film(self, kind: str, member: Member) -> None:
        path = f"/movies/{self.films[self.place]}"
        self.ask(kind, "PATCH", path, {"synopsis": a_title()}, by=self.members[0])

    def replace_film(self, kind: str, member: Member) -> None:
        """Put a new film in the place of one's own, which others may be rating right now."""
        owner = self.members[0]
        status, answer = self.ask(kind, "POST", "/movies", {"title": a_title()}, by=owner)
        if status == 201:
            old, self.films[self.place] = self.films[self.place], answer["id"]
            self.ask(kind, "DELETE", f"/movies/{old}", by=owner)

    def read_film(self, kind: str, member: Member) -> None:
        path = f"/movies/{self.any_film()}"
        status, answer = self.ask(kind, "GET", path)
        if status == 200:
            self.check(answer, path)

    def read_list(self, kind: str, member: Member) -> None:
        path = f"/movies?sort={self.dice.choice(SORTS)}&page={self.dice.randint(1, 3)}"
        status, answer = self.ask(kind, "GET", path, by=self.dice.choice([member, None]))
        if status == 200:
            for film in answer["items"]:
                self.check(film, path)

    def read_reviews(self, kind: str, member: Member) -> None:
        self.ask(kind, "GET", f"/movies/{self.any_film()}/reviews?pageSize=5")

    def read_rank(self, kind: str, member: Member) -> None:
        path = f"/movies/{self.any_film()}/rank"
        status, answer = self.ask(kind, "GET", path)
        if status == 200 and answer["score"] is not None:
            above, below = answer["above"], answer["below"]
            if (above and above["score"] < answer["score"]) or (
                below and below["score"] > answer["score"]
            ):
                self.tally.violations.append(f"GET {path} has neighbours astray: {answer}")

    def check(self, film: dict[str, Any], where: str) -> None:
        """Note a violation where a film's numbers do not follow from its distribution."""
        counts = {int(star): count for star, count in film["ratingDistribution"].items()}
        total = sum(counts.values())
        points = sum(star * count for star, count in counts.items())
        mean = Decimal(points) / total if total else Decimal(0)
        shown = float(mean.quantize(Decimal("0.01"), rounding="ROUND_HALF_UP"))
        if film["ratingCount"] != total or film["averageRating"] != shown:
            self.tally.violations.append(f"{where}: {film} is not what its distribution says")


def a_title() -> str:
    return f"Soak {secrets.token_hex(8)}"


def soak_in_process(
    url: str,
    members: list[list[Member]],
    admin: Member | None,
    films: Any,
    until: float,
    number: int,
    results: Any,
) -> None:
    soakers = [
        Soaker(url, own, admin, films, number * len(members) + thread)
        for thread, own in enumerate(members)
    ]
    threads = [threading.Thread(target=soaker.run, args=(until,)) for soaker in soakers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally = Tally()
    for soaker in soakers:
        tally.add(soaker.tally)
    results.put(tally)


def recompute_check() -> bool:
    """Say whether every number is what its rows say, and print what the command says."""
    command = [sys.executable, "manage.py", "recompute", "--check"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print("recompute --check:", (found.stdout + found.stderr).strip().splitlines()[-1])
    return found.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--admin", metavar="EMAIL:PASSWORD")
    parser.add_argument("--no-check", action="store_true", help="The database is elsewhere.")
    asked = parser.parse_args()

    api = Api(asked.url)
    run = secrets.token_hex(4)
    workers = asked.processes * asked.threads
    members = [Member(f"soak-{run}-{n}@soak.example", PASSWORD) for n in range(2 * workers)]
    for member in members:
        member.enter(api, register=True)
    pairs = [members[2 * n : 2 * n + 2] for n in range(workers)]
    admin = None
    if asked.admin:
        admin = Member(*asked.admin.split(":", 1))
        admin.enter(api, register=False)
    films = multiprocessing.Array("q", workers, lock=False)
    for place, (owner, _) in enumerate(pairs):
        films[place] = api.call("POST", "/movies", {"title": a_title()}, owner.token)[1]["id"]

    results: Any = multiprocessing.Queue()
    until = time.time() + asked.seconds
    shares = [
        pairs[asked.threads * number : asked.threads * (number + 1)]
        for number in range(asked.processes)
    ]
    processes = [
        multiprocessing.Process(
            target=soak_in_process,
            args=(asked.url, share, admin, films, until, number, results),
        )
        for number, share in enumerate(shares)
    ]
    for process in processes:
        process.start()
    tally = Tally()
    for _ in processes:
        tally.add(results.get())
    for process in processes:
        process.join()

    is_right = asked.no_check or recompute_check()
    leave(Api(asked.url), [other for _, other in pairs], tally)
    is_right = (asked.no_check or recompute_check()) and is_right
    # The owners last: their films would stay on the shelf without them.
    api = Api(asked.url)
    for film, (owner, _) in zip(films, pairs, strict=True):
        api.call("DELETE", f"/movies/{film}", token=owner.token)
    leave(api, [owner for owner, _ in pairs], tally)
    return report(tally, asked.seconds, is_right=is_right)


def leave(api: Api, members: list[Member], tally: Tally) -> None:
    for member in members:
        body = {"password": member.password}
        status, answer, _ = api.call("DELETE", "/users/me", body, member.token)
        if status != 204:
            tally.violations.append(f"DELETE /users/me answered {status}: {answer}")


def report(tally: Tally, seconds: float, *, is_right: bool) -> int:
    done = tally.done.total()
    failed = sum(count for status, count in tally.statuses.items() if status >= 500)
    print(f"{done:,} operations in {seconds:g} s: {done / seconds:,.0f} a second")
    print("  " + ", ".join(f"{kind} {count:,}" for kind, count in tally.done.most_common()))
    print(
        "  statuses: "
        + ", ".join(f"{status}: {n:,}" for status, n in sorted(tally.statuses.items()))
    )
    print(f"  p50 {tally.percentile(0.5):.1f} ms, p99 {tally.percentile(0.99):.1f} ms")
    print(f"{failed} answers of 5xx, {tally.statuses[0]} broken connections")
    print(f"{len(tally.violations)} violations")
    for violation in tally.violations[:10]:
        print("  " + violation[:400])
    went_well = is_right and not failed and not tally.statuses[0] and not tally.violations
    return 0 if went_well else 1


if __name__ == "__main__":
    sys.exit(main())
