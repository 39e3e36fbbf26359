import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movieshelf.api.text import (
    ControlCharacter,
    clean_text,
    is_blank,
    without_default_ignorables,
)

# Letters, marks out of order, marks that decompose, invisible ones, spaces, line ends.
TRICKY = "aeA가가éÅ \t\r\n\u0301\u0316\u0344\u0345\u034f\u0f73\u200b\u2000\u00a0\u3000\ufeff\u0338<"
texts = st.text() | st.text(alphabet=TRICKY)


def test_text_is_trimmed_and_composed_and_has_lf_line_ends():
    assert clean_text(" \t Ame\u0301lie\r\nPoulain\rParis \n\u3000") == "Amélie\nPoulain\nParis"


@pytest.mark.parametrize(
    "character",
    ["\x00", "\x01", "\x0b", "\x0c", "\x1b", "\x1c", "\x1f", "\x7f", "\x80", "\x85", "\x9f"],
)
@pytest.mark.parametrize("place", ["{}film", "fi{}lm", "film{}"])
def test_control_characters_are_refused_wherever_they_stand(character, place):
    with pytest.raises(ControlCharacter, match=rf"U\+{ord(character):04X}"):
        clean_text(place.format(character))


@pytest.mark.parametrize("number", [0xD800, 0xDBFF, 0xDC00, 0xDFFF])
def test_lone_surrogates_are_refused(number):
    with pytest.raises(ControlCharacter):
        clean_text(f"a{chr(number)}b")


@pytest.mark.parametrize(
    "text", ["", "Dune", "a\tb\nc", "👩‍🚀 zero-width joiner", "\ue000 private"]
)
def test_ordinary_text_is_kept_to_the_letter(text):
    assert clean_text(text) == text


def test_every_control_character_but_tab_lf_and_cr_is_refused():
    controls = {chr(i) for i in range(0x110000) if unicodedata.category(chr(i)) in {"Cc", "Cs"}}

    for character in controls - set("\t\n\r"):
        with pytest.raises(ControlCharacter):
            clean_text(character)


@given(texts)
def test_cleaning_twice_changes_nothing(text):
    try:
        cleaned = clean_text(text)
    except ControlCharacter:
        return

    assert clean_text(cleaned) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert cleaned == cleaned.strip()


@given(st.text(alphabet=TRICKY))
def test_a_long_text_is_composed_like_a_short_one(text):
    long = "x" * 3_000 + text + "x"

    assert clean_text(long) == unicodedata.normalize(
        "NFC", long.replace("\r\n", "\n").replace("\r", "\n")
    )


@pytest.mark.parametrize("marks", ["\u0301" * 250_000 + "\u0316" * 250_000, "\u0f73" * 300_000])
def test_a_megabyte_of_disordered_marks_is_cleaned_quickly(marks):
    started = time.perf_counter()

    clean_text("a" + marks)

    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    "text",
    ["", " \t\n\u00a0\u3000", "\u200b", " \u00ad\ufeff \u2060", "\u3164", "\U000e0041\ufe0f"],
)
def test_white_space_and_invisible_characters_are_blank(text):
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", " . ", "\u200b8½\u200b", "\u0301", "👻"])
def test_a_character_that_can_be_seen_is_not_blank(text):
    assert not is_blank(text)


def test_invisible_characters_are_dropped_and_the_rest_is_kept():
    assert without_default_ignorables("Mo\u00advie\u200b \ufeffShelf\ufe0f") == "Movie Shelf"


def test_default_ignorables_are_counted_as_in_unicode_16():
    found = [chr(i) for i in range(0x110000) if not without_default_ignorables(chr(i))]

    assert len(found) == 4174  # the total given in DerivedCoreProperties.txt
