"""The short way to rate films (movieshelf.short_ways); `ratings.views` has the whole one."""

import re
from collections.abc import Sequence
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty

from accounts.authentication import access_token, logins_of
from movieshelf.api.ceilings import WRITES
from movieshelf.short_ways import LOCK_TIMEOUT, Asked, Done, ShortWay
from ratings.models import NewRating, Rating
from ratings.serializers import RatingSerializer, rated_json

VALUE = RatingSerializer().fields["value"]


def value_in(document: dict[str, Any]) -> int | None:
    try:
        value: int = VALUE.run_validation(document.get("value", empty))
    except ValidationError:
        return None
    return value


def rate(asked: Sequence[Asked[int]]) -> list[Done | None]:
    given = [NewRating(one.thing, one.user.pk, one.content) for one in asked]
    ratings = Rating.objects.rate_all(given, lock_timeout=LOCK_TIMEOUT)
    return [Done(rated_json(rating)) if rating else None for rating in ratings]


RATE = ShortWay(
    method="PUT",
    path=re.compile(r"/movies/([1-9][0-9]{0,17})/rating", re.ASCII),
    route="/movies/:id/rating",
    status="200 OK",
    token=access_token,
    logins=logins_of,
    ceilings=(WRITES,),
    content=value_in,
    perform=rate,
)
