"""Follow GET /changes while four processes write, and hold what was heard against the shelf.

    RATELIMIT_ENABLE=false make run PORT=8112                # in another terminal
    .venv/bin/python benchmarks/changes_load.py --url http://127.0.0.1:8112 --seconds 30 \
        --admin admin@movieshelf.example:admin-shelf-2026

A reader begins without a cursor, takes all there is, and follows `next` while the writers rate,
review, edit, hide, show, add and delete. Once they have stopped it reads until there is no more.
Then all films and reviews are read from their lists: what the reader holds must be exactly that, to
the last key. With --admin, reviews are hidden and shown too. Needs nothing but the standard
library. Exits 1 where anything differs.
"""

import argparse
import http.client
import json
import multiprocessing
import random
import secrets
import sys
import time
from collections import Counter
from typing import Any
from urllib.parse import urlencode, urlsplit

WRITERS = 4
PASSWORD = "a phrase for the feed"
SHARED_FILMS = 12
# What nobody has decided yet when the writers stop is decided a moment later.
SETTLE_SECONDS = 5

Shelf = dict[tuple[str, int], Any]


class Api:
    """One connection, as somebody or nobody."""

    def __init__(self, url: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self.token = ""

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body)
        self.connection.request(method, path, data, headers)
        response = self.connection.getresponse()
        return response.status, json.loads(response.read() or b"{}")

    def enter(self, path: str, **body: str) -> None:
        status, answer = self.call("POST", path, body)
        if status not in (200, 201):
            raise SystemExit(f"{path} answered {status}: {answer}")
        self.token = answer["accessToken"]


class Reader:
    """Keeps what the feed tells of."""

    def __init__(self, url: str) -> None:
        self.api = Api(url)
        self.cursor = ""
        self.shelf: Shelf = {}
        self.heard: Counter[str] = Counter()
        self.pages = 0

    def read_page(self) -> bool:
        """Take one page; tell whether there is more."""
        query = {"limit": "200", **({"since": self.cursor} if self.cursor else {})}
        status, page = self.api.call("GET", f"/changes?{urlencode(query)}")
        if status != 200:
            raise SystemExit(f"/changes answered {status}: {page}")
        for item in page["items"]:
            key = (item["type"], item["id"])
            if item["change"] in ("created", "changed"):
                self.shelf[key] = item[item["type"]]
            else:
                self.shelf.pop(key, None)
            self.heard[f"{item['type']} {item['change']}"] += 1
        self.cursor, self.pages = page["next"], self.pages + 1
        return bool(page["more"])

    def catch_up(self) -> None:
        while self.read_page():
            pass


def write(url: str, number: int, seconds: float, films: list[int], admin: str, done: Any) -> None:
    """Do this and that until the time is over; tell how often what was answered."""
    dice, api, moderator = random.Random(number), Api(url), Api(url)
    email = f"writer-{secrets.token_hex(6)}@shelf.example"
    api.enter("/auth/register", name="Writer", email=email, password=PASSWORD)
    if admin:
        address, _, password = admin.partition(":")
        moderator.enter("/auth/login", email=address, password=password)
    mine, reviews, answers = [], [], Counter()
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        film = dice.choice(films + mine)
        match dice.randrange(12):
            case 0:
                title = f"By writer {number} {secrets.token_hex(6)}"
                status, answer = api.call("POST", "/movies", {"title": title})
                mine.append(answer["id"])
            case 1 if mine:
                status, _ = api.call("DELETE", f"/movies/{mine.pop(0)}")
            case 2 if mine:
                told = {"synopsis": secrets.token_hex(8), "releaseDate": "1999-05-17"}
                status, _ = api.call("PATCH", f"/movies/{dice.choice(mine)}", told)
            case 3 | 4:
                told = {"content": f"Written {secrets.token_hex(8)}."}
                status, answer = api.call("POST", f"/movies/{film}/reviews", told)
                if status == 201:
                    reviews.append(answer["id"])
            case 5 if reviews:
                told = {"content": f"Rewritten {secrets.token_hex(8)}."}
                status, _ = api.call("PATCH", f"/reviews/{dice.choice(reviews)}", told)
            case 6 if reviews:
                status, _ = api.call("DELETE", f"/reviews/{reviews.pop(0)}")
            case 7 if reviews and admin:
                told = {"hidden": dice.random() < 0.6}
                status, _ = moderator.call("PATCH", f"/reviews/{dice.choice(reviews)}", told)
            case 8:
                status, _ = api.call("DELETE", f"/movies/{film}/rating")
            case _:
                told = {"value": dice.randint(1, 5)}
                status, _ = api.call("PUT", f"/movies/{film}/rating", told)
        answers[str(status)] += 1
    done.put(answers)


def public_shelf(api: Api) -> Shelf:
    """Read all films and all reviews from their lists, as far as the feed has them."""
    shelf: Shelf = {}
    for movie in listed(api, "/movies"):
        movie.pop("rank")
        shelf["movie", movie["id"]] = movie
        if movie["reviewCount"]:
            for review in listed(api, f"/movies/{movie['id']}/reviews"):
                del review["user"], review["rating"]
                shelf["review", review["id"]] = review
    return shelf


def listed(api: Api, path: str) -> list[Any]:
    items: list[Any] = []
    page = 1
    while True:
        _, answer = api.call("GET", f"{path}?page={page}&pageSize=100")
        items += answer["items"]
        if page >= answer["totalPages"]:
            return items
        page += 1


def shared_films(url: str) -> list[int]:
    """Add the films that all writers have opinions of."""
    api = Api(url)
    email = f"owner-{secrets.token_hex(6)}@shelf.example"
    api.enter("/auth/register", name="Owner", email=email, password=PASSWORD)
    titles = [f"Shared {secrets.token_hex(6)}" for _ in range(SHARED_FILMS)]
    return [api.call("POST", "/movies", {"title": title})[1]["id"] for title in titles]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--admin", default="", metavar="EMAIL:PASSWORD")
    asked = parser.parse_args()
    reader, started = Reader(asked.url), time.monotonic()
    reader.catch_up()
    print(f"all there is: {len(reader.shelf):,} things in {time.monotonic() - started:.1f} s")
    reader.heard.clear()
    films, done = shared_films(asked.url), multiprocessing.Queue()
    writers = [
        multiprocessing.Process(
            target=write, args=(asked.url, number, asked.seconds, films, asked.admin, done)
        )
        for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if not reader.read_page():
            time.sleep(0.05)
    if any(writer.exitcode for writer in writers):
        sys.exit("A writer died, and with it the count of what it wrote.")
    answers = sum((done.get() for _ in writers), Counter())
    during = sum(reader.heard.values())
    for _ in range(SETTLE_SECONDS):
        reader.catch_up()
        time.sleep(1)
    heard = ", ".join(f"{name} {count:,}" for name, count in sorted(reader.heard.items()))
    print(f"written by {WRITERS} processes: {answers.total():,} answers, {dict(answers)}")
    print(f"heard on {reader.pages:,} pages: {heard}; {during:,} of them while they wrote")
    there = public_shelf(Api(asked.url))
    differing = [
        key for key in reader.shelf.keys() | there.keys() if reader.shelf.get(key) != there.get(key)
    ]
    print(f"the shelf has {len(there):,} things; what the reader has differs in {len(differing)}")
    for key in differing[:5]:
        print(f"  {key}: heard {reader.shelf.get(key)}, is {there.get(key)}")
    broken = sum(count for status, count in answers.items() if status >= "500")
    sys.exit(bool(differing or broken))


if __name__ == "__main__":
    main()
