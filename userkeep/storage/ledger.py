"""The file of the deletion ledger: lines are only added, and each is on the disk when it counts.

All lines have the same length, so the number of a line is its place. Each batch of lines opens the
file, locks it and writes at its end: so several processes can share it, and one that was moved,
replaced or deleted is noticed, rather than written to where it has no name any more.
"""

import asyncio
import fcntl
import logging
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol
from uuid import uuid4

from userkeep.domain.errors import StorageError, Unavailable
from userkeep.domain.ledger import (
    DamagedLedger,
    Deleted,
    Entry,
    Header,
    LedgerFormat,
    UnknownEntry,
)
from userkeep.storage.private_files import (
    check_parents,
    create_private,
    kind_of,
    make_private_folder,
)

logger = logging.getLogger(__name__)

_LINE = LedgerFormat.LINE_BYTES
_READ_LINES = 5_000


class LedgerFigures(NamedTuple):
    """What a ledger did in this process.

    Attributes:
        recorded: how many entries were written.
        failures: how often entries could not be written.
    """

    recorded: int = 0
    failures: int = 0


class Ledger(Protocol):
    """Records what is deleted."""

    @property
    def figures(self) -> LedgerFigures:
        """What it did in this process."""
        ...

    def record(self, deleted: Sequence[Deleted]) -> None:
        """Record deletions; return when they are on the disk.

        Raises:
            Unavailable: they could not be written.
        """
        ...

    async def record_async(self, deleted: Sequence[Deleted]) -> None:
        """Record deletions as `record` does, from the event loop."""
        ...


class NoLedger:
    """Records nothing: for a database in memory, and where the ledger is off."""

    figures = LedgerFigures()

    def record(self, deleted: Sequence[Deleted]) -> None:
        """Do nothing."""

    async def record_async(self, deleted: Sequence[Deleted]) -> None:
        """Do nothing."""


