"""The one door for errors: whatever was raised leaves as the envelope of contract section 1."""

import errno
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import psycopg_pool
from django.core import exceptions as django_exceptions
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, transaction
from django.http import Http404, HttpResponse
from rest_framework import exceptions as drf
from rest_framework.response import Response

from movieshelf.api.rendering import JSON_TYPE, to_json

logger = logging.getLogger(__name__)

Details = dict[str, list[dict[str, Any]]]

# In the WSGI environ: what was raised before Django had the request. The view raises it, once what
# comes before has been checked.
RAISED_BEFORE = "movieshelf.raised"
# The same of what was raised where the credentials were looked at.
RAISED_AT_LOGIN = "movieshelf.raised_at_login"
# How long a client should wait after a 503: long enough for a failover's first second to pass.
RETRY_AFTER_SECONDS = 2
# There is no room on a disk, or none for us.
FULL = (errno.ENOSPC, errno.EDQUOT)


class ApiError(drf.APIException):
    """An error with a code of the contract, a status and one plain sentence.

    `details` maps a field's path to a list of `{"code", "message"}`; `headers` go on the answer.
    """

    status_code = 500
    default_code = "internal_error"
    default_detail = "Something went wrong on our side."

    def __init__(
        self,
        message: str | None = None,
        *,
        details: Details | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = str(message or self.default_detail)
        super().__init__(self.message, self.default_code)
        self.details = details
        self.headers = dict(headers or {})


class InvalidInput(ApiError):
    """A body, query or upload that does not hold what it must."""

    status_code = 400
    default_code = "validation_error"
    default_detail = "The request does not hold what it must."

    @classmethod
    def on(cls, field: str, message: str, *, code: str = "invalid") -> "InvalidInput":
        """Blame one field, by its path as the client wrote it."""
        return cls(message, details={field: [{"code": code, "message": message}]})


class AuthFailed(ApiError):
    status_code = 401
    default_code = "auth_failed"
    default_detail = "Valid credentials are needed here."

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(ApiError):
    status_code = 403
    default_code = "forbidden"
    default_detail = "This is not yours to do."


class NotFound(ApiError):
    status_code = 404
    default_code = "not_found"
    default_detail = "There is nothing here."


class MethodNotAllowed(ApiError):
    status_code = 405
    default_code = "method_not_allowed"
    default_detail = "This address does not answer that method."


class NotAcceptable(ApiError):
    status_code = 406
    default_code = "not_acceptable"
    default_detail = "This address answers in no type that you accept."

    @classmethod
    def but_for(cls, *types: str) -> "NotAcceptable":
        """Give the error that names the types the address does answer in."""
        return cls(f"This address answers in {' or '.join(types)} only.")


class Conflict(ApiError):
    status_code = 409
    default_code = "conflict"
    default_detail = "That is taken already."


class PreconditionFailed(ApiError):
    status_code = 412
    default_code = "precondition_failed"
    default_detail = "It was changed since the version that If-Match names."


class PayloadTooLarge(ApiError):
    status_code = 413
    default_code = "payload_too_large"
    default_detail = "The body is too large."


class UnsupportedMediaType(ApiError):
    status_code = 415
    default_code = "unsupported_media_type"
    default_detail = "The body is of a type that is not taken here."


class RangeNotSatisfiable(ApiError):
    status_code = 416
    default_code = "range_not_satisfiable"
    default_detail = "The range lies outside of the image."


class IdempotencyMismatch(ApiError):
    status_code = 422
    default_code = "idempotency_mismatch"
    default_detail = "This Idempotency-Key was used for a different request."


class RateLimited(ApiError):
    status_code = 429
    default_code = "rate_limited"
    default_detail = "Too many requests; wait a moment."


class Unavailable(ApiError):
    status_code = 503
    default_code = "unavailable"
    default_detail = "MovieShelf cannot do this right now; try again in a moment."

    def __init__(
        self, message: str | None = None, *, retry_after: int = RETRY_AFTER_SECONDS
    ) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after)})


class Overloaded(Unavailable):
    """More requests are here than can wait for their turn."""

    default_detail = "Too many requests are here at once; try again in a moment."


class ReadOnly(Unavailable):
    """READ_ONLY is on: somebody looks after the database."""

    default_detail = "MovieShelf is read-only for a while."

    def __init__(self) -> None:
        super().__init__(retry_after=60)


BY_STATUS: dict[int, type[ApiError]] = {
    kind.status_code: kind
    for kind in (
        InvalidInput,
        AuthFailed,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        NotAcceptable,
        Conflict,
        PreconditionFailed,
        PayloadTooLarge,
        UnsupportedMediaType,
        RangeNotSatisfiable,
        IdempotencyMismatch,
        RateLimited,
        Unavailable,
    )
}


