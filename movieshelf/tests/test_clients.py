"""What is generated from `openapi.json`: a typed client that works, and a collection.

Where there is no Node.js the client's tests are skipped, and say so.
"""

import fcntl
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from movies.models import Movie
from movieshelf.reference.collection import COLLECTION, collection_json
from movieshelf.reference.document import COMMITTED

TYPESCRIPT: Path = settings.BASE_DIR / "clients" / "typescript"
LOCK = TYPESCRIPT / "package-lock.json"
INSTALLED = TYPESCRIPT / "node_modules" / ".package-lock.json"

needs_node = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")), reason="There is no Node.js here."
)


@pytest.fixture(scope="module")
def npm_project() -> Iterator[None]:
    """Install what the lock file says, unless that was done; one test run after the other."""
    with (settings.BASE_DIR / ".data" / "npm.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not INSTALLED.exists() or INSTALLED.stat().st_mtime < LOCK.stat().st_mtime:
            run("npm", "ci")
        yield


@pytest.fixture(scope="module")
def built(npm_project: None) -> None:
    """Make the client anew of the document, checking its types."""
    run("npm", "run", "generate")
    run("npm", "run", "build")


def run(*command: str) -> str:
    done = subprocess.run(
        command, cwd=TYPESCRIPT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_node
def test_spectral_lints_the_document_without_a_word(npm_project):
    printed = run("npx", "spectral", "lint", str(COMMITTED), "--fail-severity", "hint")

    assert "No results with a severity of 'hint' or higher found!" in printed


@needs_node
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_typescript_client_is_made_checks_and_has_a_first_session(built, live_server):
    printed = run("node", "dist/first-session.js", live_server.url)

    assert "all as typed" in printed
    movie = Movie.objects.with_stats().get()
    assert movie.stats.distribution["5"] == 1


@needs_node
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_typescript_client_renews_tokens_as_the_guide_says(built, live_server):
    assert "Renewed as the guide says" in run("node", "dist/renewal.js", live_server.url)


def test_the_lock_file_names_no_address():
    assert '"resolved"' not in LOCK.read_text()


def test_the_collection_is_the_one_of_the_document():
    document = json.loads(COMMITTED.read_bytes())

    assert COLLECTION.read_bytes() == collection_json(document), "Run `make openapi`."
    folders = json.loads(COLLECTION.read_bytes())["item"]
    requests = [request for folder in folders for request in folder["item"]]
    assert len(requests) == sum(len(operations) for operations in document["paths"].values())
