"""Valid members from nothing."""

import factory
from django.contrib.auth.hashers import make_password
from django.utils.functional import SimpleLazyObject

from accounts.models import User

PASSWORD = "a long enough phrase"
# Hashed once: most tests log in by a session and never use it.
HASHED = SimpleLazyObject(lambda: make_password(PASSWORD))


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = User

    name = factory.Sequence(lambda n: f"Member {n}")
    email = factory.Sequence(lambda n: f"member{n}@shelf.example")
    password = factory.LazyFunction(lambda: str(HASHED))


class AdminFactory(UserFactory):
    name = factory.Sequence(lambda n: f"Moderator {n}")
    email = factory.Sequence(lambda n: f"moderator{n}@shelf.example")
    role = User.Role.ADMIN