def envelope(error: ApiError) -> dict[str, Any]:
    """Give the body of an error, as contract section 1 has it."""
    body: dict[str, Any] = {"code": error.default_code, "message": error.message}
    if error.details:
        body["details"] = error.details
    return {"success": False, "error": body}


def error_response(error: ApiError) -> HttpResponse:
    """Give the whole answer for an error, outside of DRF's views."""
    response = HttpResponse(
        to_json(envelope(error)),
        status=error.status_code,
        content_type=JSON_TYPE,
        headers=error.headers,
    )
    response.enveloped = True  # type: ignore[attr-defined]  # EnvelopeMiddleware asks for it
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def error_for_status(status: int) -> ApiError:
    """Give the error that stands for an HTTP status somebody else decided on."""
    if status in BY_STATUS:
        return BY_STATUS[status]()
    return InvalidInput() if 400 <= status < 500 else ApiError()


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER. None lets what we do not know become a logged 500."""
    error = translate(exc)
    if error is None:
        return None
    response = Response(envelope(error), status=error.status_code, headers=error.headers)
    response.enveloped = True  # type: ignore[attr-defined]  # EnvelopeMiddleware asks for it
    return response


def translate(exc: BaseException) -> ApiError | None:
    """Give the error of the contract that an exception means, None for a bug of ours."""
    match exc:
        case ApiError():
            return exc
        case drf.ValidationError():
            details = dict(_flatten(exc.detail, ""))
            return InvalidInput(_first_message(details), details=details)
        case drf.MethodNotAllowed():
            return MethodNotAllowed()
        case drf.NotAcceptable(available_renderers=[_, *_] as renderers):
            return NotAcceptable.but_for(*(renderer.media_type for renderer in renderers))
        case drf.APIException() if exc.status_code in BY_STATUS:
            return BY_STATUS[exc.status_code]()
        case Http404():
            return NotFound()
        case django_exceptions.PermissionDenied():
            return Forbidden()
        case django_exceptions.RequestDataTooBig():
            return PayloadTooLarge()
        case django_exceptions.SuspiciousOperation():
            return InvalidInput()
        case DatabaseError() | InterfaceError() | psycopg_pool.PoolTimeout():
            return _translate_database(exc)
        case OSError() if exc.errno in FULL:
            logger.warning("a file could not be written: %s", exc)
            return Unavailable()
        case _:
            return None


def _translate_database(exc: Exception) -> ApiError | None:
    """Tell by class and SQLSTATE, never by the message, what the database meant."""
    error = _meaning(exc)
    if isinstance(error, Unavailable):
        # The client is told to come back; the operator is told why it was sent away.
        logger.warning("the database did not answer: %s", exc)
    return error


def _meaning(exc: Exception) -> ApiError | None:
    cause = exc.__cause__ if isinstance(exc.__cause__, psycopg.Error) else exc
    match cause:
        case psycopg.errors.ForeignKeyViolation():
            # What the row refers to was deleted while the request was on its way.
            return NotFound()
        case (
            psycopg.errors.QueryCanceled()
            | psycopg.errors.LockNotAvailable()
            | psycopg.errors.SerializationFailure()
            | psycopg.errors.DeadlockDetected()
            | psycopg.errors.ReadOnlySqlTransaction()
        ):
            return Unavailable()
        case psycopg.errors.CharacterNotInRepertoire() | psycopg.errors.UntranslatableCharacter():
            return InvalidInput("The request holds text that cannot be stored.")
    if isinstance(exc, (OperationalError, InterfaceError, psycopg_pool.PoolTimeout)):
        return Unavailable()
    return None


@contextmanager
def constraint_raises(constraint: str, error: type[ApiError] | ApiError) -> Iterator[None]:
    """Turn the violation of one named constraint into an error; let everything else pass.

    Opens a savepoint, so the transaction around it stays usable.
    """
    try:
        with transaction.atomic():
            yield
    except IntegrityError as exc:
        cause = exc.__cause__
        if isinstance(cause, psycopg.Error) and cause.diag.constraint_name == constraint:
            raise error from exc
        raise


def _flatten(detail: Any, path: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    if isinstance(detail, Mapping):
        for key, value in detail.items():
            if key == "non_field_errors":
                yield from _flatten(value, path)
            else:
                yield from _flatten(value, f"{path}.{key}" if path else str(key))
    elif isinstance(detail, Sequence) and any(isinstance(one, Mapping) for one in detail):
        for index, value in enumerate(detail):
            yield from _flatten(value, f"{path}.{index}" if path else str(index))
    else:
        errors = detail if isinstance(detail, list) else [detail]
        yield path or "body", [{"code": one.code, "message": str(one)} for one in errors]


def _first_message(details: Details) -> str:
    for field, errors in details.items():
        for error in errors:
            return f"{field}: {error['message']}"
    return str(InvalidInput.default_detail)
