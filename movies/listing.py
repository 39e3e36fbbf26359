"""The shelf as a list: which films, in which order, on which page, and how many there are."""

from collections.abc import Sequence
from decimal import Decimal
from functools import cached_property
from math import sqrt
from typing import Any, NamedTuple, cast

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from rest_framework.request import Request

from accounts.models import User
from movies import texts
from movies.bitmaps import bitmaps, changed, in_bitmap
from movies.marks import START, Key, Place, Span, find_page
from movies.models import Movie, MovieQuerySet, MovieStats, StarCount
from movies.orders import ORDERS, Order
from movies.searching import among, has_text, titles_containing, titles_near
from movies.titles import search_fold
from movieshelf.api.errors import AuthFailed
from movieshelf.api.fields import DigitsField, SpellingOutChoiceField, TextField
from movieshelf.api.pagination import DEFAULT_PAGE_SIZE, USUAL_PAGES, NumberedPagination
from movieshelf.api.serializers import QuerySerializer

MAX_QUERY_LENGTH = 200
# A typo is guessed at from three characters on, and twenty guesses are enough.
MIN_FUZZY_LENGTH = 3
MAX_FUZZY = 20
# So few of a shelf are not walked to, past all others.
RARE = 1_000
# So many films are passed over in some twenty milliseconds.
FAR = 20_000
# Where films stand by chance, three in a thousand guesses at their number are farther off than so
# many times its square root. So many guesses are enough, wherever they stand.
SPREAD = 1.5
MAX_GUESSES = 5
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


class Counted(NamedTuple):
    """A place on an order, and how many films of the shelf and of a list stand before it."""

    key: Key
    films: int
    left: int


