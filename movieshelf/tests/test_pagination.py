"""Lists and their query strings (contract section 1; rows 84, 87, 89 to 91 and 106)."""

import pytest
from django.conf import settings
from django.http import HttpResponse

from movies.tests.factories import MovieFactory
from ratings.tests.factories import RatingFactory
from reviews.tests.factories import ReviewFactory

pytestmark = pytest.mark.django_db

LISTS = ["/movies", "/movies/{movie}/reviews", "/users/me/ratings"]


@pytest.fixture
def get(api, user):
    """Ask for one of the lists, each of which holds three things of the member's."""
    movies = MovieFactory.create_batch(3, created_by=user)
    for movie in movies:
        RatingFactory(movie=movie, user=user)
        ReviewFactory(movie=movies[0], user=user)
    member = api.as_(user)

    def send(path: str, query: str = "") -> HttpResponse:
        return member.get(path.format(movie=movies[0].pk), QUERY_STRING=query)

    return send


@pytest.mark.parametrize("path", LISTS)
def test_a_list_has_its_items_and_says_which_page_of_how_many(get, path):
    body = get(path, "page=2&pageSize=2").json()

    assert len(body.pop("items")) == 1
    assert body == {"page": 2, "pageSize": 2, "total": 3, "totalPages": 2}


@pytest.mark.parametrize("path", LISTS)
def test_the_first_twenty_are_what_one_gets_unasked(get, path):
    body = get(path).json()

    assert (body["page"], body["pageSize"], body["totalPages"]) == (1, 20, 1)


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("page", [2, 618, 2_147_483_647])
def test_a_page_past_the_end_is_empty_with_the_right_total(get, path, page):
    """Row 89."""
    response = get(path, f"page={page}&pageSize=100")

    assert response.status_code == 200
    assert response.json() == {
        "items": [],
        "page": page,
        "pageSize": 100,
        "total": 3,
        "totalPages": 1,
    }


def test_a_list_of_nothing_has_no_pages(api):
    assert api.get("/movies").json() == {
        "items": [],
        "page": 1,
        "pageSize": 20,
        "total": 0,
        "totalPages": 0,
    }


NO_NUMBERS = [
    *(
        "0",
        "-1",
        "abc",
        "",
        "%EF%BC%91",
        "%D9%A3",
        "1_0",
        "+1",
        "%2B1",
        " 1",
        "%201",
        "1%20",
        "1.0",
        "1e1",
    ),
    *("0x1", "NaN", "Infinity", "null", "true", "1,2", "%00", "1%00", str(10**20), "9" * 4_301),
]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("page", [*NO_NUMBERS, "2147483648"]),
        ("pageSize", [*NO_NUMBERS, "101", str(10**9), str(10**30)]),
    ],
)
def test_what_is_no_page_is_refused_and_blamed(get, path, name, values):
    """Rows 84, 89 and 90."""
    for value in values:
        response = get(path, f"{name}={value}")

        assert response.status_code == 400, value
        assert list(response.json()["error"]["details"]) == [name]


def test_leading_zeros_change_no_number(get):
    assert get("/movies", "page=01&pageSize=002").json()["pageSize"] == 2


@pytest.mark.parametrize(
    "query",
    [
        *("stars=-1", "stars=6", "stars=abc", "stars=nan", "stars=1e400", "stars=2.5", "stars="),
        *("stars=%00", "sort=password", "sort=-created_by__password", "sort=", "sort=%00"),
        *("sort=rank%00", "scope=x", "scope=", "scope=%00", "q=%00", "q=a%00b", "q=%01"),
        *("q=" + "a" * 201, "q=%EF%BF%BD&stars=9", "sort=LATEST", "scope=Mine"),
    ],
)
def test_a_filter_that_is_none_is_refused(get, query):
    """Rows 84 and 91."""
    response = get("/movies", query)

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "validation_error"


@pytest.mark.parametrize("name", ["sort", "scope"])
def test_the_refusal_lists_what_is_allowed(get, name):
    message = get("/movies", f"{name}=x").json()["error"]["details"][name][0]["message"]

    for word in {"sort": ["latest", "rank"], "scope": ["all", "mine", "not_mine"]}[name]:
        assert word in message


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("name", ["page", "pageSize"])
def test_a_parameter_given_twice_is_refused(get, path, name):
    """Rows 89 and 106: even with the same value, since two readers could take different ones."""
    response = get(path, f"{name}=1&{name}=1")

    assert response.status_code == 400
    assert response.json()["error"]["details"][name][0]["code"] == "repeated"


@pytest.mark.parametrize("query", ["q=a&q=b", "sort=rank&sort=rank", "stars=1&stars=2"])
def test_so_is_a_filter_given_twice(get, query):
    """Row 106."""
    assert get("/movies", query).status_code == 400


@pytest.mark.parametrize(
    "query", ["q[]=x", "nope=1&nope=2", "page%5B%5D=0", "", "&&&", "=", "page", "&=&page=1"]
)
def test_unknown_parameters_are_ignored(get, query):
    """Row 106: a bare `page` is one with an empty value, so that is refused."""
    assert get("/movies", query).status_code == (400 if query == "page" else 200)


@pytest.mark.parametrize(
    ("number", "status"), [(2_000, 200), (settings.DATA_UPLOAD_MAX_NUMBER_FIELDS + 1, 400)]
)
def test_thousands_of_parameters_are_no_crash(get, number, status):
    """Row 106."""
    query = "&".join(f"p{i}=1" for i in range(number))

    assert get("/movies", query).status_code == status


@pytest.mark.parametrize(
    "query", ["q=%ff", "q=%C3", "q=%ed%a0%80", "%ff=1", "q=%c0%80", "unknown=%ff", "q=\xff"]
)
@pytest.mark.parametrize("path", [*LISTS, "/movies/{movie}", "/users/me"])
def test_a_query_that_is_not_utf_8_is_refused(get, path, query):
    """Row 87: Django would read it as something else."""
    assert get(path, query).status_code == 400


def test_a_query_in_utf_8_is_read_escaped_or_not(api):
    MovieFactory(title="Amélie")

    for query in ("q=am%C3%A9lie", "q=am\xc3\xa9lie", "q=%E2%80%8Bam%C3%A9lie%20"):
        assert api.get("/movies", QUERY_STRING=query).status_code == 200
    assert api.get("/movies", QUERY_STRING="q=am\xc3\xa9lie").json()["total"] == 1
