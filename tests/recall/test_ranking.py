"""The ranking as it is told, done the long way round: every message scored, all of them sorted."""

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
ROLE_TYPES = ["user", "assistant", "tool"]
START = datetime(2023, 5, 1, tzinfo=UTC)


class Said(NamedTuple):
    """A message, as this test knows it."""

    session: int
    words: list[str]
    role_type: str
    name: str
    created_at: datetime


def history() -> list[Said]:
    """What is searched: words by Zipf's law, in sessions of many lengths."""
    random = Random(7)
    weights = [1 / (rank + 1) for rank in range(len(VOCABULARY))]
    return [
        Said(
            session,
            random.choices(VOCABULARY, weights, k=random.choice([1, 5, 20, 60, 200])),
            random.choice(ROLE_TYPES),
            random.choice(["Melanie", "Caroline"]),
            START + timedelta(days=session),
        )
        for session in range(60)
        for _ in range(random.randrange(1, 16))
    ]


@pytest.fixture(scope="module")
def said() -> list[Said]:
    """The history."""
    return history()


@pytest.fixture(scope="module")
def client(said: list[Said]) -> Iterator[Userkeep]:
    """A database with the history."""
    with Userkeep.open(":memory:") as opened:
        for each in said:
            message = NewMessage(
                content=" ".join(each.words),
                role=each.name,
                role_type=each.role_type,  # type: ignore[arg-type]
                created_at=each.created_at,
            )
            opened.message.add(f"s{each.session}", message, user_id="jane")
        yield opened


def naive(said: list[Said], words: list[str], weight_of: Any) -> dict[tuple[int, int], float]:
    """The score of each message that has one, by its session and its place there."""
    lengths = [max(len(each.words), 40) for each in said]
    mean = sum(lengths) / len(said)
    places: dict[tuple[int, int], Said] = {}
    last = Counter[int]()
    for each in said:
        last[each.session] += 1
        places[each.session, last[each.session]] = each
    scores: dict[tuple[int, int], float] = {}
    for word in words:
        count = sum(word in each.words for each in said)
        rarity = log(1 + (len(said) - count + 0.5) / (count + 0.5))

        def own(place: tuple[int, int], word: str = word, rarity: float = rarity) -> float:
            if place not in places or word not in places[place].words:
                return 0.0
            length = max(len(places[place].words), 40)
            return rarity * 2.2 / (1 + 1.2 * (0.25 + 0.75 * length / mean))

        for session, seq in places:
            best = max(own((session, seq + away)) * SHARES[abs(away)] for away in range(-3, 4))
            scores[session, seq] = scores.get((session, seq), 0.0) + best
    return {place: score * weight_of(places[place]) for place, score in scores.items() if score > 0}


@given(
    words=st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=6, unique=True),
    role_weights=st.dictionaries(st.sampled_from(ROLE_TYPES), st.sampled_from([0.1, 3.0, 30.0])),
    name=st.sampled_from([None, "Melanie"]),
    is_dated=st.booleans(),
)
def test_scores_are_as_told_and_a_limit_only_cuts(
    client: Userkeep,
    said: list[Said],
    words: list[str],
    role_weights: dict[Any, float],
    name: str | None,
    is_dated: bool,
) -> None:
    def weight_of(each: Said) -> float:
        weight = {"user": 1.5, **role_weights}.get(each.role_type, 1.0)
        is_named = name is not None and each.name == name and each.role_type == "user"
        is_meant = is_dated and each.created_at.month == 6
        return weight * (2 if is_named else 1) * (1.5 if is_meant else 1)

    query = " ".join([*words, name or "", "in june" if is_dated else ""])
    expected = naive(said, [*words, "june"] if is_dated else words, weight_of)
    hits = client.search(query, user_id="jane", limit=1000, role_weights=role_weights)
    scores = {(int(hit.message.session_id[1:]), hit.message.seq): hit.score for hit in hits}
    assert scores == pytest.approx(expected)
    assert [hit.score for hit in hits] == sorted(scores.values(), reverse=True)
    # All of those were scored at once. With a small limit they are looked at in batches.
    for limit in range(1, 21):
        cut = client.search(query, user_id="jane", limit=limit, role_weights=role_weights)
        assert cut == hits[:limit]
