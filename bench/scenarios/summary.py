"""Five rows in half a minute: enough to see that a change has made something slow.

It is printed and never asserted. For figures that count, run the scenario `rates`.
"""

import argparse
from pathlib import Path

from bench.databases import Databases
from bench.harness import rounds
from bench.harness.report import Report, by_rate, by_thrift, show, spread
from bench.harness.requests import Size
from bench.harness.rounds import Asked, Rounds
from bench.harness.servers import ServerHarness
from bench.scenarios import rows
from bench.scenarios.rates import ask_baseline, start_baseline
from devtools.markdown import Table

_SIZE = Size(users=10_000, sessions=200)
_ROUNDS = Rounds(4, 0.4)
_NAMES = ("get user", "get memory (12 messages)", "list 50 users", "post user", "post 1 message")
_ABOUT = (
    "Ratios to a bare ASGI application that runs the same statements: medians (least to greatest), "
    "by responses per second and by processor time."
)


def run(given: argparse.Namespace, databases: Databases, folder: Path) -> Report:
    url = databases.seeded(_SIZE, "product")
    harness = ServerHarness(folder, is_pinned=not given.unpinned)
    cells = []
    with (
        harness,
        harness.serving(url) as product,
        start_baseline(harness, databases, _SIZE) as baseline,
    ):
        for row in (row for row in rows.NATIVE if row.name in _NAMES):
            compared = rounds.compare(
                Asked(product, row.requests(_SIZE), row.status),
                ask_baseline(baseline, row, _SIZE),
                rounds=_ROUNDS,
            )
            ratios = (spread(compared.ratios(of)) for of in (by_rate, by_thrift))
            cells.append(show((row.name, *ratios)))
    columns = ("", "ratio", "by processor time")
    return Report([Table("Summary", _ABOUT, columns, cells)], [harness.note])
