"""`/` and `/docs`: where things are, the guides, whose examples work, and the reference."""

import re

import pytest
from django.conf import settings

from movieshelf import __version__
from movieshelf.reference.guides import FOLDER, guides
from movieshelf.tests.test_readme import run

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = ["/docs", *(f"/docs/{guide.slug}" for guide in guides())]


@pytest.mark.parametrize("accept", ["*/*", "application/json", "", "application/json, text/html"])
def test_a_program_is_told_where_things_are(api, accept):
    response = api.get("/", HTTP_ACCEPT=accept)

    assert response.status_code == 200
    assert response.json()["openapi"] == "/openapi.json"
    assert response.json()["version"] == __version__
    assert response["Cache-Control"] == "public, max-age=300"
    assert "Accept" in response["Vary"]
    assert api.get("/", HTTP_IF_NONE_MATCH=response["ETag"]).status_code == 304


@pytest.mark.parametrize("accept", [BROWSER, "text/html", "application/json;q=0.5, text/html"])
def test_a_browser_is_sent_to_the_pages(api, accept):
    response = api.get("/", HTTP_ACCEPT=accept)

    assert (response.status_code, response["Location"]) == (302, "/docs")
    assert "Accept" in response["Vary"]


def test_the_root_answers_every_method_as_it_should(api):
    assert api.head("/").status_code == 200
    assert api.options("/")["Allow"] == "GET, HEAD, OPTIONS"
    assert api.post("/", {}).status_code == 405
    assert api.get("/", HTTP_ACCEPT="image/png").json()["error"]["code"] == "not_acceptable"


@pytest.mark.parametrize("page", PAGES)
def test_each_page_is_whole_and_says_nothing_that_its_policy_forbids(client, page):
    response = client.get(page)

    html = response.content.decode()
    policy = response["Content-Security-Policy"]
    assert response.status_code == 200
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html)
    for asset in re.findall(r"(?:src|href)=\"(/static/[^\"]+)", html):
        assert client.get(asset).status_code == 200
    for target in re.findall(r"href=\"(/docs[^\"#]*)", html):
        assert client.get(target).status_code == 200


def test_the_guides_come_in_their_order_and_no_other_is_there(api, client):
    assert [guide.slug for guide in guides()] == [
        "first-session",
        "logins-in-a-browser",
        "errors",
        "lists",
        "conditional-requests",
        "retries",
        "images",
    ]
    assert "<h1>Retries</h1>" in client.get("/docs/retries").content.decode()
    assert api.get("/docs/nope").json()["error"]["code"] == "not_found"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.md")), ids=lambda path: path.stem)
def test_the_examples_of_a_guide_work_as_printed(live_server, path):
    # A cookie that is for TLS alone would not be sent to this server.
    examples = SHELL.findall(path.read_text())

    assert examples
    run("\n".join(examples), api=live_server.url)


def test_no_guide_has_an_example_that_nothing_runs():
    kinds = {
        kind
        for path in FOLDER.glob("*.md")
        for kind in re.findall(r"^```(\w+)$", path.read_text(), re.M)
    }

    assert kinds == {"sh", "js", "json"}
    assert (settings.BASE_DIR / "clients" / "typescript" / "src" / "client.ts").is_file()