class LedgerFile:
    """A ledger in a file.

    It is created with its first entry.

    Args:
        path: of the file.
        format_: of its lines.
    """

    def __init__(self, path: Path, format_: LedgerFormat) -> None:
        self.path = path
        self.format = format_
        self._lock = threading.Lock()
        self._waiting: list[tuple[Sequence[Deleted], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._may_create = False
        self.figures = LedgerFigures()

    @property
    def place(self) -> str:
        """The machine and the path, by which a database recognizes a ledger that was lost."""
        return f"{socket.gethostname()}:{self.path.absolute()}"

    def exists(self) -> bool:
        """Return whether there is a file with its first line.

        Where the disk was full, or the process ended before that was written, there is no entry
        either: such a file counts as none, and the next entry begins it again.

        Raises:
            StorageError: what is there is not a file, or cannot be read.
        """
        try:
            kind = kind_of(self.path.stat())
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(f"The ledger {self.path} cannot be read: {error}.") from error
        if kind is not None:
            raise StorageError(f"The ledger {self.path} is a {kind}, not a file.")
        with self._open(os.O_RDONLY) as descriptor:
            return not self.format.is_unfinished_header(os.pread(descriptor, _LINE, 0))

    def check_can_be_written(self) -> None:
        """Check that entries can be added, without adding any.

        Raises:
            StorageError: they cannot.
        """
        check_parents(self.path.parent)
        there = next(each for each in (self.path, *self.path.absolute().parents) if each.exists())
        if not os.access(there, os.W_OK):
            raise StorageError(
                f"The deletion ledger {self.path} cannot be written, so nothing could be deleted. "
                "Set USERKEEP_LEDGER_FILE to a path that this process can write, on a disk that "
                "outlives it."
            )

    def header(self) -> Header:
        """Return the first line.

        Raises:
            StorageError: the file cannot be read, or is not a ledger of this database.
        """
        with self._open(os.O_RDONLY) as descriptor:
            return self._header(descriptor)

    def length(self) -> int:
        """Return the number of whole lines, the header included."""
        with self._open(os.O_RDONLY) as descriptor:
            return os.fstat(descriptor).st_size // _LINE

    def read(self, first: int = 1) -> Iterator[Entry]:
        """Iterate over the entries from a line on.

        Raises:
            StorageError: a line was changed, or the file cannot be read.
        """
        with self._open(os.O_RDONLY) as descriptor:
            self._header(descriptor)
            number = max(first, 1)
            while block := os.pread(descriptor, _READ_LINES * _LINE, number * _LINE):
                for at in range(0, len(block) // _LINE * _LINE, _LINE):
                    yield self._read_line(number, block[at : at + _LINE])
                    number += 1
                if len(block) % _LINE:
                    return  # a line that was not written to its end was never answered

    def create(self) -> None:
        """Create the file if it is missing, with its header.

        Raises:
            StorageError: it cannot be created.
        """
        try:
            make_private_folder(self.path.parent)
            with suppress(FileExistsError):
                os.close(create_private(self.path))
        except OSError as error:
            raise StorageError(
                f"The ledger {self.path} cannot be created: {error.strerror}."
            ) from error

    def add(self, entries: Sequence[Entry]) -> None:
        """Add entries; return when they are on the disk.

        Raises:
            StorageError: they could not be written. None was added.
        """
        with self._lock, self._open(os.O_RDWR) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            if size % _LINE:
                logger.warning("the last line of the deletion ledger was incomplete")
                size -= size % _LINE
            if size:
                # Another database may have begun it since this process was started.
                self._header(descriptor)
            try:
                self._write(descriptor, size, entries)
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
            if size == 0:
                self._sync_folder()

    def record(self, deleted: Sequence[Deleted]) -> None:
        """Record deletions; return when they are on the disk."""
        self._add([self.format.entry(each) for each in deleted])

    async def record_async(self, deleted: Sequence[Deleted]) -> None:
        """Record deletions, together with those that arrive while others are written."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((deleted, future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_waiting())
        await future  # if this is cancelled, the entries are written all the same

    async def _write_waiting(self) -> None:
        """Write what waits, in a thread, until nothing does."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                entries = [self.format.entry(each) for deleted, _ in batch for each in deleted]
                error: Exception | None = None
                try:
                    await asyncio.to_thread(self._add, entries)
                except Exception as failure:
                    error = failure
                for _, future in batch:
                    _resolve(future, error)
        finally:
            self._writer = None

    def _add(self, entries: Sequence[Entry]) -> None:
        try:
            if self._may_create and not self.exists():
                self.create()
            self.add(entries)
        except StorageError as error:
            self.figures = self.figures._replace(failures=self.figures.failures + 1)
            logger.error("a deletion could not be recorded in the ledger: %s", error.detail)
            raise Unavailable(error.detail) from error
        self._may_create = False
        recorded = self.figures.recorded + len(entries)
        self.figures = self.figures._replace(recorded=recorded)

    def may_be_created(self) -> None:
        """Let the first entry create the file: the database has no deletions yet."""
        self._may_create = True

    def _write(self, descriptor: int, size: int, entries: Sequence[Entry]) -> None:
        number = size // _LINE
        lines: list[bytes] = []
        if number == 0:
            header = Header(str(uuid4()), self.format.database)
            lines.append(self.format.header_line(header))
            number = 1
        lines += [self.format.line(number + at, entry) for at, entry in enumerate(entries)]
        content = memoryview(b"".join(lines))
        while content:
            written = os.pwrite(descriptor, content, size)
            size += written
            content = content[written:]
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)

    def _header(self, descriptor: int) -> Header:
        line = os.pread(descriptor, _LINE, 0)
        try:
            header = self.format.read_header(line)
        except DamagedLedger as error:
            raise StorageError(f"{self.path} is not a deletion ledger.") from error
        if header.database != self.format.database:
            raise StorageError(
                f"{self.path} is the deletion ledger of another database. Set USERKEEP_LEDGER_FILE "
                "to the ledger of this one, or to a path where there is none yet."
            )
        return header

    def _read_line(self, number: int, line: bytes) -> Entry:
        try:
            return self.format.read(number, line)
        except UnknownEntry as error:
            raise StorageError(
                f"Line {number + 1:,} of the deletion ledger {self.path} is about something that "
                "this version does not know. Use the version of Userkeep that wrote it."
            ) from error
        except (DamagedLedger, ValueError) as error:
            raise StorageError(
                f"Line {number + 1:,} of the deletion ledger {self.path} was changed, or lines "
                "before it were removed. Restore the ledger from a copy. Without one, move it "
                "away: a new one is then made from the database."
            ) from error

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def _open(self, flags: int) -> Iterator[int]:
        try:
            descriptor = os.open(self.path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                yield descriptor
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StorageError(
                f"The deletion ledger {self.path} cannot be used: {error.strerror}."
            ) from error


def _resolve(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return  # its request was cancelled
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
