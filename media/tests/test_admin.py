"""Images in the admin (issue 6 point 5)."""

import pytest
from django.test import Client

from accounts.models import User
from accounts.tests.factories import AdminFactory, UserFactory
from media.models import Derivative, Media
from media.tests.factories import an_image
from media.tests.queries import asked, touching_bytes
from movies.tests.factories import MovieFactory
from trail.models import Act

LIST = "/admin/media/media/"


@pytest.fixture
def moderator(admin: User) -> Client:
    client = Client()
    client.force_login(admin)
    return client


def page_of(media: Media) -> str:
    return f"{LIST}{media.pk}/change/"


@pytest.mark.django_db
def test_the_list_shows_what_an_image_is_and_where_it_is_shown(moderator: Client) -> None:
    owner = UserFactory(name="Ada")
    media = an_image(uploader=owner)
    User.objects.filter(pk=owner.pk).update(avatar=media)
    movie = MovieFactory(poster=media)

    page = moderator.get(LIST).content.decode()

    assert f'src="/media/{media.pk}?width=160"' in page
    assert "96 × 64" in page
    assert "Ada" in page
    assert f"user {owner.pk}" in page
    assert f"movie {movie.pk}" in page


@pytest.mark.django_db
def test_an_image_that_is_shown_nowhere_says_so(moderator: Client) -> None:
    media = an_image()

    assert "nothing" in moderator.get(page_of(media)).content.decode()


@pytest.mark.django_db
def test_the_page_of_an_image_shows_it_and_changes_nothing(moderator: Client) -> None:
    media = an_image()

    page = moderator.get(page_of(media)).content.decode()

    assert f'src="/media/{media.pk}?width=640"' in page
    assert 'name="_save"' not in page
    assert moderator.post(page_of(media), {"width": 1}).status_code == 403


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["list", "search", "filter", "image"])
def test_no_page_loads_bytes(moderator: Client, page: str) -> None:
    media = an_image(uploader=UserFactory())
    Derivative.objects.made(media.pk, 160)
    MovieFactory(poster=media)
    address = {
        "list": LIST,
        "search": f"{LIST}?q=member",
        "filter": f"{LIST}?content_type__exact=image/jpeg",
        "image": page_of(media),
    }[page]

    with asked() as statements:
        response = moderator.get(address)

    assert response.status_code == 200
    assert str(media.pk) in response.content.decode()
    assert not touching_bytes(statements)


@pytest.mark.django_db
def test_the_list_takes_as_many_queries_for_twenty_as_for_one(moderator: Client) -> None:
    def add() -> None:
        media = an_image(uploader=UserFactory())
        MovieFactory(poster=media)

    add()
    moderator.get(LIST)
    with asked() as for_one:
        moderator.get(LIST)
    for _ in range(19):
        add()
    with asked() as for_twenty:
        moderator.get(LIST)

    assert len(for_twenty) == len(for_one)


@pytest.mark.django_db
def test_removing_takes_one_action(moderator: Client) -> None:
    gone, stays = an_image(), an_image()
    Derivative.objects.made(gone.pk, 160)
    movie = MovieFactory(poster=gone)

    with asked() as statements:
        response = moderator.post(
            LIST, {"action": "remove_images", "_selected_action": [str(gone.pk)]}, follow=True
        )

    assert "1 images were removed." in response.content.decode()
    assert list(Media.objects.all()) == [stays]
    movie.refresh_from_db()
    assert movie.poster is None
    assert moderator.get(gone.url).status_code == 404
    assert Act.objects.get().thing_id == str(gone.pk)
    assert not touching_bytes(statements)


@pytest.mark.django_db
def test_images_come_by_upload_only(moderator: Client) -> None:
    assert moderator.get(f"{LIST}add/").status_code == 403


@pytest.mark.django_db
def test_djangos_own_way_to_delete_is_closed(moderator: Client) -> None:
    media = an_image()

    assert moderator.get(f"{LIST}{media.pk}/delete/").status_code == 403
    assert "delete_selected" not in moderator.get(LIST).content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["nobody", "member"])
def test_only_moderators_see_the_images(who: str) -> None:
    client = Client()
    if who == "member":
        client.force_login(UserFactory())
    media = an_image()

    for address in (LIST, page_of(media)):
        assert client.get(address).status_code == 302

    client.post(LIST, {"action": "remove_images", "_selected_action": [str(media.pk)]})
    assert Media.objects.exists()


@pytest.mark.django_db
def test_an_admin_who_is_no_superuser_may_remove() -> None:
    client = Client()
    client.force_login(AdminFactory(is_superuser=False))
    media = an_image()

    client.post(LIST, {"action": "remove_images", "_selected_action": [str(media.pk)]})

    assert not Media.objects.exists()
