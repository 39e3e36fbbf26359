"""Reviews by their ETags: unchanged is 304, and a change of what has changed is 412."""

import pytest

from accounts.tests.factories import UserFactory
from movieshelf.tests.races import at_once
from reviews.models import Review
from reviews.tests.factories import ReviewFactory


@pytest.fixture
def review(user) -> Review:
    return ReviewFactory(user=user, content="First.")


def path(review) -> str:
    return f"/reviews/{review.pk}"


def test_what_the_client_has_already_is_not_sent_again(api, review):
    first = api.get(path(review))

    again = api.get(path(review), HTTP_IF_NONE_MATCH=first["ETag"])

    assert not first["ETag"].startswith("W/")
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])


@pytest.mark.parametrize("where", ["/movies", "/movies/{movie}/reviews", "/users/{user}"])
def test_lists_and_profiles_have_etags_too_which_follow_what_is_shown(api, user, review, where):
    where = where.format(movie=review.movie_id, user=user.pk)
    first = api.get(where)
    unchanged = api.get(where, HTTP_IF_NONE_MATCH=first["ETag"])

    ReviewFactory(movie=review.movie, user=user)
    changed = api.get(where, HTTP_IF_NONE_MATCH=first["ETag"])

    assert unchanged.status_code == 304
    assert changed.status_code == 200
    assert changed["ETag"] != first["ETag"]


@pytest.mark.parametrize(
    ("where", "rows_of"),
    [
        ("/users/me", []),
        ("/movies/{movie}", ["movies_movie"]),
        ("/reviews/{review}", ["reviews_review"]),
        ("/users/{user}", ["accounts_user"]),
    ],
)
def test_a_304_reads_who_asks_and_at_most_the_one_row_that_tells(
    api, user, review, where, rows_of, settings, django_assert_num_queries
):
    settings.RANK_MAX_AGE_SECONDS = 60.0
    where = where.format(movie=review.movie_id, review=review.pk, user=user.pk)
    member = api.as_(user)
    tag = member.get(where)["ETag"]

    with django_assert_num_queries(1 + len(rows_of)) as queries:
        unchanged = member.get(where, HTTP_IF_NONE_MATCH=tag)

    assert unchanged.status_code == 304
    assert all(name in queries[1]["sql"] for name in rows_of)


def test_a_change_says_the_etag_that_reading_gives(api, user, review):
    member = api.as_(user)

    changed = member.patch(path(review), {"content": "Second."})
    written = member.post(f"/movies/{review.movie_id}/reviews", {"content": "Another."})

    assert changed["ETag"] == member.get(path(review))["ETag"]
    assert written["ETag"] == member.get(written["Location"])["ETag"]


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_what_has_changed_since_is_not_changed_again(api, user, review, method):
    member = api.as_(user)
    old = member.get(path(review))["ETag"]
    member.patch(path(review), {"content": "Second."})

    refused = getattr(member, method)(
        path(review), {"content": "Third."}, headers={"If-Match": old}
    )

    assert refused.status_code == 412
    assert refused.json()["error"]["code"] == "precondition_failed"
    assert refused["ETag"] == member.get(path(review))["ETag"] != old
    assert Review.objects.get().content == "Second."


@pytest.mark.parametrize(("method", "status"), [("patch", 200), ("delete", 204)])
@pytest.mark.parametrize("sent", ["{tag}", '"x", {tag}', "*"])
def test_the_current_version_may_be_changed(api, user, review, method, status, sent):
    member = api.as_(user)
    tag = sent.format(tag=member.get(path(review))["ETag"])

    response = getattr(member, method)(
        path(review), {"content": "Second."}, headers={"If-Match": tag}
    )

    assert response.status_code == status


@pytest.mark.parametrize("who", ["stranger", "anonymous"])
def test_who_may_comes_before_the_version(api, review, who):
    client = api if who == "anonymous" else api.as_(UserFactory())

    response = client.delete(path(review), headers={"If-Match": '"x"'})

    assert response.status_code == (401 if who == "anonymous" else 403)


@pytest.mark.django_db(transaction=True)
def test_of_many_edits_of_one_version_one_goes_through(api):
    review = ReviewFactory()
    member = api.as_(review.user)
    tag = member.get(path(review))["ETag"]

    def edit(number):
        return member.patch(path(review), {"content": f"By {number}."}, headers={"If-Match": tag})

    statuses = [answer.status_code for answer in at_once(*(lambda n=n: edit(n) for n in range(6)))]

    assert sorted(statuses) == [200] + [412] * 5
