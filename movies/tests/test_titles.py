import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from movies.titles import MAX_KEY_BYTES, search_fold, title_key

# Letters with and without a decomposition, ligatures, marks, invisible characters, spaces.
TRICKY = "aAeEéÅÅſßẞłŁøæœþđﬁǅΣςσᾳΐİıKﷺ가Ⅳ①ÿ¨´ \t\n\u00a0\u3000\u0301\u0345\u0323\u034f\u200b\u0338"
titles = st.text(max_size=40) | st.text(alphabet=TRICKY, max_size=20)

# But for the unassigned, private and surrogate ones, which no rule changes.
EVERY_CHARACTER = [
    chr(i) for i in range(0x110000) if unicodedata.category(chr(i)) not in {"Cn", "Co", "Cs"}
]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Amélie", " AMÉLIE "),
        ("Amélie", "Ame\u0301lie"),
        ("Straße", "STRASSE"),
        ("ﬁlm", "film"),
        ("Dune", "Ｄｕｎｅ"),
        ("8½", "81⁄2"),
        ("Blade Runner", "Blade\u00a0 \tRunner"),
        ("Blade Runner", "Blade\u200b Run\u00adner\ufeff"),
        ("Amélie", "Ame\u034f\u0301lie"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("가", "\u1100\u1161"),
    ],
)
def test_titles_that_read_the_same_are_the_same(one, other):
    assert title_key(one) == title_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Amelie", "Amélie"), ("Dune", "Dune (2021)"), ("M", "M!"), ("Alien", "Aliens"), ("Ł", "L")],
)
def test_titles_that_read_differently_differ(one, other):
    assert title_key(one) != title_key(other)


@pytest.mark.parametrize("character", ["ﷺ", "㌖", "\U0001d15e"])
def test_a_key_always_fits_an_index_entry(character):
    title = character * 200

    assert len(title_key(title).encode()) <= MAX_KEY_BYTES
    assert title_key(title) != title_key(title[:-1])
    assert title_key(title_key(title)) == title_key(title)


def test_the_longest_ordinary_title_is_not_hashed():
    assert title_key("𝟠" * 200) == "8" * 200
    assert title_key("👻" * 200) == "👻" * 200


@given(titles)
def test_the_key_of_a_key_is_itself(title):
    key = title_key(title)

    assert title_key(key) == key


@given(titles)
def test_the_key_knows_no_case_no_normal_form_and_no_outer_space(title):
    # The Greek iota subscript casefolds to a letter, so its order among the marks begins to matter.
    assume("\u0345" not in unicodedata.normalize("NFKD", title))
    key = title_key(title)

    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert title_key(unicodedata.normalize(form, title)) == key
    assert title_key(title.casefold()) == key
    assert title_key(f" {title}\n") == key


@given(titles)
def test_the_key_knows_no_invisible_characters(title):
    assert title_key("\u200b".join(title)) == title_key("".join(title))


def test_no_single_character_has_an_unstable_key():
    assert [c for c in EVERY_CHARACTER if title_key(title_key(c)) != title_key(c)] == []


@pytest.mark.parametrize(
    ("title", "query"),
    [
        ("Amélie", "amelie"),
        ("Amelie", "AMÉL"),
        ("Sátántangó", "satantango"),
        ("Zatōichi", "toichi"),
        ("Œuvre", "oeuv"),
        ("Ærø", "aero"),
        ("Þór", "thor"),
        ("Straße", "strass"),
        ("STRASSE", "straße"),
        ("Miłość w Łodzi", "milosc w lodzi"),
        ("Đường", "duong"),
        ("İstanbul", "istanbul"),
        ("8½", "8 1⁄2".replace(" ", "")),
        ("ﬁlm", "film"),
        ("100% Wolf_\\", "% wolf_\\"),
        ("Blade\u00a0 Runner", "blade runner"),
        ("Blade Runner", "blade "),
        ("Run\u00adner", "runner"),
    ],
)
def test_a_query_finds_a_title_without_case_and_accents(title, query):
    assert search_fold(query) in search_fold(title)


@pytest.mark.parametrize(
    ("title", "query"), [("Alien", "aliens"), ("Up", "u p"), ("Blade Runner", "bladerunner")]
)
def test_a_query_does_not_find_another_title(title, query):
    assert search_fold(query) not in search_fold(title)


@given(titles)
def test_folding_twice_changes_nothing(title):
    folded = search_fold(title)

    assert search_fold(folded) == folded


@given(titles, st.integers(0, 40), st.integers(0, 40))
def test_every_substring_of_a_title_finds_it(title, start, length):
    query = title[start : start + length]

    assert search_fold(query) in search_fold(title)


@given(titles, titles)
def test_two_texts_fold_together_as_they_fold_apart(left, right):
    assert search_fold(left + right) == search_fold(search_fold(left) + search_fold(right))


@given(titles)
def test_titles_that_are_the_same_are_found_by_the_same_queries(title):
    # The same subscript is a mark for searching, and a letter once casefolded.
    assume("\u0345" not in unicodedata.normalize("NFKD", title))

    assert search_fold(title_key(title)).strip() == search_fold(title).strip()


def test_no_single_character_folds_further_when_folded_again():
    assert [c for c in EVERY_CHARACTER if search_fold(search_fold(c)) != search_fold(c)] == []


def test_only_marks_are_ever_reordered_and_marks_are_dropped():
    """Why folding is the same character by character: NFKD moves nothing that remains."""
    moved = [c for c in EVERY_CHARACTER if unicodedata.combining(c)]

    assert [c for c in moved if not unicodedata.category(c).startswith("M")] == []
