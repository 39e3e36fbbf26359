"""Valid reviews from nothing."""

import factory

from accounts.tests.factories import UserFactory
from movies.tests.factories import MovieFactory
from reviews.models import Review


class ReviewFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Review

    user = factory.SubFactory(UserFactory)
    movie = factory.SubFactory(MovieFactory)
    content = "Worth every minute."
