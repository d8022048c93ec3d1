"""The syntax of queries that people know from search engines: "phrases", -excluded words, begin*.

Any text is legal. What is not an operator is plain text: a quote without a second one, a minus or a
star alone, and every operator after the first ones.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

MAX_OPERATORS = 32
"""Each of them is compared with the text of each candidate."""

_QUOTES = str.maketrans("“”„‟", '""""')
_PART = re.compile(r'(?P<minus>(?<!\S)-(?=[^\s-]))?(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+|"))')
_STAR = "*"

Kind = Literal["text", "phrase", "beginning"]


class Part(NamedTuple):
    """A part of a query.

    Attributes:
        kind: plain text, words that are next to each other, or the beginning of a word. The last
            word of a beginning is not complete.
        text: without the characters of the syntax.
        is_excluded: whether no hit may have it.
    """

    kind: Kind
    text: str
    is_excluded: bool = False


def parse_web(query: str) -> list[Part]:
    """Return the parts of a query, in their order."""
    parts: list[Part] = []
    operators = 0
    for part in _parts(query.translate(_QUOTES)):
        is_operator = part.kind != "text" or part.is_excluded
        operators += is_operator
        parts.append(Part("text", part.text) if operators > MAX_OPERATORS else part)
    return parts


def _parts(query: str) -> Iterator[Part]:
    for match in _PART.finditer(query):
        is_excluded = match["minus"] is not None
        phrase = match["phrase"]
        if phrase is not None:
            yield Part("phrase", phrase, is_excluded)
        elif _is_beginning(match["word"]):
            yield Part("beginning", match["word"][:-1], is_excluded)
        else:
            yield Part("text", match["word"], is_excluded)


def _is_beginning(word: str) -> bool:
    return len(word) > 1 and word[-1] == _STAR and word[-2] != _STAR
