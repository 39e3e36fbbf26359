"""Merging two entries of one film, and the way from the old address to the survivor's."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.tests.factories import AdminFactory, UserFactory
from media.models import Media
from media.tests.factories import an_image
from moderation import merging
from moderation.merging import _move_rows, merge
from moderation.models import MergedFilm
from movies.models import Movie, MovieStats
from movies.tests.factories import MovieFactory
from movieshelf.api.errors import InvalidInput, NotFound
from movieshelf.tests.numbers import numbers_are_right
from movieshelf.tests.races import at_once
from movieshelf.tests.waiting import until_somebody_waits_for_us
from ratings.models import Rating
from ratings.tests.factories import RatingFactory
from reviews.models import Report, Review
from reviews.tests.factories import ReportFactory, ReviewFactory
from trail.models import Act


@pytest.mark.django_db
class TestWhatMoves:
    def test_ratings_and_reviews_are_the_survivors_and_the_numbers_right(self, admin):
        film, survivor = MovieFactory(), MovieFactory()
        for value in (1, 2, 5):
            RatingFactory(movie=film, value=value)
        RatingFactory(movie=survivor, value=4)
        ReviewFactory.create_batch(2, movie=film)
        hidden = ReviewFactory(movie=film)
        hidden.hide(by=admin)

        merge(film.pk, into=survivor.pk, by=admin)

        stats = MovieStats.objects.get(pk=survivor.pk)
        assert stats.distribution == {"1": 1, "2": 1, "3": 0, "4": 1, "5": 1}
        assert stats.review_count == 2
        assert Review.objects.filter(movie=survivor).count() == 3
        assert not Movie.objects.filter(pk=film.pk).exists()
        assert numbers_are_right()

    @pytest.mark.parametrize("newer_is_on_the_survivor", [True, False])
    def test_of_who_rated_both_the_newer_stays(self, admin, user, newer_is_on_the_survivor):
        film, survivor = MovieFactory(), MovieFactory()
        older, newer = (survivor, film) if not newer_is_on_the_survivor else (film, survivor)
        RatingFactory(movie=older, user=user, value=1)
        RatingFactory(movie=newer, user=user, value=5)
        Rating.objects.filter(movie=older).update(updated_at=timezone.now() - timedelta(days=1))

        merge(film.pk, into=survivor.pk, by=admin)

        rating = Rating.objects.get()
        assert (rating.movie_id, rating.value) == (survivor.pk, 5)
        assert numbers_are_right()

    def test_the_poster_moves_where_the_survivor_has_none(self, admin, user):
        poster, other = an_image(uploader=user), an_image(uploader=user)
        bare, dressed = MovieFactory(), MovieFactory(poster=other)

        merge(MovieFactory(poster=poster).pk, into=bare.pk, by=admin)
        merge(MovieFactory(poster=poster).pk, into=dressed.pk, by=admin)

        assert Movie.objects.get(pk=bare.pk).poster == poster
        assert Movie.objects.get(pk=bare.pk).version == 2
        assert Movie.objects.get(pk=dressed.pk).poster == other

    def test_reports_of_it_are_closed(self, admin):
        film, survivor = MovieFactory(), MovieFactory()
        ReportFactory(review=None, movie=film, reason="duplicate")

        merge(film.pk, into=survivor.pk, by=admin)

        report = Report.objects.get()
        assert (report.movie_id, report.outcome) == (survivor.pk, "upheld")

    def test_the_trail_has_it_on_both_with_what_was_before(self, admin):
        film, survivor = MovieFactory(title="Dune "), MovieFactory(title="Dune (2021)")

        merge(film.pk, into=survivor.pk, by=admin, reason="The same film.")

        acts = Act.objects.values_list("verb", "thing_id", "reason", "before__merged__title")
        assert set(acts) == {
            ("merge", str(film.pk), "The same film.", "Dune "),
            ("merge", str(survivor.pk), "The same film.", "Dune "),
        }

    def test_what_cannot_be_merged_is_left_as_it_is(self, admin):
        movie = RatingFactory().movie

        with pytest.raises(InvalidInput):
            merge(movie.pk, into=movie.pk, by=admin)
        for pair in ((movie.pk, 404), (404, movie.pk)):
            with pytest.raises(NotFound):
                merge(pair[0], into=pair[1], by=admin)

        assert Rating.objects.filter(movie=movie).exists()
        assert not Act.objects.exists()


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_of_two_who_merge_two_films_into_each_other_one_does(self):
        one, other = AdminFactory(), AdminFactory()
        films = [RatingFactory(value=2).movie, RatingFactory(value=4).movie]

        outcomes = at_once(
            lambda: merge(films[0].pk, into=films[1].pk, by=one),
            lambda: merge(films[1].pk, into=films[0].pk, by=other),
        )

        assert sum(isinstance(outcome, NotFound) for outcome in outcomes) == 1
        assert Movie.objects.count() == 1
        assert Rating.objects.count() == 2
        assert numbers_are_right()

    def test_a_poster_that_is_removed_meanwhile_is_not_the_survivors(self, monkeypatch):
        """The image waits for the merge, and then takes itself off the survivor."""
        admin, survivor = AdminFactory(), MovieFactory()
        film = MovieFactory(poster=an_image())
        begun = threading.Event()

        def move_rows(film_id: int, into: int) -> None:
            begun.set()
            until_somebody_waits_for_us()
            _move_rows(film_id, into)

        def remove() -> None:
            assert begun.wait(20)
            Media.objects.get(pk=film.poster_id).remove()

        monkeypatch.setattr(merging, "_move_rows", move_rows)
        merged, gone = at_once(lambda: merge(film.pk, into=survivor.pk, by=admin), remove)

        assert isinstance(merged, Movie)
        assert gone is None
        assert not Media.objects.exists()
        assert Movie.objects.get().poster_id is None

    def test_who_rates_meanwhile_is_counted_or_led_to_the_survivor(self, api):
        admin, film, survivor = AdminFactory(), MovieFactory(), MovieFactory()
        members = [api.as_(UserFactory()) for _ in range(6)]

        *answers, merged = at_once(
            *(
                lambda member=member: member.put(f"/movies/{film.pk}/rating", {"value": 3})
                for member in members
            ),
            lambda: merge(film.pk, into=survivor.pk, by=admin),
        )

        assert merged.pk == survivor.pk
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) <= {200, 307}
        assert Rating.objects.filter(movie=survivor).count() == statuses.count(200)
        assert numbers_are_right()


@pytest.mark.django_db
class TestTheOldAddress:
    @pytest.fixture
    def merged(self, admin) -> tuple[int, int]:
        film, survivor = MovieFactory(), MovieFactory()
        merge(film.pk, into=survivor.pk, by=admin)
        return film.pk, survivor.pk

    @pytest.mark.parametrize("rest", ["", "/rank", "/reviews", "/reviews?page=2&pageSize=5"])
    def test_reads_are_led_on_for_good(self, api, merged, rest):
        old, new = merged

        for response in (api.get(f"/movies/{old}{rest}"), api.head(f"/movies/{old}{rest}")):
            assert response.status_code == 301
            assert response["Location"] == f"/movies/{new}{rest}"
            assert response.content == b""
            assert response["Content-Length"] == "0"
            assert "Content-Type" not in response

    @pytest.mark.parametrize(
        ("method", "rest", "body"),
        [
            ("patch", "", {"synopsis": "x"}),
            ("delete", "", None),
            ("put", "/rating", {"value": 3}),
            ("delete", "/rating", None),
            ("post", "/reviews", {"content": "x"}),
            ("post", "/report", {"reason": "spam"}),
        ],
    )
    def test_writes_keep_their_method_and_body(self, api, user, merged, method, rest, body):
        old, new = merged

        response = getattr(api.as_(user), method)(f"/movies/{old}{rest}", body)

        assert response.status_code == 307
        assert response["Location"] == f"/movies/{new}{rest}"
        assert response["Cache-Control"] == "no-store"

    def test_an_upload_is_led_on_too(self, api, user, merged):
        response = api.as_(user).upload(f"/movies/{merged[0]}/poster", b"x")

        assert (response.status_code, response["Location"]) == (307, f"/movies/{merged[1]}/poster")

    def test_one_s_own_rating_is_read_there(self, api, user, merged):
        response = api.as_(user).get(f"/movies/{merged[0]}/rating")

        assert (response.status_code, response["Location"]) == (301, f"/movies/{merged[1]}/rating")
        assert "private" in response["Cache-Control"]

    def test_it_has_the_manners_of_every_answer(self, api, merged, settings):
        settings.CORS_ALLOWED_ORIGINS = ["https://shelf.example"]

        response = api.get(
            f"/movies/{merged[0]}",
            HTTP_ORIGIN="https://shelf.example",
            HTTP_X_REQUEST_ID="seven",
        )

        assert response["X-Request-Id"] == "seven"
        assert response["Access-Control-Allow-Origin"] == "https://shelf.example"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Cache-Control"] == "no-cache"
        vary = response["Vary"].lower()
        assert "origin" in vary
        assert "authorization" in vary

    def test_what_comes_before_the_thing_still_does(self, api, merged):
        old = merged[0]

        assert api.put(f"/movies/{old}/rating", {"value": 3}).status_code == 401
        assert api.post(f"/movies/{old}", {}).status_code == 405
        assert api.get(f"/movies/{old}", HTTP_ACCEPT="text/html").status_code == 406
        assert api.get(f"/movies/{old}/nope").status_code == 404

    def test_a_chain_leads_to_the_last_at_once(self, api, admin, merged):
        old, middle = merged
        last = MovieFactory()

        merge(middle, into=last.pk, by=admin)

        for address in (old, middle):
            assert api.get(f"/movies/{address}")["Location"] == f"/movies/{last.pk}"
        assert api.get(f"/movies/{last.pk}").status_code == 200

    def test_it_is_gone_with_the_survivor(self, api, merged):
        Movie.objects.filter(pk=merged[1]).delete()

        response = api.get(f"/movies/{merged[0]}")

        assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")
        assert not MergedFilm.objects.exists()

    def test_a_film_that_is_there_costs_nothing_more(self, api, merged):
        with CaptureQueriesContext(connection) as captured:
            answers = [api.get(path) for path in (f"/movies/{merged[1]}", "/movies", "/nope")]

        assert [answer.status_code for answer in answers] == [200, 200, 404]
        assert not any("mergedfilm" in query["sql"] for query in captured)

    def test_the_description_tells_of_it(self, api):
        paths = api.get("/openapi.json").json()["paths"]

        for path, operations in paths.items():
            for method, operation in operations.items():
                expected = {"301"} if method == "get" else {"307"}
                led_on = {"301", "307"} & set(operation["responses"])
                assert led_on == (expected if path.startswith("/movies/{") else set())
