"""The short way to review films (movieshelf.short_ways); `reviews.views` has the whole one."""

import re
from collections.abc import Sequence
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.fields import empty

from accounts.authentication import access_token, logins_of
from accounts.models import User
from movieshelf.api.ceilings import WRITES
from movieshelf.api.conditional import etag_of
from movieshelf.api.rendering import to_json
from movieshelf.short_ways import LOCK_TIMEOUT, Asked, Done, ShortWay
from reviews.models import NewReview, Review
from reviews.serializers import ReviewSerializer, review_json, shown_columns

CONTENT = ReviewSerializer().fields["content"]


def content_in(document: dict[str, Any]) -> str | None:
    try:
        content: str = CONTENT.run_validation(document.get("content", empty))
    except ValidationError:
        return None
    return content


def write(asked: Sequence[Asked[str]]) -> list[Done | None]:
    written = [NewReview(one.thing, one.user.pk, one.content) for one in asked]
    reviews = Review.objects.write_all(written, lock_timeout=LOCK_TIMEOUT)
    return [
        as_done(review, one.user) if review else None
        for review, one in zip(reviews, asked, strict=True)
    ]


def as_done(review: Review, author: User) -> Done:
    review.user = author
    shown = review_json(shown_columns(review), author)
    return Done(shown, [("ETag", etag_of(to_json(shown))), ("Location", f"/reviews/{review.pk}")])


WRITE = ShortWay(
    method="POST",
    path=re.compile(r"/movies/([1-9][0-9]{0,17})/reviews", re.ASCII),
    route="/movies/:id/reviews",
    status="201 Created",
    token=access_token,
    logins=logins_of,
    ceilings=(WRITES,),
    content=content_in,
    perform=write,
)
