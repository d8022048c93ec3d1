"""How good a search is: store conversations, search for questions, and compare what is found with
the messages that hold the answer.

`make recall` does this with large conversations of others, `tests/recall` with small ones of ours.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from math import log2
from statistics import mean
from typing import NamedTuple

from userkeep import NewMessage, Userkeep
from userkeep.domain.message import Role
from userkeep.domain.search.meaning import SearchMode

LIMIT = 20
"""How many messages each search returns: the most that a metric looks at."""

_APART = timedelta(seconds=20)
_MAX_MESSAGES = 1000

Position = tuple[str, int]
"""Where a message is: the id of its session, its `seq`."""


class Turn(NamedTuple):
    """A message; questions refer to it by its key."""

    key: str
    name: str
    role: Role
    content: str


class Session(NamedTuple):
    """The messages of one session, and when it began."""

    began_at: datetime
    turns: Sequence[Turn]


class Question(NamedTuple):
    """A question, its kind, and the keys of the messages that together answer it."""

    text: str
    kind: str
    evidence: frozenset[str]


class Conversation(NamedTuple):
    """Sessions of one user, and questions about them."""

    name: str
    sessions: Sequence[Session]
    questions: Sequence[Question]

    @property
    def messages(self) -> int:
        """The number of messages."""
        return sum(len(session.turns) for session in self.sessions)


class Result(NamedTuple):
    """A question, the positions of its evidence, and those of the messages found, best first."""

    question: Question
    evidence: frozenset[Position]
    ranked: Sequence[Position]


def append(client: Userkeep, conversation: Conversation, user_id: str) -> dict[str, Position]:
    """Append a conversation's messages as a user's; return the position of each by its key."""
    positions: dict[str, Position] = {}
    for number, session in enumerate(conversation.sessions, 1):
        session_id = f"{user_id}-{number}"
        for first in range(0, len(session.turns), _MAX_MESSAGES):
            turns = session.turns[first : first + _MAX_MESSAGES]
            new = list(_messages(turns, session.began_at + first * _APART))
            appended = client.message.add(session_id, new, user_id=user_id)
            for turn, message in zip(turns, appended, strict=True):
                positions[turn.key] = (session_id, message.seq)
    return positions


def search(
    client: Userkeep,
    questions: Sequence[Question],
    user_id: str,
    positions: Mapping[str, Position],
    mode: SearchMode = "auto",
) -> Iterator[Result]:
    """Search a user's messages for each question, in the question's own words."""
    for question in questions:
        hits = client.search(question.text, user_id=user_id, limit=LIMIT, mode=mode)
        assert hits.degraded is None, hits.degraded
        ranked = [(hit.message.session_id, hit.message.seq) for hit in hits]
        assert len(set(ranked)) == len(ranked) <= LIMIT, hits
        yield Result(question, frozenset(positions[key] for key in question.evidence), ranked)


def recall(result: Result, at: int) -> float:
    """The share of the evidence among the first messages found."""
    return len(result.evidence.intersection(result.ranked[:at])) / len(result.evidence)


def hit(result: Result, at: int) -> float:
    """1 if any of the evidence is among the first messages found, otherwise 0."""
    return float(not result.evidence.isdisjoint(result.ranked[:at]))


def ndcg(result: Result, at: int) -> float:
    """How high the evidence ranks among the first messages found: 1 is the best order."""
    gained = sum(
        _gain(rank)
        for rank, position in enumerate(result.ranked[:at])
        if position in result.evidence
    )
    return gained / sum(map(_gain, range(min(len(result.evidence), at))))


METRICS: dict[str, Callable[[Result], float]] = {
    **{f"recall@{at}": partial(recall, at=at) for at in (1, 5, 10, 20)},
    "hit@10": partial(hit, at=10),
    "nDCG@10": partial(ndcg, at=10),
}
"""What is reported of a search, by name: a mean over questions, in percent (see `metrics`)."""


def metrics(results: Sequence[Result]) -> dict[str, float]:
    """Each of METRICS. All questions weigh the same, however much evidence they have."""
    return {name: 100 * mean(map(metric, results)) for name, metric in METRICS.items()}


def _messages(turns: Sequence[Turn], began_at: datetime) -> Iterator[NewMessage]:
    for place, turn in enumerate(turns):
        yield NewMessage(
            role=turn.role,
            name=turn.name,
            content=turn.content,
            created_at=began_at + place * _APART,
        )


def _gain(rank: int) -> float:
    return 1 / log2(rank + 2)
