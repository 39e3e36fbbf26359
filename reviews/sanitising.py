"""Making plain text of what somebody sent as a review (contract section 5).

A review is plain text, and whoever shows it escapes it; taking markup out is for readers, and a
second line of defence for a client that forgets. So the rule is not "make this HTML harmless" but
"remove what an HTML parser takes for an element or a comment, and keep the rest to the letter":

- `&lt;b&gt;` stays as it was typed, since plain text has no entities;
- a `<` that no name, `/name`, `!--`, `!name`, `![` or `?name` follows is just a sign:
  `I <3 this`, `</3`, `<>`, `<!>`, `a < b`;
- `a <b` with no `>` in the rest of the text is kept: no element ever comes of it;
- a comment, script or style that is never closed runs to the end, as it does in a browser.

Why not nh3.clean()? It builds the tree of a page, where we only want to leave things out. It
escapes `&` and `<`, moves text out of tables, drops all that follows `a <b`, and its time is
quadratic: 16,000 nested <div> (80 kB) take 0.4 s, a body of 1 MiB takes a minute. Here markup is
found by the tokenising rules of the HTML standard (section 13.2.5), in linear time, and nh3's
tokeniser, which is a browser's, has the last word: if it still sees markup, every `<` goes.
"""

import re

import nh3

from movieshelf.api.text import clean_text

# What is left around removed markup may be markup again: `<scr<b></b>ipt>`. Nobody nests that
# twenty times by accident, and each round costs a walk through the text.
MAX_ROUNDS = 20

_OPENING = re.compile(r"<(?:/?(?P<name>[A-Za-z][^\t\n />]*+)|!--|![A-Za-z\[]|\?[A-Za-z])")
_TAG_OR_COMMENT = re.compile(r"<(?:/?[A-Za-z]|!--)")
# `<!-->` and `<!--->` are whole comments, and `--!>` ends one too.
_COMMENT_END = re.compile(r"(?<=<!--)-?>|--!?>")
_RAW_TEXT_END = {
    f"<{name}": re.compile(rf"</{name}(?=[\t\n />])[^>]*+>", re.IGNORECASE)
    for name in ("script", "style")
}
# What follows the name in a tag: attributes, up to the first `>` that no quoted value contains.
# A quote that is never closed quotes nothing. Possessive (`*+`), so nothing is tried twice.
_REST_OF_TAG = re.compile(
    r"""(?:
        [\t\n\ /]                                   # between attributes
      | [^\t\n\ />][^\t\n\ />=]*+                   # a name, which may even begin with =
        (?: [\t\n\ ]*+ = [\t\n\ ]*+
            (?: "[^"]*+" | '[^']*+' | [^"'\t\n\ >][^\t\n\ >]*+ )
        )?+
    )*+>""",
    re.VERBOSE,
)


def sanitise(content: str) -> str:
    """Give the plain text of a review: cleaned, without HTML elements and comments.

    `<br>` and the end of a paragraph become a line break; scripts and styles go with what is in
    them. Sanitising twice changes nothing.

    Raises ControlCharacter, as clean_text() does.
    """
    text = clean_text(content)
    for _ in range(MAX_ROUNDS):
        remaining = clean_text(_without_markup(text))
        if remaining == text:
            break
        text = remaining
    else:
        text = text.replace("<", "")
    if _has_markup(text):
        text = text.replace("<", "")
    return clean_text(text)


def _has_markup(text: str) -> bool:
    """Ask nh3's tokeniser whether a browser would still find a tag or a comment.

    It is asked from the first place where one could begin: it would call `</3 ... >` a comment.
    """
    opening = _TAG_OR_COMMENT.search(text)
    return opening is not None and nh3.is_html(text[opening.start() :])


def _without_markup(text: str) -> str:
    """Leave out elements and comments once, from left to right."""
    return _Remover(text).run()


class _Remover:
    """One walk through a text, with what has to be remembered on the way."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.last_gt = text.rfind(">")
        self.paragraph_is_open = False
        # Where one tag has no end outside quotes, looking for that of the next ones would take
        # quadratic time: from then on a tag ends at the next `>`.
        self.quotes_count = True

    def run(self) -> str:
        kept: list[str] = []
        position = 0
        # Beyond the last `>` no markup ends (and looking for its end each time would take quadratic
        # time); but a comment may begin there.
        while opening := _OPENING.search(self.text, position, self.last_gt + 1):
            kept += [self.text[position : opening.start()], self._replacement(opening)]
            position = self._end_of(opening)
        tail, _, _ = self.text[position:].partition("<!--")
        return "".join([*kept, tail])

    def _end_of(self, opening: re.Match[str]) -> int:
        if opening[0] == "<!--":
            return self._end_after(_COMMENT_END, opening.end())
        end = self._end_of_tag(opening)
        raw_text_end = _RAW_TEXT_END.get(opening[0].lower())
        return self._end_after(raw_text_end, end) if raw_text_end else end

    def _end_after(self, closing: re.Pattern[str], position: int) -> int:
        """Find the end of what has to be closed; unclosed, it runs to the end of the text."""
        found = closing.search(self.text, position, self.last_gt + 1)
        return found.end() if found else len(self.text)

    def _end_of_tag(self, opening: re.Match[str]) -> int:
        if opening["name"] and self.quotes_count:
            if rest := _REST_OF_TAG.match(self.text, opening.end()):
                return rest.end()
            self.quotes_count = False
        return self.text.index(">", opening.end()) + 1

    def _replacement(self, opening: re.Match[str]) -> str:
        """Break the line at <br>, and where a paragraph ends: at </p>, or at the next <p>."""
        match opening[0].lower():
            case "<br" | "</br":
                return "\n"
            case "</p":
                self.paragraph_is_open = False
                return "\n"
            case "<p":
                was_open, self.paragraph_is_open = self.paragraph_is_open, True
                return "\n" if was_open else ""
            case _:
                return ""
