"""The benchmark: what is measured, against what, and how good it should be.

- *The native door* against a floor: a bare ASGI application under the same server that makes the
  same raw calls of the driver with the same durability. The share is what is left of the machine
  after routing, checking, converting, errors and whatever else the product does.
- *The Zep v1 door* against a bare ASGI application that answers a constant; beside each goal stands
  what Zep 0.27.2 itself (Go, PostgreSQL) reached in that way.
- *Other things* against an absolute goal, or against themselves under better conditions.

A share is the median of the shares of several rounds in which both sides were measured in turn.
"""

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench import likeness, measure, report, seed, traffic
from bench.load import CONNECTIONS, Load
from bench.measure import Compared, Pace, Side
from bench.report import Noise
from bench.seed import Seeded
from bench.servers import Ground, Server
from bench.traffic import Traffic


class Rate(NamedTuple):
    """A row of requests a second: its share of the floor should be at least `goal`."""

    name: str
    traffic: Traffic
    goal: float
    status: int = 200
    zep: float | None = None


_MESSAGE = {"role": "user", "role_type": "user"}
_ZEP_MESSAGE = {"role": "user"}
_append = partial(traffic.appends, "/v1/sessions/{}/messages", _MESSAGE)
_zep_append = partial(traffic.appends, "/api/v1/sessions/{}/memory", _ZEP_MESSAGE)

NATIVE_READS = (
    Rate("get user", traffic.users("/v1/users"), 0.60),
    Rate("get memory (12 messages)", traffic.memories("/v1/sessions"), 0.60),
)
NATIVE_WRITES = (
    Rate("post user", traffic.new_users("/v1/users", "native-user"), 0.70, 201),
    Rate("post 1 message", _append(1), 0.70, 201),
    Rate("post 10 messages", _append(10), 0.70, 201),
)
ZEP_READS = (
    Rate("zep get user", traffic.users("/api/v1/user"), 0.55, zep=0.48),
    Rate("zep get memory (12 messages)", traffic.memories("/api/v1/sessions"), 0.35, zep=0.17),
    Rate("zep list 50 users", traffic.one("/api/v1/user?limit=50"), 0.17, zep=0.09),
)
ZEP_WRITES = (
    Rate("zep post user", traffic.new_users("/api/v1/user", "zep-user"), 0.27, 201, 0.26),
    Rate(
        "zep post session of a user",
        traffic.new_sessions("/api/v1/sessions", "zep-session"),
        0.25,
        201,
        0.21,
    ),
    Rate("zep post 1 message", _zep_append(1), 0.20, zep=0.03),
    Rate("zep post 10 messages", _zep_append(10), 0.06, zep=0.03),
)

PAGES = "last page of all users"
GROWTH = "memory among 10M messages"
ERASURE = "erase a user"
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
_ABOUT_ZEP = (
    "The same, as a share of an application that answers a constant and knows no database. "
    "`Zep` is the share that Zep 0.27.2 reached."
)
_ABOUT_OTHERS = "Medians (least to greatest)."
_COLUMNS = (
    "",
    "a second",
    "p50 ms",
    "p99 ms",
    "floor",
    "floor p50",
    "floor p99",
    "share",
    "goal",
    "by cpu",
    "load",
)


