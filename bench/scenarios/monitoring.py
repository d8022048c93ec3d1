"""What it costs to watch a server: metrics and request lines, each on and off."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.databases import Databases
from bench.harness import rounds
from bench.harness.load import CONNECTIONS
from bench.harness.report import Report, by_rate, by_thrift, is_wanted, rate_and_waits, show, spread
from bench.harness.requests import Size
from bench.harness.rounds import Asked, Compared
from bench.harness.servers import ServerHarness
from bench.scenarios import rows
from bench.scenarios.rates import SESSIONS, rounds_of
from devtools.markdown import Cells, Table, columns, goal

_MOST_USERS = 20_000
_NAMES = ("get user", "get memory (12 messages)", "post 1 message")
_ROWS = tuple(row for row in rows.NATIVE if row.name in _NAMES)
_OFF = {"METRICS": "false"}

_COLUMNS = columns(
    "what, off per second, its p50 ms, its p99 ms, per second, p50 ms, p99 ms, ratio, goal, by cpu"
)
_ABOUT = (
    f"Requests per second with {CONNECTIONS} connections, of a server that does what is named "
    "beside one that does not, in turn, on databases of the same content. `ratio` is the median "
    "(least to greatest) of the rounds; `by cpu` is that of responses per processor second."
)


class _Watched(NamedTuple):
    """A way to watch a server.

    Attributes:
        goal: the least ratio to a server without it.
    """

    name: str
    settings: Mapping[str, str]
    goal: float


_WAYS = (
    _Watched("metrics", {}, 0.97),
    _Watched("request lines", {**_OFF, "LOG_LEVEL": "info"}, 0.92),
    _Watched("request lines as JSON", {**_OFF, "LOG_LEVEL": "info", "LOG_FORMAT": "json"}, 0.90),
)


def run(given: argparse.Namespace, databases: Databases, folder: Path) -> Report:
    size = Size(users=min(given.users, _MOST_USERS), sessions=SESSIONS)
    harness = ServerHarness(folder, is_pinned=not given.unpinned)
    cells: list[Cells] = []
    with harness, harness.serving(databases.seeded(size, "off"), settings=_OFF) as off:
        for number, way in enumerate(_WAYS):
            wanted = [row for row in _ROWS if is_wanted(given, f"{row.name}, {way.name}")]
            if not wanted:
                continue
            database = databases.seeded(size, f"on{number}")
            with harness.serving(database, settings=way.settings) as on:
                for row in wanted:
                    compared = rounds.compare(
                        Asked(on, row.requests(size), row.status),
                        Asked(off, row.requests(size), row.status),
                        rounds=rounds_of(given.seconds),
                        database_cpu=databases.cpu_s,
                    )
                    cells.append(show(_cells(row, way, compared)))
    notes = [harness.note, *databases.notes]
    return Report([Table("Metrics and request lines", _ABOUT, _COLUMNS, cells)], notes)


def _cells(row: rows.Row, way: _Watched, compared: Compared) -> Cells:
    ratios = compared.ratios(by_rate)
    return (
        row.name,
        way.name,
        *rate_and_waits(compared.second),
        *rate_and_waits(compared.first),
        spread(ratios),
        goal(f"≥ {way.goal:.2f}", is_met=median(ratios) >= way.goal),
        f"{median(compared.ratios(by_thrift)):.2f}",
    )
