"""The part of a message that shows why it was found."""

from collections import Counter
from collections.abc import Set
from typing import NamedTuple

from userkeep.domain.search.analyzer import Piece, Words, indexed_part

SNIPPET_LENGTH = 240
"""Code points, the signs that stand for what was left out not counted."""

_BEFORE = 40
_LEFT_OUT = "…"


class Mark(NamedTuple):
    """A matched word in a snippet: code points of its text, `end` exclusive."""

    start: int
    end: int


class Snippet(NamedTuple):
    """A part of a content, and where in it the words are that were asked for."""

    text: str
    marks: list[Mark]


def snippet_of(content: str, wanted: Set[str], words: Words) -> Snippet:
    """The part of a content with the most of the wanted words; its beginning where it has none.

    Args:
        wanted: words as the index has them.
    """
    found = list(words.places(indexed_part(content), wanted)) if wanted else []
    start = 0 if len(content) <= SNIPPET_LENGTH else _start(content, found, wanted)
    end = _end(content, start)
    before = _LEFT_OUT if start else ""
    after = _LEFT_OUT if end < len(content) else ""
    moved = len(before) - start
    marks = [
        Mark(piece.start + moved, piece.end + moved)
        for piece in found
        if piece.start >= start and piece.end <= end
    ]
    return Snippet(f"{before}{content[start:end]}{after}", _joined(marks))


def _start(content: str, found: list[Piece], wanted: Set[str]) -> int:
    """Where the part begins: a little before the word from which on most of them follow."""
    best, most = 0, 0
    within: Counter[str] = Counter()
    ahead = 0
    for piece in found:
        reach = piece.start + SNIPPET_LENGTH - _BEFORE
        while ahead < len(found) and found[ahead].end <= reach:
            within += _count(found[ahead], wanted)
            ahead += 1
        if len(within) > most:
            best, most = piece.start, len(within)
        within -= _count(piece, wanted)
    start = max(0, min(best - _BEFORE, len(content) - SNIPPET_LENGTH))
    if start == 0:
        return 0
    space = content.find(" ", start, best)
    return space + 1 if space >= 0 else start


def _count(piece: Piece, wanted: Set[str]) -> Counter[str]:
    return Counter(word for word in piece.words if word in wanted)


def _end(content: str, start: int) -> int:
    end = start + SNIPPET_LENGTH
    if end >= len(content):
        return len(content)
    space = content.rfind(" ", start + SNIPPET_LENGTH // 2, end)
    return space if space >= 0 else end


def _joined(marks: list[Mark]) -> list[Mark]:
    """Without overlaps, as the pairs of unspaced scripts have them."""
    joined: list[Mark] = []
    for mark in sorted(marks):
        if joined and mark.start < joined[-1].end:
            joined[-1] = Mark(joined[-1].start, max(mark.end, joined[-1].end))
        else:
            joined.append(mark)
    return joined
