"""Anything in any order: the shelf against a model of it in plain Python, after every step."""

from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import ClassVar

import pytest
from django.db import IntegrityError, transaction
from django.test import Client, TestCase
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from accounts.models import User
from accounts.tests.factories import AdminFactory, UserFactory
from moderation.merging import merge
from moderation.sweeping import sweep
from moderation.undoing import undo
from movies.models import Movie, MovieStats, TitleTaken
from movieshelf.recomputing import drifted_films, drifted_totals, recompute
from ratings.models import Rating
from reviews.models import Review

STARS = st.integers(1, 5)


@dataclass
class Film:
    """What is true of a film, as a person would keep it on paper."""

    owner: int | None
    # By member.
    ratings: dict[int, int] = field(default_factory=dict)
    rated_at: dict[int, int] = field(default_factory=dict)
    # By review: who wrote it, and whether it is hidden.
    reviews: dict[int, tuple[int, bool]] = field(default_factory=dict)
    clock: ClassVar = count()

    def rate(self, member: int, value: int) -> None:
        self.ratings[member], self.rated_at[member] = value, next(self.clock)

    def forget(self, member: int) -> None:
        self.ratings.pop(member, None)
        self.reviews = {pk: kept for pk, kept in self.reviews.items() if kept[0] != member}

    def take_over(self, other: "Film") -> None:
        """Of who rated both films the newer rating counts."""
        for member, value in other.ratings.items():
            if member not in self.ratings or other.rated_at[member] > self.rated_at[member]:
                self.ratings[member], self.rated_at[member] = value, other.rated_at[member]
        self.reviews |= other.reviews

    @property
    def distribution(self) -> dict[str, int]:
        values = list(self.ratings.values())
        return {str(star): values.count(star) for star in range(1, 6)}

    @property
    def average(self) -> float:
        if not self.ratings:
            return 0.0
        exact = Decimal(sum(self.ratings.values())) / len(self.ratings)
        return float(exact.quantize(Decimal("0.01"), rounding="ROUND_HALF_UP"))

    @property
    def score(self) -> Decimal | None:
        if not self.ratings:
            return None
        exact = Decimal(30 + sum(self.ratings.values())) / (10 + len(self.ratings))
        return exact.quantize(Decimal("0.001"), rounding="ROUND_HALF_UP")

    @property
    def review_count(self) -> int:
        return sum(not hidden for _, hidden in self.reviews.values())


