"""The front page of the admin: what waits, what is new, and two small charts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.contrib.admin.sites import site
from django.db.models import Count, Model, QuerySet
from django.db.models.functions import TruncDate
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from moderation.models import Case, Sweep
from movies.models import Movie
from movieshelf.admin import COUNTED_AT_MOST, AtLeast
from movieshelf.recomputing import last_check
from ratings.models import Rating
from reviews.models import Review
from trail.models import Act

NEW_DAYS = 7
CHART_DAYS = 30
CHART_HEIGHT = 64
BAR_WIDTH = 8
BAR_STEP = 10
SHOWN_ACTS = 8


@dataclass(frozen=True)
class Figure:
    """One number of the front page, and where it leads."""

    label: str
    value: int | str
    link: str
    note: str = ""
    # What a moderator should look at.
    is_urgent: bool = False


@dataclass(frozen=True)
class Bar:
    day: date
    count: int
    x: int
    y: float
    height: float


@dataclass(frozen=True)
class Chart:
    """How many came on each of the last days, as bars from left to right."""

    title: str
    total: int
    bars: Sequence[Bar]
    width: int = BAR_STEP * CHART_DAYS
    height: int = CHART_HEIGHT
    bar_width: int = BAR_WIDTH


def figures() -> list[Figure]:
    """Give the numbers; each is read from an index, and none is counted beyond what is said."""
    since = timezone.now() - timedelta(days=NEW_DAYS)
    waiting = _bounded(Case.objects.all())
    newly = {"created_at__gte": since}
    recent = f"created_at__gte={since.date()}"
    return [
        Figure("waiting for a decision", waiting, _list(Case), is_urgent=bool(waiting)),
        Figure(f"new members in {NEW_DAYS} days", _new(User, newly), f"{_list(User)}?{recent}"),
        Figure(f"new reviews in {NEW_DAYS} days", _new(Review, newly), f"{_list(Review)}?{recent}"),
        Figure(
            "films without a poster",
            _bounded(Movie.objects.filter(poster=None)),
            f"{_list(Movie)}?poster__isempty=1",
        ),
        Figure(
            "batches that can be undone",
            _bounded(Sweep.objects.filter(undone_at=None)),
            f"{_list(Sweep)}?undone_at__isempty=1",
        ),
        _drift(),
    ]


def charts() -> list[Chart]:
    """Give the ratings and the reviews of the last days."""
    return [
        draw("Ratings per day", per_day(Rating.objects.all())),
        draw("Reviews per day", per_day(Review.objects.all())),
    ]


def latest_acts() -> QuerySet[Act]:
    return Act.objects.order_by("-pk")[:SHOWN_ACTS]


def per_day(rows: QuerySet[Any]) -> dict[date, int]:
    """Count what was made on each of the last days, today included; found by the time's index."""
    today = timezone.now().date()
    first = today - timedelta(days=CHART_DAYS - 1)
    made = rows.filter(created_at__gte=f"{first}T00:00:00Z").order_by()
    counted = dict(made.values_list(TruncDate("created_at")).annotate(number=Count("pk")))
    days = [first + timedelta(days=number) for number in range(CHART_DAYS)]
    return {day: counted.get(day, 0) for day in days}


def draw(title: str, counts: dict[date, int]) -> Chart:
    """Give the bars of a chart; the highest is as high as the chart."""
    highest = max(counts.values(), default=0) or 1
    bars = []
    for number, (day, count) in enumerate(counts.items()):
        height = round(CHART_HEIGHT * count / highest, 2)
        bars.append(Bar(day, count, number * BAR_STEP, CHART_HEIGHT - height, height))
    return Chart(title=title, total=sum(counts.values()), bars=bars)


def _drift() -> Figure:
    """Tell what the hourly comparison of all numbers with their rows found: 0, or a bug."""
    check = last_check()
    if check is None:
        return Figure("numbers that drifted", "–", _list(Movie), note="not compared yet")
    note = f"compared at {check.checked_at:%H:%M} UTC on {check.checked_at:%Y-%m-%d}"
    is_wrong = check.drifted > 0
    return Figure("numbers that drifted", check.drifted, _list(Movie), note, is_urgent=is_wrong)


def _new(model: type[Model], newly: dict[str, Any]) -> int:
    return _bounded(model._default_manager.filter(**newly))


def _bounded(rows: QuerySet[Any]) -> int:
    counted = rows.order_by()[:COUNTED_AT_MOST].count()
    return AtLeast(counted) if counted == COUNTED_AT_MOST else counted


def _list(model: type[Model]) -> str:
    return reverse(f"{site.name}:{model._meta.app_label}_{model._meta.model_name}_changelist")
