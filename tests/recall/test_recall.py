"""The quality of the ranking on our own conversations is at least the baseline.

A change of the ranking that raises the metrics may raise the constants here; one that lowers them
needs a reason. `make recall` measures the ranking on public datasets.
"""

from itertools import groupby
from operator import attrgetter
from pathlib import Path

import pytest

from evals.judging import Result, append, metrics, search
from tests.conftest import ENGINES, fresh_settings
from tests.recall.own import own_conversations
from userkeep import Userkeep

# In percent, rounded down from what was measured when the ranking was last changed.
BASELINE = {"recall@10": 84.0, "nDCG@10": 61.0}

Results = dict[str, list[Result]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The results for all questions, of a fresh database on each engine."""
    results: Results = {}
    for engine in ENGINES:
        settings = fresh_settings(engine, _folder(tmp_path_factory, engine))
        with Userkeep.open(settings.database_url, secret_file=settings.secret_file) as client:
            results[engine] = _all_results(client)
    return results


def _folder(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Path:
    return tmp_path_factory.mktemp(engine.replace(" ", "-"))


def _all_results(client: Userkeep) -> list[Result]:
    # All are stored before the first search, so that there are messages of other users to exclude.
    positions = [(each, append(client, each, each.name)) for each in own_conversations()]
    return [
        result
        for conversation, known in positions
        for result in search(client, conversation.questions, conversation.name, known)
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_questions_find_the_messages_that_answer_them(results: Results, engine: str) -> None:
    measured = metrics(results[engine])
    missed = {
        name: measured[name] for name, baseline in BASELINE.items() if measured[name] < baseline
    }
    assert not missed, f"less than {BASELINE} on {engine}:\n{_table(results[engine])}"


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_engines_rank_alike(results: Results, engine: str) -> None:
    for one, other in zip(results[ENGINES[0]], results[engine], strict=True):
        assert one.ranked == other.ranked, one.question.text


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_of_another_user_is_found(results: Results, engine: str) -> None:
    for result in results[engine]:
        [owner] = {session_id.rpartition("-")[0] for session_id, _ in result.evidence}
        found = {session_id.rpartition("-")[0] for session_id, _ in result.ranked}
        assert found <= {owner}, result.question.text


def _table(results: list[Result]) -> str:
    """The figures of each kind of question, and each question of which something was missed."""
    kind_of = attrgetter("question.kind")
    lines = [f"all: {_rounded(results)}"]
    for kind, of_kind in groupby(sorted(results, key=kind_of), kind_of):
        lines.append(f"{kind}: {_rounded(list(of_kind))}")
    for result in results:
        missed = result.evidence.difference(result.ranked[:10])
        if missed:
            lines.append(f"{result.question.text} misses {sorted(missed)}")
    return "\n".join(lines)


def _rounded(results: list[Result]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in metrics(results).items()}
