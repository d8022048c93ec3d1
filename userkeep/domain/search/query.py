"""Parse a query: which terms to search for, which speakers it names, and which dates.

A name adds weight to what its speaker said, and stays a word like any other. It takes two steps,
because only the index knows which of the terms are in names at all: first the terms, then, with
those in names, the parsed query. Without a name, no message has to be read for its speaker.
"""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Protocol

import msgspec

from userkeep.domain.search.analyzer import Analyzer
from userkeep.domain.search.dates import NamedDate, find_dates
from userkeep.domain.search.ranking import DATE_WEIGHT, ROLE_WEIGHTS, SPEAKER_WEIGHT
from userkeep.domain.search.speakers import speaker_name
from userkeep.domain.search.web_syntax import Part, parse_web
from userkeep.domain.values.times import Instant

STAR = "*"
"""No term has this character, so at its end it can mean: and all terms that begin like this."""

_POSSESSIVE = re.compile("['\u2019]s\\b")


class Weighed(Protocol):
    """What the weight of a message depends on."""

    name: str
    role: str
    created_at: Instant


class MessageWeight(msgspec.Struct):
    """What a message's score is multiplied by, and why.

    Attributes:
        participant: the speaker of the message, if the query has a word of the name.
        date: the date that the query names, for a message of that time.
        role_weight: the weight of its role.
        total: the product of all three weights.
    """

    participant: str | None
    date: str | None
    role_weight: float
    total: float


Alternatives = Sequence[str]
"""Terms with spaces before and after, as they are in a reading of a text: any of them is enough."""


class QueryWords(msgspec.Struct, frozen=True):
    """The words of a query.

    Attributes:
        text: the query, without what is excluded.
        terms: to search for, each with the word of the query that it stands for. One that ends with
            a star stands for all terms that begin like this.
        required_terms: those that each hit has.
        excluded_terms: those that no hit has.
        required, excluded: what else each hit has, and no hit has. Only the texts show it.
    """

    text: str
    terms: Mapping[str, str]
    required_terms: frozenset[str] = frozenset()
    excluded_terms: Sequence[str] = ()
    required: Sequence[Alternatives] = ()
    excluded: Sequence[Alternatives] = ()

    @property
    def beginnings(self) -> tuple[str, ...]:
        """The beginnings among the terms."""
        return tuple(term.removesuffix(STAR) for term in self.terms if term.endswith(STAR))

    @property
    def whole_terms(self) -> list[str]:
        """The other terms."""
        return [term for term in self.terms if not term.endswith(STAR)]

    def allow(self, readings: Sequence[str]) -> bool:
        """Whether a text with these readings has what is required, and nothing that is excluded."""
        return all(_has(readings, each) for each in self.required) and not any(
            _has(readings, each) for each in self.excluded
        )


def _has(readings: Sequence[str], alternatives: Alternatives) -> bool:
    return any(each in reading for reading in readings for each in alternatives)


def plain_words(query: str, analyzer: Analyzer) -> QueryWords:
    """Return the words of a text."""
    return QueryWords(query, analyzer.query_terms(query))


def web_words(query: str, analyzer: Analyzer) -> QueryWords:
    """Return the words of a query in the web syntax."""
    parts = parse_web(query)
    wanted = [part for part in parts if not part.is_excluded]
    phrases = [part.text for part in wanted if part.kind == "phrase"]
    beginnings = {
        term: f"{part.text}{STAR}"
        for part in wanted
        if part.kind == "beginning"
        for term in _terms_of_beginning(part.text, analyzer)
    }
    text = " ".join(part.text for part in wanted if not _is_beginning(part, analyzer))
    terms = beginnings | analyzer.query_terms(text)
    required_terms = {term for each in phrases for term in _required_terms(each, analyzer)}
    required = [_alternatives(phrase, analyzer) for phrase in phrases]
    excluded = [_excluded(part, analyzer) for part in parts if part.is_excluded]
    indexed = [each for each in excluded if all(map(_term, each))]
    return QueryWords(
        text,
        terms,
        frozenset(required_terms & terms.keys()),
        [term for alternatives in indexed for each in alternatives if (term := _term(each))],
        [each for each in required if each and not _is_in(each, required_terms & terms.keys())],
        [each for each in excluded if each not in indexed],
    )


