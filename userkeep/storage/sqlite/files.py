"""The files of a SQLite database, as bytes.

They are read through SQLite's own layer. Whoever opens and closes the database's file by himself
takes away, with the close, every lock that SQLite has on it in this process: so POSIX has it. The
next program that opens the file would then believe itself alone.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import apsw

from userkeep.domain.verification import NotLookedAt
from userkeep.storage.engine import Files
from userkeep.storage.raw_files import OpenFile
from userkeep.storage.sqlite.connection import MEMORY

_FLAGS = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]


class SqliteFile(NamedTuple):
    """See storage.raw_files.RawFile."""

    path: Path
    name: str

    @property
    def label(self) -> str:
        """See storage.raw_files.RawFile: itself."""
        return f"file {self.name}"

    @contextmanager
    def open(self) -> Iterator[OpenFile]:
        """See storage.raw_files.RawFile."""
        try:
            file = apsw.VFSFile("", str(self.path), _FLAGS)
        except apsw.Error as error:
            if not self.path.exists():
                raise FileNotFoundError(f"{self.name} is gone") from error
            raise OSError(f"{self.name} cannot be opened") from error
        try:
            yield _Open(file)
        except apsw.Error as error:
            raise OSError(f"{self.name} cannot be read") from error
        finally:
            file.xClose()


class _Open(NamedTuple):
    file: apsw.VFSFile

    @property
    def size(self) -> int:
        return self.file.xFileSize()

    def read(self, offset: int, amount: int) -> bytes:
        # Of what it is asked for beyond the end, it would leave out the zeros before the end too.
        there = min(amount, self.size - offset)
        return self.file.xRead(there, offset) if there > 0 else b""


def files_of(path: str) -> Files:
    """The files of a database: its log before all others, because what leaves it goes there."""
    if path == MEMORY:
        why = "The database is in memory: it has none."
        return Files((), (NotLookedAt("files", why),))
    real = Path(os.path.realpath(path))
    beside = [each for each in real.parent.iterdir() if each.name.startswith(real.name)]
    first = {f"{real.name}-wal": 0, f"{real.name}-journal": 1, real.name: 2}
    shared = f"{real.name}-shm"
    secret = f"{real.name}.secret"  # nobody's data, and nothing to ask questions of
    raw = [
        SqliteFile(each, each.name)
        for each in sorted(beside, key=lambda each: (first.get(each.name, 3), each.name))
        if each.is_file() and each.name not in {shared, secret}
    ]
    why = "It has the numbers of pages alone, and locks that must not be touched."
    return Files(tuple(raw), (NotLookedAt(f"file {shared}", why),))
