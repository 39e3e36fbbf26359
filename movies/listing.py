"""The shelf as a list: which films, in which order, on which page, and how many there are."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, cast

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from rest_framework.request import Request

from accounts.models import User
from movies.marks import START, Place, Span, find_page
from movies.models import Movie, MovieQuerySet, StarCount
from movies.orders import ORDERS, Order
from movies.searching import among, has_text, titles_containing, titles_near
from movies.titles import search_fold
from movieshelf.api.errors import AuthFailed
from movieshelf.api.fields import DigitsField, SpellingOutChoiceField, TextField
from movieshelf.api.pagination import NumberedPagination
from movieshelf.api.serializers import QuerySerializer

MAX_QUERY_LENGTH = 200
# A typo is guessed at from three characters on, and twenty guesses are enough.
MIN_FUZZY_LENGTH = 3
MAX_FUZZY = 20
# Up to here a page is walked to from the front of its order, every film read on the way.
NEAR = 300


class Scope(models.TextChoices):
    ALL = "all"
    MINE = "mine"
    NOT_MINE = "not_mine"


OF_SOMEBODY = (Scope.MINE, Scope.NOT_MINE)
ALIASES = {"latest": "uploaded_desc", "reviews": "reviews_desc", "top": "rating_desc"}


class MoviePagination(NumberedPagination):
    """A list of films, which may say that its titles are only close to what was looked for."""

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        described = super().get_paginated_response_schema(schema)
        described["properties"]["fuzzy"] = {
            "type": "boolean",
            "const": True,
            "description": "No title contains `q`; these are the closest ones. Absent otherwise.",
        }
        return described


class MovieListParams(QuerySerializer):
    q = TextField(max_length=MAX_QUERY_LENGTH, allow_blank=True, default="")
    stars = DigitsField(min_value=0, max_value=5, default=0)
    scope = SpellingOutChoiceField(Scope.choices, default=Scope.ALL)
    sort = SpellingOutChoiceField([*ORDERS, *ALIASES], default="uploaded_desc")

    @classmethod
    def parse(cls, request: Request, **context: Any) -> dict[str, Any]:
        """Give the validated parameters. Raises AuthFailed too, where `scope` needs somebody."""
        # Who is asking comes before what they ask (contract, section 1).
        if request.user.is_anonymous and request.query_params.get("scope") in OF_SOMEBODY:
            raise AuthFailed("Log in to see which films are yours.")
        return super().parse(request, **context)


class MovieList:
    """What one request to `GET /movies` asked for; pages it like a queryset.

    `is_fuzzy` says that no title contains `q`, and the closest ones stand in.
    """

    def __init__(self, asked: dict[str, Any], viewer: User | AnonymousUser) -> None:
        self.q: str = asked["q"]
        self.sort: str = ALIASES.get(asked["sort"], asked["sort"])
        self.folded = search_fold(self.q)
        self.stars: int = asked["stars"]
        self.scope: str = asked["scope"]
        self.viewer = viewer
        self.filtered = self._held()
        self.is_fuzzy = False
        # The films that have `q` in their titles, where they are few.
        self._few: Sequence[int] | None = None

    def total(self) -> int:
        """Say how many films there are; where none has `q` in its title, find the closest ones."""
        if not self.folded:
            return self._total_of_shelf()
        found = titles_containing.of(self.folded)
        if found.ids is not None:
            # Few enough to be looked at one by one.
            self._few = found.ids
            self.filtered = self.filtered.filter(among(found.ids))
            if found.films or len(self.q) < MIN_FUZZY_LENGTH:
                return self.filtered.count() if self._is_filtered else found.films
            self._closest = self._find_closest()
            self.is_fuzzy = bool(self._closest)
            return len(self._closest)
        return self._total_of_many(found.films)

    @property
    def _is_filtered(self) -> bool:
        return bool(self.stars) or self.scope != Scope.ALL

    def _total_of_many(self, films: int) -> int:
        having = has_text(self.folded)
        self.filtered = self.filtered.filter(having)
        if not self._is_filtered:
            return films
        if self.scope == Scope.NOT_MINE and not self.stars:
            return films - Movie.objects.added_by(cast(User, self.viewer)).filter(having).count()
        return self.filtered.count()

    def __getitem__(self, page: slice) -> MovieQuerySet:
        films = Movie.objects.with_stats()
        if self.is_fuzzy:
            ids = self._closest[page]
            order = models.Case(*(models.When(pk=pk, then=i) for i, pk in enumerate(ids)))
            return films.filter(pk__in=ids).order_by(order)
        films = films.order_by(*self.order.of_films())
        if self._few is not None:
            return films.filter(pk__in=self._ids_of_few(page.start, page.stop - page.start))
        if self._is_near(page.stop):
            return (films & self.filtered)[page]
        return films.filter(pk__in=self._ids_far_out(page.start, page.stop - page.start))

    @property
    def order(self) -> Order:
        return ORDERS[self.sort]

    def _is_near(self, end: int) -> bool:
        """Tell whether the page is found by walking its order from the front.

        So it is where every film counts. Where few do, they may all stand at the far end.
        """
        if self.folded or self.scope == Scope.MINE:
            return True
        return end <= NEAR and not (self.stars and self.sort != "rating_desc")

    def _ids_of_few(self, offset: int, limit: int) -> list[int]:
        """Sort the few by what the order's own rows say, before any other row is read."""
        everywhere = Place(offset, [Span(START, None)])
        only = self._only(self.order.model) & among(self._few or ())
        return self.order.walk(everywhere, limit, only)

    def _ids_far_out(self, offset: int, limit: int) -> list[int]:
        """Find a page's films on the index first, from a mark on it where there is one."""
        place = find_page(
            self.sort,
            # The best rated are the first in their own order, so there is nothing to pass over.
            stars=0 if self.sort == "rating_desc" else self.stars,
            offset=offset,
            limit=limit,
            but_not=self.viewer.pk if self.scope == Scope.NOT_MINE else None,
        )
        place = place or Place(offset, [Span(START, None)])
        return self.order.walk(place, limit, self._only(self.order.model))

    def _total_of_shelf(self) -> int:
        """Count without looking at more films than the viewer's own."""
        if self.scope == Scope.MINE:
            return self.filtered.count()
        mine = None
        if self.scope == Scope.NOT_MINE:
            mine = Movie.objects.rated_at_least(self.stars).added_by(cast(User, self.viewer))
        return StarCount.objects.films_of_at_least(self.stars, but_not=mine)

    def _only(self, model: type[models.Model]) -> Q:
        """Say which films the list has, of films or of their numbers."""
        film, stats = ("", "stats__") if model is Movie else ("movie__", "")
        only = Q()
        if self.stars and self.sort == "rating_desc":
            # The same films, as a range of the index that gives their order.
            lowest = Decimal(self.stars) - Decimal("0.5")
            only &= Q((f"{stats}average_rating__gte", lowest))
        elif self.stars:
            only &= Q((f"{stats}stars__gte", self.stars))
        mine = Q((f"{film}created_by", self.viewer.pk))
        if self.scope == Scope.MINE:
            only &= mine
        if self.scope == Scope.NOT_MINE:
            only &= Q((f"{film}created_by", None)) | ~mine
        return only

    def _find_closest(self) -> list[int]:
        """Give the closest titles that the other filters leave, the nearest first."""
        near = titles_near.of(self.folded).ids or ()
        left = set(self._held().filter(among(near)).values_list("pk", flat=True))
        return [pk for pk in near if pk in left][:MAX_FUZZY]

    def _held(self) -> MovieQuerySet:
        return Movie.objects.filter(self._only(Movie))
