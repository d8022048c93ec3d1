"""This checkout beside another server command: the same rows, on databases of the same content.

Each server makes its database itself and is filled over HTTP, so the schemas may differ, and so may
the names of settings: all that both must have in common is the HTTP API and `serve --port`.
"""

import argparse
from pathlib import Path
from statistics import median

from bench.databases import Databases
from bench.databases.seeding import seeding_requests
from bench.harness import rounds
from bench.harness.load import CONNECTIONS, send_all
from bench.harness.report import (
    Report,
    by_p50,
    by_rate,
    by_thrift,
    is_wanted,
    rate_and_waits,
    show,
    spread,
)
from bench.harness.requests import Size
from bench.harness.rounds import Asked, Compared
from bench.harness.servers import Server, ServerCommand, ServerHarness
from bench.scenarios import rows
from bench.scenarios.rates import SESSIONS, rounds_of
from devtools.markdown import Cells, Table, columns

_MOST_USERS = 20_000
_COLUMNS = columns(
    "other per second, its p50 ms, its p99 ms, this per second, p50 ms, p99 ms, ratio, "
    "ratio of p50, by cpu"
)
_ABOUT = (
    f"Requests per second with {CONNECTIONS} connections, this checkout beside the other server, "
    "in turn. `ratio` is this by the other: the median (least to greatest) of the rounds, above 1 "
    "where this one is faster. `ratio of p50` is the same of the waits, below 1 where this one is "
    "faster; `by cpu` that of responses per processor second of the server."
)


def run(given: argparse.Namespace, databases: Databases, folder: Path) -> Report:
    size = Size(users=min(given.users, _MOST_USERS), sessions=SESSIONS)
    other_command = ServerCommand.other(given.other, given.other_prefix, folder)
    harness = ServerHarness(folder, is_pinned=not given.unpinned)
    with (
        harness,
        harness.serving(databases.empty("this")) as this,
        harness.serving(databases.empty("other"), other_command) as other,
    ):
        for server in (this, other):
            _fill(server, size)
        wanted = [row for row in rows.ALL if is_wanted(given, row.name)]
        cells = [
            show((row.name, *_cells(_compare(row, this, other, size, given, databases))))
            for row in wanted
        ]
    notes = [f"the other server: `{given.other}`", harness.note, *databases.notes]
    return Report([Table("This checkout beside another", _ABOUT, _COLUMNS, cells)], notes)


def _fill(server: Server, size: Size) -> None:
    for kind in seeding_requests(size):
        send_all(server.port, kind, 201)


def _compare(
    row: rows.Row,
    this: Server,
    other: Server,
    size: Size,
    given: argparse.Namespace,
    databases: Databases,
) -> Compared:
    return rounds.compare(
        *(Asked(server, row.requests(size), row.status) for server in (this, other)),
        rounds=rounds_of(given.seconds),
        database_cpu=databases.cpu_s,
    )


def _cells(compared: Compared) -> Cells:
    return (
        *rate_and_waits(compared.second),
        *rate_and_waits(compared.first),
        spread(compared.ratios(by_rate)),
        f"{median(compared.ratios(by_p50)):.2f}",
        f"{median(compared.ratios(by_thrift)):.2f}",
    )
