"""The benchmark of searching: `make bench BENCH=--search`, on both engines.

- *Searches* of one client, one after the other, over HTTP, in a user of 1,000 messages and in one
  of 50,000, among 500,000 of all users (with `--large` also among 10,000,000): by words, by words
  and metadata, and by metadata alone. Beside them the bare driver, which runs again the statements
  that the product ran for the same searches (see `bench.floor.replay`).
- *What the index costs*: appending ten messages, beside the same product on the same database
  without its index (see `bench.floor.unindexed`).

What is said and asked is told in `bench.talk`. All sides of a row are measured in turn, in several
rounds; the percentiles are those of all rounds together.
"""

import argparse
import asyncio
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from statistics import mean, median
from time import perf_counter, process_time
from typing import Any, NamedTuple

from bench import measure, report, seed, talk, traffic
from bench.engines import Engine
from bench.engines.postgres import PostgresBench
from bench.engines.sqlite import SqliteBench
from bench.floor.replay import Noted, Replay, taken
from bench.floor.unindexed import WITHOUT_INDEX
from bench.likeness import answer_of
from bench.load import CONNECTIONS, Load
from bench.measure import Asked, Client, Compared, Pace
from bench.report import Cells, Noise, by_p50, by_rate, spread
from bench.servers import SECRET, Ground, Server
from bench.talk import SEARCHES, Search, Talk
from userkeep.config import Settings
from userkeep.instance import open_instance
from userkeep.server import make_application

RESULTS = Path(__file__).with_name("RESULTS-search.md")

_MESSAGES = 500_000
_LARGE = 10_000_000
_ROUNDS = 5
_WARM_UP_S = 2.0
_UNHEARD = "xylomarimbaphone"

_OF_SEARCH = (
    "",
    "found",
    "p50 ms",
    "p95 ms",
    "p99 ms",
    "driver p50",
    "driver p95",
    "driver p99",
    "its rows",
    "times driver",
)
_ABOUT_SEARCH = (
    f"One client, the first ten of what is found, {talk.QUERIES} different searches a row after a "
    "warm-up. `found` is how many of ten came on average; `driver` runs the same statements with "
    "nothing around them, and `its rows` is how many rows they give on average; `times driver` "
    "compares the medians of each round (least to greatest)."
)
_OF_APPEND = (
    "",
    "a second",
    "p50 ms",
    "p99 ms",
    "without index",
    "its p50",
    "its p99",
    "share left",
    "processor time",
)
_ABOUT_APPEND = (
    "Requests that append ten messages of about 25 words each to any session. `share left` is the "
    "part of the requests a second that the index leaves (least to greatest of the rounds), the "
    "last column how much more processor time an append takes with it, that of the database's own "
    "processes included."
)


Ask = Callable[[bytes], tuple[Any, Noted]]
"""Asks the product something: its answer, and what it read for it."""


class Replayed(NamedTuple):
    """The bare driver as a side that is compared: runs what was noted, search after search."""

    replay: Replay
    searches: Iterator[Noted]

    def load(self, seconds: float, connections: int, used_by_database: Callable[[], float]) -> Load:  # noqa: ARG002 - one thread, one connection
        """See measure.Side."""
        sent, answered = array("d"), array("d")
        used, began = process_time(), perf_counter()
        while perf_counter() < began + seconds:
            sent.append(perf_counter())
            self.replay.run(next(self.searches))
            answered.append(perf_counter())
        return Load(sent, answered, busy=0.0, server_s=process_time() - used, database=0.0)


class Prepared(NamedTuple):
    """A row that can be measured: its requests, what the driver runs for each, what was found."""

    search: Search
    requests: Sequence[bytes]
    noted: Sequence[Noted]
    found: float


