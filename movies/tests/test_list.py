"""The shelf as a list: searching, filtering, sorting, paging (contract section 4)."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from accounts.tests.factories import UserFactory
from movies.models import Movie, MovieStats
from movies.tests.factories import MovieFactory
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.tests.factories import ReviewFactory

NOON = datetime(2024, 5, 5, 12, tzinfo=UTC)


def titles(response) -> list[str]:
    assert response.status_code == 200, response.content
    return [item["title"] for item in response.json()["items"]]


def rated(title: str, *values: int, **fields) -> Movie:
    movie = MovieFactory(title=title, **fields)
    for value in values:
        RatingFactory(movie=movie, value=value)
    return movie


@pytest.mark.django_db
def test_an_empty_shelf_is_an_empty_list(api):
    assert api.get("/movies").json() == {
        "items": [],
        "page": 1,
        "pageSize": 20,
        "total": 0,
        "totalPages": 0,
    }


@pytest.mark.django_db
def test_a_list_item_is_the_film_itself(api):
    movie = rated("Heat", 5, 4)
    ReviewFactory(movie=movie)

    items = api.get("/movies").json()["items"]

    assert items == [api.get(f"/movies/{movie.pk}").json()]


@pytest.mark.django_db
def test_pages_follow_each_other_and_past_the_end_there_is_nothing(api):
    for number in range(5):
        MovieFactory(title=f"Film {number}")

    pages = [api.get(f"/movies?pageSize=2&page={page}") for page in (1, 2, 3, 4, 2147483647)]

    assert [titles(page) for page in pages] == [
        ["Film 4", "Film 3"],
        ["Film 2", "Film 1"],
        ["Film 0"],
        [],
        [],
    ]
    assert {(p.json()["total"], p.json()["totalPages"]) for p in pages} == {(5, 3)}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query",
    [
        "stars=6", "stars=-1", "stars=2.5", "stars=abc", "stars=nan", "stars=1e400", "stars=５",
        "stars=", "stars=1&stars=1", "scope=x", "scope=", "scope=ALL", "sort=password",
        "sort=-created_by__password", "sort=", "sort=rank&sort=rank", "page=0", "page=2147483648",
        "page=", "page=1_0", "pageSize=0", "pageSize=101", "q=" + "x" * 201, "q=%00",
        "q=" + "%F0%9F%91%BB" * 201, "q=%FF", "q=a&q=b",
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_is_refused(api, query):
    response = api.get(f"/movies?{query}")

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "validation_error"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ("sort=x", ["uploaded_desc", "latest", "reviews_desc", "reviews", "rating_desc", "top",
                    "release_desc", "release_asc", "rank"]),
        ("scope=x", ["all", "mine", "not_mine"]),
    ],
)  # fmt: skip
def test_an_unknown_value_is_told_what_is_allowed(api, query, allowed):
    details = api.get(f"/movies?{query}").json()["error"]["details"]

    message = details[query.partition("=")[0]][0]["message"]
    assert all(value in message for value in allowed)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("title", "q", "found"),
    [
        ("Amélie", "amelie", True),
        ("Amelie", "ÉLI", True),
        ("Straße nach Łódź", "STRASSE NACH LODZ", True),
        ("Heat", "  heat  ", True),
        ("100% Wolf", "100%", True),
        ("100 Wolf", "100%", False),
        ("snake_case", "e_c", True),
        ("snakeXcase", "e_c", False),
        ("back\\slash", "k\\s", True),
        ("backslash", "k\\s", False),
        ("O'Brother", "o'b", True),
        ("Ghost 👻 Story", "👻", True),
        ("七人の侍", "侍", True),
        ("七人の侍", "人の侍", True),
        ("x" * 200, "X" * 200, True),
        ("Heat", "h", True),
        ("Heat", "", True),
        ("Heat", " \u200b ", True),
        ("Heat", "\u0301", True),
        ("Heat", "zzz", False),
        ("Heat", "(a+)+$", False),
    ],
)
def test_q_is_a_substring_without_case_and_accents(api, title, q, found):
    MovieFactory(title=title)

    response = api.get("/movies", {"q": q})

    # What is only close may be offered, and is marked.
    contained = [] if "fuzzy" in response.json() else titles(response)
    assert contained == ([title] if found else [])
    assert response.json()["total"] == len(titles(response))


@pytest.mark.django_db
def test_a_typo_offers_the_closest_titles_nearest_first(api):
    for title in ("The Godfather", "Godzilla", "The Godfather Part II", "Heat"):
        MovieFactory(title=title)

    response = api.get("/movies?q=godfahter&sort=release_asc")

    shown = response.json()
    assert shown["fuzzy"] is True
    assert titles(response)[0] in ("The Godfather", "The Godfather Part II")
    assert "Heat" not in titles(response)
    assert shown["total"] == len(shown["items"])


@pytest.mark.django_db
def test_at_most_twenty_titles_are_offered_and_pages_hold_for_them(api):
    for number in range(25):
        MovieFactory(title=f"Godfather {number}")

    whole = api.get("/movies?q=godfahter&pageSize=100")
    pages = [api.get(f"/movies?q=godfahter&pageSize=8&page={page}") for page in (1, 2, 3, 4)]

    assert whole.json()["total"] == 20
    assert [title for page in pages for title in titles(page)] == titles(whole)
    assert {page.json()["total"] for page in pages} == {20}
    assert all(page.json()["fuzzy"] is True for page in pages)


@pytest.mark.django_db
def test_the_other_filters_hold_for_what_is_offered(api, user):
    MovieFactory(title="Godfather 1", created_by=user)
    MovieFactory(title="Godfather 2")

    assert titles(api.as_(user).get("/movies?q=godfahter&scope=mine")) == ["Godfather 1"]
    nothing = api.get("/movies?q=godfahter&stars=1").json()
    assert (nothing["total"], "fuzzy" in nothing) == (0, False)


@pytest.mark.django_db
def test_nothing_is_offered_where_a_title_contains_q_or_q_is_short(api, user):
    MovieFactory(title="Godfather", created_by=user)
    MovieFactory(title="Godmother")

    filtered_away = api.as_(user).get("/movies?q=godmother&scope=mine").json()
    short = api.get("/movies?q=gx").json()

    assert (filtered_away["total"], "fuzzy" in filtered_away) == (0, False)
    assert (short["total"], "fuzzy" in short) == (0, False)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "shown", "stars"),
    [
        ((), 0, 0),
        ((1,), 1, 1),
        ((4, 5), 4.5, 5),
        ((3, 4), 3.5, 4),
        ((4, 4, 5), 4.33, 4),
        ((3, 3, 4), 3.33, 3),
        ((1, 2), 1.5, 2),
        ((2, 2, 2, 2, 2, 2, 2, 3), 2.13, 2),  # 2.125
        ((1, 1, 1, 1, 1, 1, 1, 2), 1.13, 1),  # 1.125: half up, not to even
        ((5, 5, 5, 5, 5, 5, 5, 4), 4.88, 5),  # 4.875
    ],
)
def test_averages_are_rounded_half_up(api, values, shown, stars):
    movie = rated("Heat", *values)

    assert api.get(f"/movies/{movie.pk}").json()["averageRating"] == shown
    for asked in range(6):
        assert titles(api.get(f"/movies?stars={asked}")) == (["Heat"] if asked <= stars else [])


@pytest.mark.django_db
def test_stars_and_orders_go_by_the_exact_mean_not_the_one_shown(api):
    """3.4999… shows as 3.5, and is not four stars."""
    movie, higher = MovieFactory(title="Lower"), MovieFactory(title="Higher")
    spread = {movie: (50_001, 50_000), higher: (50_000, 50_000)}
    for film, (threes, fours) in spread.items():
        numbers = MovieStats.objects.filter(pk=film.pk)
        super(type(numbers), numbers).update(rating_3=threes, rating_4=fours)

    shown = api.get("/movies?sort=top").json()["items"]

    assert [item["averageRating"] for item in shown] == [3.5, 3.5]
    assert [item["title"] for item in shown] == ["Higher", "Lower"]
    assert titles(api.get("/movies?stars=4")) == ["Higher"]


@pytest.mark.django_db
def test_scope_tells_mine_from_all_others(api, user):
    leaving = UserFactory()
    MovieFactory(title="Mine", created_by=user)
    MovieFactory(title="Somebody's", created_by=UserFactory())
    MovieFactory(title="Left behind", created_by=leaving)
    MovieFactory(title="Seeded")
    leaving.delete()
    member = api.as_(user)

    assert titles(member.get("/movies?scope=mine")) == ["Mine"]
    assert titles(member.get("/movies?scope=not_mine")) == ["Seeded", "Left behind", "Somebody's"]
    assert len(titles(member.get("/movies?scope=all"))) == 4
    assert member.get("/movies?scope=not_mine").json()["total"] == 3


@pytest.mark.django_db
@pytest.mark.parametrize("scope", ["mine", "not_mine"])
@pytest.mark.parametrize("token", [None, "Bearer nonsense"])
def test_mine_needs_somebody(api, scope, token):
    headers = {"Authorization": token} if token else {}

    response = api.get(f"/movies?scope={scope}", headers=headers)

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.django_db
@pytest.mark.parametrize("also", ["stars=9", "sort=password", "q=1&q=2", "page=0"])
def test_who_is_asking_for_theirs_is_asked_before_what_else_they_ask(api, user, also):
    path = f"/movies?scope=mine&{also}"

    assert api.get(path).status_code == 401
    assert api.as_(user).get(path).status_code == 400


def a_varied_shelf() -> list[Movie]:
    """Films with many ties, in everything they are sorted by."""
    dice = Random(7)
    members = [UserFactory() for _ in range(4)]
    films = []
    for number in range(24):
        movie = MovieFactory(
            title=f"Film {number:02}",
            created_at=NOON + timedelta(days=dice.randrange(3)),
            release_date=dice.choice([None, date(1999, 1, 1), date(2001, 9, 9)]),
        )
        for member in dice.sample(members, dice.randrange(4)):
            Rating.objects.rate(user=member, movie_id=movie.pk, value=dice.choice([3, 5]))
        ReviewFactory.create_batch(dice.randrange(3), movie=movie, user=members[0])
        films.append(movie)
    return films


def newest(movie: Movie) -> tuple:
    return -movie.created_at.timestamp(), -movie.pk


def mean(movie: Movie) -> Decimal:
    values = [rating.value for rating in movie.ratings.all()]
    return Decimal(sum(values)) / len(values) if values else Decimal(0)


def score(movie: Movie) -> Decimal:
    """Below every score while unrated."""
    values = [rating.value for rating in movie.ratings.all()]
    weighted = Decimal(30 + sum(values)) / (10 + len(values))
    return round_half_up(weighted) if values else Decimal(-1)


def round_half_up(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.001"), rounding="ROUND_HALF_UP")


def day(movie: Movie) -> int:
    return movie.release_date.toordinal()


SORTS = {
    "uploaded_desc": newest,
    "latest": newest,
    "reviews_desc": lambda m: (-m.reviews.count(), *newest(m)),
    "reviews": lambda m: (-m.reviews.count(), *newest(m)),
    "rating_desc": lambda m: (-mean(m), -m.ratings.count(), *newest(m)),
    "top": lambda m: (-mean(m), -m.ratings.count(), *newest(m)),
    "release_desc": lambda m: (
        m.release_date is None,
        -day(m) if m.release_date else 0,
        *newest(m),
    ),
    "release_asc": lambda m: (m.release_date is None, day(m) if m.release_date else 0, *newest(m)),
    "rank": lambda m: (-score(m), *newest(m)),
}


@pytest.mark.django_db
def test_every_sort_orders_as_it_says_and_breaks_ties_by_the_newest(api):
    films = a_varied_shelf()

    assert titles(api.get("/movies?pageSize=100")) == [m.title for m in sorted(films, key=newest)]
    for sort, key in SORTS.items():
        expected = [movie.title for movie in sorted(films, key=key)]
        assert titles(api.get(f"/movies?pageSize=100&sort={sort}")) == expected, sort
        halves = [api.get(f"/movies?pageSize=12&page={page}&sort={sort}") for page in (1, 2)]
        assert titles(halves[0]) + titles(halves[1]) == expected, sort


@pytest.mark.django_db
@pytest.mark.parametrize("stars", [0, 3, 5])
def test_pages_of_the_usual_size_have_what_all_others_have(api, stars):
    a_varied_shelf()

    for sort in SORTS:
        query = f"/movies?stars={stars}&sort={sort}"
        whole = titles(api.get(f"{query}&pageSize=100"))
        usual = [titles(api.get(f"{query}&page={page}")) for page in (1, 2, 3)]
        assert [*usual[0], *usual[1], *usual[2]] == whole, sort


@pytest.mark.django_db
def test_a_list_may_be_filtered_and_sorted_at_once(api, user):
    rated("Heat 1", 4, created_by=user)
    rated("Heat 2", 5, created_by=user)
    rated("Heat 3", 2, created_by=user)
    rated("Heat 4", 5)
    rated("Ronin", 5, created_by=user)

    response = api.as_(user).get("/movies?q=heat&stars=4&scope=mine&sort=top")

    assert titles(response) == ["Heat 2", "Heat 1"]


@pytest.mark.django_db
def test_a_list_is_right_at_once_after_each_write(api, user):
    movie = MovieFactory(title="Heat")
    member = api.as_(user)

    member.put(f"/movies/{movie.pk}/rating", {"value": 5})
    assert api.get("/movies").json()["items"][0]["averageRating"] == 5
    member.put(f"/movies/{movie.pk}/rating", {"value": 2})
    assert api.get("/movies").json()["items"][0]["ratingDistribution"]["2"] == 1
    member.delete(f"/movies/{movie.pk}/rating")
    assert api.get("/movies").json()["items"][0]["ratingCount"] == 0
    movie.delete()
    assert api.get("/movies").json()["total"] == 0


@pytest.mark.django_db
def test_who_pages_while_others_add_and_delete_misses_none_and_sees_none_twice_by_id(api):
    """Row 142: each page is cut by a total order, so what stands still keeps its order."""
    standing = [MovieFactory(title=f"Standing {n}", created_at=NOON).pk for n in range(12)]
    seen: list[int] = []

    for page in range(1, 5):
        items = api.get(f"/movies?sort=release_asc&pageSize=4&page={page}").json()["items"]
        seen += [item["id"] for item in items]
        # Sorts after all others, so no page moves.
        MovieFactory(title=f"Late {page}", created_at=NOON - timedelta(days=page)).delete()

    assert seen == sorted(standing, reverse=True)
