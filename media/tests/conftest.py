"""Where images are uploaded to: rules about uploads hold for each of these places."""

import pytest

from accounts.models import User
from movies.tests.factories import MovieFactory
from movieshelf.tests.client import ApiClient


@pytest.fixture(params=["avatar", "poster"])
def place(request: pytest.FixtureRequest, user: User) -> str:
    """An address that takes images of `user`: the avatar's, and a film's poster's."""
    if request.param == "avatar":
        return "/users/me/avatar"
    return f"/movies/{MovieFactory(created_by=user).pk}/poster"


@pytest.fixture
def member(api: ApiClient, user: User) -> ApiClient:
    """The client of `user`."""
    return api.as_(user)
