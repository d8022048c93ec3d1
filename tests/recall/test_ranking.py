"""The ranking matches a naive implementation that scores and sorts all messages."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import log
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from userkeep import NewMessage, Userkeep

SHARES = {0: 1.0, 1: 0.4, 2: 0.3, 3: 0.2}
VOCABULARY = [f"w{number}" for number in range(30)]
ROLES = ["user", "assistant", "tool"]
START = datetime(2023, 5, 1, tzinfo=UTC)


class Stored(NamedTuple):
    """A stored message."""

    session: int
    words: list[str]
    role: str
    name: str
    created_at: datetime


def history() -> list[Stored]:
    """Return messages with words by Zipf's law, in sessions of various lengths."""
    random = Random(7)
    weights = [1 / (rank + 1) for rank in range(len(VOCABULARY))]
    return [
        Stored(
            session,
            random.choices(VOCABULARY, weights, k=random.choice([1, 5, 20, 60, 200])),
            random.choice(ROLES),
            random.choice(["Melanie", "Caroline"]),
            START + timedelta(days=session),
        )
        for session in range(60)
        for _ in range(random.randrange(1, 16))
    ]


@pytest.fixture(scope="module")
def stored() -> list[Stored]:
    """The messages of the history."""
    return history()


@pytest.fixture(scope="module")
def client(stored: list[Stored]) -> Iterator[Userkeep]:
    """A client of a database with the history."""
    with Userkeep.open(":memory:") as opened:
        for each in stored:
            message = NewMessage(
                content=" ".join(each.words),
                name=each.name,
                role=each.role,  # type: ignore[arg-type]
                created_at=each.created_at,
            )
            opened.message.add(f"s{each.session}", message, user_id="jane")
        yield opened


def naive_scores(
    stored: list[Stored], words: list[str], weight_of: Any
) -> dict[tuple[int, int], float]:
    """Return the scores above 0, by session and position."""
    lengths = [max(len(each.words), 40) for each in stored]
    mean = sum(lengths) / len(stored)
    by_position: dict[tuple[int, int], Stored] = {}
    last = Counter[int]()
    for each in stored:
        last[each.session] += 1
        by_position[each.session, last[each.session]] = each
    scores: dict[tuple[int, int], float] = {}
    for word in words:
        count = sum(word in each.words for each in stored)
        rarity = log(1 + (len(stored) - count + 0.5) / (count + 0.5))

        def own(position: tuple[int, int], word: str = word, rarity: float = rarity) -> float:
            if position not in by_position or word not in by_position[position].words:
                return 0.0
            length = max(len(by_position[position].words), 40)
            return rarity * 2.2 / (1 + 1.2 * (0.25 + 0.75 * length / mean))

        for session, seq in by_position:
            best = max(
                own((session, seq + distance)) * SHARES[abs(distance)] for distance in range(-3, 4)
            )
            scores[session, seq] = scores.get((session, seq), 0.0) + best
    return {
        position: score * weight_of(by_position[position])
        for position, score in scores.items()
        if score > 0
    }


@given(
    words=st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=6, unique=True),
    role_weights=st.dictionaries(st.sampled_from(ROLES), st.sampled_from([0.1, 3.0, 30.0])),
    name=st.sampled_from([None, "Melanie"]),
    is_dated=st.booleans(),
)
def test_scores_are_as_documented_and_a_limit_only_truncates(
    client: Userkeep,
    stored: list[Stored],
    words: list[str],
    role_weights: dict[Any, float],
    name: str | None,
    is_dated: bool,
) -> None:
    def weight_of(each: Stored) -> float:
        weight = {"user": 1.5, **role_weights}.get(each.role, 1.0)
        is_named = name is not None and each.name == name and each.role == "user"
        is_meant = is_dated and each.created_at.month == 6
        return weight * (2 if is_named else 1) * (1.5 if is_meant else 1)

    query = " ".join([*words, name or "", "in june" if is_dated else ""])
    expected = naive_scores(stored, [*words, "june"] if is_dated else words, weight_of)
    hits = client.search(query, user_id="jane", limit=1000, role_weights=role_weights)
    scores = {(int(hit.message.session_id[1:]), hit.message.seq): hit.score for hit in hits}
    assert scores == pytest.approx(expected)
    assert [hit.score for hit in hits] == sorted(scores.values(), reverse=True)
    # The limit of 1000 scores all in one batch. With a small limit they are scored in batches.
    for limit in range(1, 21):
        cut = client.search(query, user_id="jane", limit=limit, role_weights=role_weights)
        assert cut == hits[:limit]
