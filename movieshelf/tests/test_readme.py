"""The README's session works as it stands there, and its links lead somewhere."""

import re
import subprocess

import pytest
from django.conf import settings

from accounts.models import User
from media.models import Media
from movies.models import Movie
from movieshelf.seeding.members import ADMIN_LOGIN, DEMO_LOGIN

README = (settings.BASE_DIR / "README.md").read_text()
SESSION = re.search(r"^```bash\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.mark.django_db(transaction=True)
def test_the_first_session_works_as_printed(live_server):
    assert SESSION is not None

    printed = run(SESSION[1], api=live_server.url)

    assert User.objects.get().name == "Ada"
    movie = Movie.objects.with_stats().get()
    assert movie.title.startswith("The Attic Tapes ")
    assert movie.stats.distribution == {"1": 0, "2": 0, "3": 0, "4": 0, "5": 1}
    assert movie.stats.review_count == 1
    assert movie.poster == Media.objects.get()
    assert f"{live_server.url}{movie.poster_url}" in printed
    assert "Content-Type: image/jpeg" in printed
    assert '"averageRating": 5.0' in printed
    assert "I <3 this: two hours, no dull minute." in printed


@pytest.mark.django_db(transaction=True)
def test_the_first_session_may_be_pasted_again(live_server):
    assert SESSION is not None

    run(SESSION[1], api=live_server.url)
    run(SESSION[1].replace("date +%s", "echo 4102444800"), api=live_server.url)

    assert Movie.objects.count() == 2


def run(script: str, *, api: str) -> str:
    """Run what a person would paste, except that a command that fails ends it."""
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        env={"API": api, "PATH": "/usr/local/bin:/usr/bin:/bin"},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!http)([^)#]+)", README))))
def test_every_link_leads_to_a_file(target):
    assert (settings.BASE_DIR / target).is_file()


def test_the_demo_logins_are_those_of_the_seed():
    for email, password in (DEMO_LOGIN, ADMIN_LOGIN):
        assert f"`{email}` / `{password}`" in README
