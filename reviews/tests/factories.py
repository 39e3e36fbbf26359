"""Valid reviews from nothing."""

import factory

from accounts.tests.factories import UserFactory
from movies.tests.factories import MovieFactory
from reviews.models import Report, Review


class ReviewFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Review

    user = factory.SubFactory(UserFactory)
    movie = factory.SubFactory(MovieFactory)
    content = "Worth every minute."


class ReportFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Report

    review = factory.SubFactory(ReviewFactory)
    reporter = factory.SubFactory(UserFactory)
    reason = Report.Reason.SPAM
