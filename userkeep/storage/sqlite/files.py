"""The files of a SQLite database, as bytes.

They are read through SQLite's VFS. Opening and closing the database file directly would drop, with
the close, all locks that SQLite has on it in this process (POSIX defines it so). The next program
that opens the file would then not see that it is in use.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import apsw

from userkeep.domain.errors import StorageError, Unavailable
from userkeep.domain.verification import Skipped
from userkeep.storage.engine import Files
from userkeep.storage.private_files import exposure, kind_of
from userkeep.storage.raw_files import OpenFile
from userkeep.storage.sqlite.connection import MEMORY
from userkeep.storage.sqlite.descriptors import FileId

_FLAGS = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]


_CHECK_EVERY_S = 0.05

_COPY = re.compile(r"\.schema-\d+")
UNFINISHED = ".part"
"""The end of the name of a copy that is being written."""

_MOVED = (
    "The database file, or a file that belongs to it, was moved, deleted or replaced while this "
    "process has it open. Nothing was changed. Put the file back, or restart the server."
)


def real_path(database: str) -> str:
    """Return the path of a database file without symbolic links.

    Raises:
        StorageError: the path is a link that leads nowhere or belongs to another user, or what is
            there is not a file.
    """
    path = os.path.realpath(database)
    if Path(database).is_symlink():
        if not Path(path).exists():
            raise StorageError(
                f"{database} is a symbolic link to {path}, which does not exist. Name the file "
                "itself to create it."
            )
        if os.lstat(database).st_uid not in {os.geteuid(), 0}:
            raise StorageError(
                f"{database} is a symbolic link of another user. Name the file itself: {path}."
            )
    check_is_file(database)
    return path


def check_is_file(database: str) -> None:
    """Check that a path has a file, or nothing; opening a named pipe would wait for ever.

    Raises:
        StorageError: it is a folder, a pipe or a device.
    """
    try:
        kind = kind_of(Path(database).stat())
    except OSError:
        return  # it is missing or unreadable, which the code that opens it reports
    if kind is not None:
        raise StorageError(
            f"{database} cannot be opened: it is a {kind}, not a database file. Name another file."
        )


def exposed_files(database: str) -> list[str]:
    """Return which files of a database others can use, in words."""
    path = Path(os.path.realpath(database))
    ends = ("", "-wal", "-shm", ".lock", ".ledger")
    beside = [path.with_name(f"{path.name}{end}") for end in ends]
    files = (*beside, *copies_of(database), path.parent)
    return [each for each in map(exposure, files) if each is not None]


def copies_of(path: str) -> list[Path]:
    """Return the copies that migrations keep beside a database file, unfinished ones included."""
    if path == MEMORY:
        return []
    database = Path(os.path.realpath(path))
    if not database.parent.exists():
        return []
    ends = (
        (each, each.name.removeprefix(database.name).removesuffix(UNFINISHED))
        for each in database.parent.iterdir()
        if each.name.startswith(database.name)
    )
    return sorted(each for each, end in ends if _COPY.fullmatch(end))


class FileWatch:
    """Notices that the files of an open database were moved, deleted or replaced.

    SQLite does not: it writes on to a file that has no path any more, creates an empty one for its
    next connection, and overwrites the WAL of another.
    """

    def __init__(self, database: str, file_id: FileId) -> None:
        """Remember the files; the WAL must exist.

        Args:
            database: the path.
            file_id: which file was locked.
        """
        path = os.path.realpath(database)
        self._file = path
        self._wal = f"{path}-wal"
        names = (path, self._wal, f"{path}-shm")
        self._check_at = 0.0
        found = {name: _id_of(name) for name in names}
        self._ids = {name: each for name, each in found.items() if each is not None}
        self._ids[path] = file_id

    def check_now_and_then(self) -> None:
        """Check all files, if they were not checked in the last moments.

        Raises:
            Unavailable: one is another file, or gone.
        """
        now = monotonic()
        if now > self._check_at:
            self.check()
            self._check_at = now + _CHECK_EVERY_S

    def check(self) -> None:
        """Check the database file, its WAL and its shared memory.

        Raises:
            Unavailable: one is another file, or gone.
        """
        for name, file_id in self._ids.items():
            if _id_of(name) != file_id:
                raise Unavailable(_MOVED)

    @property
    def has_foreign_wal(self) -> bool:
        """Whether the WAL beside the file belongs to another database now."""
        found = _id_of(self._wal)
        return found is not None and found != self._ids.get(self._wal)


def _id_of(path: str) -> FileId | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - in every read, and pathlib takes as long again
    except OSError:
        return None
    return FileId(status.st_dev, status.st_ino)


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
