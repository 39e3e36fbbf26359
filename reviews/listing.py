"""A film's reviews as a list: which of them a viewer sees, in which order, and how many."""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AnonymousUser

from accounts.models import User
from movies.models import MovieStats
from movieshelf.api.fields import SpellingOutChoiceField
from movieshelf.api.serializers import QuerySerializer
from reviews.models import Review
from reviews.serializers import SHOWN_COLUMNS


class ReviewListParams(QuerySerializer):
    sort = SpellingOutChoiceField(["latest", "oldest"], default="latest")


class ReviewList:
    """What one request to `GET /movies/:id/reviews` asked for; pages it like a queryset."""

    def __init__(self, movie: MovieStats, viewer: User | AnonymousUser, *, sort: str) -> None:
        self.visible_to_all = movie.review_count
        self.viewer = viewer
        reviews = Review.objects.filter(movie=movie.pk).visible_to(viewer)
        self.seen = reviews.oldest_first() if sort == "oldest" else reviews.newest_first()

    def total(self) -> int:
        """Count what the viewer sees; the film knows how many everybody does."""
        if self.viewer.is_anonymous:
            return self.visible_to_all
        return self.visible_to_all + self.seen.filter(is_hidden=True).count()

    def __getitem__(self, page: slice) -> Iterable[tuple[Any, ...]]:
        """Give rows of SHOWN_COLUMNS."""
        return self.seen.for_reading()[page].values_list(*SHOWN_COLUMNS)
