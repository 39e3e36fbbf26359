"""The shelf as a list: which films, in which order, on which page, and how many there are."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.search import TrigramWordSimilarity
from django.db import models
from django.db.models import F

from accounts.models import User
from movies.models import Movie, MovieQuerySet, StarCount
from movies.titles import search_fold
from movieshelf.api.errors import AuthFailed
from movieshelf.api.fields import DigitsField, SpellingOutChoiceField, TextField
from movieshelf.api.serializers import QuerySerializer

MAX_QUERY_LENGTH = 200
# A typo is guessed at from three characters on, and twenty guesses are enough.
MIN_FUZZY_LENGTH = 3
MAX_FUZZY = 20


class Scope(models.TextChoices):
    ALL = "all"
    MINE = "mine"
    NOT_MINE = "not_mine"


NEWEST_FIRST = (F("created_at").desc(), F("pk").desc())
# The numbers' row repeats `created_at`, so that each of these orders is one index of that row.
NEWEST_STATS_FIRST = (F("stats__created_at").desc(), F("stats__movie").desc())
ORDERS: dict[str, tuple[Any, ...]] = {
    "uploaded_desc": NEWEST_FIRST,
    "reviews_desc": (F("stats__review_count").desc(), *NEWEST_STATS_FIRST),
    "rating_desc": (
        F("stats__average_rating").desc(),
        F("stats__rating_count").desc(),
        *NEWEST_STATS_FIRST,
    ),
    "release_desc": (F("release_date").desc(nulls_last=True), *NEWEST_FIRST),
    "release_asc": (F("release_date").asc(nulls_last=True), *NEWEST_FIRST),
    "rank": (F("stats__score").desc(nulls_last=True), *NEWEST_STATS_FIRST),
}
ALIASES = {"latest": "uploaded_desc", "reviews": "reviews_desc", "top": "rating_desc"}


class MovieListParams(QuerySerializer):
    q = TextField(max_length=MAX_QUERY_LENGTH, allow_blank=True, default="")
    stars = DigitsField(min_value=0, max_value=5, default=0)
    scope = SpellingOutChoiceField(Scope.choices, default=Scope.ALL)
    sort = SpellingOutChoiceField([*ORDERS, *ALIASES], default="uploaded_desc")


class MovieList:
    """What one request to `GET /movies` asked for; pages it like a queryset.

    `is_fuzzy` says that no title contains `q`, and the closest ones stand in.
    """

    def __init__(self, asked: dict[str, Any], viewer: User | AnonymousUser) -> None:
        if asked["scope"] != Scope.ALL and viewer.is_anonymous:
            raise AuthFailed("Log in to see which films are yours.")
        self.q: str = asked["q"]
        self.sort: str = ALIASES.get(asked["sort"], asked["sort"])
        self.folded = search_fold(self.q)
        self.stars: int = asked["stars"]
        self.scope: str = asked["scope"]
        self.viewer = viewer
        self.filtered = in_scope(Movie.objects.rated_at_least(self.stars), self.scope, viewer)
        self.is_fuzzy = False

    def total(self) -> int:
        """Count the films; where none has `q` in its title, look for the closest ones."""
        if not self.folded:
            return self._total_of_shelf()
        total = self.filtered.titled_like(self.folded).count()
        if total or not self._may_be_a_typo():
            return total
        self._closest = self._find_closest()
        self.is_fuzzy = bool(self._closest)
        return len(self._closest)

    def __getitem__(self, page: slice) -> MovieQuerySet:
        if self.is_fuzzy:
            ids = self._closest[page]
            order = models.Case(*(models.When(pk=pk, then=i) for i, pk in enumerate(ids)))
            return Movie.objects.with_stats().filter(pk__in=ids).order_by(order)
        films = self.filtered.titled_like(self.folded).with_stats()
        return films.order_by(*ORDERS[self.sort])[page]

    def _total_of_shelf(self) -> int:
        """Count without looking at more films than the viewer's own."""
        if self.scope == Scope.MINE:
            return self.filtered.count()
        mine = in_scope(Movie.objects.rated_at_least(self.stars), Scope.MINE, self.viewer)
        return StarCount.objects.films_of_at_least(
            self.stars, but_not=mine if self.scope == Scope.NOT_MINE else None
        )

    def _may_be_a_typo(self) -> bool:
        return (
            len(self.q) >= MIN_FUZZY_LENGTH and not Movie.objects.titled_like(self.folded).exists()
        )

    def _find_closest(self) -> list[int]:
        return list(
            self.filtered.filter(title_search__trigram_word_similar=self.folded)
            .order_by(TrigramWordSimilarity(self.folded, "title_search").desc(), *NEWEST_FIRST)
            .values_list("pk", flat=True)[:MAX_FUZZY]
        )


def in_scope(films: MovieQuerySet, scope: str, viewer: User | AnonymousUser) -> MovieQuerySet:
    """Narrow to the viewer's own films, or to all others."""
    if viewer.is_anonymous or scope == Scope.ALL:
        return films
    return films.added_by(viewer) if scope == Scope.MINE else films.not_added_by(viewer)
