"""The short way to review a film (movieshelf.short_ways); `reviews.views` has the whole one."""

import re
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty

from accounts.authentication import login_of
from accounts.models import User
from movieshelf.api.ceilings import WRITES
from movieshelf.api.conditional import etag_of
from movieshelf.api.rendering import to_json
from movieshelf.short_ways import Done, ShortWay
from reviews.models import Review
from reviews.serializers import ReviewSerializer, review_json, shown_columns

CONTENT = ReviewSerializer().fields["content"]


def write(user: User, movie_id: int, document: dict[str, Any]) -> Done | None:
    try:
        content = CONTENT.run_validation(document.get("content", empty))
    except ValidationError:
        return None
    review = Review.objects.write(user=user, movie_id=movie_id, content=content)
    shown = review_json(shown_columns(review), user)
    return Done(shown, [("ETag", etag_of(to_json(shown))), ("Location", f"/reviews/{review.pk}")])


WRITE = ShortWay(
    method="POST",
    path=re.compile(r"/movies/([1-9][0-9]{0,17})/reviews", re.ASCII),
    route="/movies/:id/reviews",
    status="201 Created",
    credentials=login_of,
    ceilings=(WRITES,),
    perform=write,
)
