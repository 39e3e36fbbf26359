"""Deciding on what was reported: one decision closes every report of the thing.

The films are locked first, in the order of their ids, then the open reports: of two moderators who
decide at once the second finds nothing left to decide on, and is told so.
"""

from collections.abc import Collection
from dataclasses import dataclass

from django.db import models

from accounts.models import User
from movies.models import Movie, MovieStats
from movieshelf.api.transactions import retried_atomic
from reviews.models import Report, Review
from trail.models import Act, Verb


class Verdict(models.TextChoices):
    HIDE = "hide", "Hide"
    DISMISS = "dismiss", "Dismiss"
    SUSPEND = "suspend", "Hide, and suspend the author"


@dataclass(frozen=True)
class Decision:
    """What became of the things that were decided on."""

    decided: int = 0
    hidden: int = 0
    suspended: int = 0
    # Decided on by somebody else meanwhile, or gone.
    late: int = 0
    # A film is merged or deleted, not hidden.
    unhidable: int = 0
    # By admins, oneself, or nobody any more.
    untouchable: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether everything that was asked for was done."""
        return not (self.late or self.unhidable or self.untouchable)

    def __str__(self) -> str:
        said = [f"{self.decided} decided"]
        if self.hidden:
            said.append(f"{self.hidden} hidden")
        if self.suspended:
            said.append(f"{self.suspended} suspended")
        if self.late:
            said.append(f"{self.late} were gone or decided by somebody else meanwhile")
        if self.unhidable:
            said.append(f"{self.unhidable} left: a film is merged or deleted, not hidden")
        if self.untouchable:
            said.append(f"{self.untouchable} left: the author is not yours to suspend, or gone")
        return "; ".join(said) + "."


@retried_atomic
def decide(
    verdict: Verdict,
    *,
    by: User,
    reason: str = "",
    reviews: Collection[int] = (),
    movies: Collection[int] = (),
) -> Decision:
    """Decide on these reviews and films, all in one transaction, and say what became of them.

    Hiding hides a review; suspending hides it and switches its author off, or whoever added the
    film; dismissing leaves everything as it is. What has no open report any more is left alone.
    """
    open_reports = _lock(reviews, movies)
    open_reviews = {report.review_id for report in open_reports if report.review_id}
    open_movies = {report.movie_id for report in open_reports if report.movie_id}
    asked = len({*reviews}) + len({*movies})
    late = asked - len(open_reviews) - len(open_movies)
    texts = Review.objects.filter(pk__in=open_reviews)
    films = Movie.objects.filter(pk__in=open_movies)
    match verdict:
        case Verdict.DISMISS:
            things = [*texts, *films]
            Act.objects.record(Verb.DISMISS, things, by=by, reason=reason)
            _close(texts, films, Report.Outcome.DISMISSED)
            return Decision(decided=len(things), late=late)
        case Verdict.HIDE:
            hidden = texts.hide(by=by, reason=reason)
            _close(texts, films.none(), Report.Outcome.UPHELD)
            return Decision(
                decided=len(open_reviews), hidden=hidden, late=late, unhidable=len(open_movies)
            )
        case Verdict.SUSPEND:
            return _suspend_authors(texts, films, by=by, reason=reason, late=late)


def _lock(reviews: Collection[int], movies: Collection[int]) -> list[Report]:
    """Lock the films, then the open reports of these things; give the reports."""
    films = Review.objects.filter(pk__in=reviews).order_by().values("movie")
    touched = MovieStats.objects.filter(models.Q(pk__in=films) | models.Q(pk__in=movies))
    list(touched.locked_in_order())
    about = models.Q(review__in=reviews) | models.Q(movie__in=movies)
    return list(Report.objects.open().filter(about).order_by("pk").select_for_update())


def _suspend_authors(
    texts: models.QuerySet[Review],
    films: models.QuerySet[Movie],
    *,
    by: User,
    reason: str,
    late: int,
) -> Decision:
    things: list[Review | Movie] = [*texts, *films]
    authors = User.objects.filter(pk__in=[pk for thing in things if (pk := _author_of(thing))])
    suspended = authors.suspend(by=by, reason=reason)
    # Those suspended before count too: what else they wrote is decided on by the same word.
    off = set(authors.filter(is_active=False).values_list("pk", flat=True))
    settled = [thing for thing in things if _author_of(thing) in off]
    texts = Review.objects.filter(pk__in=[one.pk for one in settled if isinstance(one, Review)])
    films = Movie.objects.filter(pk__in=[one.pk for one in settled if isinstance(one, Movie)])
    hidden = texts.hide(by=by, reason=reason)
    Act.objects.record(Verb.UPHOLD, list(films), by=by, reason=reason)
    _close(texts, films, Report.Outcome.UPHELD)
    return Decision(
        decided=len(settled),
        hidden=hidden,
        suspended=len(suspended),
        late=late,
        untouchable=len(things) - len(settled),
    )


def _author_of(thing: Review | Movie) -> int | None:
    return thing.user_id if isinstance(thing, Review) else thing.created_by_id


def _close(
    texts: models.QuerySet[Review], films: models.QuerySet[Movie], outcome: Report.Outcome
) -> None:
    about = models.Q(review__in=texts) | models.Q(movie__in=films)
    Report.objects.filter(about).close(outcome)
