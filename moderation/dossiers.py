"""What a moderator needs to know to decide: who wrote it, what became of them, who reported it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Count, F, Q, QuerySet, Window
from django.db.models.functions import RowNumber

from accounts.models import User
from moderation.models import Case
from reviews.models import Report, Review

# The rest of a thing's reports is a click away.
SHOWN_REPORTS = 5


@dataclass
class Dossier:
    """The history of an author, and the reports of one thing."""

    author: User | None
    review_count: int = 0
    hidden_count: int = 0
    reports_against: int = 0
    reports_upheld: int = 0
    reports: list[Report] = field(default_factory=list)


def open_dossiers(cases: Sequence[Case]) -> list[Dossier]:
    """Give the dossier of each case, with as many queries for a page of them as for one."""
    authors = {case.author.pk for case in cases if case.author}
    written = _count(Review.objects.filter(user__in=authors))
    hidden = _count(Review.objects.filter(user__in=authors, is_hidden=True))
    against, upheld = _reports_against(authors)
    reports = _reports_of(cases)
    dossiers = []
    for case in cases:
        pk = case.author.pk if case.author else 0
        dossiers.append(
            Dossier(
                author=case.author,
                review_count=written[pk],
                hidden_count=hidden[pk],
                reports_against=against[pk],
                reports_upheld=upheld[pk],
                reports=[one for one in reports if _is_of(case, one)],
            )
        )
    return dossiers


def _count(rows: QuerySet[Review]) -> Counter[int]:
    return Counter(dict(rows.order_by().values_list("user").annotate(number=Count("pk"))))


def _reports_against(authors: set[int]) -> tuple[Counter[int], Counter[int]]:
    """Count the reports of what these members wrote and added: all, and those found right."""
    everything: Counter[int] = Counter()
    upheld: Counter[int] = Counter()
    for owner in ("review__user", "movie__created_by"):
        rows = Report.objects.filter(**{f"{owner}__in": authors}).order_by().values_list(owner)
        for author, number, right in rows.annotate(
            number=Count("pk"), right=Count("pk", filter=Q(outcome=Report.Outcome.UPHELD))
        ):
            everything[author] += number
            upheld[author] += right
    return everything, upheld


def _reports_of(cases: Sequence[Case]) -> list[Report]:
    reviews = [case.review_id for case in cases if case.review_id]
    movies = [case.movie_id for case in cases if case.movie_id]
    about = Q(review__in=reviews) | Q(movie__in=movies)
    number = Window(RowNumber(), partition_by=[F("review"), F("movie")], order_by=F("pk").asc())
    reports = Report.objects.open().filter(about).annotate(number=number)
    return list(reports.filter(number__lte=SHOWN_REPORTS).select_related("reporter").order_by("pk"))


def _is_of(case: Case, report: Report) -> bool:
    return (report.review_id, report.movie_id) == (case.review_id, case.movie_id)
