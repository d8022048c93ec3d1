"""How long a search takes.

Searches of one client, one after the other, over HTTP, in a user of 1,000 messages and in one of
50,000, among 500,000 of all users (with `--large` also among 10,000,000): by words, by words and
metadata, and by metadata alone. Beside them the bare driver, which runs the statements that the
product ran for the same searches. The percentiles are those of all rounds together.
"""

import argparse
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from bench.baseline.recording import recording
from bench.baseline.replay import Operation, Replay, constant_operation
from bench.databases import Databases
from bench.harness import corpus, rounds
from bench.harness.corpus import SEARCHES, Corpus, Search
from bench.harness.load import Load
from bench.harness.report import Report, by_p50, is_wanted, percentile, show, spread
from bench.harness.requests import Parts
from bench.harness.rounds import Asked, Called, Rounds
from bench.harness.servers import Server, ServerHarness
from devtools.markdown import Cells, Table, columns

_MESSAGES = 500_000
_LARGE = 10_000_000
_ROUNDS = 5
_WARM_UP_S = 2.0

_OF_SEARCH = columns(
    "found, p50 ms, p95 ms, p99 ms, driver p50, driver p95, driver p99, its rows, times driver"
)
_ABOUT_SEARCH = (
    f"One client, the first ten messages, {corpus.QUERIES} different searches a row after a "
    "warm-up. `found` is how many of ten were found on average; `driver` runs the same statements "
    "with nothing around them, and `its rows` is how many rows they return on average; `times "
    "driver` compares the medians of each round (least to greatest)."
)


_NO_REQUEST = Parts("POST", [], None)


class Prepared(NamedTuple):
    """A row that can be measured: its requests, what the driver runs for each, what was found."""

    search: Search
    requests: Sequence[bytes]
    operations: Sequence[Operation]
    found: float


def run(given: argparse.Namespace, databases: Databases, folder: Path) -> Report:
    of_rounds = Rounds(_ROUNDS, given.seconds / _ROUNDS)
    harness = ServerHarness(folder, is_pinned=not given.unpinned)
    searches = [search for search in SEARCHES if is_wanted(given, search.name)]
    sizes = [_MESSAGES, *([_LARGE] if given.large else [])] if searches else []
    tables = [_searches(databases, harness, Corpus(size), searches, of_rounds) for size in sizes]
    return Report(tables, [harness.note, *databases.notes])


def _searches(
    databases: Databases,
    harness: ServerHarness,
    size: Corpus,
    searches: Sequence[Search],
    of_rounds: Rounds,
) -> Table:
    url = corpus.filled(databases, size)
    prepared = _prepare(url, size, searches)
    with harness, harness.serving(url) as server:
        replay = databases.replay(url)
        rows = [show(_search_row(each, server, replay, of_rounds)) for each in prepared]
    return Table(str(size), _ABOUT_SEARCH, _OF_SEARCH, rows)


def _prepare(url: str, size: Corpus, searches: Sequence[Search]) -> list[Prepared]:
    """Send the product each search once in this process, and record what it asks for it."""
    prepared = []
    with recording(url) as record:
        for search in searches:
            queries = corpus.queries(search, size)
            recorded = [record(query) for query in queries]
            operations = [constant_operation(each) for each in recorded]
            found = mean(len(each.response["items"]) for each in recorded)
            prepared.append(Prepared(search, queries, operations, found))
    return prepared


def _search_row(row: Prepared, server: Server, replay: Replay, of_rounds: Rounds) -> Cells:
    operations = cycle(row.operations)
    product = Asked(server, cycle(row.requests))
    driver = Called(lambda: replay.run(next(operations), _NO_REQUEST))
    for side in (product, driver):
        side.load(_WARM_UP_S, 1, lambda: 0.0)
    compared = rounds.compare(product, driver, rounds=of_rounds, connections=1)
    rows = mean(replay.run(operation, _NO_REQUEST) for operation in row.operations)
    return (
        row.search.name,
        f"{row.found:.1f}",
        *_percentiles(compared.first),
        *_percentiles(compared.second),
        f"{rows:,.0f}",
        spread(compared.ratios(by_p50), 1),
    )


def _percentiles(loads: Sequence[Load]) -> Cells:
    waits = sorted(wait for load in loads for wait in load.waits)
    return tuple(f"{percentile(waits, of) * 1000:.2f}" for of in (50, 95, 99))
