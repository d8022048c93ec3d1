"""The files of a SQLite database, as bytes.

They are read through SQLite's VFS. Opening and closing the database file directly would drop, with
the close, all locks that SQLite has on it in this process (POSIX defines it so). The next program
that opens the file would then not see that it is in use.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import apsw

from userkeep.domain.verification import Skipped
from userkeep.storage.engine import Files
from userkeep.storage.raw_files import OpenFile
from userkeep.storage.sqlite.connection import MEMORY

_FLAGS = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]


class SqliteFile(NamedTuple):
    """A file that is read through SQLite's VFS; a `storage.raw_files.RawFile`."""

    path: Path
    name: str

    @property
    def label(self) -> str:
        return f"file {self.name}"

    @contextmanager
    def open(self) -> Iterator[OpenFile]:
        try:
            file = apsw.VFSFile("", str(self.path), _FLAGS)
        except apsw.Error as error:
            if not self.path.exists():
                raise FileNotFoundError(f"{self.name} was deleted") from error
            raise OSError(f"{self.name} cannot be opened") from error
        try:
            yield _OpenFile(file)
        except apsw.Error as error:
            raise OSError(f"{self.name} cannot be read") from error
        finally:
            file.xClose()


class _OpenFile(NamedTuple):
    file: apsw.VFSFile

    @property
    def size(self) -> int:
        return self.file.xFileSize()

    def read(self, offset: int, amount: int) -> bytes:
        # Never beyond the end: then xRead would drop the zeros before the end too.
        available = min(amount, self.size - offset)
        return self.file.xRead(available, offset) if available > 0 else b""


def files_of(path: str) -> Files:
    """Return the files of a database.

    The WAL comes first: its content is copied to the database file. Data that moves while they are
    read is then found in one of them at least.
    """
    if path == MEMORY:
        reason = "The database is in memory and has no files."
        return Files((), (Skipped("files", reason),))
    real = Path(os.path.realpath(path))
    beside = [each for each in real.parent.iterdir() if each.name.startswith(real.name)]
    order = {f"{real.name}-wal": 0, f"{real.name}-journal": 1, real.name: 2}
    shared_memory = f"{real.name}-shm"
    secret = f"{real.name}.secret"  # it has no personal data
    raw = [
        SqliteFile(each, each.name)
        for each in sorted(beside, key=lambda each: (order.get(each.name, 3), each.name))
        if each.is_file() and each.name not in {shared_memory, secret}
    ]
    reason = "It contains only page numbers, and locks that reading it would drop."
    return Files(tuple(raw), (Skipped(f"file {shared_memory}", reason),))
