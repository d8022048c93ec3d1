"""The benchmark: what is measured, against what, and how good it should be.

- *The native door* against a floor: a bare ASGI application under the same server that makes the
  same raw calls of the driver with the same durability, those that write the index included. The
  share is what is left of the machine after routing, checking, converting, making words for the
  index, errors and whatever else the product does. On PostgreSQL also against the same statements
  without HTTP.
- *The Zep v1 door* against a bare ASGI application that answers a constant; beside each goal stands
  what Zep 0.27.2 itself (Go, PostgreSQL) reached in that way.
- *Other things* against an absolute goal, or against themselves under better conditions.

A share is the median of the shares of several rounds in which both sides were measured in turn.
Searching is measured by itself, with `--search`, and deleting with `--erasure`: see `bench.search`
and `bench.erasure`.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from statistics import median
from subprocess import Popen

from bench import erasure, likeness, measure, report, search, seed, traffic
from bench.engines import Engine
from bench.engines.postgres import PostgresBench
from bench.engines.sqlite import SqliteBench
from bench.load import CONNECTIONS, Load
from bench.measure import Alone, Asked, Compared, Pace, Side
from bench.report import Cells, Noise, by_p50, by_rate, milliseconds, spread
from bench.rows import APPEND, Rate
from bench.seed import Seeded
from bench.servers import Ground, Server

PAGES = "last page of all users"
GROWTH = "memory among 10M messages"
ERASURE = "delete a user"
START = "start"

_SMALL_SESSIONS = 200
_LARGE_SESSIONS = 200_000
_PAGE = 100
_ROUND_S = 0.5
_CALIBRATION = Pace(rounds=3, seconds=0.5)

_ABOUT_NATIVE = (
    "Requests a second with {connections} connections. The floor is a bare ASGI application that "
    "makes the same calls of the driver; `share` is the median (least to greatest) of the rounds; "
    "`by cpu` is the same share by the processor time that the servers used for an answer, which "
    "other work on the machine disturbs less (but it knows no waiting for the disk); `load` is the "
    "share of its core that the load generator used at most."
)
_ABOUT_DATABASE = (
    " `database` is the share of a core that the database's processes used, for the product and "
    "for its floor."
)
_ABOUT_ALONE = (
    " `no HTTP` is how many times a second the floor runs the same statements with nothing around "
    "them, for {connections} who wait, and `share of it` the product's share of that."
)
_ABOUT_ZEP = (
    "The same, as a share of an application that answers a constant and knows no database. "
    "`Zep` is the share that Zep 0.27.2 reached."
)
_ABOUT_OTHERS = "Medians (least to greatest)."


class Bench:
    """One run: what was asked for, and what came of it.

    Args:
        open_engine: begins with an engine, in a folder of this run.
    """

    def __init__(
        self,
        given: argparse.Namespace,
        folder: Path,
        open_engine: Callable[[Path], AbstractContextManager[Engine]],
    ) -> None:
        self._given = given
        self._folder = folder
        self._open_engine = open_engine
        self._size = Seeded(users=given.users, sessions=_SMALL_SESSIONS)
        rounds = max(3, round(given.seconds / _ROUND_S))
        self._pace = Pace(rounds, given.seconds / rounds)
        self._shares: dict[Rate, Cells] = {}
        self._others: list[Cells] = []
        self.notes: list[str] = []

    def run(self) -> list[report.Table]:
        """Measure all that was asked for."""
        with ExitStack() as stack:
            with Ground(self._folder, is_pinned=not self._given.unpinned) as ground:
                self._engine = stack.enter_context(self._open_engine(self._folder))
                self.facts = self._engine.facts()
                database = self._engine.seeded(self._size, "product")
                self._measure_while_running(ground, database)
            if self._wants(START):
                self._measure_starts(database)
            self.results, self.database_s = self._engine.results, self._engine.used_s()
        return self._tables()

    def _measure_while_running(self, ground: Ground, database: str) -> None:
        with ExitStack() as stack:
            product = stack.enter_context(ground.product(database))
            self._measure_rates(stack, ground, product)
            if self._wants(PAGES):
                self._measure_pages(product)
            if self._wants(GROWTH) and self._given.large:
                self._measure_growth(ground, product)
            if self._wants(ERASURE):
                self._measure_erasures(product)
            self._note_pinning(ground)

    def _wants(self, name: str) -> bool:
        return not self._given.only or any(part in name for part in self._given.only)

    def _measure_rates(self, stack: ExitStack, ground: Ground, product: Server) -> None:
        engine, rates = self._engine, self._engine.rates
        like = likeness.compare(engine)
        self.notes += like.differences
        options = engine.options(engine.seeded(self._size, "floor"), like.of_reads)
        native = stack.enter_context(ground.floor(engine.floor, *options))
        constant = stack.enter_context(ground.floor("constant"))
        self._note_generator(stack.enter_context(ground.floor("echo")), constant)
        of_alone = engine.alone(self._size)
        alone = stack.enter_context(ground.alone(*of_alone)) if of_alone else None
        # What reads goes first, so that it meets the seeded rows alone.
        self._measure_native(rates.native_reads, product, native, alone)
        self._measure_zep(rates.zep_reads, product, constant)
        self._measure_native(rates.native_writes, product, native, alone)
        self._measure_zep(rates.zep_writes, product, constant)

    def _measure_native(
        self,
        rates: Sequence[Rate],
        product: Server,
        floor: Server,
        process: "Popen[str] | None",
    ) -> None:
        for rate in filter(lambda rate: self._wants(rate.name), rates):
            other = Asked(floor, rate.traffic(self._size), rate.status)
            alone = [] if process is None else [Alone(process, rate.name)]
            compared = self._compare(rate, product, other, *alone)
            of_alone = report.of_alone(compared) if alone else ()
            self._add_share(rate, compared, of_alone)

    def _measure_zep(self, rates: Sequence[Rate], product: Server, constant: Server) -> None:
        for rate in filter(lambda rate: self._wants(rate.name), rates):
            compared = self._compare(rate, product, Asked(constant, traffic.one("/")(self._size)))
            self._add_share(rate, compared, (f"{rate.zep:.2f}",))

    def _compare(self, rate: Rate, product: Server, *others: Side) -> Compared:
        return measure.compare(
            Asked(product, rate.traffic(self._size), rate.status),
            *others,
            pace=self._pace,
            used_by_database=self._engine.used_s,
        )

    def _add_share(self, rate: Rate, compared: Compared, more: Cells) -> None:
        if median(compared.ratios(by_rate)) > 1:
            self.notes.append(f"{rate.name}: **its floor is slower, and so is no floor**")
        of_database = report.of_database(compared) if self._engine.is_beside else ()
        self._shares[rate] = (*report.of_rate(rate, compared), *of_database, *more)
        _tell(*self._shares[rate])

    def _measure_pages(self, product: Server) -> None:
        pages = self._size.users // _PAGE
        cursor = measure.cursor_of_page(product, pages)
        first = traffic.one(f"/v1/users?limit={_PAGE}")(self._size)
        last = traffic.one(f"/v1/users?limit={_PAGE}&cursor={cursor}")(self._size)
        compared = measure.compare(
            Asked(product, last), Asked(product, first), pace=self._pace, connections=1
        )
        self._add_other(
            f"page {pages:,} of users against page 1: time of a page of {_PAGE}",
            spread(compared.ratios(by_p50)),
            "≤ 1.2",
            is_met=median(compared.ratios(by_p50)) <= 1.2,
        )

    def _measure_growth(self, ground: Ground, product: Server) -> None:
        size = Seeded(users=self._size.users, sessions=_LARGE_SESSIONS)
        requests = traffic.memories("/v1/sessions")
        with ground.product(self._engine.large(size)) as large:
            compared = measure.compare(
                Asked(large, requests(size)),
                Asked(product, requests(self._size)),
                pace=self._pace,
            )
        self._add_other(
            f"memory of 12 among {size.messages:,} messages against {self._size.messages:,}: time",
            spread(compared.ratios(by_p50)),
            "≤ 1.5",
            is_met=median(compared.ratios(by_p50)) <= 1.5,
        )

    def _measure_erasures(self, product: Server) -> None:
        came = measure.delete_under_load(product, APPEND(self._size))
        self._add_other(
            "deleting a user of 1,000 messages: until the answer, ms", milliseconds(came.answered_s)
        )
        self._add_other(
            "… longest wait of another writer meanwhile, ms",
            milliseconds(came.waits_s),
            "≤ 100",
            is_met=max(came.waits_s) <= max(0.1, *came.quiet_waits_s),
        )
        self._add_other(
            "… the same in windows without an erasure, ms", milliseconds(came.quiet_waits_s)
        )

    def _measure_starts(self, database: str) -> None:
        ground = Ground(self._folder, is_pinned=False)
        databases = {
            "an empty database": self._engine.empty("empty"),
            f"{self._size.users:,} users": database,
        }
        for name, came in zip(
            databases, measure.start_servers(ground, list(databases.values())), strict=True
        ):
            self._add_other(
                f"start on {name}: until the first answer, s",
                spread(came.seconds),
                "≤ 0.5",
                is_met=median(came.seconds) <= 0.5,
            )
            mebibytes = [bytes_ / 2**20 for bytes_ in came.memory_bytes]
            self._add_other(
                f"… resident memory when idle on {name}, MiB",
                spread(mebibytes, 0),
                "≤ 80",
                is_met=median(mebibytes) * 2**20 <= 80e6,
            )

    def _add_other(self, name: str, value: str, goal: str = "", *, is_met: bool = True) -> None:
        self._others.append((name, value, report.goal(goal, is_met=is_met) if goal else ""))
        _tell(*self._others[-1])

    def _note_pinning(self, ground: Ground) -> None:
        if ground.is_pinned:
            self.notes.append("each server on one core, the load generator on another")
        else:
            self.notes.append("servers and load generator share all cores")
        self.notes += self._engine.notes

    def _note_generator(self, echo: Server, constant: Server) -> None:
        ask = traffic.one("/")(self._size)
        loads = measure.compare(Asked(echo, ask), Asked(constant, ask), pace=_CALIBRATION)
        self.notes.append(
            f"the load generator: {median(map(by_rate, loads.first)):,.0f} requests/s against a "
            f"server that sends fixed bytes (at {_busy(loads.first):.0%} of its core); "
            f"{median(map(by_rate, loads.second)):,.0f} against the constant application "
            f"(at {_busy(loads.second):.0%})"
        )
        _tell(self.notes[-1])

    def _tables(self) -> list[report.Table]:
        of_database = report.OF_DATABASE if self._engine.is_beside else ()
        about_database = _ABOUT_DATABASE if self._engine.is_beside else ""
        tables = [
            self._native_table((*report.OF_RATE, *of_database), _ABOUT_NATIVE + about_database),
            report.Table(
                "Zep v1 door",
                _ABOUT_ZEP,
                (*report.OF_RATE, *of_database, *report.OF_ZEP),
                self._rows(self._engine.rates.zep),
            ),
            report.Table("Other things", _ABOUT_OTHERS, ("", "measured", "goal"), self._others),
        ]
        return [table for table in tables if table.rows]

    def _native_table(self, columns: Cells, about: str) -> report.Table:
        rows = self._rows(self._engine.rates.native)
        if rows and len(rows[0]) > len(columns):
            columns, about = (*columns, *report.OF_ALONE), about + _ABOUT_ALONE
        return report.Table("Native door", about.format(connections=CONNECTIONS), columns, rows)

    def _rows(self, rates: Sequence[Rate]) -> list[Cells]:
        return [self._shares[rate] for rate in rates if rate in self._shares]


def _busy(loads: Sequence[Load]) -> float:
    return max(load.busy for load in loads)


def _tell(*cells: str) -> None:
    print("  ".join(cells), flush=True)


def main() -> None:
    """Measure, print, and keep what a whole run gives."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--postgres",
        action="store_true",
        help="on PostgreSQL: a server of this run's own, or that of USERKEEP_TEST_POSTGRES_URL",
    )
    parser.add_argument(
        "--search",
        action="store_true",
        help="searching, and nothing else, on both engines; see bench.search",
    )
    parser.add_argument(
        "--erasure",
        action="store_true",
        help="deleting, and nothing else, on both engines; see bench.erasure",
    )
    parser.add_argument(
        "--large",
        action="store_true",
        help="also with 10,000,000 messages; with --erasure also a user of 1,000,000",
    )
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="rows with this in their name; repeatable"
    )
    parser.add_argument(
        "--seconds", type=float, default=7.0, help="of each side of a row in all (default: 7)"
    )
    parser.add_argument(
        "--users", type=int, default=1_000_000, help="in the database (default: 1,000,000)"
    )
    parser.add_argument(
        "--unpinned", action="store_true", help="let servers and load generator share all cores"
    )
    parser.add_argument(
        "--results",
        type=Path,
        help="the file to keep the tables in (default: bench/RESULTS.md or, with --postgres or "
        "--search or --erasure, bench/RESULTS-postgres.md, bench/RESULTS-search.md or "
        "bench/RESULTS-erasure.md; none with --only)",
    )
    given = parser.parse_args()
    seed.FOLDER.mkdir(exist_ok=True)
    if given.search:
        search.run(given)
        return
    if given.erasure:
        erasure.run(given)
        return
    with tempfile.TemporaryDirectory(dir=seed.FOLDER, prefix="run-") as folder:
        bench = Bench(given, Path(folder), _on_postgres if given.postgres else _on_sqlite)
        noise = Noise()
        tables = bench.run()
        notes = [noise.told(bench.database_s), *bench.notes]
    text = report.text_of(tables, notes, seed.FOLDER, bench.facts)
    print(f"\n{text}")
    file = given.results or (None if given.only else bench.results)
    if file is not None:
        file.write_text(text)


def _on_sqlite(folder: Path) -> AbstractContextManager[Engine]:
    return nullcontext(SqliteBench(folder))


def _on_postgres(_folder: Path) -> AbstractContextManager[Engine]:
    return PostgresBench()


if __name__ == "__main__":
    main()
