"""What `bench.py` asks of a target: each kind of request, and many of all kinds together."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import wrk
from targets import Target

PAGE_SIZE = 20
SORTS = ("uploaded_desc", "reviews_desc", "rating_desc", "release_desc", "release_asc", "rank")


class Requests:
    """What is asked of a target, ready to be sent; the same for each target with the same shelf."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.chosen = random.Random(11)

    def get(self, path: str, headers: dict[str, str] | None = None) -> bytes:
        return wrk.request(self.target.base, "GET", path, headers)

    def one_film(self) -> int:
        """Choose as readers do: half of them look at what is talked about."""
        films = self.target.liked if self.chosen.random() < 0.5 else self.target.films
        return self.chosen.choice(films)

    def write(self, method: str, path: str, body: Any) -> bytes:
        member = self.chosen.choice(self.target.members)
        return wrk.request(self.target.base, method, path, member.headers, json.dumps(body))

    def first_page(self) -> list[bytes]:
        return [self.get("/movies")]

    def mixed(self) -> list[bytes]:
        return [
            self.get(
                f"/movies?sort={self.chosen.choice(SORTS)}"
                f"&page={self.chosen.choice((1, 1, 1, 2, 3, 4, 5))}"
            )
            for _ in range(1000)
        ]

    def stars(self) -> list[bytes]:
        return [
            self.get(
                f"/movies?sort={self.chosen.choice(SORTS)}&stars={self.chosen.choice((3, 4))}"
                f"&page={self.chosen.randint(1, 3)}"
            )
            for _ in range(200)
        ]

    def searches(self) -> list[bytes]:
        words = self.chosen.sample(self.target.words, min(20, len(self.target.words)))
        return [self.get(f"/movies?q={quote(word)}") for word in words]

    def deep(self) -> list[bytes]:
        last = len(self.target.films) // PAGE_SIZE
        return [
            self.get(
                f"/movies?sort={self.chosen.choice(SORTS)}"
                f"&page={self.chosen.randint(last // 4, last // 2)}"
            )
            for _ in range(100)
        ]

    def films(self) -> list[bytes]:
        return [self.get(f"/movies/{self.one_film()}") for _ in range(4000)]

    def reviews(self) -> list[bytes]:
        return [self.get(f"/movies/{self.one_film()}/reviews") for _ in range(4000)]

    def images(self) -> list[bytes]:
        return [self.get(url) for url in self.target.images]

    def unchanged(self) -> list[bytes]:
        urls = self.target.images[:50]
        tags = [self.target.call("HEAD", url)[1]["ETag"] for url in urls]
        return [self.get(url, {"If-None-Match": tag}) for url, tag in zip(urls, tags, strict=True)]

    def oneself(self) -> list[bytes]:
        return [self.get("/users/me", member.headers) for member in self.target.members]

    def ratings(self) -> list[bytes]:
        return [self.rating(self.chosen.choice(self.target.films)) for _ in range(8000)]

    def hot_ratings(self) -> list[bytes]:
        return [self.rating(self.target.liked[0]) for _ in range(4000)]

    def rating(self, film: int) -> bytes:
        return self.write("PUT", f"/movies/{film}/rating", {"value": self.chosen.randint(1, 5)})

    def written(self) -> list[bytes]:
        return [self.review() for _ in range(4000)]

    def review(self) -> bytes:
        content = "Seen twice; the second time was better. " + "Good. " * self.chosen.randint(1, 20)
        film = self.chosen.choice(self.target.films)
        return self.write("POST", f"/movies/{film}/reviews", {"content": content})

    def of_all_kinds(self) -> list[bytes]:
        """Seven reads to three writes."""
        kinds: Sequence[Callable[[], bytes]] = (
            *(lambda: self.get(f"/movies?sort={self.chosen.choice(SORTS)}"),) * 3,
            *(lambda: self.get(f"/movies/{self.one_film()}"),) * 3,
            lambda: self.get(f"/movies/{self.one_film()}/reviews"),
            *(lambda: self.rating(self.chosen.choice(self.target.films)),) * 2,
            self.review,
        )
        return [self.chosen.choice(kinds)() for _ in range(5000)]


# What each is called in the tables, what it sends, and what the answer must be.
KINDS: dict[str, tuple[Callable[[Requests], list[bytes]], int]] = {
    "`GET /movies`": (Requests.first_page, 200),
    "mixed sorts, pages 1–5": (Requests.mixed, 200),
    "stars and sorts": (Requests.stars, 200),
    "search": (Requests.searches, 200),
    "deep pages": (Requests.deep, 200),
    "one film": (Requests.films, 200),
    "its reviews": (Requests.reviews, 200),
    "an image": (Requests.images, 200),
    "its 304": (Requests.unchanged, 304),
    "`GET /users/me`": (Requests.oneself, 200),
    "rating, spread": (Requests.ratings, 200),
    "rating, one hot film": (Requests.hot_ratings, 200),
    "review": (Requests.written, 201),
}
