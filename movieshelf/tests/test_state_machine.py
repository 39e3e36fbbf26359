"""Anything in any order: the shelf against a model of it in plain Python, after every step."""

from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import ClassVar

import pytest
from django.db import IntegrityError, transaction
from django.test import Client, TestCase
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
from movies.models import Movie, MovieStats, TitleTaken
from movieshelf.recomputing import drifted_films, drifted_totals, recompute
from ratings.models import Rating
from reviews.models import Review

STARS = st.integers(1, 5)


@dataclass
class Film:
    """What is true of a film, as a person would keep it on paper."""

    owner: int | None
    ratings: dict[int, int] = field(default_factory=dict)
    # By review: who wrote it, and whether it is hidden.
    reviews: dict[int, tuple[int, bool]] = field(default_factory=dict)

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
    reviews = Bundle("reviews")
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

    @rule(member=members, film=films, value=STARS)
    def rate(self, member, film, value):
        Rating.objects.rate(user=User(pk=member), movie_id=film, value=value)
        self.paper[film].ratings[member] = value

    @rule(member=members, film=films, value=STARS)
    def rate_as_the_admin_form_does(self, member, film, value):
        rating = Rating.objects.filter(user=member, movie=film).first()
        rating = rating or Rating(user_id=member, movie_id=film)
        rating.value = value
        rating.save()
        self.paper[film].ratings[member] = value

    @rule(member=members, film=films, value=STARS, meanwhile=STARS)
    def rate_as_an_admin_form_that_was_open_for_long_does(self, member, film, value, meanwhile):
        """What another has changed since the form was opened is what the film has counted."""
        rating = Rating.objects.filter(user=member, movie=film).first()
        if rating is None:
            return
        Rating.objects.rate(user=User(pk=member), movie_id=film, value=meanwhile)
        rating.value = value
        rating.save()
        self.paper[film].ratings[member] = value

    @rule(member=members, film=films, value=STARS, meanwhile=STARS)
    def delete_a_rating_that_has_changed_meanwhile(self, member, film, value, meanwhile):
        Rating.objects.rate(user=User(pk=member), movie_id=film, value=value)
        rating = Rating.objects.get(user=member, movie=film)
        Rating.objects.rate(user=User(pk=member), movie_id=film, value=meanwhile)
        rating.delete()
        self.paper[film].ratings.pop(member, None)

    @rule(member=members, film=films, value=STARS)
    def a_value_that_is_not_saved_counts_for_nothing(self, member, film, value):
        if rating := Rating.objects.filter(user=member, movie=film).first():
            rating.value = value
            rating.save(update_fields=["updated_at"])

    @rule(member=members, film=films)
    def unrate(self, member, film):
        if self.paper[film].ratings.pop(member, None) is not None:
            Rating.objects.unrate(user=User(pk=member), movie_id=film)

    @rule(member=members)
    def a_members_ratings_are_deleted_in_the_admin(self, member):
        Rating.objects.filter(user=member).delete()
        for film in self.paper.values():
            film.ratings.pop(member, None)

    @rule(target=reviews, member=members, film=films)
    def review(self, member, film):
        review = Review.objects.write(user=User(pk=member), movie_id=film, content="Fine.")
        self.paper[film].reviews[review.pk] = (member, False)
        return review.pk

    def film_of(self, review: int) -> Film | None:
        return next((film for film in self.paper.values() if review in film.reviews), None)

    @rule(review=reviews, hidden=st.booleans())
    def a_review_is_hidden_or_shown(self, review, hidden):
        if film := self.film_of(review):
            Review.objects.get(pk=review).change(by=self.admin, hidden=hidden)
            film.reviews[review] = (film.reviews[review][0], hidden)

    @rule(film=films, hidden=st.booleans())
    def all_reviews_of_a_film_are_hidden_or_shown(self, film, hidden):
        reviews = Review.objects.filter(movie=film)
        changed = reviews.hide(by=self.admin) if hidden else reviews.show(by=self.admin)
        paper = self.paper[film].reviews
        assert changed == sum(was != hidden for _, was in paper.values())
        self.paper[film].reviews = {pk: (author, hidden) for pk, (author, _) in paper.items()}

    @rule(review=reviews)
    def a_review_is_edited(self, review):
        if self.film_of(review):
            Review.objects.get(pk=review).edit("On second thoughts.")

    @rule(review=reviews, hidden=st.booleans())
    def a_review_is_edited_that_is_hidden_or_shown_meanwhile(self, review, hidden):
        if film := self.film_of(review):
            open_for_long = Review.objects.get(pk=review)
            Review.objects.get(pk=review).change(by=self.admin, hidden=hidden)
            open_for_long.edit("On second thoughts.")
            film.reviews[review] = (film.reviews[review][0], hidden)

    @rule(review=reviews, hidden=st.booleans(), at_last=st.booleans())
    def a_review_is_hidden_or_shown_by_two(self, review, hidden, at_last):
        if film := self.film_of(review):
            open_for_long = Review.objects.get(pk=review)
            Review.objects.get(pk=review).change(by=self.admin, hidden=hidden)
            open_for_long.change(by=self.admin, hidden=at_last)
            film.reviews[review] = (film.reviews[review][0], at_last)

    @rule(review=consumes(reviews), hidden=st.booleans())
    def a_review_is_deleted_that_is_hidden_or_shown_meanwhile(self, review, hidden):
        if film := self.film_of(review):
            open_for_long = Review.objects.get(pk=review)
            Review.objects.get(pk=review).change(by=self.admin, hidden=hidden)
            open_for_long.delete()
            del film.reviews[review]

    @rule(member=members)
    def a_members_reviews_are_deleted_in_the_admin(self, member):
        Review.objects.filter(user=member).delete(by=self.admin)
        for film in self.paper.values():
            film.reviews = {pk: kept for pk, kept in film.reviews.items() if kept[0] != member}

    @rule(review=consumes(reviews))
    def a_review_is_deleted(self, review):
        if film := self.film_of(review):
            Review.objects.get(pk=review).delete()
            del film.reviews[review]

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

    def have_a_say(self, member: int, film: int, value: int, hidden: bool) -> None:
        """Rate a film, and review it twice, so that somebody leaves something behind."""
        self.rate(member, film, value)
        reviews = [self.review(member, film) for _ in range(2)]
        self.a_review_is_hidden_or_shown(reviews[0], hidden)

    def forget(self, member: int) -> None:
        self.present.discard(member)
        for film in self.paper.values():
            film.owner = None if film.owner == member else film.owner
            film.ratings.pop(member, None)
            film.reviews = {pk: kept for pk, kept in film.reviews.items() if kept[0] != member}

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
        max_examples=25,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
