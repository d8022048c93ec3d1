"""Parse a query: which terms to search for, which speaker it names, and which dates.

It takes two steps, because only the index knows which of the terms are names of speakers: first the
terms, then, with those names, the parsed query.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from userkeep.domain.search.analyzer import Analyzer
from userkeep.domain.search.dates import NamedDate, find_dates
from userkeep.domain.search.ranking import DATE_WEIGHT, ROLE_WEIGHTS, SPEAKER_WEIGHT
from userkeep.domain.search.speakers import speaker_name
from userkeep.domain.values.times import Instant


class Weighed(Protocol):
    """What the weight of a message depends on."""

    name: str
    role: str
    created_at: Instant


class MessageWeight(msgspec.Struct):
    """What a message's score is multiplied by, and why.

    Attributes:
        participant: the speaker that the query names, for a message of this speaker.
        date: the date that the query names, for a message of that time.
        role_weight: the weight of its role.
        total: the product of all three weights.
    """

    participant: str | None
    date: str | None
    role_weight: float
    total: float


class ParsedQuery:
    """What a query asks for.

    Attributes:
        terms: to search for, each with the word of the query that it stands for.
    """

    def __init__(
        self,
        query: str,
        query_terms: Mapping[str, str],
        names: Mapping[str, str],
        role_weights: Mapping[str, float],
        analyzer: Analyzer,
    ) -> None:
        """Parse a query.

        Args:
            query: the text.
            query_terms: its terms, from `Analyzer.query_terms`.
            names: those of its terms that are in a speaker's name, each with one such name.
            role_weights: by role, instead of the default weights.
            analyzer: of the instance's language.
        """
        without_names = {term: query_terms[term] for term in query_terms if term not in names}
        self.terms = without_names or dict(query_terms)
        # A query that names two speakers prefers neither.
        self._speaker_terms = frozenset(names) if len(set(names.values())) == 1 else frozenset()
        self._dates = find_dates(query, analyzer.language)
        self._role_weights = {**ROLE_WEIGHTS, **role_weights}
        self._analyzer = analyzer

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
        is_named = name is not None and self._speaker_terms <= set(self._analyzer.tokenize(name))
        return name if is_named else None

    def _matching_date(self, message: Weighed) -> NamedDate | None:
        matching = (each for each in self._dates if each.matches(message.created_at))
        return next(matching, None)
