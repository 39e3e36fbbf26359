"""What production refuses to start with, in one place for the start and for `check --deploy`."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

MIN_KEY_BYTES = 32
# Values that stand in examples, tutorials and Django's own startproject.
DEFAULT_KEY_MARKS = ("django-insecure", "change-me", "changeme", "secret")


def refuse_unsafe(settings: Mapping[str, Any]) -> None:
    """Raise ImproperlyConfigured with one line that names the first unsafe setting."""
    for problem in unsafe_settings(settings):
        raise ImproperlyConfigured(problem)


def unsafe_settings(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each setting that must not go to production (contract section 9)."""
    for name in ("SECRET_KEY", "JWT_SIGNING_KEY"):
        yield from _key_problems(name, settings[name])
    if settings["SECRET_KEY"] == settings["JWT_SIGNING_KEY"]:
        yield "JWT_SIGNING_KEY must differ from SECRET_KEY."
    if not settings["ALLOWED_HOSTS"]:
        yield "ALLOWED_HOSTS is empty: name the hosts this API answers for."
    if "*" in settings["ALLOWED_HOSTS"]:
        yield "ALLOWED_HOSTS must not be '*': name the hosts this API answers for."
    if "*" in settings["CORS_ALLOWED_ORIGINS"]:
        yield "CORS_ALLOWED_ORIGINS must not be '*': cookies go with it; name the exact origins."
    if settings["WEB_PROCESSES"] > 1 and not settings["REDIS_URL"]:
        yield "REDIS_URL is empty: several processes (WEB_PROCESSES) need a shared Valkey or Redis."


def _key_problems(name: str, key: str) -> Iterator[str]:
    if not key:
        yield f"{name} is missing: set it to {MIN_KEY_BYTES} random bytes or more."
    elif len(key.encode()) < MIN_KEY_BYTES:
        yield f"{name} is shorter than {MIN_KEY_BYTES} bytes."
    elif any(mark in key.lower() for mark in DEFAULT_KEY_MARKS):
        yield f"{name} is a default: set it to {MIN_KEY_BYTES} random bytes or more."
