"""Ranking cannot rot unseen: conversations of our own are searched, and figures held.

A change of the ranking that raises them may raise the constants here; one that lowers them needs
a reason. How good the ranking is on conversations of others is measured by `make recall`.
"""

from itertools import groupby
from operator import attrgetter
from pathlib import Path

import pytest

from tests.conftest import ENGINES, fresh_settings
from tests.recall.judging import Answered, ask, figures, tell
from tests.recall.own import own_conversations
from tests.ways import Way, in_process

# In percent, rounded down from what was measured when the ranking was last changed.
LEAST = {"recall@10": 82.0, "nDCG@10": 60.0}

Answers = dict[str, list[Answered]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What a fresh instance on each engine answers to all questions."""
    answers: Answers = {}
    for engine in ENGINES:
        with in_process(fresh_settings(engine, _folder(tmp_path_factory, engine))) as way:
            answers[engine] = _all_answers(way)
    return answers


def _folder(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Path:
    return tmp_path_factory.mktemp(engine.replace(" ", "-"))


def _all_answers(way: Way) -> list[Answered]:
    # All are told before anything is asked, so that there are others to be kept apart from.
    places = [(each, tell(way, each, each.name)) for each in own_conversations()]
    return [
        answered
        for conversation, known in places
        for answered in ask(way, conversation.questions, conversation.name, known)
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_questions_find_the_messages_that_answer_them(answers: Answers, engine: str) -> None:
    measured = figures(answers[engine])
    missed = {name: measured[name] for name, least in LEAST.items() if measured[name] < least}
    assert not missed, f"less than {LEAST} on {engine}:\n{_table(answers[engine])}"


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_engines_rank_alike(answers: Answers, engine: str) -> None:
    for one, other in zip(answers[ENGINES[0]], answers[engine], strict=True):
        assert one.ranked == other.ranked, one.question.text


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_of_another_user_is_found(answers: Answers, engine: str) -> None:
    for answered in answers[engine]:
        [owner] = {session_id.rpartition("-")[0] for session_id, _ in answered.evidence}
        found = {session_id.rpartition("-")[0] for session_id, _ in answered.ranked}
        assert found <= {owner}, answered.question.text


def _table(answers: list[Answered]) -> str:
    """The figures of each kind of question, and each question of which something was missed."""
    kind_of = attrgetter("question.kind")
    lines = [f"all: {_rounded(answers)}"]
    for kind, of_kind in groupby(sorted(answers, key=kind_of), kind_of):
        lines.append(f"{kind}: {_rounded(list(of_kind))}")
    for answered in answers:
        missed = answered.evidence.difference(answered.ranked[:10])
        if missed:
            lines.append(f"{answered.question.text} misses {sorted(missed)}")
    return "\n".join(lines)


def _rounded(answers: list[Answered]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in figures(answers).items()}
