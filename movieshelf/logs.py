"""How a line of the log looks: JSON in production, readable with DEBUG.

Everything logs through Python's own `logging`; structlog only writes the lines. The line of each
request has a shorter way (movieshelf.observing).
"""

import re
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from movieshelf import observing

# What must never stand in a log, wherever a message or a traceback took it from: PostgreSQL quotes
# the row that breaks a constraint, a library the address that it could not reach.
SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*"), "<token>"),
    (re.compile(r"(argon2)?\$?argon2id\$[^\s'\"]+"), "<hash>"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), r"\1 <token>"),
    # redis://user:password@host, and ` password=...` of a libpq address.
    (re.compile(r"(://[^/\s:@]*):[^/\s@]+@"), r"\1:<password>@"),
    (
        re.compile(r"(?i)\b(password|passwd|pwd|secret|token)(['\"]?\s*[=:]\s*)[^\s,;)}]+"),
        r"\1\2<hidden>",
    ),
    (re.compile(r"[\w.+%-]+@[\w-]+(\.[\w-]+)+"), "<address>"),
)


def formatter(*, readable: bool) -> structlog.stdlib.ProcessorFormatter:
    """Give the formatter of the LOGGING setting."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            add_request,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            hide_secrets,
            *([_lines()] if readable else [structlog.processors.JSONRenderer(_json)]),
        ],
    )


def add_request(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Say which request a line belongs to, nothing outside of one."""
    if seen := observing.current.get():
        event["request_id"] = seen.request_id
        if seen.user_id is not None:
            event["user_id"] = seen.user_id
    return event


def hide_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replace whatever looks like a secret or an e-mail address, in the message and traceback."""
    for name in ("event", "exception"):
        if name in event:
            event[name] = without_secrets(str(event[name]))
    return event


def without_secrets(text: str) -> str:
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    return text


def _lines() -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=False, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
    )


def _json(event: EventDict, **kwargs: Any) -> str:
    return orjson.dumps(event, default=str).decode()
