import html
import re
import time

import nh3
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from movieshelf.api.text import ControlCharacter, clean_text
from reviews.sanitising import sanitise

PIECES = [
    *"<>/!-?=&;3ab \n\"'",
    *("<b>", "</b>", "<br>", "<p>", "</p>", "<!--", "-->", "--!>", "<!", "<?", "</", "<![CDATA["),
    *("<script>", "</script", "</script>", "<STYLE ", "</style>", "<img src=x onerror=alert(1)>"),
    *('<a href="', "<a b='", "<scr", "ipt>", "&lt;", "&gt;", "&amp;", "&#60;", "\u0338", "\u212a"),
    *("<table>", "<textarea>", "<title>", "<plaintext>", "<svg>", "<math>", "<noscript>"),
]
puzzles = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)
contents = puzzles | st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"]))


@pytest.mark.parametrize(
    "text",
    [
        "I <3 this",
        "</3",
        "<>",
        "</>",
        "a < b",
        "5 > 4 & more",
        "a <b",
        "so <wrong\nand never closed",
        "-> <- <-> <--> <=> >_< <!> <?> <'",
        "1<2>0, x<=y",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&amp;amp; &nbsp; &copy; &#60;b&#62; AT&T",
        "rock & roll -->",
        "]]> --!>",
        "</3 to everyone who liked it >:(",
        "wow <!important",
        "two\n\nparagraphs\tand a tab",
    ],
)
def test_text_that_only_looks_like_markup_is_kept_to_the_letter(text):
    assert sanitise(text) == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<b>Great</b> film", "Great film"),
        ("<B CLASS=x>Great</B\n> film", "Great film"),
        ("a<br>b<br/>c<BR />d</br>e", "a\nb\nc\nd\ne"),
        ("<p>one</p><p>two</p>", "one\ntwo"),
        ("<p>one<p>two", "one\ntwo"),
        ("<pre>one</pre>two", "onetwo"),
        ("one<!-- not this -->two", "onetwo"),
        ("one<!-->two<!--->three<!-- - -- --!>four", "onetwothreefour"),
        ("one<!-- never closed <b>two</b>", "one"),
        ("<!DOCTYPE html><?xml version='1.0'?><![CDATA[one]]>", ""),
        ("one<script>alert('<b>')</script>two", "onetwo"),
        ("one<SCRIPT type='x>'>if (a < b) {}</ScRiPt foo>two", "onetwo"),
        ("one<script/>two</scripts>three</script/>four", "onefour"),
        ("one<style>p > a { color: red }</style>two", "onetwo"),
        ("one<script>two", "one"),
        ("one<script>two</script", "one"),
        ("<scripted>one</scripted>", "one"),
        ("<img src=x onerror=alert(1)>one", "one"),
        ("<a title='a > b' href=\"x>y\">one</a>", "one"),
        ("<a title=a'b>one</a>", "one"),
        ('<a title="never closed>one</a>', "one"),
        ('<a ="x>y">one', 'y">one'),
        ("<svg/onload=alert(1)>one", "one"),
        ("<x-film>one</x-film>", "one"),
        ("<table>one<tr>two<td>three</table>", "onetwothree"),
        ("<textarea><b>one</b></textarea><plaintext>two", "onetwo"),
        ("<b>I <3 this, 5 > 4 & more</b>", "I <3 this, 5 > 4 & more"),
        ("<scr<b></b>ipt>alert(1)</script>", "ipt>alert(1)"),
        ("<<b>script>alert(1)</script>one", ""),
        ("<<b>b>one</b>", "one"),
        ("<<!-- -->b>one", "one"),
        ("<\u212a>one", "one"),
        ("  <b> one </b>\r\n<i></i> ", "one"),
        ("<b></b>", ""),
    ],
)
def test_elements_and_comments_are_removed(content, text):
    assert sanitise(content) == text
    assert sanitise(text) == text


def test_markup_nested_beyond_reason_loses_every_sign():
    content = "<" * 100 + "b>" * 100 + " <3"

    assert "<" not in sanitise(content)


def test_control_characters_are_refused():
    with pytest.raises(ControlCharacter):
        sanitise("<b\x00>")


@given(contents)
@example("<<<b>b>b>")
@example("<\u0338b>")
def test_sanitising_twice_changes_nothing(content):
    text = sanitise(content)

    assert sanitise(text) == text
    assert clean_text(text) == text


@given(contents)
def test_a_browser_finds_no_element_in_a_sanitised_text(content):
    text = sanitise(content)

    # To an HTML parser `</3>`, `<!>` and `<?>` are empty comments; the contract keeps them.
    assert not nh3.is_html(re.sub(r"<(?!/?[A-Za-z]|!--)", "&lt;", text))
    # A sloppier parser than a browser's, one that knows no quotes, finds none either.
    assert re.search(r"</?[A-Za-z][^>]*>|<!--", text) is None


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="<")))
def test_text_without_a_less_than_sign_is_kept_to_the_letter(text):
    assert sanitise(text) == clean_text(text)


@given(
    st.recursive(
        st.text(alphabet="ab 3&>'\"=é", min_size=1).map(html.escape),
        lambda inner: st.tuples(
            st.sampled_from(["b", "div", "a", "span", "li"]),
            st.sampled_from(["", ' title="a > b"', " title='<i>'", " x=1 y", " title=a'b"]),
            st.lists(inner, max_size=4).map("".join),
        ).map(lambda parts: "<{0}{1}>{2}</{0}>".format(*parts)),
    )
)
def test_well_formed_markup_leaves_the_text_that_nh3_leaves(content):
    # nh3 writes the text as HTML; ours is plain text, where an entity is kept as it was typed.
    assert html.unescape(sanitise(content)) == html.unescape(nh3.clean(content, tags=set())).strip()


@pytest.mark.parametrize(
    "unit",
    [
        "<",
        "<<b>b>",
        "<b>",
        "<div>",
        "<b",
        "<a b='",
        '<a b=">" c=',
        "<a b=c ",
        "<!--",
        "<!-- -->",
        "<script>",
        "<script></script ",
        "</script ",
        "<style></",
        "<p>x",
        "&",
        "a =",
        "<!x",
        "<![",
    ],
)
@pytest.mark.parametrize("end", ["", ">", "'\">"])
def test_a_megabyte_of_anything_is_sanitised_in_linear_time(unit, end):
    content = unit * (1_000_000 // len(unit)) + end
    started = time.perf_counter()

    sanitise(content)

    assert time.perf_counter() - started < 5


def test_a_megabyte_of_nested_halves_is_sanitised_in_linear_time():
    started = time.perf_counter()

    assert "<" not in sanitise("<" * 330_000 + "b>" * 330_000)

    assert time.perf_counter() - started < 5
