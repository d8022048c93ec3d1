"""A query as search understands it: which words to look for, who is named, and when.

Read in two steps, because only the index knows which of the words are names of somebody who has
spoken: first the words, then, with those names, the question.
"""

from collections.abc import Mapping

import msgspec

from userkeep.domain.message import Message
from userkeep.domain.search.analyzer import Words
from userkeep.domain.search.dates import NamedDate, named_dates
from userkeep.domain.search.ranking import DATE_WEIGHT, PARTICIPANT_WEIGHT, ROLE_WEIGHTS
from userkeep.domain.search.speakers import name_of


class Weight(msgspec.Struct):
    """What a message's score is multiplied with, and why.

    Attributes:
        participant: whom the query names, where they said it.
        date: what the query names, where it was said then.
        role_weight: that of its role type.
        total: of all three.
    """

    participant: str | None
    date: str | None
    role_weight: float
    total: float


class Question:
    """What is asked for.

    Attributes:
        words: as the index has them, each with what was written for it.
    """

    def __init__(
        self,
        query: str,
        asked: Mapping[str, str],
        names: Mapping[str, str],
        role_weights: Mapping[str, float],
        words: Words,
    ) -> None:
        """Read a query.

        Args:
            query: as it was written.
            asked: its words, from `Words.asked`.
            names: those of its words that are in somebody's name, each with one such name.
            role_weights: by role type, in place of those that ranking has.
        """
        self.words = {word: asked[word] for word in asked if word not in names} or dict(asked)
        # With two of them named, neither is more likely to have said it.
        self._named = frozenset(names) if len(set(names.values())) == 1 else frozenset()
        self._dates = named_dates(query, words.language)
        self._role_weights = {**ROLE_WEIGHTS, **role_weights}
        self._make_words = words

    @property
    def heaviest(self) -> float:
        """The greatest weight that any message can have."""
        role = max(1.0, *self._role_weights.values())
        participant = PARTICIPANT_WEIGHT if self._named else 1.0
        return role * participant * (DATE_WEIGHT if self._dates else 1.0)

    def weigh(self, message: Message) -> Weight:
        """What a message weighs, whatever its words."""
        participant = self._participant(message)
        date = self._date(message)
        role_weight = self._role_weights.get(message.role_type, 1.0)
        total = role_weight * (PARTICIPANT_WEIGHT if participant else 1.0)
        total *= DATE_WEIGHT if date else 1.0
        return Weight(participant, date.written if date else None, role_weight, total)

    def _participant(self, message: Message) -> str | None:
        if not self._named:
            return None
        name = name_of(message.role, message.role_type)
        is_named = name is not None and self._named <= set(self._make_words.of(name))
        return name if is_named else None

    def _date(self, message: Message) -> NamedDate | None:
        meant = (each for each in self._dates if each.is_meant(message.created_at))
        return next(meant, None)
