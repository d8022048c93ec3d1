"""What is printed and kept: the machine, and a table for each kind of row."""

import os
import platform
import resource
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

from bench.load import Load
from bench.measure import Compared
from bench.rows import Rate


class Table(NamedTuple):
    """Rows under a title, with a sentence on how to read them."""

    title: str
    about: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def __str__(self) -> str:
        widths = [
            max(len(row[place]) for row in (self.columns, *self.rows))
            for place in range(len(self.columns))
        ]
        rule = tuple("-" * width for width in widths)
        lines = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in (self.columns, rule, *self.rows)
        ]
        return "\n".join([f"## {self.title}", "", self.about, "", *(f"{line} |" for line in lines)])


Cells = tuple[str, ...]

OF_RATE = (
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
OF_DATABASE = ("database",)
OF_ALONE = ("no HTTP", "no HTTP p50", "share of it")
OF_ZEP = ("Zep",)


def of_rate(rate: Rate, compared: Compared) -> Cells:
    """A row under OF_RATE: a server and its floor."""
    shares = compared.ratios(by_rate)
    return (
        rate.name,
        *_of_loads(compared.first),
        *_of_loads(compared.second),
        spread(shares),
        goal(f"≥ {rate.goal:.2f}", is_met=median(shares) >= rate.goal),
        f"{median(compared.ratios(_thrift)):.2f}",
        f"{compared.busy():.0%}",
    )


def of_database(compared: Compared) -> Cells:
    """What the server's part and the floor's part cost the database, as shares of a core."""
    first, second = (
        median(load.database for load in loads) for loads in (compared.first, compared.second)
    )
    return (f"{first:.0%}, {second:.0%}",)


def of_alone(compared: Compared) -> Cells:
    """The third side: statements without a server."""
    loads = compared.loads[2]
    return (
        f"{median(map(by_rate, loads)):,.0f}",
        f"{median(map(by_p50, loads)) * 1000:.2f}",
        spread(compared.ratios(by_rate, to=2)),
    )


def _of_loads(loads: Sequence[Load]) -> Cells:
    return (
        f"{median(map(by_rate, loads)):,.0f}",
        f"{median(map(by_p50, loads)) * 1000:.2f}",
        f"{median(load.p99 for load in loads) * 1000:.2f}",
    )


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median of values, and the least and greatest."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def milliseconds(seconds: Sequence[float]) -> str:
    """The same, of seconds."""
    return spread([value * 1000 for value in seconds], 1)


def goal(text: str, *, is_met: bool) -> str:
    """A goal, and whether it was missed."""
    return text if is_met else f"{text} **missed**"


def by_rate(load: Load) -> float:
    """Answers a second."""
    return load.rate


def by_p50(load: Load) -> float:
    """The median wait."""
    return load.p50


def _thrift(load: Load) -> float:
    return 1 / load.cost_s


class Noise:
    """What else the machine had to do, from when this is made until it is asked for.

    Asked when all servers have ended: only then the system tells what they have used.
    """

    _TOO_MUCH = 0.05

    def __init__(self) -> None:
        self._began = perf_counter()
        self._others = _others_s()

    def told(self, database_s: float) -> str:
        """A sentence.

        Args:
            database_s: the seconds of processor that the database's own processes used; they are
                nobody's children.
        """
        cores = os.cpu_count() or 1
        others = _others_s() - self._others - database_s
        share = others / (perf_counter() - self._began) / cores
        warning = ": **too much; repeat this when it is quiet**" if share > self._TOO_MUCH else ""
        return f"other processes used {max(share, 0):.0%} of the machine meanwhile{warning}"


def _others_s() -> float:
    _, user, nice, system, _idle, _waiting, *interrupts = (
        Path("/proc/stat").read_text().partition("\n")[0].split()
    )
    ticks = sum(map(int, (user, nice, system, *interrupts[:3])))
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    used = sum(each.ru_utime + each.ru_stime for each in own)
    return ticks / os.sysconf("SC_CLK_TCK") - used


def text_of(
    tables: Sequence[Table],
    notes: Sequence[str],
    folder: Path,
    database: Mapping[str, str],
    *,
    module: str = "__main__",
) -> str:
    """All of it as Markdown.

    Args:
        database: what is to be said of driver and database.
        module: where it is told what each row is.
    """
    parts = [
        "# What the benchmark measured",
        f"See `bench/{module}.py` for what each row is. Compare ratios, never figures of different "
        "days: the machine drifts.",
        "\n".join(f"- {name}: {value}" for name, value in machine(folder, database).items()),
        "\n".join(f"- {note}" for note in notes),
        *map(str, tables),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def machine(folder: Path, database: Mapping[str, str]) -> dict[str, str]:
    """Where and when this was measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "command": f"`python {' '.join(sys.orig_argv[1:])}`",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{memory / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "disk": f"{folder}: {_file_system(folder)}, a write of 4 KiB is on the disk after "
        f"{_sync_s(folder) * 1e6:,.0f} µs (median)",
        "Python": platform.python_version(),
        **database,
        "server": ", ".join(f"{name} {version(name)}" for name in _SERVER),
    }


_SERVER = ("uvicorn", "uvloop", "httptools", "starlette", "msgspec")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _file_system(folder: Path) -> str:
    best = ("", "unknown")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mounted, kind, *_ = line.split()
        if folder.resolve().is_relative_to(mounted):
            best = max(best, (mounted, kind))
    return best[1]


def _sync_s(folder: Path) -> float:
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(100):
            file.write(bytes(4096))
            file.flush()
            began = perf_counter()
            os.fdatasync(file.fileno())
            times.append(perf_counter() - began)
    return median(times)
