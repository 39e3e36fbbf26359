"""The short way to rate a film (movieshelf.short_ways); `ratings.views` has the whole one."""

import re
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty

from accounts.authentication import login_of
from accounts.models import User
from movieshelf.api.ceilings import WRITES
from movieshelf.short_ways import Done, ShortWay
from ratings.models import Rating
from ratings.serializers import RatingSerializer, rated_json

VALUE = RatingSerializer().fields["value"]


def rate(user: User, movie_id: int, document: dict[str, Any]) -> Done | None:
    try:
        value = VALUE.run_validation(document.get("value", empty))
    except ValidationError:
        return None
    return Done(rated_json(Rating.objects.rate(user=user, movie_id=movie_id, value=value)))


RATE = ShortWay(
    method="PUT",
    path=re.compile(r"/movies/([1-9][0-9]{0,17})/rating", re.ASCII),
    route="/movies/:id/rating",
    status="200 OK",
    credentials=login_of,
    ceilings=(WRITES,),
    perform=rate,
)
