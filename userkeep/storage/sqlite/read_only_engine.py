"""The SQLite engine of an instance that is opened read-only."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar

import apsw

from userkeep.domain.deadline import Deadline
from userkeep.domain.errors import StorageError, Unavailable
from userkeep.domain.transaction import Operation
from userkeep.storage import outside
from userkeep.storage.engine import Dialect, Files
from userkeep.storage.errors import CLOSED, READ_ONLY
from userkeep.storage.figures import Disk, Figures, disk_of
from userkeep.storage.forks import ForkGuard
from userkeep.storage.migrations import check_is_current
from userkeep.storage.queries import Query
from userkeep.storage.read_threads import ReadThreads
from userkeep.storage.reports import Reports
from userkeep.storage.sqlite.connection import MEMORY
from userkeep.storage.sqlite.files import check_is_file, files_of
from userkeep.storage.sqlite.migrations import applied_migrations
from userkeep.storage.sqlite.read_only import (
    FileVersion,
    connect_read_only,
    open_read_only,
    reading_problem,
    version_if_unused,
)
from userkeep.storage.sqlite.readers import READER_THREADS, ReaderGate, Readers

T = TypeVar("T")

_QUEUE_LIMIT = 1_024
_ATTEMPTS = 5
_CHANGED = "Other processes opened and closed the database during every attempt to read it; retry."


class ReadOnlySqliteEngine:
    """Reads a SQLite file, whether or not another process writes it; see `storage.engine.Engine`.

    It takes no lock file, changes nothing, and rejects every write.
    """

    def __init__(
        self, path: str, queries: Mapping[str, Query], *, read_limit_ms: int = 10_000
    ) -> None:
        """Check that the file can be read.

        Args:
            path: of the file.
            queries: all named queries, by name.
            read_limit_ms: how long a read in a reader thread may take.

        Raises:
            StorageError: the file does not exist or cannot be read, is another program's, or has
                not the schema of this program.
        """
        _check_schema(path)
        self.path = path
        self._real_path = os.path.realpath(path)
        self._queries = queries
        self._reports = Reports()
        self._forks = ForkGuard()
        self._threads = ReadThreads(
            READER_THREADS, limit_ms=read_limit_ms, queue_limit=_QUEUE_LIMIT
        )
        self._lock = threading.Lock()
        self._version: FileVersion | None = None
        self._readers = self._new_readers(None)
        self._is_closed = False

    @property
    def dialect(self) -> Dialect:
        return "sqlite"

    @property
    def is_shared(self) -> bool:
        return True

    def read(self, operation: Operation[T]) -> T:
        return outside.run(self._read_here, operation)

    def _read_here(self, operation: Operation[T]) -> T:
        return self._read(lambda readers: readers.read(operation))

    def write(self, operation: Operation[T]) -> NoReturn:  # noqa: ARG002
        raise StorageError(READ_ONLY)

    async def read_async(self, operation: Operation[T], *, is_bounded: bool = True) -> T:
        if is_bounded:
            return self.read(operation)
        return await outside.run_async(self._read_in_thread, operation)

    async def _read_in_thread(self, operation: Operation[T]) -> T:
        def read(deadline: Deadline) -> T:
            return self._read(lambda readers: readers.read_until(operation, deadline))

        return await self._threads.run(read)

    async def write_async(self, operation: Operation[T], *, is_bounded: bool = True) -> NoReturn:  # noqa: ARG002
        raise StorageError(READ_ONLY)

    def describe(self) -> str:
        return f"SQLite, {self.path} (read-only)"

    def figures(self) -> Figures:
        return Figures(0, _QUEUE_LIMIT, long_reads=self._threads.running)

    def disk(self) -> Disk | None:
        return disk_of(self.path)

    def files(self) -> Files:
        self._forks.check()
        return files_of(self.path)

    def compactor(self, tables: Mapping[str, Sequence[str]]) -> NoReturn:  # noqa: ARG002
        raise StorageError(READ_ONLY)

    def vector_indexer(self) -> None:
        """Return None."""

    def close(self) -> None:
        if self._forks.is_forked:
            return  # the connections belong to the parent process
        self._is_closed = True
        self._threads.close()
        self._readers.close()

    def _read(self, run: Callable[[Readers], T]) -> T:
        """Run a read; repeat it if the file was unused and changed, because it may be wrong."""
        for _ in range(_ATTEMPTS):
            version, readers = self._current()
            try:
                result = run(readers)
            except Exception:
                if version_if_unused(self._real_path) == version:
                    raise
                continue
            if version is None or version_if_unused(self._real_path) == version:
                return result
        raise Unavailable(_CHANGED)

    def _current(self) -> tuple[FileVersion | None, Readers]:
        """Return the version of the file, and the readers whose connections are of this version."""
        self._forks.check()
        version = version_if_unused(self._real_path)
        with self._lock:
            if self._is_closed:
                raise Unavailable(CLOSED)
            if version != self._version:
                # Other threads may still use the readers of the last version. Their connections are
                # closed when the last thread has released them.
                self._version, self._readers = version, self._new_readers(version)
            return version, self._readers

    def _connect(self, version: FileVersion | None) -> apsw.Connection:
        try:
            return connect_read_only(self._real_path, version)
        except apsw.Error as error:
            raise StorageError(reading_problem(error, self.path)) from error

    def _new_readers(self, version: FileVersion | None) -> Readers:
        return Readers(partial(self._connect, version), self._queries, ReaderGate(), self._reports)


def _check_schema(path: str) -> None:
    if path == MEMORY:
        raise StorageError("An in-memory database cannot be opened read-only: it would be empty.")
    check_is_file(path)
    if not Path(path).exists():
        raise StorageError(f"Database {path} does not exist.")
    with open_read_only(path) as connection:
        applied = applied_migrations(connection)
    command = f"userkeep migrate --database sqlite:///{path}"
    check_is_current("sqlite", path, applied, migrate_command=command)