@dataclass
class SearchBench:
    """One run on one engine."""

    given: argparse.Namespace
    name: str
    engine: Engine
    folder: Path
    tables: list[report.Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def pace(self) -> Pace:
        """The seconds that were asked for, in rounds."""
        return Pace(_ROUNDS, self.given.seconds / _ROUNDS)

    def run(self) -> None:
        """Measure all that was asked for."""
        sizes = [_MESSAGES, *([_LARGE] if self.given.large else [])]
        for size in map(Talk, sizes):
            searches = [search for search in SEARCHES if self._wants(search.name)]
            if searches:
                self._measure_searches(size, searches)
        if self._wants("append"):
            self._measure_appends(Talk(_MESSAGES))

    def _wants(self, name: str) -> bool:
        asked = self.given.only
        return not asked or any(part in f"{self.name}: {name}" for part in asked)

    def _measure_searches(self, size: Talk, searches: Sequence[Search]) -> None:
        url = talk.filled(self.engine, size)
        prepared = prepare(self.engine, url, size, searches)
        with (
            Ground(self.folder, is_pinned=not self.given.unpinned) as ground,
            ground.product(url) as server,
        ):
            replay = self.engine.replay(url)
            rows = [self._row(each, server, replay) for each in prepared]
            replay.close()
        self.tables.append(report.Table(f"{self.name}, {size}", _ABOUT_SEARCH, _OF_SEARCH, rows))

    def _row(self, row: Prepared, server: Server, replay: Replay) -> Cells:
        product = Asked(server, cycle(row.requests))
        driver = Replayed(replay, cycle(row.noted))
        for side in (product, driver):
            side.load(_WARM_UP_S, 1, lambda: 0.0)
        compared = measure.compare(product, driver, pace=self.pace, connections=1)
        cells = (
            row.search.name,
            f"{row.found:.1f}",
            *_percentiles(compared.first),
            *_percentiles(compared.second),
            f"{mean(map(replay.run, row.noted)):,.0f}",
            spread(compared.ratios(by_p50), 1),
        )
        print("  ".join(cells), flush=True)
        return cells

    def _measure_appends(self, size: Talk) -> None:
        without = WITHOUT_INDEX[self.engine.floor]
        url = talk.filled(self.engine, size)
        indexed = self.engine.copied(url, "indexed")
        unindexed = self.engine.copied(url, "unindexed")
        self.engine.execute(unindexed, without.schema)
        with (
            Ground(self.folder, is_pinned=not self.given.unpinned) as ground,
            ground.product(indexed) as product,
            ground.unindexed(unindexed) as floor,
        ):
            check_is_unindexed(product, floor)
            rows = [
                self._append_row(size, product, floor, connections)
                for connections in (1, CONNECTIONS)
            ]
        title = f"{self.name}: what the index costs an append of 10"
        self.tables.append(report.Table(title, _ABOUT_APPEND, _OF_APPEND, rows))

    def _append_row(self, size: Talk, product: Server, floor: Server, connections: int) -> Cells:
        compared = measure.compare(
            *(
                Asked(server, talk.appends(size, range(size.sessions), 10), 201)
                for server in (product, floor)
            ),
            pace=self.pace,
            connections=connections,
            used_by_database=self.engine.used_s,
        )
        cells = (
            f"{connections} connection{'s' if connections > 1 else ''}",
            *_rate(compared.first),
            *_rate(compared.second),
            spread(compared.ratios(by_rate)),
            _costs(compared),
        )
        print("  ".join(cells), flush=True)
        return cells


def prepare(engine: Engine, url: str, size: Talk, searches: Sequence[Search]) -> list[Prepared]:
    """Ask the product each search once in this process, and note what it reads for it."""
    with noted_answers(engine, url) as ask:
        return [_prepared(each, talk.queries(each, size), ask) for each in searches]


@contextmanager
def noted_answers(engine: Engine, url: str) -> Iterator[Ask]:
    """A way to ask the product in this process."""
    settings = Settings(database_url=url, secret=SECRET)
    with ExitStack() as stack:
        noted = stack.enter_context(engine.noting())
        instance = open_instance(settings)
        stack.callback(instance.close)
        application = make_application(instance, settings)

        def ask(request: bytes) -> tuple[Any, Noted]:
            taken(noted)
            return measure.decode(asyncio.run(answer_of(application, request))), taken(noted)

        yield ask


def _prepared(search: Search, requests: Sequence[bytes], ask: Ask) -> Prepared:
    answers, of_each = zip(*map(ask, requests), strict=True)
    return Prepared(search, requests, of_each, mean(len(answer["items"]) for answer in answers))


def check_is_unindexed(product: Server, floor: Server) -> None:
    """See that the one finds what was just said, and the other does not.

    Raises:
        SystemExit: it is not so.
    """
    said = {"messages": [{"content": f"Nobody has ever played the {_UNHEARD}."}], "user_id": "new"}
    counts = []
    for server in (product, floor):
        client = Client(server)
        client.ask(traffic.post("/v1/sessions/new/messages", said))
        search = traffic.post("/v1/search", {"query": _UNHEARD, "user_id": "new"})
        counts.append(len(client.ask(search)["items"]))
        client.close()
    if counts != [1, 0]:
        raise SystemExit(f"bench/floor/unindexed.py is out of date: found {counts}, not [1, 0]")


def _percentiles(loads: Sequence[Load]) -> Cells:
    waits = sorted(wait for load in loads for wait in load.waits())
    return tuple(f"{waits[len(waits) * of // 100] * 1000:.2f}" for of in (50, 95, 99))


def _rate(loads: Sequence[Load]) -> Cells:
    p50, _, p99 = _percentiles(loads)
    return (f"{median(map(by_rate, loads)):,.0f}", p50, p99)


def _costs(compared: Compared) -> str:
    return spread([100 * (ratio - 1) for ratio in compared.ratios(_by_cost)], 0) + " % more"


def _by_cost(load: Load) -> float:
    return load.cost_s + load.database / load.rate


def run(given: argparse.Namespace) -> None:
    """Measure both engines, print, and keep what a whole run gives."""
    tables: list[report.Table] = []
    notes: list[str] = []
    facts: dict[str, str] = {}
    database_s = 0.0
    noise = Noise()
    with tempfile.TemporaryDirectory(dir=seed.FOLDER, prefix="run-") as folder:
        # Opened one after the other: PostgreSQL's server runs from when it is made.
        engines: dict[str, Callable[[], AbstractContextManager[Engine]]] = {
            "SQLite": lambda: nullcontext(SqliteBench(Path(folder))),
            "PostgreSQL": PostgresBench,
        }
        for name, opened in engines.items():
            with opened() as engine:
                bench = SearchBench(given, name, engine, Path(folder))
                bench.run()
                facts |= engine.facts()
                database_s += engine.used_s()
                tables += bench.tables
                notes += [*bench.notes, *engine.notes]
    notes.insert(0, noise.told(database_s))
    text = report.text_of(tables, notes, seed.FOLDER, facts, module="search")
    print(f"\n{text}")
    file = given.results or (None if given.only else RESULTS)
    if file is not None:
        file.write_text(text)
