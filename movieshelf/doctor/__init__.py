"""One look at everything that goes wrong in practice (`manage.py doctor`).

An examination is a small function with a name. It yields a finding for each thing that is not as it
should be, with what to do about it, and nothing where all is well. None of them changes anything.
"""

import logging
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

from django.db import DatabaseError, InterfaceError, connection, transaction
from psycopg_pool import PoolTimeout

logger = logging.getLogger(__name__)


class Severity(StrEnum):
    # Worth knowing, and nothing to do about it.
    NOTE = "note"
    # It works, and will not for ever, or not as well as it could.
    WARNING = "warning"
    # Something is broken, or may be lost.
    ERROR = "error"


class Finding(NamedTuple):
    severity: Severity
    # One sentence for a person, and what to do.
    told: str
    hint: str = ""


class Question(NamedTuple):
    """What an operator asks besides."""

    # A configuration of nginx to compare with our settings, and whether to read every image.
    nginx: str | None = None
    thoroughly: bool = False


type Examine = Callable[[Question], Iterator[Finding]]


class Examination(NamedTuple):
    name: str
    examine: Examine
    asks_database: bool


class Result(NamedTuple):
    name: str
    findings: list[Finding]

    @property
    def severity(self) -> Severity | None:
        """The worst that was found, None where all is well."""
        order = list(Severity)
        return max((f.severity for f in self.findings), key=order.index, default=None)


EXAMINATIONS: list[Examination] = []


def examination(name: str, *, asks_database: bool = True) -> Callable[[Examine], Examine]:
    """Make a function one of the examinations, done in the order they are declared in."""

    def declare(examine: Examine) -> Examine:
        EXAMINATIONS.append(Examination(name, examine, asks_database))
        return examine

    return declare


def note(told: str, hint: str = "") -> Finding:
    return Finding(Severity.NOTE, told, hint)


def warning(told: str, hint: str) -> Finding:
    return Finding(Severity.WARNING, told, hint)


def error(told: str, hint: str) -> Finding:
    return Finding(Severity.ERROR, told, hint)


def examine_all(question: Question) -> Iterator[Result]:
    """Do every examination, one after another; what cannot be done is an error by itself."""
    trouble = _database_trouble()
    yield Result("database", [trouble] if trouble else [])
    for each in EXAMINATIONS:
        if not (trouble and each.asks_database):
            yield Result(each.name, _findings(each, question))


def _database_trouble() -> Finding | None:
    try:
        connection.ensure_connection()
    except (DatabaseError, InterfaceError, PoolTimeout) as trouble:
        return error(
            f"It does not answer ({str(trouble).strip()}); nothing was asked of it.",
            "Is it running, and is DATABASE_URL right?",
        )
    return None


def _findings(each: Examination, question: Question) -> list[Finding]:
    try:
        if not each.asks_database:
            return list(each.examine(question))
        # In a transaction of its own, so that what fails leaves the next one a connection to use.
        with transaction.atomic(), connection.cursor() as cursor:
            # To compare every number of a large shelf takes longer than a request may.
            cursor.execute("SET LOCAL statement_timeout = '10min'")
            cursor.execute("SET TRANSACTION READ ONLY")
            return list(each.examine(question))
    except Exception as failure:  # one that fails must not keep the others from being done
        logger.debug("%s could not be examined", each.name, exc_info=True)
        first_line = str(failure).strip().partition("\n")[0]
        return [
            error(f"It could not be examined: {first_line}", "`--verbosity 3` shows the traceback.")
        ]


# They declare themselves.
from movieshelf.doctor import database, replication, shelf, surroundings  # noqa: E402, F401
