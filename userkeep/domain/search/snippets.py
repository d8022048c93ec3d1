"""Cut the part of a message that shows why it was found."""

from collections.abc import Set
from typing import NamedTuple

from userkeep.domain.search.analyzer import Analyzer, TermSpan, indexed_part

SNIPPET_LENGTH = 240
"""In code points, without the ellipses."""

_CONTEXT_BEFORE = 40
_ELLIPSIS = "…"


class Mark(NamedTuple):
    """Where a matched word is in a snippet, in code points; `end` is exclusive."""

    start: int
    end: int


class Snippet(NamedTuple):
    """A part of a message's content, and where the matched words are in it."""

    text: str
    marks: list[Mark]


def make_snippet(content: str, terms: Set[str], analyzer: Analyzer) -> Snippet:
    """Return the part of a content with most of the terms, or its beginning if it has none."""
    found = list(analyzer.find_terms(indexed_part(content), terms)) if terms else []
    start = 0 if len(content) <= SNIPPET_LENGTH else _start(content, found, terms)
    end = _end(content, start)
    before = _ELLIPSIS if start else ""
    after = _ELLIPSIS if end < len(content) else ""
    shift = len(before) - start
    marks = [
        Mark(span.start + shift, span.end + shift)
        for span in found
        if span.start >= start and span.end <= end
    ]
    return Snippet(f"{before}{content[start:end]}{after}", _joined(marks))


def _start(content: str, found: list[TermSpan], terms: Set[str]) -> int:
    """Return where the snippet begins: a little before the span that most other terms follow."""
    best, most, ahead = 0, 0, 0
    window = _Window(terms)
    for span in found:
        reach = span.start + SNIPPET_LENGTH - _CONTEXT_BEFORE
        while ahead < len(found) and found[ahead].end <= reach:
            window.add(found[ahead])
            ahead += 1
        if len(window) > most:
            best, most = span.start, len(window)
        window.remove(span)
    start = max(0, min(best - _CONTEXT_BEFORE, len(content) - SNIPPET_LENGTH))
    if start == 0:
        return 0
    space = content.find(" ", start, best)
    return space + 1 if space >= 0 else start


class _Window:
    """The terms in a part of a text; its length is how many different ones there are."""

    def __init__(self, terms: Set[str]) -> None:
        self._terms = terms
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, span: TermSpan) -> None:
        for term in span.terms:
            if term in self._terms:
                self._counts[term] = self._counts.get(term, 0) + 1

    def remove(self, span: TermSpan) -> None:
        for term in span.terms:
            count = self._counts.get(term, 0)
            if count > 1:
                self._counts[term] = count - 1
            elif count:
                del self._counts[term]


def _end(content: str, start: int) -> int:
    end = start + SNIPPET_LENGTH
    if end >= len(content):
        return len(content)
    space = content.rfind(" ", start + SNIPPET_LENGTH // 2, end)
    return space if space >= 0 else end


def _joined(marks: list[Mark]) -> list[Mark]:
    """Join marks that overlap, as the pairs of unspaced scripts do."""
    joined: list[Mark] = []
    for mark in sorted(marks):
        if joined and mark.start < joined[-1].end:
            joined[-1] = Mark(joined[-1].start, max(mark.end, joined[-1].end))
        else:
            joined.append(mark)
    return joined
