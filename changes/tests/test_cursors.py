"""What GET /changes does not take."""

import base64

import pytest
from django.db import connection

from changes.tests.follower import Follower

pytestmark = pytest.mark.django_db


def refused(response) -> tuple[int, str, str]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["details"]["since"][0]["code"]


@pytest.mark.parametrize(
    "since",
    [
        *("", "x", "====", "é", "a b", "MS4", "1" * 200, "1" * 201),
        *(
            base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
            for text in (
                "2.f21809d80870.mr.1.1.0.1",
                "1.f21809d80870.x.1.1.0.1",
                "1.f21809d80870.mr.1.1.0",
                "1.f21809d80870.mr.1.1.0.1.1",
                "1.f21809d80870.mr.1_0.1.0.1",
                f"1.f21809d80870.mr.1.{10**30}.0.1",
                "1.f21809d80870.mr.one.1.0.1",
            )
        ),
    ],
)
def test_a_cursor_that_is_none_is_refused(api, since):
    status, code, _ = refused(api.get("/changes", {"since": since}))

    assert (status, code) == (400, "validation_error")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "types=user", "types=", "types=movie,"]
)
def test_other_parameters_are_checked(api, query):
    response = api.get(f"/changes?{query}")

    assert response.status_code == 400
    assert list(response.json()["error"]["details"]) == [query.partition("=")[0]]


def test_a_cursor_stays_with_its_types(api):
    cursor = Follower(api, types="movie").get()["next"]

    response = api.get("/changes", {"since": cursor, "types": "review"})

    assert list(response.json()["error"]["details"]) == ["types"]
    assert api.get("/changes", {"since": cursor}).status_code == 200


def test_a_read_only_shelf_begins_no_era(api, settings):
    api.get("/changes")
    settings.READ_ONLY = True
    assert api.get("/changes").status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("UPDATE changes_era SET identity = 'another'")

    assert api.get("/changes").status_code == 503
