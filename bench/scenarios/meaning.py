"""How long a search by meaning takes, without the embedding of its query.

A user of 1,000 messages, one of 50,000 and the whole project (with --large, of 1,000,000), with
vectors of 384 dimensions that are made up, in this process on an event loop as the server's. Words
alone, meaning alone and both take turns, query by query. Beside them a task does nothing but sleep
for a millisecond, and measures how much later than that it is woken: so long others wait for the
event loop.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random
from time import perf_counter

import numpy as np

from bench.databases import Databases
from bench.harness.report import Report, percentile, show
from devtools.embedding_rows import add_vectors, record_model
from devtools.markdown import Cells, Table, columns
from evals.endpoint import MODEL, serving
from userkeep.config import Settings
from userkeep.domain.search.meaning import SearchMode
from userkeep.domain.transaction import scoped
from userkeep.embedded import EmbeddedTransport
from userkeep.instance import Instance, open_instance
from userkeep.sdk._sync.client import Client
from userkeep.sdk.requests import NewMessage
from userkeep.services.search import SearchRequest, find

_DIMENSIONS = 384
_OF_SESSION = 100
_SCOPES = {"1,000 messages": ("small", 1_000), "50,000 messages": ("large", 50_000)}
_LARGE = ("rest", 949_000)
"""The further user of a large project."""

_VOCABULARY = 5_000
_COMMON = 20
_QUERIES = 40
_MODES: Sequence[SearchMode] = ("words", "meaning", "auto")
_SWITCH_INTERVAL_S = 0.0005

_COLUMNS = columns("p50 ms, p95 ms, event loop p99 ms, event loop max ms")
_ABOUT = (
    "Searches of one client, five words each, the first ten messages; `auto` compares words and "
    "meaning. `event loop` is how much later than asked a sleeping task was woken during these "
    "searches."
)


def run(given: argparse.Namespace, databases: Databases, folder: Path) -> Report:
    """Measure all scopes."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)  # as a server does
    random = Random(7)
    with serving(_made_up) as model:
        settings = Settings(
            database_url=databases.empty("meaning"),
            secret_file=str(folder / "meaning.secret"),
            ledger_file="off",
            embeddings_url=model["EMBEDDINGS_URL"],
            embeddings_model=MODEL,
        )
        instance = open_instance(settings)
        try:
            users = [*_SCOPES.values(), *([_LARGE] if given.large else [])]
            for user_id, count in users:
                _fill(instance, user_id, count, random)
            scopes: dict[str, str | None] = {name: user for name, (user, _) in _SCOPES.items()}
            in_all = sum(count for _, count in users)
            scopes[f"the whole project, {in_all:,} messages"] = None
            tables = [
                Table(name, _ABOUT, _COLUMNS, asyncio.run(_rows(instance, user_id, random)))
                for name, user_id in scopes.items()
                if not given.only or any(each in name for each in given.only)
            ]
        finally:
            instance.close()
    return Report(tables, databases.notes)


def _made_up(texts: Sequence[str]) -> Sequence[Sequence[float]]:
    return [np.random.default_rng(len(text)).normal(size=_DIMENSIONS).tolist() for text in texts]


def _fill(instance: Instance, user_id: str, count: int, random: Random) -> None:
    """Store messages of a user, in sessions, each with a vector."""
    client = Client(EmbeddedTransport(instance))
    generator = np.random.default_rng(count)
    record_model(instance, _DIMENSIONS)
    for number in range(count // _OF_SESSION):
        session_id = f"{user_id}-{number}"
        messages = [
            NewMessage(role=("user", "assistant")[each % 2], content=_words(random, 20))
            for each in range(_OF_SESSION)
        ]
        client.message.add(session_id, messages, user_id=user_id)
        vectors = generator.normal(size=(_OF_SESSION, _DIMENSIONS)) + 0.5
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        scales = np.abs(vectors).max(axis=1) / 127
        rows = np.rint(vectors / scales[:, np.newaxis]).astype(np.int8)
        add_vectors(
            instance,
            [
                (session_id, each + 1, float(np.float32(scales[each])), rows[each].tobytes())
                for each in range(_OF_SESSION)
            ],
        )


def _words(random: Random, count: int, first: int = 0) -> str:
    """Return words, each less frequent than the one before it."""
    numbers = random.choices(
        range(first, _VOCABULARY), cum_weights=_cumulative_weights(first), k=count
    )
    return " ".join(f"word{number}" for number in numbers)


@cache
def _cumulative_weights(first: int) -> Sequence[float]:
    return [*accumulate(1 / (number + 10) for number in range(first, _VOCABULARY))]


async def _rows(instance: Instance, user_id: str | None, random: Random) -> list[Cells]:
    queries = [_words(random, 5, _COMMON) for _ in range(_QUERIES)]
    took: dict[SearchMode, list[float]] = {mode: [] for mode in _MODES}
    late: dict[SearchMode, list[float]] = {mode: [] for mode in _MODES}
    for query in queries:
        await _search(instance, user_id, query, "auto")  # its embedding is remembered
        for mode in _MODES:
            ticking = asyncio.create_task(_tick(late[mode]))
            began = perf_counter()
            await _search(instance, user_id, query, mode)
            took[mode].append(perf_counter() - began)
            ticking.cancel()
    return [show(_row(mode, sorted(took[mode]), sorted(late[mode]))) for mode in _MODES]


def _row(mode: SearchMode, took: Sequence[float], late: Sequence[float]) -> Cells:
    figures = percentile(took, 50), percentile(took, 95), percentile(late, 99), late[-1]
    return (mode, *(f"{each * 1000:.1f}" for each in figures))


async def _search(instance: Instance, user_id: str | None, query: str, mode: SearchMode) -> None:
    wanted = SearchRequest(query=query, user_id=user_id, mode=mode)
    operation = scoped(instance.scope, find, search=wanted)
    found = await instance.engine.read_async(operation, is_bounded=False)
    assert found.degraded is None, found.degraded


async def _tick(late: list[float]) -> None:
    """Measure again and again how much later than asked this task is woken."""
    while True:
        began = perf_counter()
        await asyncio.sleep(0.001)
        late.append(perf_counter() - began - 0.001)
