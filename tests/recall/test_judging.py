"""The metrics are computed as documented, and the conversations have the evidence of questions."""

import pytest

from evals.judging import Question, Result, metrics
from tests.recall.own import own_conversations

QUESTION = Question("Who?", "one", frozenset())
A, B, C, D = (("s", number) for number in range(1, 5))


def measured(evidence: set[tuple[str, int]], *ranked: tuple[str, int]) -> dict[str, float]:
    return metrics([Result(QUESTION, frozenset(evidence), ranked)])


def test_all_metrics_are_100_if_all_evidence_comes_first() -> None:
    assert set(measured({A}, A, B).values()) == {100}


def test_all_metrics_are_0_if_no_evidence_was_found() -> None:
    assert set(measured({A}, B, C).values()) == {0}
    assert set(measured({A}).values()) == {0}


def test_recall_is_the_share_of_the_evidence_among_the_first() -> None:
    of = measured({A, B, D}, A, C, B)
    assert of["recall@1"] == pytest.approx(100 / 3)
    assert of["recall@5"] == of["recall@20"] == pytest.approx(200 / 3)
    assert of["hit@10"] == 100


def test_evidence_that_ranks_lower_counts_less() -> None:
    assert measured({A}, B, C, A)["nDCG@10"] == pytest.approx(50)
    assert measured({A, B}, A, C, B)["nDCG@10"] == pytest.approx(150 / 1.6309297535714573)


def test_evidence_below_rank_10_does_not_count() -> None:
    others = [("other", number) for number in range(10)]
    of = measured({A}, *others, A)
    assert (of["recall@10"], of["recall@20"], of["hit@10"], of["nDCG@10"]) == (0, 100, 0, 0)


def test_all_questions_weigh_the_same() -> None:
    one = Result(QUESTION, frozenset({A}), [A])
    other = Result(QUESTION, frozenset({A, B, C, D}), [])
    assert metrics([one, other])["recall@10"] == 50


def test_evidence_refers_to_existing_messages() -> None:
    for conversation in own_conversations():
        keys = [turn.key for session in conversation.sessions for turn in session.turns]
        assert len(set(keys)) == len(keys)
        for question in conversation.questions:
            assert question.evidence, question.text
            assert question.evidence <= set(keys), question.text
