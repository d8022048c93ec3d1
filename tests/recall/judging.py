"""How good a search is: conversations are told, questions asked, and what comes is compared with
the messages that hold the answer.

`make recall` uses this too, on larger conversations.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from math import log2
from statistics import mean
from typing import NamedTuple

from tests.ways import Way

LIMIT = 20
"""How many messages are asked for: as many as any figure looks at."""

_APART = timedelta(seconds=20)
_MOST_MESSAGES = 1000

Place = tuple[str, int]
"""Where a message is: the id of its session, its `seq`."""


class Turn(NamedTuple):
    """A message; questions name it by its key."""

    key: str
    role: str
    role_type: str
    content: str


class Session(NamedTuple):
    """What was said at one time."""

    began_at: datetime
    turns: Sequence[Turn]


class Question(NamedTuple):
    """What is asked, of which kind, and the keys of the messages that together answer it."""

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
        """How many there are."""
        return sum(len(session.turns) for session in self.sessions)


class Answered(NamedTuple):
    """A question, where its evidence is, and where the messages are that came, best first."""

    question: Question
    evidence: frozenset[Place]
    ranked: Sequence[Place]


def tell(way: Way, conversation: Conversation, user_id: str) -> dict[str, Place]:
    """Append a conversation's messages as a user's; where each of them is, by its key."""
    places: dict[str, Place] = {}
    for number, session in enumerate(conversation.sessions, 1):
        session_id = f"{user_id}-{number}"
        for first in range(0, len(session.turns), _MOST_MESSAGES):
            turns = session.turns[first : first + _MOST_MESSAGES]
            began_at = session.began_at + first * _APART
            body = {"user_id": user_id, "messages": list(_messages(turns, began_at))}
            appended = way.request("POST", "/v1/sessions/{}/messages", session_id, json=body)
            assert appended.status == 201, appended
            for turn, message in zip(turns, appended.json["messages"], strict=True):
                places[turn.key] = (session_id, message["seq"])
    return places


def ask(
    way: Way, questions: Sequence[Question], user_id: str, places: Mapping[str, Place]
) -> Iterator[Answered]:
    """Search a user's messages for each question in its own words."""
    for question in questions:
        body = {"query": question.text, "user_id": user_id, "limit": LIMIT}
        found = way.request("POST", "/v1/search", json=body)
        assert found.status == 200, found
        messages = [item["message"] for item in found.json["items"]]
        ranked = [(message["session_id"], message["seq"]) for message in messages]
        assert len(set(ranked)) == len(ranked) <= LIMIT, found
        yield Answered(question, frozenset(places[key] for key in question.evidence), ranked)


def recall(answered: Answered, at: int) -> float:
    """The share of the evidence that is among the first."""
    return len(answered.evidence.intersection(answered.ranked[:at])) / len(answered.evidence)


def hit(answered: Answered, at: int) -> float:
    """Whether any of the evidence is among the first."""
    return float(not answered.evidence.isdisjoint(answered.ranked[:at]))


def ndcg(answered: Answered, at: int) -> float:
    """How far up the evidence stands among the first: 1 where nothing could stand better."""
    gained = sum(
        _gain(rank) for rank, place in enumerate(answered.ranked[:at]) if place in answered.evidence
    )
    return gained / sum(map(_gain, range(min(len(answered.evidence), at))))


FIGURES: dict[str, Callable[[Answered], float]] = {
    **{f"recall@{at}": partial(recall, at=at) for at in (1, 5, 10, 20)},
    "hit@10": partial(hit, at=10),
    "nDCG@10": partial(ndcg, at=10),
}
"""What is told of a search, by name: a mean over questions, in percent (see `figures`)."""


def figures(answers: Sequence[Answered]) -> dict[str, float]:
    """Each of FIGURES. A question counts as much as any other, however much evidence it has."""
    return {name: 100 * mean(map(figure, answers)) for name, figure in FIGURES.items()}


def _messages(turns: Sequence[Turn], began_at: datetime) -> Iterator[dict[str, str]]:
    for place, turn in enumerate(turns):
        yield {
            "role": turn.role,
            "role_type": turn.role_type,
            "content": turn.content,
            "created_at": (began_at + place * _APART).isoformat(),
        }


def _gain(rank: int) -> float:
    return 1 / log2(rank + 2)
