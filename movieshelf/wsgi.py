"""What the server calls."""

import os
from collections.abc import Mapping
from typing import Any

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "movieshelf.settings")

# They read the settings.
from movieshelf.admission import Door, Places
from movieshelf.api.bodies import readable_chunked_bodies, taken_whole
from movieshelf.hot_answers import HotAnswers
from movieshelf.observing import observed
from movieshelf.patience import patient
from movieshelf.replica import read_from_replica
from movieshelf.short_ways import ShortWays


class UTF8Request(WSGIRequest):
    """A request whose query string is UTF-8, whatever charset its Content-Type names.

    Django reads the query string by that charset while it makes the request, before there is a
    middleware to answer: `charset=zlib` would be a crash without an envelope.
    """

    def _set_content_type_params(self, meta: Mapping[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(
            meta.get("CONTENT_TYPE", "")
        )


class UTF8Handler(WSGIHandler):
    request_class = UTF8Request


django.setup(set_prefix=False)
views = taken_whole(readable_chunked_bodies(UTF8Handler()))
working = ShortWays(Places(views, at_once=settings.REQUESTS_AT_ONCE), settings.SHORT_WAYS)
answers = HotAnswers(working, max_bytes=settings.HOT_ANSWERS_MAX_BYTES)
reading = patient(read_from_replica(answers), seconds=settings.DATABASE_ANSWER_SECONDS)
# Outermost: what answers before Django is logged and counted as well.
application = observed(Door(reading, room=settings.REQUESTS_AT_ONCE + settings.REQUESTS_IN_LINE))
