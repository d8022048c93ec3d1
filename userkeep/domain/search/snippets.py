"""Cut the part of a message that shows why it was found."""

from collections import Counter
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
    best, most = 0, 0
    within: Counter[str] = Counter()
    ahead = 0
    for span in found:
        reach = span.start + SNIPPET_LENGTH - _CONTEXT_BEFORE
        while ahead < len(found) and found[ahead].end <= reach:
            within += _count(found[ahead], terms)
            ahead += 1
        if len(within) > most:
            best, most = span.start, len(within)
        within -= _count(span, terms)
    start = max(0, min(best - _CONTEXT_BEFORE, len(content) - SNIPPET_LENGTH))
    if start == 0:
        return 0
    space = content.find(" ", start, best)
    return space + 1 if space >= 0 else start


def _count(span: TermSpan, terms: Set[str]) -> Counter[str]:
    return Counter(term for term in span.terms if term in terms)


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
