"""`openapi.json` is what the code says, and what clients and people can use."""

import re
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import call_command
from django.http import HttpResponse

from movieshelf import __version__
from movieshelf.reference.document import COMMITTED, openapi_json
from movieshelf.tests.documented import (
    document,
    operation_of,
    require_documented,
    resolved,
    validator,
)
from movieshelf.tests.routes import OPERATIONS

BY_NAME = {
    operation["operationId"]: (path, method, operation)
    for path, operations in document()["paths"].items()
    for method, operation in operations.items()
}
JSON_BODIES = [
    pytest.param(content, id=f"{name}-{where}")
    for name, (_, _, operation) in BY_NAME.items()
    for where, body in {"request": operation.get("requestBody"), **operation["responses"]}.items()
    if body and (content := resolved(body).get("content", {}).get("application/json"))
]


def test_the_committed_document_is_the_one_of_the_code():
    assert COMMITTED.read_bytes() == openapi_json(), "Run `make openapi`."


def test_it_is_served_to_the_byte(api):
    response = api.get("/openapi.json")

    assert response.content == COMMITTED.read_bytes()
    assert api.get("/openapi.json", HTTP_IF_NONE_MATCH=response["ETag"]).status_code == 304


def test_drf_spectacular_has_no_warning_and_the_document_is_valid():
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=StringIO())


def test_every_route_is_in_it():
    missing = [
        f"{verb} {route.template}"
        for verb, route in OPERATIONS
        if operation_of(verb.upper(), route.path()) is None
    ]

    assert missing == []


@pytest.mark.parametrize(
    ("operation", "name", "text"),
    [
        ("listChanges", "types", "movie"),
        ("listChanges", "types", "review,movie"),
        ("listChanges", "types", "movie,"),
        ("listChanges", "types", "film"),
        ("listMyRatings", "movieIds", "7,8"),
        ("listMyRatings", "movieIds", "9" * 19),
        ("listMyRatings", "movieIds", "9" * 20),
        ("listMyRatings", "movieIds", "7,"),
    ],
)
def test_a_text_of_several_is_taken_where_its_pattern_takes_it(api, user, operation, name, text):
    path, _, described = BY_NAME[operation]
    (schema,) = (one["schema"] for one in described["parameters"] if one["name"] == name)

    response = api.as_(user).get(path, {name: text})

    assert (response.status_code == 200) is bool(re.search(schema.get("pattern", ""), text))


def test_names_are_made_for_method_calls():
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name) for name in BY_NAME)
    assert {
        "listMovies",
        "getMovie",
        "createMovie",
        "updateMovie",
        "deleteMovie",
        "rateMovie",
        "listMovieReviews",
        "listMyRatings",
        "deleteMySession",
        "login",
        "uploadMoviePoster",
        "getImage",
    } <= BY_NAME.keys()


@pytest.mark.parametrize("name", BY_NAME)
def test_every_operation_says_what_it_does(name):
    operation = BY_NAME[name][2]

    assert operation["summary"]
    assert operation["description"]
    assert operation["tags"]
    assert not re.search(r"\.$|The base of", operation["summary"])


@pytest.mark.parametrize("content", JSON_BODIES)
def test_every_json_body_has_an_example_that_is_as_its_schema_says(content):
    examples = [resolved(one)["value"] for one in content.get("examples", {}).values()]
    examples += [content["example"]] if "example" in content else []

    assert examples
    strict = validator(content["schema"], strict=True)
    for example in examples:
        strict.validate(example)


def test_every_error_has_one_code():
    for _, _, operation in BY_NAME.values():
        for status, answer in operation["responses"].items():
            if status >= "400" and "$ref" in answer:
                content = resolved(answer)["content"]["application/json"]
                code = content["schema"]["allOf"][1]["properties"]["error"]["properties"]["code"]
                assert content["example"]["error"]["code"] == code["const"]


def test_enums_have_names():
    schemas = document()["components"]["schemas"]
    named = [name for name, schema in schemas.items() if "enum" in schema]
    inline = [
        parameter
        for _, _, operation in BY_NAME.values()
        for parameter in operation.get("parameters", ())
        if "enum" in parameter["schema"]
    ]

    assert {"ErrorCode", "UserRole", "ReviewReportReason", "MovieSort", "MovieScope"} <= set(named)
    assert inline == []


def test_a_view_that_answers_otherwise_is_found_out(api, db):
    good = api.get("/movies")

    def answer(status=200, body=good.content, **headers):
        return HttpResponse(body, status=status, headers={**good.headers, **headers})

    require_documented("GET", "/movies", answer())
    for wrong in (
        answer(status=418),
        answer(status=409),
        answer(body=b'{"items": []}'),
        answer(body=good.content.replace(b'"total"', b'"more":1,"total"')),
        answer(body=good.content.replace(b'"total":0', b'"total":-1')),
        answer(Location="/movies/1"),
        answer(**{"Content-Type": "text/html"}),
    ):
        with pytest.raises(AssertionError):
            require_documented("GET", "/movies", wrong)
    with pytest.raises(AssertionError):
        require_documented("GET", "/nowhere", answer())
    with pytest.raises(AssertionError):
        require_documented("POST", "/auth/password-reset", answer(202, b""), {"e-mail": 1})


def test_the_version_is_one():
    dockerfile = (settings.BASE_DIR / "Dockerfile").read_text()

    assert document()["info"]["version"] == __version__
    assert f"ARG VERSION={__version__}\n" in dockerfile
