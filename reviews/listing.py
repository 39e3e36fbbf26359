"""A film's reviews as a list: which of them a viewer sees, in which order, and how many."""

from collections.abc import Iterable
from typing import Any, Self

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from accounts.models import User
from movies.models import MovieStats
from movieshelf.api.errors import NotFound
from movieshelf.api.fields import SpellingOutChoiceField
from movieshelf.api.hot import ANYTHING, Shown
from movieshelf.api.pagination import DEFAULT_PAGE_SIZE, USUAL_PAGES
from movieshelf.api.serializers import QuerySerializer
from movieshelf.api.statements import fetch_one, remembered
from movieshelf.replica import reads_from
from reviews.models import Review, ReviewQuerySet
from reviews.serializers import SHOWN_COLUMNS


class ReviewListParams(QuerySerializer):
    sort = SpellingOutChoiceField(["latest", "oldest"], default="latest")


class ReviewList:
    """What one request to `GET /movies/:id/reviews` asked for; pages it like a queryset."""

    sort = "latest"
    # How an answer with the page finds out whether it is still right.
    shown = ANYTHING

    def __init__(self, movie_id: int, viewer: User | AnonymousUser) -> None:
        """Raise NotFound where there is no such film."""
        self.movie_id = movie_id
        self.viewer = viewer
        counted = _count_of(movie_id)
        if not counted:
            raise NotFound("There is no such film.")
        self.visible_to_all: int = counted[0][0]

    def sorted_by(self, sort: str) -> Self:
        self.sort = sort
        return self

    def total(self) -> int:
        """Count what the viewer sees; the film knows how many everybody does."""
        if self.viewer.is_anonymous:
            return self.visible_to_all
        return self.visible_to_all + self._seen().filter(is_hidden=True).count()

    def __getitem__(self, page: slice) -> Iterable[tuple[Any, ...]]:
        """Give rows of SHOWN_COLUMNS."""
        is_usual = page.start in USUAL_PAGES and page.stop - page.start == DEFAULT_PAGE_SIZE
        if self.viewer.is_anonymous and is_usual:
            # Before the rows: what is written in between makes the answer look old, never new.
            self.shown = self._versions(page.start)
            return _usual_page(self.movie_id, self.sort, page.start)
        return _page(self._seen(), self.sort, page)

    def _versions(self, start: int) -> Shown:
        """Say what the page shows, by the versions of its rows, as long as the total is of them."""
        question = _VERSIONS.format(way="ASC" if self.sort == "oldest" else "DESC", start=start)
        answer = fetch_one(question, (self.movie_id,), using=reads_from())
        if answer is None or answer[0] != self.visible_to_all:
            return ANYTHING
        return Shown(question, (self.movie_id,), answer)

    def _seen(self) -> ReviewQuerySet:
        return Review.objects.filter(movie=self.movie_id).visible_to(self.viewer)


# PostgreSQL notes on each row the transaction that wrote it: the film's numbers, each review of the
# page, its author, and what they rated the film.
_VERSIONS = f"""
    SELECT stats.review_count, stats.xmin::text, (
        SELECT string_agg(
            concat_ws('.', page.id, page.written, author.xmin, rating.xmin), ' ' ORDER BY page.id
        )
        FROM (
            SELECT id, user_id, xmin AS written FROM reviews_review
            WHERE movie_id = stats.movie_id AND NOT is_hidden
            ORDER BY created_at {{way}}, id {{way}} LIMIT {DEFAULT_PAGE_SIZE} OFFSET {{start}}
        ) page
        JOIN accounts_user author ON author.id = page.user_id
        LEFT JOIN ratings_rating rating
            ON rating.movie_id = stats.movie_id AND rating.user_id = page.user_id
    ) FROM movies_moviestats stats WHERE stats.movie_id = %s
"""


@remembered
def _count_of(movie_id: int) -> QuerySet[MovieStats, tuple[int]]:
    return MovieStats.objects.filter(pk=movie_id).values_list("review_count")


@remembered
def _usual_page(movie_id: int, sort: str, start: int) -> QuerySet[Review, tuple[Any, ...]]:
    seen = Review.objects.filter(movie=movie_id).visible_to(AnonymousUser())
    return _page(seen, sort, slice(start, start + DEFAULT_PAGE_SIZE))


def _page(reviews: ReviewQuerySet, sort: str, page: slice) -> QuerySet[Review, tuple[Any, ...]]:
    ordered = reviews.oldest_first() if sort == "oldest" else reviews.newest_first()
    return ordered.for_reading()[page].values_list(*SHOWN_COLUMNS)
