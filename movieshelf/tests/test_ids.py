"""Ids that cannot exist are found missing, on every route and verb (rows 84, 87, 88 and 125)."""

import pytest

from movieshelf.tests.routes import NO_UUID, OPERATIONS, Route

pytestmark = pytest.mark.django_db

WITH_ID = [(verb, route) for verb, route in OPERATIONS if "id" in route.converters.values()]
WITH_UUID = [(verb, route) for verb, route in OPERATIONS if "uuid" in route.converters.values()]

IMPOSSIBLE = [
    *("0", "-1", "00", "007", str(2**31), str(2**63 - 1), str(2**63), str(10**20), str(10**400)),
    *(
        "1e3",
        "１",
        "٣",
        "1_0",
        "+1",
        " 1",
        "%201",
        "1%20",
        "1;",
        "1.0",
        "0x1",
        "NaN",
        "null",
        "abc",
    ),
    *("1%00", "%00", "%ff", "%C3%28", "1%0a", "1,2", "*", "'1'", "1%2F2", "..", NO_UUID),
]
NO_MEDIA = [
    *("0", "1", "abc", str(10**20), NO_UUID, NO_UUID.upper(), NO_UUID.replace("-", "")),
    *("{" + NO_UUID + "}", NO_UUID + "%00", "%ff", "..", " " + NO_UUID),
]


def named(operation: tuple[str, Route]) -> str:
    return f"{operation[0].upper()} {operation[1].template}"


@pytest.fixture(scope="module")
def _routes_are_known() -> None:
    assert len(WITH_ID) >= 12
    assert WITH_UUID


@pytest.mark.usefixtures("_routes_are_known")
@pytest.mark.parametrize("operation", WITH_ID, ids=named)
def test_an_id_that_cannot_exist_is_404_for_whoever_may_do_everything(api, admin, operation):
    """Row 88: before the body is looked at, which is none of the operation's here."""
    verb, route = operation
    member = api.as_(admin)

    for number in IMPOSSIBLE:
        response = getattr(member, verb)(route.path(id=number))

        assert response.status_code == 404, number
        assert response.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("operation", WITH_UUID, ids=named)
def test_a_uuid_that_cannot_exist_is_404(api, admin, operation):
    verb, route = operation
    member = api.as_(admin)
    [name] = [name for name, kind in route.converters.items() if kind == "uuid"]

    for text in NO_MEDIA:
        response = getattr(member, verb)(route.path(**{name: text}))

        assert response.status_code == 404, text
        assert response.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("text", NO_MEDIA)
def test_an_image_that_cannot_exist_is_404_and_not_kept(api, text):
    """Row 125."""
    response = api.get(f"/media/{text}")

    assert response.status_code == 404
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("operation", [*WITH_ID, *WITH_UUID], ids=named)
def test_an_id_that_is_no_number_is_no_route_so_nobody_is_asked_who_they_are(api, operation):
    verb, route = operation

    assert getattr(api, verb)(route.path(id="abc", pk="abc")).status_code == 404
