"""`Idempotency-Key`: who sends a POST twice gets the first answer again (contract section 8)."""

import functools
import hashlib
import json
import re
from collections.abc import Callable
from typing import IO, Any, Concatenate

import orjson
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from movieshelf.api.errors import InvalidInput
from movieshelf.api.rendering import to_json
from movieshelf.api.transactions import retried_atomic
from movieshelf.models import MAX_KEY_LENGTH, IdempotencyKey

KEY = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
# What the work itself says in headers; the rest is said anew on every answer.
KEPT_HEADERS = ("Location", "ETag")
VISIBLE_ASCII = re.compile(f"[!-~]{{1,{MAX_KEY_LENGTH}}}")

# Decorates the handler of the operation, and documents its two headers.
takes_idempotency_key = extend_schema(
    parameters=[
        OpenApiParameter(
            KEY,
            {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": "^[!-~]+$"},
            OpenApiParameter.HEADER,
            description=(
                "Any text of your own, new for each thing to be done. The same request with the "
                "same key within 24 hours does nothing more and gets the first answer again."
            ),
        ),
        OpenApiParameter(
            REPLAYED,
            {"type": "string", "const": "true"},
            OpenApiParameter.HEADER,
            response=[200, 201, 202],
            description="There when this is the answer to an earlier request with the same key.",
        ),
    ]
)


def idempotent[V: APIView, **P](
    perform: Callable[Concatenate[V, P], Response],
) -> Callable[Concatenate[V, P], Response]:
    """Let the request that a view's method carries out be sent again with the same key.

    Decorates the part of an operation that comes after every check of the request itself, and that
    does the work and answers:

        @takes_idempotency_key
        def post(self, request: Request) -> Response:
            asked = self.get_serializer(data=request.data)
            asked.is_valid(raise_exception=True)
            return self.add(asked.validated_data)

        @idempotent
        def add(self, fields: dict[str, Any]) -> Response: ...

    With a key, the work and its answer are one transaction, run again where PostgreSQL asks for it:
    what is decorated must find everything in its arguments and the database. The body is read,
    checked and decoded outside of it, however slowly it comes. A failure is raised, and leaves the
    key free. Raises InvalidInput for a malformed key, and IdempotencyMismatch.
    """

    @functools.wraps(perform)
    def perform_once(view: V, /, *args: P.args, **kwargs: P.kwargs) -> Response:
        work = functools.partial(perform, view, *args, **kwargs)
        key = key_of(view.request)
        return work() if key is None else answer_once(asked_with(view.request, key), work)

    return perform_once


@retried_atomic
def answer_once(asked: dict[str, Any], work: Callable[[], Response]) -> Response:
    """Do the work and keep its answer, or give the answer of whoever did it before."""
    first, is_new = IdempotencyKey.objects.claim(**asked)
    if not is_new:
        return replay(first)
    response = work()
    first.keep_answer(
        status=response.status_code,
        headers={name: response[name] for name in KEPT_HEADERS if name in response},
        body=to_json(response.data),
    )
    return response


def replay(first: IdempotencyKey) -> Response:
    """Give the kept answer, its body to the byte, marked as such."""
    return Response(
        orjson.Fragment(first.body),
        status=first.status,
        headers={**first.headers, REPLAYED: "true"},
    )


def key_of(request: Request) -> str | None:
    """Give the request's key, None where it has none. Raises InvalidInput."""
    key = request.headers.get(KEY)
    if key is not None and not VISIBLE_ASCII.fullmatch(key):
        raise InvalidInput.on(
            KEY, f"An {KEY} is 1 to {MAX_KEY_LENGTH} visible ASCII characters, without spaces."
        )
    return key


def asked_with(request: Request, key: str) -> dict[str, Any]:
    """Give what makes two requests with one key the same request; the query is part of its path."""
    return {
        "user_id": request.user.pk,
        "key": key,
        "method": request.method,
        "path": request.get_full_path(),
        "body_sha256": body_sha256(request.data),
    }


def body_sha256(data: Any) -> str:
    """Hash what a body says, not how: the order of keys, spaces and a file's name do not count."""
    canonical = json.dumps(data, sort_keys=True, default=_file_sha256)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _file_sha256(upload: IO[bytes]) -> str:
    upload.seek(0)
    return hashlib.sha256(upload.read()).hexdigest()
