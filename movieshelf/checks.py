"""What production refuses to start with, in one place for the start and for `check --deploy`."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

MIN_KEY_BYTES = 32
# Values that stand in examples, tutorials and Django's own startproject.
DEFAULT_KEY_MARKS = ("django-insecure", "change-me", "changeme", "secret")
# As a browser writes it: no path, no trailing slash, lower case.
ORIGIN = re.compile(r"https?://[a-z0-9.\-\[\]:]+")
RATE = re.compile(r"[0-9]{1,9}/[smhd]")


def refuse_unsafe(settings: Mapping[str, Any]) -> None:
    """Raise ImproperlyConfigured with one line that names the first unsafe setting."""
    for problem in unsafe_settings(settings):
        raise ImproperlyConfigured(problem)


def unsafe_settings(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each setting that must not go to production (contract section 9)."""
    for name in ("SECRET_KEY", "JWT_SIGNING_KEY"):
        yield from _key_problems(name, settings[name])
    for key in settings["JWT_OLD_SIGNING_KEYS"]:
        yield from _key_problems("JWT_OLD_SIGNING_KEYS", key)
    if settings["SECRET_KEY"] == settings["JWT_SIGNING_KEY"]:
        yield "JWT_SIGNING_KEY must differ from SECRET_KEY."
    if not settings["ALLOWED_HOSTS"]:
        yield "ALLOWED_HOSTS is empty: name the hosts this API answers for."
    if "*" in settings["ALLOWED_HOSTS"]:
        yield "ALLOWED_HOSTS must not be '*': name the hosts this API answers for."
    if "*" in settings["CORS_ALLOWED_ORIGINS"]:
        yield "CORS_ALLOWED_ORIGINS must not be '*': cookies go with it; name the exact origins."
    elif not all(ORIGIN.fullmatch(origin) for origin in settings["CORS_ALLOWED_ORIGINS"]):
        yield "CORS_ALLOWED_ORIGINS must hold origins such as https://app.example, and no path."
    if settings["REFRESH_COOKIE_SAMESITE"] not in ("Strict", "Lax", "None"):
        yield "COOKIE_SAMESITE must be Strict, Lax or None."
    if settings["TRUSTED_PROXIES"] < 0:
        yield "TRUSTED_PROXIES must be a number of proxies, 0 or more."
    for name in rates_of(settings):
        if not RATE.fullmatch(settings[name]):
            yield f"{name} must be a rate such as 20/m: a number by s, m, h or d."
    if settings["METRICS_TOKEN"]:
        yield from _key_problems("METRICS_TOKEN", settings["METRICS_TOKEN"])
    if not all(map(_is_network, settings["METRICS_NETWORKS"])):
        yield "METRICS_NETWORKS must hold networks such as 10.0.0.0/8."
    if settings["WEB_PROCESSES"] > 1 and not settings["REDIS_URL"]:
        yield "REDIS_URL is empty: several processes (WEB_PROCESSES) need a shared Valkey or Redis."


def rates_of(settings: Mapping[str, Any]) -> list[str]:
    """Give the names of the settings that hold a rate."""
    # The third setting of django-ratelimit, RATELIMIT_USE_CACHE, names a cache.
    return [
        name
        for name, value in settings.items()
        if name.startswith("RATELIMIT_") and not name.endswith("_CACHE") and isinstance(value, str)
    ]


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _key_problems(name: str, key: str) -> Iterator[str]:
    if not key:
        yield f"{name} is missing: set it to {MIN_KEY_BYTES} random bytes or more."
    elif len(key.encode()) < MIN_KEY_BYTES:
        yield f"{name} is shorter than {MIN_KEY_BYTES} bytes."
    elif any(mark in key.lower() for mark in DEFAULT_KEY_MARKS):
        yield f"{name} is a default: set it to {MIN_KEY_BYTES} random bytes or more."
