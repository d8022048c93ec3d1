"""What the full-text index stores for a message: its terms, and how long it is."""

from collections.abc import Sequence
from typing import NamedTuple

from userkeep.domain.search.analyzer import Analyzer, indexed_part
from userkeep.domain.search.ranking import length_for_ranking
from userkeep.domain.search.speakers import speaker_name

MAX_ENTRY_BYTES = 1000 * 1024
"""The terms of one message together: PostgreSQL takes 1 MiB."""

SPEAKER_PREFIX = "@"
"""No text has a term with this character, so terms of speakers cannot be confused with others."""


class IndexEntry(NamedTuple):
    """What the index stores for a message.

    Attributes:
        terms: each once, separated by spaces. Those of the speaker's name come first.
        word_count: the number of words of the message, repetitions included.
    """

    terms: str
    word_count: int

    @property
    def length(self) -> int:
        """The length of the message as ranking uses it."""
        return length_for_ranking(self.word_count)


def make_entry(analyzer: Analyzer, name: str, role: str, content: str) -> IndexEntry:
    """Return the index entry of a message."""
    terms = analyzer.tokenize(indexed_part(content))
    speaker = speaker_name(name, role)
    of_speaker = [speaker_term(term) for term in analyzer.tokenize(speaker)] if speaker else []
    return IndexEntry(_joined([*of_speaker, *terms]), len(terms))


class IndexedText(NamedTuple):
    """What the entry of a message is made of."""

    name: str
    role: str
    content: str


def make_entries(analyzer: Analyzer, texts: Sequence[IndexedText]) -> list[IndexEntry]:
    """Return the index entries of messages."""
    return [make_entry(analyzer, *text) for text in texts]


def speaker_term(term: str) -> str:
    """Return the term that means: this term is in the name of the message's speaker."""
    return f"{SPEAKER_PREFIX}{term}"


def without_speaker_prefix(term: str) -> str:
    """Return a term of a speaker's name as the term that it is in a text."""
    return term.removeprefix(SPEAKER_PREFIX)


def _joined(terms: Sequence[str]) -> str:
    text = " ".join(dict.fromkeys(terms))
    if len(text) * 4 <= MAX_ENTRY_BYTES:
        return text
    cut = text.encode()[:MAX_ENTRY_BYTES].decode(errors="ignore")
    return text if len(cut) == len(text) else cut.rpartition(" ")[0]
