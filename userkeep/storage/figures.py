"""Plain numbers about a running engine, for those who watch it. To read them costs little."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from userkeep.domain.values.histograms import Histogram


class WriterFigures(NamedTuple):
    """What the writer of SQLite has done.

    Attributes:
        groups: the number of writes in each group commit.
        busy_s: how many seconds it has run writes and committed them.
    """

    groups: Histogram
    busy_s: float


class PoolFigures(NamedTuple):
    """A pool of connections to PostgreSQL.

    Attributes:
        size: how many connections it may have.
        connected: how many it has.
        busy: how many of them run an operation.
    """

    size: int
    connected: int
    busy: int


class Figures(NamedTuple):
    """What an engine does at the moment.

    Attributes:
        queued: how many operations wait: writes (SQLite), or operations (PostgreSQL).
        queue_limit: how many may wait; further ones are rejected.
        rejected: how many were rejected because the queue was full.
        long_reads: how many reads run in threads, or wait for one.
        writer: the writer of SQLite.
        pools: the pools of PostgreSQL, by name.
    """

    queued: int
    queue_limit: int
    rejected: int = 0
    long_reads: int = 0
    writer: WriterFigures | None = None
    pools: Mapping[str, PoolFigures] = MappingProxyType({})


class Disk(NamedTuple):
    """The disk of a database's files.

    Attributes:
        free_bytes: how much this process may still write.
        wal_bytes: the size of the write-ahead log.
        is_writable: whether the file and its folder can be written.
    """

    free_bytes: int
    wal_bytes: int
    is_writable: bool


def disk_of(path: str) -> Disk | None:
    """Return the disk of a SQLite file; None if the file is not there."""
    file = Path(os.path.realpath(path))
    try:
        file.stat()
        free_bytes = shutil.disk_usage(file.parent).free
    except OSError:
        return None
    wal_bytes = _size_of(file.with_name(f"{file.name}-wal"))
    is_writable = os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)
    return Disk(free_bytes, wal_bytes, is_writable)


def _size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
