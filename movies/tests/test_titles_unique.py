"""One film per title, in every spelling that counts as the same, whatever races."""

from functools import partial

import pytest
from django.db import connection

from accounts.tests.factories import UserFactory
from movies.models import Movie, TitleTaken
from movies.tests.factories import MovieFactory
from movieshelf.api import transactions
from movieshelf.tests.races import at_once

SPELLINGS = ("Amélie", " AMÉLIE ", "Ame\u0301lie", "amélie\u200b", "Ａｍélie", "AME\u0301LIE")


def statuses(responses) -> list[int]:
    return sorted(response.status_code for response in responses)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Amélie", " AMÉLIE "),
        ("Amélie", "Ame\u0301lie"),
        ("Straße", "STRASSE"),
        ("ﬁlm", "film"),
        ("Heat", "Heat "),
        ("Heat", "He\u200bat"),
        ("Blade Runner", "Blade\u00a0 Runner"),
        ("I", "i"),
    ],
)
def test_the_same_title_again_is_a_conflict_that_names_the_film(api, user, first, second):
    movie = MovieFactory(title=first)

    response = api.as_(user).post("/movies", {"title": second})

    error = response.json()["error"]
    assert response.status_code == 409
    assert error["code"] == "conflict"
    assert error["details"]["title"][0]["movieId"] == movie.pk
    assert "Dune (2021)" in error["message"]
    assert Movie.objects.count() == 1


@pytest.mark.parametrize("other", ["Amelie", "Amélie (2001)", "Amélie!"])
def test_another_title_is_no_conflict(api, user, other):
    MovieFactory(title="Amélie")

    assert api.as_(user).post("/movies", {"title": other}).status_code == 201


def test_editing_to_a_taken_title_is_a_conflict_and_changes_nothing(api, user):
    taken = MovieFactory(title="Heat")
    movie = MovieFactory(title="Ronin", created_by=user)

    response = api.as_(user).patch(f"/movies/{movie.pk}", {"title": "HEAT", "synopsis": "x"})

    assert response.status_code == 409
    assert response.json()["error"]["details"]["title"][0]["movieId"] == taken.pk
    movie.refresh_from_db()
    assert (movie.title, movie.synopsis, movie.version) == ("Ronin", "", 1)


def test_a_film_may_change_the_spelling_of_its_own_title(api, user):
    movie = MovieFactory(title="heat", created_by=user)

    response = api.as_(user).patch(f"/movies/{movie.pk}", {"title": "HEAT"})

    assert response.status_code == 200
    assert response.json()["title"] == "HEAT"


def test_a_title_is_free_again_once_its_film_is_gone(api, user):
    MovieFactory(title="Heat").delete()

    assert api.as_(user).post("/movies", {"title": "Heat"}).status_code == 201


@pytest.mark.django_db
def test_saving_the_title_alone_saves_its_keys():
    movie = MovieFactory(title="Ronin")
    movie.title = "Heat"

    movie.save(update_fields=["title"])

    assert Movie.objects.titled("HEAT").get() == movie
    assert Movie.objects.titled_like("heat").get() == movie
    with pytest.raises(TitleTaken):
        MovieFactory(title="heat")


@pytest.mark.django_db(transaction=True)
def test_of_sixteen_who_add_one_title_at_once_one_does(api):
    """Row 135."""
    titles = [SPELLINGS[n % len(SPELLINGS)] for n in range(16)]
    members = [api.as_(UserFactory()) for _ in titles]

    responses = at_once(
        *(partial(m.post, "/movies", {"title": t}) for m, t in zip(members, titles, strict=True))
    )

    movie = Movie.objects.get()
    conflicts = [r.json()["error"] for r in responses if r.status_code == 409]
    assert statuses(responses) == [201] + [409] * 15
    assert {c["details"]["title"][0]["movieId"] for c in conflicts} == {movie.pk}


@pytest.mark.django_db(transaction=True)
def test_of_two_films_that_take_one_title_at_once_one_does(api, admin):
    """Row 136."""
    for number in range(5):
        ones = [MovieFactory() for _ in range(2)]
        clients = [api.as_(admin) for _ in ones]

        responses = at_once(
            *(
                partial(c.patch, f"/movies/{m.pk}", {"title": f"Dune {number}"})
                for c, m in zip(clients, ones, strict=True)
            )
        )

        assert statuses(responses) == [200, 409]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", ["post", "patch"])
def test_a_title_whose_film_is_deleted_at_that_instant_is_free(api, user, verb, monkeypatch):
    """There is no film that a 409 could name."""
    winner, other = MovieFactory(title="Dune"), MovieFactory(title="Heat", created_by=user)
    who_has_the_title = Movie._who_has_the_title

    def too_late(movie: Movie) -> int | None:
        at_once(Movie.objects.filter(pk=winner.pk).delete)
        return who_has_the_title(movie)

    monkeypatch.setattr(Movie, "_who_has_the_title", too_late)
    path = "/movies" if verb == "post" else f"/movies/{other.pk}"

    response = getattr(api.as_(user), verb)(path, {"title": "Dune", "synopsis": "Sand."})

    assert response.status_code == (201 if verb == "post" else 200)
    movie = Movie.objects.with_stats().get(title="Dune")
    assert (movie.pk, movie.synopsis) == (response.json()["id"], "Sand.")
    assert movie.version == (1 if verb == "post" else 2)


@pytest.mark.django_db(transaction=True)
def test_a_title_that_is_taken_again_at_that_instant_is_a_conflict(api, user, monkeypatch):
    winner = MovieFactory(title="Dune")
    second: list[Movie] = []
    who_has_the_title = Movie._who_has_the_title

    def overtaken(movie: Movie) -> int | None:
        if not second:
            at_once(Movie.objects.filter(pk=winner.pk).delete)
            found = who_has_the_title(movie)
            at_once(lambda: second.append(MovieFactory(title="Dune")))
            return found
        return who_has_the_title(movie)

    monkeypatch.setattr(Movie, "_who_has_the_title", overtaken)

    response = api.as_(user).post("/movies", {"title": "Dune"})

    assert response.status_code == 409
    assert response.json()["error"]["details"]["title"][0]["movieId"] == second[0].pk


# Makes it take a while from writing the row to looking for its title among the others: there two
# that swap theirs would meet. The slow index comes before the unique one, which is made anew.
SLOW = """
CREATE FUNCTION slowly(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(0.1); RETURN $1; END';
CREATE INDEX slow ON movies_movie (slowly(title));
ALTER TABLE movies_movie DROP CONSTRAINT movie_title_unique;
ALTER TABLE movies_movie ADD CONSTRAINT movie_title_unique UNIQUE (title_key);
"""


@pytest.fixture
def slow_titles(transactional_db):
    with connection.cursor() as cursor:
        cursor.execute(SLOW)
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX slow; DROP FUNCTION slowly")


def test_two_films_that_swap_titles_at_once_are_refused_without_a_deadlock(
    slow_titles, api, admin, monkeypatch
):
    """Row 136."""
    monkeypatch.setattr(transactions, "MAX_TRIES", 1)
    one, other = MovieFactory(title="Heat"), MovieFactory(title="Ronin")
    clients = [api.as_(admin), api.as_(admin)]

    for _ in range(2):
        responses = at_once(
            lambda: clients[0].patch(f"/movies/{one.pk}", {"title": "Ronin"}),
            lambda: clients[1].patch(f"/movies/{other.pk}", {"title": "Heat"}),
        )
        assert statuses(responses) == [409, 409]

    assert set(Movie.objects.values_list("pk", "title")) == {(one.pk, "Heat"), (other.pk, "Ronin")}
