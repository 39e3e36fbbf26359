"""What stands around the database: our settings, the proxy, Valkey, the disk."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.cache import caches

from movieshelf.api.bodies import longest_body
from movieshelf.api.cache import ResilientRedisCache
from movieshelf.checks import unsafe_settings
from movieshelf.doctor import Finding, Question, error, examination, note, warning
from movieshelf.doctor.database import rows

UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
BODY_LIMIT = re.compile(r"^[^#\n]*\bclient_max_body_size\s+(\d+)([kmg]?)\s*;", re.MULTILINE | re.I)
FORWARDED = re.compile(r"^[^#\n]*\bproxy_set_header\s+X-Forwarded-For\b", re.MULTILINE | re.I)
# Of the disk of the database.
LOW_SHARE, OUT_SHARE = 0.15, 0.05


@examination("settings", asks_database=False)
def our_settings(question: Question) -> Iterator[Finding]:
    values = {name: getattr(settings, name) for name in dir(settings) if name.isupper()}
    if settings.DEBUG:
        yield warning(
            "DEBUG is on: unsafe keys are taken and cookies go over plain HTTP.",
            "DEBUG=false, unless this is a development machine.",
        )
    else:
        for problem in unsafe_settings(values):
            yield error(problem, ".env.example explains every setting.")
        if settings.EMAIL_BACKEND == "accounts.mails.NowhereBackend":
            yield warning("No mail leaves: nobody can reset a password.", "Set EMAIL_URL.")
    if settings.READ_ONLY:
        yield note("READ_ONLY is on: writes are answered with 503.")
    if not settings.RATELIMIT_ENABLE:
        yield warning(
            "No ceilings: passwords may be guessed at any speed.", "RATELIMIT_ENABLE=true"
        )


@examination("proxy", asks_database=False)
def proxy(question: Question) -> Iterator[Finding]:
    """Compare nginx's configuration with ours, where one is given."""
    if question.nginx is None:
        return
    ours = longest_body()
    text = Path(question.nginx).read_text()
    limits = [int(number) * UNITS[unit.lower()] for number, unit in BODY_LIMIT.findall(text)]
    # nginx's own default.
    most = max(limits, default=UNITS["m"]) if 0 not in limits else 0
    if 0 < most < ours:
        yield error(
            f"nginx refuses bodies over {most:,} bytes; MovieShelf takes up to {ours:,} "
            "(MEDIA_MAX_BYTES or IMPORT_MAX_BYTES, and what multipart adds): large uploads are cut "
            "off at the proxy.",
            f"client_max_body_size {-(-ours // 1024)}k;",
        )
    elif not most or most > 2 * ours:
        yield warning(
            "nginx lets much larger bodies through than MovieShelf takes.",
            f"client_max_body_size {-(-ours // 1024)}k;",
        )
    if not settings.TRUSTED_PROXIES:
        yield error(
            "nginx stands in front and TRUSTED_PROXIES is 0: all clients share one address's "
            "ceilings.",
            "TRUSTED_PROXIES=1",
        )
    if not FORWARDED.search(text):
        yield error(
            "nginx does not say whom it speaks for.",
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        )


@examination("cache", asks_database=False)
def cache(question: Question) -> Iterator[Finding]:
    backend = caches["default"]
    if not isinstance(backend, ResilientRedisCache):
        yield note("Each process has a cache of its own.", "REDIS_URL names a shared Valkey.")
        return
    if not backend.answers:
        yield warning(
            "Valkey does not answer: every process counts its own ceilings.",
            "Is it running, and is REDIS_URL right?",
        )
        return
    told = backend.client.get_client().info()
    policy = told.get("maxmemory_policy", "")
    if not told.get("maxmemory"):
        yield warning("Valkey may grow without bound.", "maxmemory 256mb")
    elif policy.startswith("allkeys"):
        yield error(
            f"Valkey throws any key away when it is full ({policy}), versions of answers too: old "
            "answers could come back.",
            "maxmemory-policy volatile-lfu",
        )
    elif policy == "noeviction":
        yield warning(
            "Valkey refuses writes when it is full (noeviction): ceilings are then each process's "
            "own.",
            "maxmemory-policy volatile-lfu",
        )


@examination("disk")
def disk(question: Question) -> Iterator[Finding]:
    """The database's disk, where it is one of this machine."""
    folder = rows("SELECT setting FROM pg_settings WHERE name = 'data_directory'")
    if not folder or not folder[0][0] or not Path(folder[0][0]).exists():
        return
    total, _, free = shutil.disk_usage(folder[0][0])
    if free < LOW_SHARE * total:
        yield (error if free < OUT_SHARE * total else warning)(
            f"{free / 1e9:,.1f} GB are free on the database's disk ({free / total:.0%}).",
            "A full disk stops all writes: make room, or move to a larger one.",
        )
