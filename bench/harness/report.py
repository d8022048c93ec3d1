"""What is printed and kept: the machine, notes, and tables of rows."""

import argparse
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

from bench.harness.load import Load
from devtools.markdown import Cells, Table


class Report(NamedTuple):
    """What a scenario measured: tables, and notes for those who read them."""

    tables: Sequence[Table]
    notes: Sequence[str] = ()


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Format the median of values, with the least and the greatest."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def milliseconds(seconds: Sequence[float]) -> str:
    """Format the same of seconds."""
    return spread([value * 1000 for value in seconds], 1)


def rate_and_waits(loads: Sequence[Load]) -> Cells:
    """Format responses per second, and the 50th and 99th percentile of the waits in ms."""
    return (
        f"{median(load.rate for load in loads):,.0f}",
        f"{median(map(by_p50, loads)) * 1000:.2f}",
        f"{median(percentile(load.waits, 99) for load in loads) * 1000:.2f}",
    )


def percentile(waits: Sequence[float], of: int) -> float:
    """Return a percentile of sorted waits."""
    return waits[len(waits) * of // 100]


def by_rate(load: Load) -> float:
    return load.rate


def by_p50(load: Load) -> float:
    return median(load.waits)


def by_thrift(load: Load) -> float:
    """Responses per processor second of the server."""
    return len(load.received) / load.server_s


def is_wanted(given: argparse.Namespace, name: str) -> bool:
    """Return whether a row is to be measured: all are, unless some were named."""
    return not given.only or any(part in name for part in given.only)


def show(cells: Cells) -> Cells:
    """Print a row as soon as it is measured."""
    print("  ".join(cells), flush=True)
    return cells


class Noise:
    """How busy the machine was with something else, from the construction until `note`.

    Ask for the note when all servers have ended: only then the system reports what they used.
    """

    _TOO_MUCH = 0.05

    def __init__(self) -> None:
        self._began = perf_counter()
        self._others = _others_s()

    def note(self, database_s: float) -> str:
        """Return it in a sentence.

        Args:
            database_s: the processor seconds of the database's own processes, which are not our
                children.
        """
        cores = os.cpu_count() or 1
        others = _others_s() - self._others - database_s
        share = others / (perf_counter() - self._began) / cores
        warning = ": **too much; repeat this when it is quiet**" if share > self._TOO_MUCH else ""
        return f"other processes used {max(share, 0):.0%} of the machine{warning}"


def _others_s() -> float:
    _, user, nice, system, _idle, _waiting, *interrupts = (
        Path("/proc/stat").read_text().partition("\n")[0].split()
    )
    ticks = sum(map(int, (user, nice, system, *interrupts[:3])))
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    used = sum(each.ru_utime + each.ru_stime for each in own)
    return ticks / os.sysconf("SC_CLK_TCK") - used


def markdown(title: str, report: Report, folder: Path, database: Mapping[str, str]) -> str:
    """Return all of it as Markdown.

    Args:
        folder: where the databases were.
        database: the facts of the driver and of the database.
    """
    parts = [
        f"# {title}",
        "See [README.md](../README.md) for what this measures. Compare ratios, never figures of "
        "different days: the machine drifts.",
        "\n".join(f"- {name}: {value}" for name, value in machine(folder, database).items()),
        "\n".join(f"- {note}" for note in report.notes),
        *(str(table) for table in report.tables if table.rows),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def machine(folder: Path, database: Mapping[str, str]) -> dict[str, str]:
    """Return where and when this was measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "command": f"`python {' '.join(sys.orig_argv[1:])}`",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{memory / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "disk": f"{_file_system(folder)}, a write of 4 KiB is on the disk after "
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
