"""Who `bench.py` measures: a server of the API with its shelf and its members.

What stands there is found out through the API, so any server of it will do, an older one too.
"""

import hashlib
import http.client
import json
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
from shelves import HOST, ROOT, free_port, kept_database, production, python_of, served

from movieshelf import embedded

# As many may register a minute from one address.
MEMBERS = 16
PASSWORD = "a phrase for the benchmark"
SEED = {"movies": 10_000, "users": 1_000, "ratings": 100_000, "reviews": 20_000, "images": 200}
# Ceilings are counted, but not reached: sixteen members do what a thousand would.
CEILINGS = {
    "RATELIMIT_REGISTER_IP": "1000000/m",
    "RATELIMIT_LOGIN_IP": "1000000/m",
    "RATELIMIT_LOGIN_ACCOUNT": "1000000/m",
    "RATELIMIT_WRITES_USER": "1000000/m",
    "RATELIMIT_UPLOADS_USER": "1000000/h",
    "MEDIA_USER_MAX_BYTES": str(10**12),
}
JSON = {"Content-Type": "application/json"}

type Answer = tuple[int, http.client.HTTPMessage, bytes]


@dataclass(frozen=True)
class Member:
    email: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass
class Target:
    """A server of the API at an address, and what stands on its shelf."""

    name: str
    base: str
    # Known of one that is served here: its server, its worker, where they log, and `manage.py`.
    server: subprocess.Popen[bytes] | None = None
    worker: subprocess.Popen[bytes] | None = None
    log: Path | None = None
    manage: Callable[..., str] | None = None
    members: list[Member] = field(default_factory=list)
    films: list[int] = field(default_factory=list)
    liked: list[int] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        timeout: float = 120,
    ) -> Answer:
        connection = http.client.HTTPConnection(urlsplit(self.base).netloc, timeout=timeout)
        is_json = body is not None and not isinstance(body, bytes)
        sent = json.dumps(body) if is_json else body
        connection.request(method, path, sent, {**(JSON if is_json else {}), **(headers or {})})
        answer = connection.getresponse()
        read = answer.status, answer.headers, answer.read()
        connection.close()
        return read

    def get(self, path: str) -> Any:
        status, _, body = self.call("GET", path)
        if status != 200:
            raise SystemExit(f"{self.base}{path} answers {status}: {body[:300]!r}")
        return json.loads(body)

    def look_around(self) -> None:
        """Find out which films, titles and images there are."""
        pages = range(1, self.get("/movies?pageSize=100")["totalPages"] + 1)
        found = [
            item
            for page in pages
            for item in self.get(f"/movies?sort=reviews_desc&pageSize=100&page={page}")["items"]
        ]
        self.films = [item["id"] for item in found]
        self.liked = self.films[:1000]
        titles = " ".join(item["title"] for item in found[:300])
        self.words = sorted(set(re.findall(r"[A-Za-z]{4,}", titles.lower())))
        self.images = [item["posterUrl"] for item in found if item["posterUrl"]]
        if not self.images:
            raise SystemExit(f"{self.base} has no posters: manage.py seed --images 200")

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Have members; take what they did along in the end, so that the shelf is as before."""
        with ThreadPoolExecutor(4) as pool:
            self.members = list(pool.map(self._join, range(MEMBERS)))
        try:
            yield
        finally:
            for member in self.members:
                self.call("DELETE", "/users/me", {"password": PASSWORD}, member.headers)

    def _join(self, number: int) -> Member:
        email = f"member{number}@bench.example"
        who = {"name": f"Member {number}", "email": email, "password": PASSWORD}
        status, _, body = self.call("POST", "/auth/register", who)
        if status == 409:
            # Left by a run that was killed.
            status, _, body = self._log_in(email)
        if status not in (200, 201):
            raise SystemExit(f"{self.base} lets nobody in: {status} {body[:300]!r}")
        return Member(email, json.loads(body)["accessToken"])

    def log_in(self, member: Member) -> int:
        return self._log_in(member.email)[0]

    def _log_in(self, email: str) -> Answer:
        return self.call("POST", "/auth/login", {"email": email, "password": PASSWORD})

    def upload(self, member: Member, image: bytes) -> int:
        boundary = "the-end-of-the-image"
        head = 'Content-Disposition: form-data; name="image"; filename="photo"\r\n\r\n'
        body = b"--%b\r\n%b%b\r\n--%b--\r\n" % (
            *(boundary.encode(), head.encode()),
            *(image, boundary.encode()),
        )
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return self.call("POST", "/users/me/avatar", body, {**member.headers, **kind})[0]

    def status_of(self, request: bytes) -> int:
        """Send a request just as it will be sent again and again."""
        address = urlsplit(self.base)
        with socket.create_connection((address.hostname, address.port or 80), 60) as connection:
            connection.sendall(request)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer.status

    def server_processes(self) -> list[psutil.Process]:
        return with_children(self.server)

    def worker_processes(self) -> list[psutil.Process]:
        return with_children(self.worker)

    def end_worker(self) -> None:
        if self.worker:
            end(self.worker)

    def empty_log(self) -> None:
        """Forget a line a request, which would fill the disk and the file cache."""
        if self.log:
            os.truncate(self.log, 0)


def end(program: subprocess.Popen[bytes]) -> None:
    program.terminate()
    program.wait(60)


def with_children(program: subprocess.Popen[bytes] | None) -> list[psutil.Process]:
    if program is None or program.poll() is not None:
        return []
    process = psutil.Process(program.pid)
    return [process, *process.children(recursive=True)]


@contextmanager
def checkout(name: str, root: Path, *, valkey_db: int) -> Iterator[Target]:
    """Serve a checkout with a worker, on a shelf of its own that stays."""
    python = python_of(root)
    if not Path(python).exists():
        raise SystemExit(f"{root} was never set up: `make run` there does it.")
    own = hashlib.sha256(os.fsencode(root)).hexdigest()[:8]
    database = "bench" if root == ROOT else f"bench_{own}"
    url = kept_database(database)
    environment = production(url, embedded.valkey_url(valkey_db), **CEILINGS)

    def manage(*arguments: str) -> str:
        done = subprocess.run(
            [python, "manage.py", *arguments],
            cwd=root,
            env={**environment, "DATABASE_STATEMENT_TIMEOUT_MS": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{root}: manage.py {arguments[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    manage("migrate", "--verbosity", "0")
    print(f"{name}:", manage("seed", "--demo", *(f"--{a}={n}" for a, n in SEED.items())).strip())
    # Replaced avatars of the last run; the sweep would wait a day for them.
    unused = "from media.models import Media; Media.objects.remove_unused()"
    manage("shell", "--no-imports", "-c", unused)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
    port = free_port()
    path = ROOT / ".data" / f"{database}.log"
    with path.open("ab") as log, served(port, environment, root=root, log=log) as server:
        worker = subprocess.Popen(
            [python, "manage.py", "worker"], cwd=root, env=environment, stdout=log, stderr=log
        )
        try:
            yield Target(
                name,
                f"http://{HOST}:{port}",
                server=server,
                worker=worker,
                log=path,
                manage=manage,
            )
        finally:
            end(worker)


@contextmanager
def baseline(given: str) -> Iterator[Target]:
    """Give the server at an address, or serve a folder."""
    if given.startswith(("http://", "https://")):
        yield Target("baseline", given.rstrip("/"))
    else:
        with checkout("baseline", Path(given).resolve(), valkey_db=14) as target:
            yield target
