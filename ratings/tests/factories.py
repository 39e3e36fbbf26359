"""Valid ratings from nothing."""

import factory

from accounts.tests.factories import UserFactory
from movies.tests.factories import MovieFactory
from ratings.models import Rating


class RatingFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Rating

    user = factory.SubFactory(UserFactory)
    movie = factory.SubFactory(MovieFactory)
    value = 4
