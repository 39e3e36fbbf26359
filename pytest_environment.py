"""The environment of the test suite, set before Django reads it (pytest.ini loads this first)."""

import os
import re

from movieshelf import embedded

# `TEST_RUN=1 pytest` runs beside another pytest of this checkout: a number from 0 to 6.
run = int(os.environ.setdefault("TEST_RUN", "0"))
# Each worker has a cache of its own; 0 is the one that `make run` uses.
worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0)

os.environ.update(
    SECRET_KEY="test-key-of-the-django-parts-0123456789abcdef",
    JWT_SIGNING_KEY="test-key-of-the-tokens-fedcba9876543210abcdef",
    DEBUG="false",
    ALLOWED_HOSTS="testserver",
    CORS_ALLOWED_ORIGINS="https://app.example",
    REDIS_URL=embedded.valkey_url(db=1 + 2 * run + worker % 2),
    RANK_MAX_AGE_SECONDS="0",
    RATELIMIT_ENABLE="false",
    # argon2's floor: the suite hashes hundreds of passwords; the real cost has its own test.
    ARGON2_MEMORY_KIB="8",
    ARGON2_TIME_COST="1",
)