class Shelf(RuleBasedStateMachine):
    """Films, members, ratings and reviews come, change and go through the model layer."""

    members = Bundle("members")
    films = Bundle("films")
    numbers: ClassVar = count()

    def __init__(self) -> None:
        super().__init__()
        self.everything = transaction.atomic()
        self.everything.__enter__()
        self.paper: dict[int, Film] = {}
        self.present: set[int] = set()
        self.admin = AdminFactory()

    def teardown(self) -> None:
        """Begin the next run with an empty shelf."""
        transaction.set_rollback(True)
        self.everything.__exit__(None, None, None)

    @initialize(target=films)
    def first_films(self):
        return multiple(*(self.add(None) for _ in range(3)))

    @initialize(target=members)
    def first_members(self):
        return multiple(*(self.join() for _ in range(3)))

    def add(self, owner: User | None) -> int:
        movie = Movie.objects.create(title=f"Film {next(self.numbers)}", created_by=owner)
        self.paper[movie.pk] = Film(owner.pk if owner else None)
        return movie.pk

    def join(self) -> int:
        user = UserFactory()
        self.present.add(user.pk)
        return user.pk

    @rule(target=members)
    def somebody_joins(self):
        return self.join()

    @rule(target=films, member=members)
    def a_film_is_added(self, member):
        return self.add(User.objects.get(pk=member))

    def have_a_say(self, member: int, film: int, value: int, hidden: bool) -> None:
        """Rate a film and review it twice, so that the next step has something to work on."""
        self.rate(member, film, value)
        first = self.review(member, film)
        self.review(member, film)
        Review.objects.get(pk=first).change(by=self.admin, hidden=hidden)
        self.paper[film].reviews[first] = (member, hidden)

    @rule(member=members, film=films, value=STARS)
    def rate(self, member, film, value):
        rating = Rating.objects.rate(user=User(pk=member), movie_id=film, value=value)
        self.paper[film].rate(member, value)
        assert rating.stats.distribution == self.paper[film].distribution

    @rule(member=members, film=films, value=STARS)
    def rate_as_the_admin_form_does(self, member, film, value):
        rating = Rating.objects.filter(user=member, movie=film).first()
        rating = rating or Rating(user_id=member, movie_id=film)
        rating.value = value
        rating.save()
        self.paper[film].rate(member, value)

    @rule(member=members, film=films, first=STARS, then=STARS, at_last=STARS | st.none())
    def a_rating_changes_while_a_form_is_open(self, member, film, first, then, at_last):
        """What another has changed since the form was opened is what the film has counted."""
        self.rate(member, film, first)
        open_for_long = Rating.objects.get(user=member, movie=film)
        self.rate(member, film, then)
        if at_last is None:
            open_for_long.delete()
            del self.paper[film].ratings[member]
        else:
            open_for_long.value = at_last
            open_for_long.save()
            self.paper[film].rate(member, at_last)

    @rule(member=members, film=films, value=STARS, unsaved=STARS)
    def a_value_that_is_not_saved_counts_for_nothing(self, member, film, value, unsaved):
        self.rate(member, film, value)
        rating = Rating.objects.get(user=member, movie=film)
        rating.value = unsaved
        rating.save(update_fields=["created_at"])

    @rule(member=members, film=films)
    def unrate(self, member, film):
        if self.paper[film].ratings.pop(member, None) is not None:
            Rating.objects.unrate(user=User(pk=member), movie_id=film)

    @rule(member=members, film=films, another=films, value=STARS)
    def an_import_puts_and_drops_set_by_set(self, member, film, another, value):
        for number, films in enumerate(({film, another}, {film})):
            list(MovieStats.objects.filter(pk__in=films).locked_in_order())
            there = {r.movie_id: r for r in Rating.objects.filter(user=member, movie__in=films)}
            ratings = [there.get(pk, Rating(user_id=member, movie_id=pk)) for pk in films]
            for rating in ratings:
                rating.value = (value + rating.movie_id + number) % 5 + 1
                rating.updated_at = timezone.now()
                self.paper[rating.movie_id].rate(member, rating.value)
            Rating.objects.put_all(ratings)
        Rating.objects.drop_all(list(Rating.objects.filter(user=member, movie=another)))
        self.paper[another].ratings.pop(member, None)
        self.put_and_drop_reviews(member, film)

    def put_and_drop_reviews(self, member: int, film: int) -> None:
        reviews = [Review(user_id=member, movie_id=film, content=f"No. {n}.") for n in range(2)]
        Review.objects.add_all(reviews)
        for review in reviews:
            self.paper[film].reviews[review.pk] = (member, False)
        gone = list(Review.objects.filter(user=member, movie=film))[1:]
        Review.objects.drop_all(gone)
        for review in gone:
            del self.paper[film].reviews[review.pk]

    @rule(member=members, film=films)
    def a_review_is_written(self, member, film):
        self.review(member, film)

    def review(self, member: int, film: int) -> int:
        review = Review.objects.write(user=User(pk=member), movie_id=film, content="Fine.")
        self.paper[film].reviews[review.pk] = (member, False)
        return review.pk

    @rule(member=members, film=films, hidden=st.booleans())
    def all_reviews_of_a_film_are_hidden_or_shown(self, member, film, hidden):
        self.have_a_say(member, film, 3, hidden=not hidden)
        reviews = Review.objects.filter(movie=film)
        changed = reviews.hide(by=self.admin) if hidden else reviews.show(by=self.admin)
        paper = self.paper[film].reviews
        assert changed == sum(was != hidden for _, was in paper.values())
        self.paper[film].reviews = {pk: (author, hidden) for pk, (author, _) in paper.items()}

    @rule(
        member=members,
        film=films,
        first=st.booleans(),
        then=st.booleans(),
        at_last=st.sampled_from(["edited", "hidden", "shown", "deleted"]),
    )
    def a_review_changes_while_a_form_is_open(self, member, film, first, then, at_last):
        review = self.review(member, film)
        Review.objects.get(pk=review).change(by=self.admin, hidden=first)
        open_for_long = Review.objects.get(pk=review)
        Review.objects.get(pk=review).change(by=self.admin, hidden=then)
        paper = self.paper[film].reviews
        match at_last:
            case "edited":
                open_for_long.edit("On second thoughts.")
                paper[review] = (member, then)
            case "deleted":
                open_for_long.delete()
                del paper[review]
            case _:
                open_for_long.change(by=self.admin, hidden=at_last == "hidden")
                paper[review] = (member, at_last == "hidden")

    @rule(member=members, film=films, hidden=st.booleans())
    def all_that_a_member_said_is_deleted_in_the_admin(self, member, film, hidden):
        self.have_a_say(member, film, 2, hidden)
        Rating.objects.filter(user=member).delete(by=self.admin)
        Review.objects.filter(user=member).delete(by=self.admin)
        for paper in self.paper.values():
            paper.forget(member)

    @rule(member=members, film=films, hidden=st.booleans(), with_films=st.booleans())
    def what_a_member_did_is_swept_and_brought_back(self, member, film, hidden, with_films):
        self.have_a_say(member, film, 4, hidden)
        batch = sweep(member, by=self.admin, with_films=with_films)
        assert not Rating.objects.filter(user=member).exists()
        assert list(drifted_films()) == []
        assert drifted_totals() == []
        undo(batch.pk, by=self.admin)

    @rule(film=consumes(films), into=films, member=members, value=STARS, another=STARS)
    def two_films_are_merged(self, film, into, member, value, another):
        self.have_a_say(member, film, value, hidden=False)
        if another != value:
            self.have_a_say(member, into, another, hidden=True)
        merge(film, into=into, by=self.admin)
        self.paper[into].take_over(self.paper.pop(film))

    @rule(film=films)
    def a_film_is_edited(self, film):
        Movie(pk=film).edit(synopsis="Sand.", title=f"Film {next(self.numbers)}")

    @rule(film=consumes(films))
    def a_film_is_deleted(self, film):
        Movie.objects.get(pk=film).delete()
        del self.paper[film]

    @rule(film=consumes(films), another=consumes(films))
    def two_films_are_deleted(self, film, another):
        Movie.objects.filter(pk__in=[film, another]).delete()
        del self.paper[film], self.paper[another]

    @rule(member=members, film=films)
    def what_may_not_be_is_refused(self, member, film):
        """By the database, whoever asks, and without moving a number."""
        title = Movie.objects.get(pk=film).title
        refused = [
            lambda: Movie.objects.create(title=f" {title.upper()}\u200b"),
            lambda: Rating(user_id=member, movie_id=film, value=6).save(),
            lambda: self.spoil(film, rating_1=-1),
            lambda: self.spoil(film, review_count=-1),
        ]
        if member in self.paper[film].ratings:
            refused.append(lambda: Rating(user_id=member, movie_id=film, value=1).save())
        for attempt in refused:
            with pytest.raises((IntegrityError, TitleTaken)), transaction.atomic():
                attempt()

    @rule(film=films, counter=st.integers(0, 9))
    def a_film_is_spoilt_and_mended(self, film, counter):
        self.spoil(film, rating_5=counter, review_count=counter)
        recompute()

    def spoil(self, film: int, **counters: int) -> None:
        numbers = MovieStats.objects.filter(pk=film)
        super(type(numbers), numbers).update(**counters)

    @rule(member=consumes(members), film=films, value=STARS, hidden=st.booleans())
    def a_member_leaves(self, member, film, value, hidden):
        self.have_a_say(member, film, value, hidden)
        User.objects.get(pk=member).delete()
        self.forget(member)

    @rule(leaving=st.lists(consumes(members), min_size=2, max_size=3), film=films, value=STARS)
    def several_members_leave_who_met_at_a_film(self, leaving, film, value):
        for number, member in enumerate(leaving):
            self.have_a_say(member, film, (value + number) % 5 + 1, number == 0)
        User.objects.filter(pk__in=leaving).delete()
        for member in leaving:
            self.forget(member)

    def forget(self, member: int) -> None:
        self.present.discard(member)
        for film in self.paper.values():
            film.owner = None if film.owner == member else film.owner
            film.forget(member)

    @rule(member=members, film=films, value=STARS)
    def something_fails_half_way(self, member, film, value):
        """What is rolled back has moved nothing."""
        try:
            with transaction.atomic():
                Rating.objects.rate(user=User(pk=member), movie_id=film, value=value)
                Review.objects.write(user=User(pk=member), movie_id=film, content="Fine.")
                raise RuntimeError
        except RuntimeError:
            pass

    @invariant()
    def every_number_is_what_the_paper_says(self):
        listed = Client().get("/movies?pageSize=100&sort=rank").json()
        assert listed["total"] == len(self.paper)
        for item in listed["items"]:
            film = self.paper[item["id"]]
            assert item["createdBy"] == film.owner
            assert item["ratingDistribution"] == film.distribution
            assert item["ratingCount"] == len(film.ratings)
            assert item["averageRating"] == film.average
            assert item["reviewCount"] == film.review_count
            assert item["rank"] == self.rank(film)
        order = [(item["rank"] is None, item["rank"], -item["id"]) for item in listed["items"]]
        assert order == sorted(order, key=lambda place: (place[0], place[1] or 0, place[2]))

    def rank(self, film: Film) -> int | None:
        if film.score is None:
            return None
        return 1 + sum(other.score > film.score for other in self.paper.values() if other.ratings)

    @invariant()
    def nothing_drifted_and_nothing_is_left_over(self):
        assert list(drifted_films()) == []
        assert drifted_totals() == []
        assert Rating.objects.count() == sum(len(film.ratings) for film in self.paper.values())
        assert Review.objects.count() == sum(len(film.reviews) for film in self.paper.values())
        assert MovieStats.objects.count() == len(self.paper)
        assert User.objects.count() == len(self.present) + 1


class ShelfTest(TestCase, Shelf.TestCase):
    settings = settings(
        max_examples=20,
        stateful_step_count=15,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
