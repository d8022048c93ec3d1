"""The ranking by meaning, compared with the same recipe in plain Python."""

from collections.abc import Collection, Mapping
from math import isclose, sqrt
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from userkeep.domain.search.meaning import SCALE_UNIT, PackedVectors
from userkeep.domain.vectors.meaning import VectorScorer

Place = tuple[int, int]
SESSION = 1 << 40
DIMENSIONS = 8


def unit(random: Random) -> list[float]:
    values = [random.gauss(0, 1) for _ in range(DIMENSIONS)]
    length = sqrt(sum(value * value for value in values))
    return [value / length for value in values]


def as_row(vector: list[float]) -> tuple[float, bytes]:
    scale = max(map(abs, vector)) / 127
    return scale, bytes(round(value / scale) & 0xFF for value in vector)


def signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte


def expected_meaning(query: list[float], rows: Mapping[Place, tuple[float, bytes]]) -> Any:
    cosines = {
        place: scale * sum(a * signed(b) for a, b in zip(query, row, strict=True))
        for place, (scale, row) in rows.items()
    }
    mean, greatest = sum(cosines.values()) / len(cosines), max(cosines.values())
    if greatest - mean < 1e-6:
        return dict.fromkeys(cosines, 1.0)
    own = {place: max(0.0, cosine - mean) / (greatest - mean) for place, cosine in cosines.items()}
    shares = {0: 1.0, -1: 0.6, 1: 0.6, -2: 0.4, 2: 0.4}
    return {
        (session, seq): max(
            own.get((session, seq + offset), 0.0) * share for offset, share in shares.items()
        )
        for session, seq in own
    }


@given(
    st.integers(0, 2**32),
    st.sets(st.tuples(st.integers(0, 2), st.integers(1, 12)), min_size=1),
    st.dictionaries(st.tuples(st.integers(0, 3), st.integers(1, 12)), st.floats(0.1, 9)),
)
def test_the_scores_are_those_of_the_recipe(
    seed: int, places: set[Place], words: dict[Place, float]
) -> None:
    random = Random(seed)
    query = unit(random)
    rows = {place: as_row(unit(random)) for place in sorted(places)}
    scorer = VectorScorer(query)
    # Sessions come in any order, each in the order of its messages, in one part or in several.
    for session in random.sample(range(3), 3):
        of_session = [(place, row) for place, row in rows.items() if place[0] == session]
        middle = random.randint(0, len(of_session))
        for part in of_session[:middle], of_session[middle:]:
            rows_of_part = [(place[1], row) for place, row in part]
            random.shuffle(rows_of_part)
            scorer.add([position((session, 0))], [packed(rows_of_part)])
    ranked = scorer.with_words({position(place): score for place, score in words.items()})

    meaning, most = expected_meaning(query, rows), max(words.values(), default=1.0)
    expected = {
        position(place): score
        for place in {*meaning, *words}
        if (score := meaning.get(place, 0.0) + share_of(place, words, rows) / most) > 1e-6
    }
    got = {place: score for place, score in ranked.ranked() if score > 1e-6}
    assert got.keys() == expected.keys()
    assert all(isclose(got[place], expected[place], abs_tol=1e-4) for place in expected)
    assert [score for _place, score in ranked.ranked()] == sorted(got.values(), reverse=True)
    for place, score in got.items():
        shares = ranked.shares(place)
        assert isclose(shares.words + shares.meaning, score)
        assert not shares.offset or (place + shares.offset) in map(position, rows)


def share_of(place: Place, words: dict[Place, float], rows: Collection[Place]) -> float:
    """Return the score by words; twice that of a message without an embedding."""
    return words.get(place, 0.0) * (1 if place in rows else 2)


def position(place: Place) -> int:
    return place[0] * SESSION + place[1] + 4


def packed(rows: list[tuple[int, tuple[float, bytes]]]) -> PackedVectors:
    """Return the vectors of messages as a database returns them."""
    return b"".join(
        b"%d%d" % (10**15 + seq, 10**15 + round(scale / SCALE_UNIT)) + vector
        for seq, (scale, vector) in rows
    )


def scorer_of(query: list[float], *vectors: list[float]) -> VectorScorer:
    """Return the scorer of messages that follow each other in a session."""
    scorer = VectorScorer(query)
    scorer.add([0], [packed([(seq, as_row(vector)) for seq, vector in enumerate(vectors)])])
    return scorer


ONE, OTHER = [1.0, *[0.0] * 7], [0.0, 1.0, *[0.0] * 6]


def test_the_only_message_and_equal_messages_are_the_nearest() -> None:
    assert scorer_of(ONE, OTHER).with_words({}).best(9) == [(0, 1.0)]
    equal = scorer_of(ONE, ONE, ONE, ONE).with_words({}).best(9)
    assert sorted(equal) == [(0, 1.0), (1, 1.0), (2, 1.0)]


def test_nothing_is_ranked_where_there_is_nothing() -> None:
    assert VectorScorer(ONE).with_words({}).best(9) == []
    assert VectorScorer(ONE).with_words({5: 2.0}).best(9) == [(5, 1.0)]


def test_messages_may_be_excluded_and_no_others_allowed() -> None:
    scorer = scorer_of(ONE, ONE, OTHER, ONE, OTHER)
    assert dict(scorer.with_words({}).ranked()) == {0: 1.0, 1: 0.6, 2: 1.0, 3: 0.6}
    assert dict(scorer.with_words({}, keeps_neighbours=False).ranked()) == {0: 1.0, 2: 1.0}
    assert dict(scorer.with_words({}, allowed={1, 2, 9}).ranked()) == {1: 0.6, 2: 1.0}
    assert dict(scorer.with_words({}, excluded={0, 1, 9}).ranked()) == {2: 1.0, 3: 0.6}


def test_a_vector_of_another_length_is_rejected() -> None:
    with pytest.raises(ValueError, match="reshape"):
        VectorScorer(ONE).add([0], [packed([(1, (1.0, b"123"))])])