class Bench:
    """One run: what was asked for, and what came of it."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self._given = given
        self._folder = folder
        self._size = Seeded(users=given.users, sessions=_SMALL_SESSIONS)
        rounds = max(3, round(given.seconds / _ROUND_S))
        self._pace = Pace(rounds, given.seconds / rounds)
        self._shares: dict[Rate, tuple[str, ...]] = {}
        self._others: list[tuple[str, ...]] = []
        self.notes: list[str] = []

    def run(self) -> list[report.Table]:
        """Measure all that was asked for."""
        template = seed.kept_database(self._size, copies=2)
        database = seed.copied(template, self._folder, "product")
        with ExitStack() as stack:
            ground = stack.enter_context(Ground(self._folder, is_pinned=not self._given.unpinned))
            product = stack.enter_context(ground.product(database))
            self._measure_rates(stack, ground, product, template)
            if self._wants(PAGES):
                self._measure_pages(product)
            if self._wants(GROWTH) and self._given.large:
                self._measure_growth(ground, product)
            if self._wants(ERASURE):
                self._measure_erasures(product)
            self._note_pinning(ground)
        if self._wants(START):
            self._measure_starts(database)
        return self._tables()

    def _wants(self, name: str) -> bool:
        return not self._given.only or any(part in name for part in self._given.only)

    def _measure_rates(
        self, stack: ExitStack, ground: Ground, product: Server, template: Path
    ) -> None:
        like = likeness.compare({rate.name: rate.traffic for rate in NATIVE_READS + NATIVE_WRITES})
        self.notes += like.differences
        options = ["--database", str(seed.copied(template, self._folder, "floor"))]
        if like.reads_in_transaction:
            options.append("--reads-in-transaction")
        native = stack.enter_context(ground.floor("native", *options))
        constant = stack.enter_context(ground.floor("constant"))
        self._note_generator(stack.enter_context(ground.floor("echo")), constant)
        # What reads goes first, so that it meets the seeded rows alone.
        self._measure_table(NATIVE_READS, product, native)
        self._measure_table(ZEP_READS, product, constant)
        self._measure_table(NATIVE_WRITES, product, native)
        self._measure_table(ZEP_WRITES, product, constant)

    def _measure_table(self, rates: Sequence[Rate], product: Server, floor: Server) -> None:
        for rate in filter(lambda rate: self._wants(rate.name), rates):
            other = Side(floor, rate.traffic(self._size), rate.status)
            if rate.zep is not None:
                other = Side(floor, traffic.one("/")(self._size))
            first = Side(product, rate.traffic(self._size), rate.status)
            compared = measure.compare(first, other, self._pace)
            if median(compared.ratios(_rate)) > 1:
                self.notes.append(f"{rate.name}: **its floor is slower, and so is no floor**")
            self._shares[rate] = _row_of_share(rate, compared)
            _tell(*self._shares[rate])

    def _measure_pages(self, product: Server) -> None:
        pages = self._size.users // _PAGE
        cursor = measure.cursor_of_page(product, pages)
        first = traffic.one(f"/v1/users?limit={_PAGE}")(self._size)
        last = traffic.one(f"/v1/users?limit={_PAGE}&cursor={cursor}")(self._size)
        compared = measure.compare(
            Side(product, last), Side(product, first), self._pace, connections=1
        )
        self._add_other(
            f"page {pages:,} of users against page 1: time of a page of {_PAGE}",
            _spread(compared.ratios(_p50)),
            "≤ 1.2",
            is_met=median(compared.ratios(_p50)) <= 1.2,
        )

    def _measure_growth(self, ground: Ground, product: Server) -> None:
        size = Seeded(users=self._size.users, sessions=_LARGE_SESSIONS)
        database = seed.kept_database(size, copies=0)
        seed.warm(database)
        requests = traffic.memories("/v1/sessions")
        with ground.product(database) as large:
            compared = measure.compare(
                Side(large, requests(size)), Side(product, requests(self._size)), self._pace
            )
        self._add_other(
            f"memory of 12 among {size.messages:,} messages against {self._size.messages:,}: time",
            _spread(compared.ratios(_p50)),
            "≤ 1.5",
            is_met=median(compared.ratios(_p50)) <= 1.5,
        )

    def _measure_erasures(self, product: Server) -> None:
        came = measure.erase_under_load(product, _append(1)(self._size))
        self._add_other(
            "erasing a user of 1,000 messages: until the answer, ms", _ms(came.answered_s)
        )
        self._add_other(
            "… longest wait of another writer meanwhile, ms",
            _ms(came.waits_s),
            "≤ 100",
            is_met=max(came.waits_s) <= max(0.1, *came.quiet_waits_s),
        )
        self._add_other("… the same in windows without an erasure, ms", _ms(came.quiet_waits_s))

    def _measure_starts(self, database: Path) -> None:
        ground = Ground(self._folder, is_pinned=False)
        databases = {
            "an empty database": self._folder / "empty.db",
            f"{self._size.users:,} users": database,
        }
        for name, came in zip(
            databases, measure.start_servers(ground, list(databases.values())), strict=True
        ):
            self._add_other(
                f"start on {name}: until the first answer, s",
                _spread(came.seconds),
                "≤ 0.5",
                is_met=median(came.seconds) <= 0.5,
            )
            mebibytes = [bytes_ / 2**20 for bytes_ in came.memory_bytes]
            self._add_other(
                f"… resident memory when idle on {name}, MiB",
                _spread(mebibytes, 0),
                "≤ 80",
                is_met=median(mebibytes) * 2**20 <= 80e6,
            )

    def _add_other(self, name: str, value: str, goal: str = "", *, is_met: bool = True) -> None:
        self._others.append((name, value, _goal(goal, is_met=is_met) if goal else ""))
        _tell(*self._others[-1])

    def _note_pinning(self, ground: Ground) -> None:
        if ground.is_pinned:
            self.notes.append("each server on one core, the load generator on another")
        else:
            self.notes.append("servers and load generator share all cores")

    def _note_generator(self, echo: Server, constant: Server) -> None:
        ask = traffic.one("/")(self._size)
        loads = measure.compare(Side(echo, ask), Side(constant, ask), _CALIBRATION)
        self.notes.append(
            f"the load generator: {median(map(_rate, loads.first)):,.0f} requests/s against a "
            f"server that sends fixed bytes (at {_busy(loads.first):.0%} of its core); "
            f"{median(map(_rate, loads.second)):,.0f} against the constant application "
            f"(at {_busy(loads.second):.0%})"
        )
        _tell(self.notes[-1])

    def _tables(self) -> list[report.Table]:
        tables = [
            report.Table(
                "Native door",
                _ABOUT_NATIVE.format(connections=CONNECTIONS),
                _COLUMNS,
                self._rows(NATIVE_READS + NATIVE_WRITES),
            ),
            report.Table(
                "Zep v1 door",
                _ABOUT_ZEP,
                (*_COLUMNS, "Zep"),
                self._rows(ZEP_READS + ZEP_WRITES),
            ),
            report.Table("Other things", _ABOUT_OTHERS, ("", "measured", "goal"), self._others),
        ]
        return [table for table in tables if table.rows]

    def _rows(self, rates: Sequence[Rate]) -> list[tuple[str, ...]]:
        return [self._shares[rate] for rate in rates if rate in self._shares]


def _row_of_share(rate: Rate, compared: Compared) -> tuple[str, ...]:
    shares = compared.ratios(_rate)
    row = (
        rate.name,
        *_cells(compared.first),
        *_cells(compared.second),
        _spread(shares),
        _goal(f"≥ {rate.goal:.2f}", is_met=median(shares) >= rate.goal),
        f"{median(compared.ratios(_thrift)):.2f}",
        f"{compared.busy():.0%}",
    )
    return row if rate.zep is None else (*row, f"{rate.zep:.2f}")


def _cells(loads: Sequence[Load]) -> tuple[str, str, str]:
    return (
        f"{median(map(_rate, loads)):,.0f}",
        f"{median(map(_p50, loads)) * 1000:.2f}",
        f"{median(load.p99 for load in loads) * 1000:.2f}",
    )


def _spread(values: Sequence[float], digits: int = 2) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _ms(seconds: Sequence[float]) -> str:
    return _spread([value * 1000 for value in seconds], 1)


def _goal(text: str, *, is_met: bool) -> str:
    return text if is_met else f"{text} **missed**"


def _rate(load: Load) -> float:
    return load.rate


def _thrift(load: Load) -> float:
    return 1 / load.cost_s


def _p50(load: Load) -> float:
    return load.p50


def _busy(loads: Sequence[Load]) -> float:
    return max(load.busy for load in loads)


def _tell(*cells: str) -> None:
    print("  ".join(cells), flush=True)


def main() -> None:
    """Measure, print, and keep what a whole run gives."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.split("\n")[0])
    parser.add_argument("--large", action="store_true", help="also with 10,000,000 messages")
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
        help="the file to keep the tables in (default: bench/RESULTS.md; none with --only)",
    )
    given = parser.parse_args()
    seed.FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=seed.FOLDER, prefix="run-") as folder:
        bench = Bench(given, Path(folder))
        noise = Noise()
        tables = bench.run()
        notes = [str(noise), *bench.notes]
    text = report.text_of(tables, notes, seed.FOLDER)
    print(f"\n{text}")
    file = given.results or (None if given.only else report.FILE)
    if file is not None:
        file.write_text(text)


if __name__ == "__main__":
    main()
