"""A moderator's day in a real browser; after each step the API has the right numbers.

It needs a Chromium, and is skipped where there is none. `make test-browser` runs it; with
SCREENSHOTS=docs/images it also takes the pictures of docs/moderation.md again.
"""

import os
import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone
from PIL import Image

from accounts.models import User
from accounts.tests.factories import PASSWORD, AdminFactory, UserFactory
from media.models import Media
from moderation.models import Case, Sweep
from movies.models import Movie
from movies.posters import draw_poster
from movies.tests.factories import MovieFactory
from movieshelf.recomputing import check_numbers
from movieshelf.tests.numbers import numbers_are_right
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.models import Report, Review
from reviews.tests.factories import ReportFactory, ReviewFactory
from trail.models import Act

playwright = pytest.importorskip("playwright.sync_api")

expect = playwright.expect
# A machine that is busy with other tests is slow, and nothing here is about time.
expect.set_options(timeout=30_000)

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
COLOURS = 48

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="it needs a Chromium: apt-get install chromium"),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def page(live_server: Any, monkeypatch: Any, settings: Any) -> Iterator[Any]:
    """A page of a browser that complains of what the policy of our pages refuses."""
    # Playwright's loop runs in this thread, which Django takes for asynchronous code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = False
    complaints: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=WIDE, base_url=live_server.url, color_scheme="light")
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else 0)
        page.on("response", lambda got: got.ok or _refused(got.status, got.url, complaints))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: _from_here(asked.url, live_server.url, complaints))
        yield page
        browser.close()
        # What was opened while that loop ran is not what pytest-django will close.
        connections.close_all()
    assert complaints == []


def _refused(status: int, address: str, complaints: list[str]) -> None:
    if status >= 400:
        complaints.append(f"{status} for {address}")


def _from_here(asked: str, ours: str, complaints: list[str]) -> None:
    if not asked.startswith((ours, "data:")):
        complaints.append(f"asked elsewhere: {asked}")


