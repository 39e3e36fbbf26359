from io import BytesIO
from random import Random

import pytest
from PIL import Image, ImageDraw

from movies.posters import MOTIFS, PALETTES, draw_avatar, draw_poster, initials

LONGEST = "A Very Long Title " * 11


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize(
    "title", ["8½", "Sátántangó", "Zatōichi", "Солярис", "七人の侍", "", "W" * 200, LONGEST]
)
def test_every_title_gets_a_poster(title):
    poster = draw_poster(title, seed=7)

    assert opened(poster).format == "JPEG"
    assert opened(poster).size == (600, 900)


@pytest.mark.parametrize("seed", range(30))
def test_a_poster_is_small(seed):
    assert len(draw_poster(LONGEST, seed)) < 80_000


def test_the_same_title_and_seed_give_the_same_poster():
    assert draw_poster("Alien", 7) == draw_poster("Alien", 7)


def test_another_seed_or_title_gives_another_poster():
    posters = {draw_poster("Alien", seed) for seed in range(20)} | {draw_poster("Aliens", 0)}

    assert len(posters) == 21


@pytest.mark.parametrize("letter", "½áōŁøßæЯλ")
def test_letters_with_accents_are_written(letter):
    """The font that comes with Pillow has none of them, and draws boxes."""
    assert draw_poster(letter, 7) != draw_poster("", 7)
    assert draw_poster(letter, 7) != draw_poster("\uffff", 7)


def test_letters_that_the_font_lacks_are_left_out_rather_than_drawn_as_boxes():
    assert draw_poster("七人 Samurai", 7) == draw_poster("Samurai", 7)


@pytest.mark.parametrize("motif", MOTIFS)
def test_every_motif_fills_the_picture_in_every_palette(motif):
    for palette in PALETTES:
        picture = Image.new("RGB", (1024, 1024), palette.ground)

        motif(ImageDraw.Draw(picture), palette, Random(7))

        assert len(picture.getcolors(1024 * 1024)) >= 3


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Ada Lovelace", "AL"),
        ("żółć", "Ż"),
        ("Jean van der Berg", "JB"),
        ("_ _", "?"),
        ("", "?"),
    ],
)
def test_initials_are_the_first_letters_of_the_first_and_last_word(name, letters):
    assert initials(name) == letters


@pytest.mark.parametrize("name", ["Ada Lovelace", "李 雷", ""])
def test_every_name_gets_an_avatar(name):
    avatar = draw_avatar(name, seed=7)

    assert opened(avatar).format == "JPEG"
    assert opened(avatar).size == (256, 256)
    assert avatar == draw_avatar(name, seed=7)
