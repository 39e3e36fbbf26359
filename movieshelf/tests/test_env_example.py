""".env.example lists every setting, with the default that settings.py gives it."""

import re
from typing import Any

import environ
import pytest
from django.conf import settings

from movieshelf.settings import env

LINES = (settings.BASE_DIR / ".env.example").read_text().splitlines()
ASSIGNMENT = re.compile(r"(?P<off>#?)(?P<name>[A-Z][A-Z0-9_]+)=(?P<value>.*)")
ASSIGNMENTS = [found for found in map(ASSIGNMENT.fullmatch, LINES) if found]


def test_every_setting_is_listed_once():
    assert sorted(found["name"] for found in ASSIGNMENTS) == sorted(env.scheme)


@pytest.mark.parametrize("found", ASSIGNMENTS, ids=lambda found: found["name"])
def test_the_value_is_the_default(found: re.Match[str]):
    name, value = found["name"], found["value"]

    class Example(environ.Env):
        ENVIRON = {name: value} if not found["off"] else {}  # as environ has it

    kind, default = env.scheme[name]
    assert read(Example, name, kind, default) == default
    assert bool(found["off"]) == (default is None)


def read(example: type[environ.Env], name: str, kind: type, default: Any) -> Any:
    return example(**{name: (kind, default)})(name)


def test_each_group_of_settings_is_explained():
    for line, above in zip(LINES[1:], LINES, strict=False):
        if ASSIGNMENT.fullmatch(line):
            assert above, f"{line} has no comment above it"
