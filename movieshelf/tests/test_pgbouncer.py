"""Behind a PgBouncer in transaction mode: each transaction may come to another connection.

It needs pgbouncer: Debian's will do. Where there is none this is skipped, and .ci/run says so.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from accounts.models import User
from movies.models import MovieStats
from movieshelf.embedded import Account
from movieshelf.tests import nginx
from ratings.models import Rating

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
MEMBERS = 6

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed"),
    pytest.mark.django_db(transaction=True),
]

CONFIGURATION = """
[databases]
* = host={sockets} port=5432 user=postgres
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
ignore_startup_parameters = extra_float_digits
"""


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """The settings of a server whose database is behind a PgBouncer with three connections."""
    # Not in pytest's folder, which the user that it runs as may not enter.
    port, folder = nginx.free_port(), Path("/tmp") / f"movieshelf-pgbouncer-{os.getpid()}"
    folder.mkdir()
    path = folder / "pgbouncer.ini"
    sockets = connection.settings_dict["HOST"]
    path.write_text(CONFIGURATION.format(sockets=sockets, host=nginx.HOST, port=port))
    # It refuses to be root, as PostgreSQL does.
    process = subprocess.Popen(
        [str(PROGRAM), "-q", str(path)],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        **Account.for_services().popen_options,
    )
    address = f"postgresql://postgres@{nginx.HOST}:{port}/{connection.settings_dict['NAME']}"
    try:
        nginx.wait_for(process, port)
        yield {"DATABASE_URL": address, "DATABASE_BEHIND_PGBOUNCER": "true"}
    finally:
        nginx.end(process)
        shutil.rmtree(folder)


def test_members_at_once_write_read_export_and_the_worker_works(environment):
    """More clients than connections: what one transaction sets, another would find."""
    process, port = nginx.start_api(**environment, WEB_PROCESSES="2", RATELIMIT_ENABLE="false")
    try:
        api = Api(port)
        assert json.loads(api.send("GET", "/readyz"))["database"] == "ok"
        with ThreadPoolExecutor(MEMBERS) as members:
            exports = list(members.map(api.be_a_member, range(MEMBERS)))
        films = json.loads(api.send("GET", "/movies?sort=top"))
    finally:
        nginx.end(process)

    assert films["total"] == MEMBERS
    assert {film["ratingCount"] for film in films["items"]} == {MEMBERS}
    assert [len(export["ratings"]) for export in exports] == [MEMBERS] * MEMBERS
    assert Rating.objects.count() == MEMBERS**2
    assert sum(stats.rating_count for stats in MovieStats.objects.all()) == MEMBERS**2
    call_command("recompute", check=True)
    worker = subprocess.run(
        [sys.executable, "manage.py", "worker", "--until-idle"],
        cwd=settings.BASE_DIR,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert worker.returncode == 0, worker.stderr
    assert User.objects.count() == MEMBERS


def test_what_it_does_not_know_is_not_asked_of_it(environment):
    """A session's options would be refused at the door."""
    with (
        pytest.raises(psycopg.OperationalError, match="options"),
        psycopg.connect(environment["DATABASE_URL"], options="-c statement_timeout=1"),
    ):
        pass


class Api:
    def __init__(self, port: int) -> None:
        self.root = f"http://{nginx.HOST}:{port}"
        self.titles = [f"A film of {number}" for number in range(MEMBERS)]

    def send(self, method: str, path: str, body: Any = None, token: str = "") -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.root + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return bytes(answer.read())

    def be_a_member(self, number: int) -> dict[str, Any]:
        """Register, add a film, rate all, and give what is held about oneself."""
        member = {
            "name": f"Member {number}",
            "email": f"member-{number}@example.com",
            "password": "a shelf of my own",
        }
        token = json.loads(self.send("POST", "/auth/register", member))["accessToken"]
        self.send("POST", "/movies", {"title": self.titles[number]}, token)
        for film in self.films():
            self.send("PUT", f"/movies/{film}/rating", {"value": 1 + number % 5}, token)
        exported: dict[str, Any] = json.loads(self.send("GET", "/users/me/export", token=token))
        return exported

    def films(self) -> list[int]:
        """Wait for the films of all members."""
        deadline = time.monotonic() + 60
        found: list[int] = []
        while len(found) < MEMBERS:
            assert time.monotonic() < deadline
            with suppress(OSError):
                items = json.loads(self.send("GET", "/movies"))["items"]
                found = [item["id"] for item in items]
        return found