def films_left(model: type[models.Model], *, sort: str, stars: int, scope: str, viewer: Any) -> Q:
    """Say which films a list has without `q`, of films or of their numbers.

    `viewer` is an id, or what stands in for one.
    """
    film, stats = ("", "stats__") if model is Movie else ("movie__", "")
    only = Q()
    if stars and sort == "rating_desc":
        # The same films, as a range of the index that gives their order.
        lowest = Decimal(stars) - Decimal("0.5")
        only &= Q((f"{stats}average_rating__gte", lowest))
    elif stars:
        only &= Q((f"{stats}stars__gte", stars))
    mine = Q((f"{film}created_by", viewer))
    if scope == Scope.MINE:
        only &= mine
    if scope == Scope.NOT_MINE:
        only &= Q((f"{film}created_by", None)) | ~mine
    return only


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
        # How many films a list has whose `q` many titles have.
        self._many: int | None = None

    def total(self) -> int:
        """Say how many films there are; where none has `q` in its title, find the closest ones."""
        if not self.folded:
            return self._total_of_shelf()
        if (total := self._total_of_many()) is not None:
            return total
        found = titles_containing.of(self.folded)
        if found.ids is None:
            # Not known to be common yet, and counted each time.
            self.filtered = self.filtered.filter(has_text(self.folded))
            return self.filtered.count() if self._is_filtered else found.films
        if found.films or len(self.q) < MIN_FUZZY_LENGTH:
            return self._keep_of(found.ids)
        self._few, self._closest = (), self._find_closest()
        self.is_fuzzy = bool(self._closest)
        return len(self._closest)

    @property
    def _is_filtered(self) -> bool:
        return bool(self.stars) or self.scope != Scope.ALL

    def _total_of_many(self) -> int | None:
        """Count where `q` is a text that many titles have; None where it is not."""
        films = texts.films_having(self.folded)
        # There were many once, and some of them are gone.
        if films is None or films <= texts.FEW:
            return None
        having = has_text(self.folded)
        total: int | None = films
        if self.scope == Scope.MINE:
            self.filtered = self.filtered.filter(having)
            return self.filtered.count()
        if self.stars:
            total = texts.films_having(self.folded, stars=self.stars)
        if total is not None and total <= RARE:
            return self._look_at_each(films)
        self.filtered = self.filtered.filter(having)
        if total is not None and self.scope == Scope.NOT_MINE:
            mine = Movie.objects.rated_at_least(self.stars).added_by(cast(User, self.viewer))
            total -= mine.filter(having).count()
        if total is not None:
            self._many = total
        return self.filtered.count() if total is None else total

    def _look_at_each(self, films_having: int) -> int:
        """Find the few that have both `q` and the stars, among whichever has fewer films.

        To walk to them along their order would be to pass over most of the shelf.
        """
        if StarCount.objects.films_of_at_least(self.stars) < films_having:
            lowest = Decimal(self.stars) - Decimal("0.5")
            best = self.filtered.filter(stats__average_rating__gte=lowest)
            self._few = list(best.filter(has_text(self.folded)).values_list("pk", flat=True))
            return len(self._few)
        return self._keep_of(texts.films_in_blocks(self.folded))

    def _keep_of(self, ids: Sequence[int]) -> int:
        """Keep those of these films that the other filters leave, and say how many they are."""
        if self._is_filtered:
            ids = list(self.filtered.filter(among(ids)).values_list("pk", flat=True))
        self._few = ids
        return len(ids)

    def __getitem__(self, page: slice) -> MovieQuerySet:
        films = Movie.objects.with_stats()
        if self.is_fuzzy:
            near = self._closest[page]
            order = models.Case(*(models.When(pk=pk, then=i) for i, pk in enumerate(near)))
            return films.filter(pk__in=near).order_by(order)
        films = films.order_by(*self.order.of_films())
        ids = self.ids(page)
        return (films & self.filtered)[page] if ids is None else films.filter(pk__in=ids)

    def ids(self, page: slice) -> list[int] | None:
        """Give the films of a page of a search that are found first; None where none are."""
        limit = page.stop - page.start
        if self.is_fuzzy:
            return None
        if self._few is not None:
            return self._ids_of_few(page.start, limit)
        if self._many is not None:
            return self._ids_of_many(page.start, limit)
        return None

    def has_usual(self, page: slice) -> bool:
        """Say whether this is one of the pages that most readers ask for: how is remembered."""
        is_plain = not self.folded and self.scope == Scope.ALL and not self.is_far_out(page)
        return (
            is_plain and page.start in USUAL_PAGES and page.stop - page.start == DEFAULT_PAGE_SIZE
        )

    @property
    def order(self) -> Order:
        return ORDERS[self.sort]

    def is_far_out(self, page: slice) -> bool:
        """Tell whether a page is found from a mark on its order, and not walked to from the front.

        So it is where few films count, too: they may all stand at the far end.
        """
        if self.folded or self.scope == Scope.MINE:
            return False
        return page.stop > NEAR or bool(self.stars and self.sort != "rating_desc")

    def _ids_of_few(self, offset: int, limit: int) -> list[int]:
        """Sort the few by what the order's own rows say, before any other row is read."""
        everywhere = Place(offset, [Span(START, None)])
        only = self._only(self.order.model) & among(self._few or ())
        return self.order.ids(everywhere, limit, only)

    def _ids_of_many(self, offset: int, limit: int) -> list[int]:
        """Walk to a page among the films that have `q`, as far as it would be if they stood evenly.

        Where it is far, the walk begins at a mark before which the films are counted. Where the
        films stand farther off, all of them are sorted.
        """
        left = cast(int, self._many)
        wanted = max(0, min(limit, left - offset))
        if not wanted:
            return []
        shelf = StarCount.objects.films_of_at_least(self.stars)
        start = Counted(START, 0, 0)
        having = has_text(self.folded, of="" if self.order.model is Movie else "movie__")
        only = self._only(self.order.model) & having
        if (offset + wanted) * shelf // left > FAR:
            only = self._only_in_bitmap(self.order.model)
            start = self._counted_before(offset, Counted(START, shelf, left))
        evenly = (offset + wanted - start.left) * shelf // left
        stars = self._stars_of_marks
        near = find_page(self.sort, stars=stars, offset=start.films, limit=2 * evenly + FAR)
        end = near.spans[-1].end if near and near.spans else None
        ids = self.order.ids(Place(offset - start.left, [Span(start.key, end)]), limit, only)
        if end is None or len(ids) >= wanted:
            return ids
        films = self.order.numbers().filter(self._only_in_bitmap(MovieStats))
        return list(films.values_list("pk", flat=True)[offset : offset + limit])

    def _counted_before(self, offset: int, end: Counted) -> Counted:
        """Give a mark not far before a page, with the number of the list's films before it.

        Counting takes no order, so PostgreSQL reads the numbers' narrow rows one after the other.
        Where to count is guessed, as if the films stood evenly between the places known so far.
        """
        only = self._only_in_bitmap(MovieStats)
        spread = int(SPREAD * sqrt(end.left)) + 1
        start = Counted(START, 0, 0)
        for _ in range(MAX_GUESSES):
            if offset - start.left <= 2 * spread:
                break
            share = (offset - spread - start.left) / (end.left - start.left)
            films = start.films + int(share * (end.films - start.films))
            place = find_page(self.sort, stars=self._stars_of_marks, offset=films, limit=1)
            mark = place.spans[0].start if place and place.spans else START
            if mark <= start.key:
                break
            guess = Counted(mark, films, self.order.before(mark).filter(only).count())
            start, end = (guess, end) if guess.left <= offset else (start, guess)
        return start

    def _only_in_bitmap(self, model: type[models.Model]) -> Q:
        """Say which films the list has, where `q` is a common text: each is looked up by its id."""
        only = films_left(model, sort=self.sort, stars=self.stars, scope=Scope.ALL, viewer=None)
        return only & in_bitmap(self._bitmap)

    @cached_property
    def _bitmap(self) -> bytes:
        bitmap = bitmaps.bitmap_of(self.folded)
        if self.scope == Scope.NOT_MINE:
            mine = Movie.objects.added_by(cast(User, self.viewer)).values_list("pk", flat=True)
            bitmap = changed(bitmap, dict.fromkeys(mine, -1))
        return bitmap

    @property
    def _stars_of_marks(self) -> int:
        """Say which films to count by the marks.

        The best rated are the first in their own order, so there is nothing to pass over.
        """
        return 0 if self.sort == "rating_desc" else self.stars

    def place_of(self, page: slice) -> Place:
        """Say where a page far out begins: at a mark on its order, where the marks are known."""
        place = find_page(
            self.sort,
            stars=self._stars_of_marks,
            offset=page.start,
            limit=page.stop - page.start,
            but_not=self.viewer.pk if self.scope == Scope.NOT_MINE else None,
        )
        return place or Place(page.start, [Span(START, None)])

    def _total_of_shelf(self) -> int:
        """Count without looking at more films than the viewer's own."""
        if self.scope == Scope.MINE:
            return self.filtered.count()
        mine = None
        if self.scope == Scope.NOT_MINE:
            mine = Movie.objects.rated_at_least(self.stars).added_by(cast(User, self.viewer))
        return StarCount.objects.films_of_at_least(self.stars, but_not=mine)

    def _only(self, model: type[models.Model]) -> Q:
        return films_left(
            model, sort=self.sort, stars=self.stars, scope=self.scope, viewer=self.viewer.pk
        )

    def _find_closest(self) -> list[int]:
        """Give the closest titles that the other filters leave, the nearest first."""
        near = titles_near.of(self.folded).ids or ()
        left = set(self._held().filter(among(near)).values_list("pk", flat=True))
        return [pk for pk in near if pk in left][:MAX_FUZZY]

    def _held(self) -> MovieQuerySet:
        return Movie.objects.filter(self._only(Movie))