def _term(alternative: str) -> str | None:
    """Return the term of the index for an alternative; None: it is of several terms."""
    term = alternative.strip()
    if " " in term:
        return None
    return term if alternative.endswith(" ") else f"{term}{STAR}"


def _is_in(alternatives: Alternatives, terms: Set[str]) -> bool:
    return len(alternatives) == 1 and _term(alternatives[0]) in terms


def _is_beginning(part: Part, analyzer: Analyzer) -> bool:
    return part.kind == "beginning" and analyzer.beginning(part.text) is not None


def _terms_of_beginning(text: str, analyzer: Analyzer) -> Iterator[str]:
    beginning = analyzer.beginning(text)
    if beginning is not None:
        start, others = beginning
        yield f"{start}{STAR}"
        yield from sorted(others)


def _required_terms(phrase: str, analyzer: Analyzer) -> Set[str]:
    # With two readings, a message may have the terms of either.
    return analyzer.query_terms(phrase).keys() if len(analyzer.readings(phrase)) == 1 else set()


def _alternatives(text: str, analyzer: Analyzer) -> Alternatives:
    return [reading for reading in analyzer.readings(text) if not reading.isspace()]


def _excluded(part: Part, analyzer: Analyzer) -> Alternatives:
    beginning = analyzer.beginning(part.text) if part.kind == "beginning" else None
    if beginning is None:
        return _alternatives(part.text, analyzer)
    start, others = beginning
    return [f" {start}", *(f" {term} " for term in sorted(others))]


class ParsedQuery:
    """What a query asks for.

    Attributes:
        words: to search for.
        speaker_counts: those of their terms that are in speakers' names, and of how many messages.
    """

    def __init__(
        self,
        words: QueryWords,
        speaker_counts: Mapping[str, int],
        role_weights: Mapping[str, float],
        analyzer: Analyzer,
    ) -> None:
        """Parse a query.

        Args:
            words: those of the query.
            speaker_counts: those of its terms that are in speakers' names, with their messages.
            role_weights: by role, instead of the default weights.
            analyzer: of the instance's language.
        """
        self.words = words
        self.speaker_counts = speaker_counts
        self._speaker_terms = frozenset(speaker_counts)
        self._dates = find_dates(words.text, analyzer.language)
        self._role_weights = {**ROLE_WEIGHTS, **role_weights}
        self._analyzer = analyzer

    @property
    def text_to_embed(self) -> str:
        """The text whose meaning is searched for; empty if there is none.

        Names of speakers are left out, unless nothing else is left: they are in few messages, so
        they would draw the embedding away from what is asked.
        """
        words = self.words
        if not words.terms:
            return ""
        text = words.text
        if words.terms.keys() - self._speaker_terms:
            text = _without_terms(text, self._speaker_terms, self._analyzer)
        return " ".join(text.split())

    @property
    def max_weight(self) -> float:
        """The greatest weight that any message can have."""
        role = max(1.0, *self._role_weights.values())
        speaker = SPEAKER_WEIGHT if self._speaker_terms else 1.0
        return role * speaker * (DATE_WEIGHT if self._dates else 1.0)

    def weigh(self, message: Weighed) -> MessageWeight:
        """Return the weight of a message, which does not depend on its terms."""
        participant = self._named_speaker(message)
        date = self._matching_date(message)
        role_weight = self._role_weights.get(message.role, 1.0)
        total = role_weight * (SPEAKER_WEIGHT if participant else 1.0)
        total *= DATE_WEIGHT if date else 1.0
        return MessageWeight(participant, date.text if date else None, role_weight, total)

    def _named_speaker(self, message: Weighed) -> str | None:
        if not self._speaker_terms:
            return None
        name = speaker_name(message.name, message.role)
        if name is None or self._speaker_terms.isdisjoint(self._analyzer.tokenize(name)):
            return None
        return name

    def _matching_date(self, message: Weighed) -> NamedDate | None:
        matching = (each for each in self._dates if each.matches(message.created_at))
        return next(matching, None)


def _without_terms(text: str, terms: Set[str], analyzer: Analyzer) -> str:
    """Return a text without the words of these terms, and without the `'s` after one."""
    kept, end = [], 0
    for span in analyzer.find_terms(text, terms):
        kept.append(text[end : span.start])
        end = max(end, span.end)
        possessive = _POSSESSIVE.match(text, end)
        if possessive:
            end = possessive.end()
    return "".join((*kept, text[end:]))