def picture(page: Any, name: str) -> None:
    """Keep what the page shows, small, where pictures are asked for."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.wait_for_load_state("networkidle")
        shot = Image.open(BytesIO(page.screenshot()))
        shot.convert("RGB").quantize(COLOURS).save(Path(folder) / f"{name}.png", optimize=True)


def too_wide(page: Any) -> list[str]:
    """Give what makes a reader scroll sideways."""
    return page.evaluate("""
        document.documentElement.scrollWidth <= window.innerWidth ? [] :
        [...document.querySelectorAll("body *")]
            .filter(one => one.getBoundingClientRect().right > window.innerWidth + 1)
            .map(one => `${one.tagName}#${one.id}.${one.className.baseVal ?? one.className}`)
    """)


class Story:
    """A shelf with a spammer, some reports, and a film that was added twice."""

    def __init__(self) -> None:
        self.moderator = AdminFactory(name="Moira", email="moira@shelf.example")
        self.members = [UserFactory(name=name) for name in ("Ada", "Grace", "Linus", "Agnès")]
        self.spammer = UserFactory(name="Best Deals 4U")
        self.dune = self.film("Dune (2021)", 3)
        self.twin = self.film("Dune: Part One (Dune (2021) in 4K)", 0)
        self.stalker, self.paths = self.film("Stalker", 5), self.film("Paths of Glory", 9)
        for number, member in enumerate(self.members):
            for movie in (self.dune, self.stalker, self.paths):
                RatingFactory(user=member, movie=movie, value=3 + (number + movie.pk) % 3)
            ReviewFactory(user=member, movie=self.stalker, content="Slow, and worth every minute.")
        RatingFactory(user=self.members[0], movie=self.twin, value=5)
        self.spam = [
            ReviewFactory(
                user=self.spammer,
                movie=movie,
                content="BEST casino bonus!!! Visit best-deals-4u.example and win. " * 3,
            )
            for movie in (self.dune, self.stalker, self.paths)
        ]
        for movie in (self.dune, self.stalker):
            RatingFactory(user=self.spammer, movie=movie, value=1)
        self.rude = ReviewFactory(
            user=self.members[2], movie=self.paths, content="Whoever likes this has no brain."
        )
        for review in self.spam:
            for member in self.members[:2]:
                ReportFactory(review=review, reporter=member, note="Sells something everywhere.")
        ReportFactory(review=self.rude, reporter=self.members[3], reason="abuse")
        ReportFactory(
            review=None,
            movie=self.twin,
            reporter=self.members[1],
            reason="duplicate",
            note="The same film as Dune (2021).",
        )
        self.spread_over_the_month()
        check_numbers()

    def film(self, title: str, seed: int) -> Movie:
        data = draw_poster(title, seed)
        poster = Media.objects.create(
            data=data,
            content_type="image/jpeg",
            width=400,
            height=600,
            bytes=len(data),
            sha256=f"{seed:064}",
        )
        synopsis = "Some films are seen once, and stay."
        return MovieFactory(title=title, synopsis=synopsis, poster=poster if seed else None)

    def spread_over_the_month(self) -> None:
        """Give the charts something to show."""
        now = timezone.now()
        for model, days in ((Rating, 13), (Review, 9)):
            for number, row in enumerate(model.objects.order_by("pk")):
                when = now - timedelta(days=number * number % days)
                model.objects.filter(pk=row.pk).update(created_at=when)
        User.objects.update(created_at=now - timedelta(days=400))
        User.objects.filter(pk=self.spammer.pk).update(created_at=now - timedelta(hours=3))
        Report.objects.update(created_at=now - timedelta(minutes=50))

    def shown(self, api: Any, movie: Movie) -> tuple[int, int, float]:
        film = api.get(f"/movies/{movie.pk}").json()
        return film["reviewCount"], film["ratingCount"], film["averageRating"]


def test_a_moderators_day(page: Any, api: Any) -> None:
    story = Story()

    # Logging in, by the form.
    page.goto("/admin/")
    page.fill("#id_username", story.moderator.email)
    page.fill("#id_password", PASSWORD)
    page.click("input[type=submit]")
    waiting = page.locator(".figure", has_text="waiting for a decision")
    expect(waiting.locator("strong")).to_have_text("5")
    assert page.locator(".figure", has_text="drifted").locator("strong").inner_text() == "0"
    expect(page.locator(".chart svg rect")).to_have_count(60)

    # The queue: the most reported first, with what is needed to decide.
    waiting.locator("a").click()
    cards = page.locator(".case")
    expect(cards).to_have_count(5)
    assert "2 reports" in cards.first.inner_text()
    assert "Best Deals 4U" in cards.first.inner_text()
    picture(page, "desk-queue")

    # One by keyboard: the reason, then hide.
    first = story.spam[0]
    before = story.shown(api, story.dune)
    page.keyboard.press("j")
    page.keyboard.press("w")
    page.keyboard.type("Casino links")
    page.keyboard.press("Enter")
    with page.expect_navigation():
        page.keyboard.press("h")
    expect(page.locator(".messagelist")).to_contain_text("1 decided; 1 hidden.")
    assert story.shown(api, story.dune) == (before[0] - 1, *before[1:])
    assert Act.objects.get().reason == "Casino links"
    assert api.get(f"/reviews/{first.pk}").status_code == 404
    assert numbers_are_right()

    # The others of that member in bulk.
    for review in story.spam[1:]:
        page.locator(f"#case-review-{review.pk} .action-select").check()
    page.select_option("select[name=action]", label="Hide")
    page.fill("input[name=why]", "Casino links too")
    page.click("button[name=index]")
    expect(page.locator(".messagelist")).to_contain_text("2 decided; 2 hidden.")
    assert [story.shown(api, movie)[0] for movie in (story.stalker, story.paths)] == [4, 1]
    assert numbers_are_right()

    # The page of one review.
    page.goto(f"/admin/reviews/review/{first.pk}/change/")
    assert "Casino links" in page.locator("#id_reason").input_value()
    picture(page, "desk-review")

    # The sweep: seen first, then done, then undone.
    page.goto(f"/admin/moderation/sweep/member/{story.spammer.pk}/")
    numbers = [story.shown(api, movie) for movie in (story.dune, story.stalker)]
    seen = page.locator(".moves").inner_text()
    assert f"{numbers[0][2]:.2f} → " in seen
    picture(page, "desk-sweep")
    page.locator(".sweep .why").fill("All of it")
    page.click("button[value=sweep]")
    undo = page.get_by_role("button", name="Undo this batch")
    expect(undo).to_be_visible()
    then = story.shown(api, story.dune)
    assert (then[1], then[2]) == (numbers[0][1] - 1, float(_after(seen, "Dune (2021)")))
    assert not Review.objects.filter(user=story.spammer).exists()
    assert numbers_are_right()
    undo.click()
    expect(page.locator(".messagelist")).to_contain_text("back as they were")
    assert [story.shown(api, movie) for movie in (story.dune, story.stalker)] == numbers
    assert Sweep.objects.get().undone_by == story.moderator
    assert numbers_are_right()

    # Merging: from the case to the film that survives.
    page.goto("/admin/moderation/case/?what=films")
    page.get_by_role("link", name="Merge…").click()
    page.fill("input[name=q]", "Dune")
    page.get_by_role("button", name="Find the other entry").click()
    candidate = page.locator(".candidate", has_text=f"No. {story.dune.pk}")
    candidate.get_by_role("button", name="This one survives").click()
    expect(page.locator(".messagelist")).to_contain_text("Merged.")
    moved = api.get(f"/movies/{story.twin.pk}")
    assert (moved.status_code, moved["Location"]) == (301, f"/movies/{story.dune.pk}")
    # Ada rated both, and counts once.
    assert story.shown(api, story.dune)[1] == numbers[0][1]
    assert set(Case.objects.all()) == {Case.objects.get(review=story.rude)}
    assert numbers_are_right()
    picture(page, "desk-film")

    page.goto("/admin/")
    expect(page.locator(".acts li").first).to_contain_text("Moira merged")
    picture(page, "desk-front")

    # And all of it on a telephone.
    page.set_viewport_size(NARROW)
    for address in ("/admin/", "/admin/moderation/case/", "/admin/movies/movie/"):
        page.goto(address)
        assert (address, too_wide(page)) == (address, [])
        if "case" in address:
            picture(page, "desk-narrow")


def _after(table: str, title: str) -> str:
    """Give the average that the preview promised a film."""
    found = re.search(re.escape(title) + r"\s+[\d.]+ → ([\d.]+)", table)
    assert found
    return found.group(1)
