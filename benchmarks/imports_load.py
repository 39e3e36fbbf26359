"""Bring 10,000 ratings along over HTTP, twice, undo them, and kill the worker in the middle.

    RATELIMIT_ENABLE=false make run PORT=8112                # in another terminal
    .venv/bin/python benchmarks/imports_load.py --url http://127.0.0.1:8112 --kill

The file is made of real titles (movies/data/real_films.csv): some spelt as others spell them, some
there twice, some of films that are nowhere. What is shown:

1. an import by the server's own worker: how long it takes, and what comes of it;
2. the same file again: nothing changes;
3. undoing it: what goes; its second run then changes nothing either;
4. with --kill, the same import while every worker of this checkout is killed (-9) in the middle:
   how far it was, and that a new worker makes the same counts of it. The server has no worker
   then; start it anew.

Registers its own members. Exits 1 where something is not as it should be.
"""

import argparse
import csv
import http.client
import io
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

ROOT = Path(__file__).resolve().parent.parent
HEADER = ("Date", "Name", "Year", "Letterboxd URI", "Rating")
BOUNDARY = "a-boundary-that-no-film-has"
PASSWORD = "a phrase for the import"
# Killed by a worker that is gone, a job is found after half a minute, by a job of each minute.
MOST_SECONDS = 240


class Api:
    """A member with a connection."""

    def __init__(self, url: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self.token = ""
        email = f"importer-{secrets.token_hex(6)}@shelf.example"
        body = {"name": "Importer", "email": email, "password": PASSWORD}
        self.token = self.call("POST", "/auth/register", json.dumps(body).encode())["accessToken"]

    def call(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> Any:
        headers = {"Content-Type": kind} if body is not None else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        answer = json.loads(response.read() or b"{}")
        if response.status >= 400:
            raise SystemExit(f"{method} {path}: {response.status} {answer}")
        return answer

    def send(self, file: bytes) -> Any:
        head = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; '
            'filename="ratings.csv"\r\nContent-Type: text/csv\r\n\r\n'
        )
        switch = (
            f'\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name="createMissing"\r\n\r\n'
            f"true\r\n--{BOUNDARY}--\r\n"
        )
        body = head.encode() + file + switch.encode()
        return self.call("POST", "/imports", body, f"multipart/form-data; boundary={BOUNDARY}")

    def wait(self, source: Any, *, until: Any) -> tuple[Any, float]:
        """Ask again and again; give the import once it is so, and the seconds that took."""
        started = time.monotonic()
        while True:
            now = self.call("GET", f"/imports/{source['id']}?pageSize=1")
            if until(now) or now["status"] == "failed":
                return now, time.monotonic() - started
            if time.monotonic() - started > MOST_SECONDS:
                raise SystemExit(f"It took longer than {MOST_SECONDS} s: {now}")
            time.sleep(0.05)


def make_file(rows: int, dice: random.Random) -> bytes:
    """Write ratings.csv: real titles first, each a little different, then films of nowhere."""
    with (ROOT / "movies/data/real_films.csv").open(encoding="utf-8", newline="") as file:
        films = [(row["title"], row["release_date"][:4]) for row in csv.DictReader(file)]
    dice.shuffle(films)
    chosen = films[: min(len(films), rows * 6 // 10)]
    chosen += dice.choices(chosen, k=rows // 50)  # rated twice
    chosen += [
        (f"Nowhere to Be Found {number}", str(dice.randint(1930, 2025)))
        for number in range(rows - len(chosen))
    ]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADER)
    for title, year in chosen:
        day = f"20{dice.randint(10, 24)}-{dice.randint(1, 12):02}-{dice.randint(1, 28):02}"
        writer.writerow((day, respelt(title, dice), year, "https://boxd.it/x", half_stars(dice)))
    return text.getvalue().encode()


def respelt(title: str, dice: random.Random) -> str:
    match dice.randrange(6):
        case 0 if title.startswith("The "):
            return f"{title[4:]}, The"
        case 1:
            return title.upper()
        case 2:
            return title.replace("'", "’").replace(": ", " – ")
    return title


def half_stars(dice: random.Random) -> str:
    return f"{dice.randint(1, 10) / 2:g}"


def told(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.items() if number) or "none"


def done(source: Any) -> bool:
    return source["status"] in ("done", "undone")


def workers() -> list[psutil.Process]:
    """Find the workers of this checkout."""
    found = []
    for process in psutil.process_iter():
        try:
            is_ours = Path(process.cwd()) == ROOT
            if is_ours and process.cmdline()[1:3] == ["manage.py", "worker"]:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def kill_in_the_middle(api: Api, file: bytes) -> tuple[Any, bool]:
    """Kill the workers once some rows are done, start another; give the import when it is done."""
    source = api.send(file)
    api.wait(source, until=lambda now: now["rowsDone"] > now["rowCount"] // 4)
    for process in workers():
        os.kill(process.pid, signal.SIGKILL)
    killed = api.call("GET", f"/imports/{source['id']}?pageSize=1")
    in_the_middle = 0 < killed["rowsDone"] < killed["rowCount"]
    print(f"killed: {killed['rowsDone']:,} of {killed['rowCount']:,} rows done")
    worker = subprocess.Popen([sys.executable, "manage.py", "worker"], cwd=ROOT)
    try:
        finished, seconds = api.wait(source, until=done)
    finally:
        worker.terminate()
        worker.wait()
    print(f"resumed: {finished['status']} {seconds:.1f} s later; {told(finished['counts'])}")
    return finished, in_the_middle


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--kill", action="store_true", help="kill the workers of this checkout")
    asked = parser.parse_args()
    file = make_file(asked.rows, random.Random(10))
    failures = []

    def expect(what: str, holds: bool) -> None:
        if not holds:
            failures.append(what)
            print(f"NOT SO: {what}")

    api = Api(asked.url)
    first, seconds = api.wait(api.send(file), until=done)
    print(f"first run: {first['rowCount']:,} rows in {seconds:.1f} s; {told(first['counts'])}")
    expect("every row has its report", first["report"]["total"] == asked.rows)
    expect("under 30 s", seconds < 30)
    second, seconds = api.wait(api.send(file), until=done)
    print(f"second run: {seconds:.1f} s; {told(second['counts'])}")
    changed = ("created", "ratingsAdded", "ratingsChanged", "reviewsAdded")
    expect("the second run changes nothing", not any(second["counts"][name] for name in changed))
    undone, seconds = api.wait(api.call("DELETE", f"/imports/{first['id']}"), until=done)
    print(f"undone: {seconds:.1f} s; {told(undone['undoneCounts'])}")
    removed = undone["undoneCounts"]
    expect("all ratings are gone", removed["ratingsRemoved"] == first["counts"]["ratingsAdded"])
    expect("all films it added are gone", removed["moviesRemoved"] == first["counts"]["created"])
    left = api.call("GET", "/users/me/ratings?pageSize=1")["total"]
    expect("no rating is left", left == 0)
    if asked.kill:
        again, in_the_middle = kill_in_the_middle(Api(asked.url), file)
        expect("the worker was killed in the middle", in_the_middle)
        expect("the counts are those of the first run", again["counts"] == first["counts"])
        expect("every row has one report", again["report"]["total"] == asked.rows)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
