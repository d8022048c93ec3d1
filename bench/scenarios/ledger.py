"""What the deletion ledger costs a deletion: a server with one beside a server without."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.databases import Databases
from bench.harness import requests, rounds
from bench.harness.report import Report, by_rate, by_thrift, rate_and_waits, show, spread
from bench.harness.requests import Size
from bench.harness.rounds import Asked
from bench.harness.servers import ServerHarness
from bench.scenarios.rates import SESSIONS, rounds_of
from devtools.markdown import Table, columns

_USERS = 50_000
_CONNECTIONS = (1, 16)
_COLUMNS = columns(
    "without per second, its p50 ms, its p99 ms, per second, p50 ms, p99 ms, ratio, by cpu",
    first="clients",
)
_ABOUT = (
    "Users deleted per second (one in five has sessions and messages), of a server with a deletion "
    "ledger beside one without, in turn, on databases of the same content. `ratio` is the median "
    "(least to greatest) of the rounds; `by cpu` is that of responses per processor second."
)


def run(given: argparse.Namespace, databases: Databases, folder: Path) -> Report:
    size = Size(users=_USERS, sessions=SESSIONS)
    harness = ServerHarness(folder, is_pinned=not given.unpinned)
    on = {"LEDGER_FILE": str(folder / "ledger")}
    with (
        harness,
        harness.serving(databases.seeded(size, "with"), settings=on) as recording,
        harness.serving(databases.seeded(size, "without"), settings={"LEDGER_FILE": "off"}) as off,
    ):
        asked = [Asked(server, _deletions(size), 200) for server in (recording, off)]
        cells = []
        for connections in _CONNECTIONS:
            compared = rounds.compare(
                *asked,
                rounds=rounds_of(given.seconds),
                connections=connections,
                database_cpu=databases.cpu_s,
            )
            cells.append(
                show(
                    (
                        str(connections),
                        *rate_and_waits(compared.second),
                        *rate_and_waits(compared.first),
                        spread(compared.ratios(by_rate)),
                        f"{median(compared.ratios(by_thrift)):.2f}",
                    )
                )
            )
    notes = [harness.note, *databases.notes]
    return Report([Table("Deletion ledger", _ABOUT, _COLUMNS, cells)], notes)


def _deletions(size: Size) -> Iterator[bytes]:
    """Delete each user once, the last first, because the first have most."""
    for number in range(size.users, 0, -1):
        yield requests.delete(f"/v1/users/user-{number:08d}")
