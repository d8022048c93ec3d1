"""Requests per second beside a baseline, and a few figures of an instance."""

import argparse
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median

from bench.databases import Databases
from bench.harness import requests, rounds
from bench.harness.load import CONNECTIONS
from bench.harness.report import Report, by_rate, by_thrift, is_wanted, rate_and_waits, show, spread
from bench.harness.requests import Size
from bench.harness.rounds import Asked, Compared, Rounds
from bench.harness.servers import Server, ServerHarness
from bench.scenarios import rows
from bench.scenarios.others import measure_others, measure_starts
from bench.scenarios.rows import Row
from devtools.markdown import Cells, Table, columns, goal

SESSIONS = 200

_ROUND_S = 0.5
_CALIBRATION = Rounds(3, 0.5)

_COLUMNS = columns(
    "per second, p50 ms, p99 ms, baseline, its p50, its p99, ratio, goal, by cpu, load, database"
)
_ABOUT_NATIVE = (
    f"Requests per second with {CONNECTIONS} connections. The baseline is a bare ASGI application "
    "that runs the same statements; `ratio` is the median (least to greatest) of the rounds; `by "
    "cpu` is the same ratio by the processor time that the servers used for a response, which "
    "other work on the machine disturbs less (but it knows no waiting for the disk); `load` is the "
    "share of its core that the load generator used at most; `database` is the share of a core "
    "that processes of the database used, for the product and for its baseline."
)
_ABOUT_ZEP = (
    "The same, as a ratio to an application that responds with a constant and has no database. "
    "`beside Zep` is not measured here: it has requests per second of this product (on SQLite) and "
    "of Zep 0.27.2 (Go, PostgreSQL, extractors off), each alone on one machine in one sitting, in "
    "November 2026."
)


def run(given: argparse.Namespace, databases: Databases, folder: Path) -> Report:
    return _Rates(given, databases, folder).run()


def rounds_of(seconds: float) -> Rounds:
    """Return rounds that take so many seconds in all."""
    number = max(3, round(seconds / _ROUND_S))
    return Rounds(number, seconds / number)


def start_baseline(
    harness: ServerHarness, databases: Databases, size: Size
) -> AbstractContextManager[Server]:
    """Start the baseline of an engine on a database of its own."""
    options = ("--database", databases.seeded(size, "baseline"), "--scratch", databases.scratch())
    return harness.baseline(databases.dialect, *options)


def ask_baseline(baseline: Server, row: Row, size: Size) -> Asked:
    """Tell the baseline which row comes; return it as a contender."""
    with baseline.client() as client:
        client.get(f"/row/{row.name}").raise_for_status()
    return Asked(baseline, row.requests(size), row.status)


class _Rates:
    def __init__(self, given: argparse.Namespace, databases: Databases, folder: Path) -> None:
        self._given = given
        self._databases = databases
        self._folder = folder
        self._size = Size(users=given.users, sessions=SESSIONS)
        self._rounds = rounds_of(given.seconds)
        self._notes: list[str] = []

    def run(self) -> Report:
        given, databases, size = self._given, self._databases, self._size
        database = databases.seeded(size, "product")
        with ServerHarness(self._folder, is_pinned=not given.unpinned) as harness:
            with harness.serving(database) as product:
                measured = self._measure_rows(harness, product)
                others = measure_others(given, databases, size, harness, product, self._rounds)
            self._notes += [harness.note, *databases.notes]
        if is_wanted(given, "start"):
            others += measure_starts(databases, size, self._folder, database)
        native = [measured[row] for row in rows.NATIVE if row in measured]
        zep = [measured[row] for row in rows.ZEP if row in measured]
        tables = [
            Table("Native API", _ABOUT_NATIVE, _COLUMNS, native),
            Table("Zep v1 API", _ABOUT_ZEP, (*_COLUMNS, "beside Zep"), zep),
            Table("Others", "Medians (least to greatest).", ("", "measured", "goal"), others),
        ]
        return Report(tables, self._notes)

    def _measure_rows(self, harness: ServerHarness, product: Server) -> dict[Row, Cells]:
        wanted = [row for row in rows.ALL if is_wanted(self._given, row.name)]
        if not wanted:
            return {}
        with (
            start_baseline(harness, self._databases, self._size) as baseline,
            harness.baseline("constant") as constant,
        ):
            with harness.baseline("echo") as echo:
                self._note_generator(echo, constant)
            return {row: show(self._row(row, product, baseline, constant)) for row in wanted}

    def _row(self, row: Row, product: Server, baseline: Server, constant: Server) -> Cells:
        if row.beside_zep:
            ours, zep = row.beside_zep
            other = Asked(constant, requests.same("/")(self._size))
            more: Cells = (f"{ours:,} / {zep:,} ({ours / zep:.1f})",)
        else:
            other, more = ask_baseline(baseline, row, self._size), ()
        compared = rounds.compare(
            Asked(product, row.requests(self._size), row.status),
            other,
            rounds=self._rounds,
            database_cpu=self._databases.cpu_s,
        )
        if median(compared.ratios(by_rate)) > 1:
            self._notes.append(f"{row.name}: **its baseline is slower, and so is no baseline**")
        return (*_cells(row, compared), *more)

    def _note_generator(self, echo: Server, constant: Server) -> None:
        always = requests.same("/")(self._size)
        compared = rounds.compare(Asked(echo, always), Asked(constant, always), rounds=_CALIBRATION)
        rates = [median(map(by_rate, loads)) for loads in compared.loads]
        busy = [max(load.busy for load in loads) for loads in compared.loads]
        note = (
            f"the load generator: {rates[0]:,.0f} requests/s against a server that sends fixed "
            f"bytes (at {busy[0]:.0%} of its core); {rates[1]:,.0f} against the constant "
            f"application (at {busy[1]:.0%})"
        )
        self._notes += show((note,))


def _cells(row: Row, compared: Compared) -> Cells:
    ratios = compared.ratios(by_rate)
    of_database = (median(load.database for load in loads) for loads in compared.loads)
    return (
        row.name,
        *rate_and_waits(compared.first),
        *rate_and_waits(compared.second),
        spread(ratios),
        goal(f"≥ {row.goal:.2f}", is_met=median(ratios) >= row.goal),
        f"{median(compared.ratios(by_thrift)):.2f}",
        f"{max(load.busy for loads in compared.loads for load in loads):.0%}",
        ", ".join(f"{share:.0%}" for share in of_database),
    )
