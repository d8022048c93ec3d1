"""The SQLite engine: lock, writer and readers of one file, or of one database in memory."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar
from weakref import WeakKeyDictionary

import apsw

from userkeep.domain.errors import StorageError
from userkeep.domain.transaction import Operation
from userkeep.storage import outside
from userkeep.storage.engine import Dialect, Files
from userkeep.storage.figures import Disk, Figures, WriterFigures, disk_of
from userkeep.storage.forks import ForkGuard
from userkeep.storage.private_files import make_private_folder
from userkeep.storage.queries import Query
from userkeep.storage.read_threads import ReadThreads
from userkeep.storage.reports import Reports
from userkeep.storage.sqlite.compactor import SqliteCompactor
from userkeep.storage.sqlite.connection import MEMORY, connect
from userkeep.storage.sqlite.file_lock import FileLock
from userkeep.storage.sqlite.files import FileWatch, files_of
from userkeep.storage.sqlite.migrations import check_is_ours, migrate
from userkeep.storage.sqlite.readers import READER_THREADS, ReaderGate, Readers
from userkeep.storage.sqlite.task import Task
from userkeep.storage.sqlite.upgrade_copy import delete_old_copies
from userkeep.storage.sqlite.writer import Writer
from userkeep.storage.transaction import NeedsComputingError, NeedsThreadError

T = TypeVar("T")

MIB = 1024 * 1024


class SqliteEngine:
    """Runs operations on a SQLite database; see `storage.engine.Engine`.

    A database in memory has one connection, so its reads run in the writer too.
    """

    def __init__(
        self,
        path: str,
        queries: Mapping[str, Query],
        *,
        url: str | None = None,
        queue_limit: int = 1_024,
        wal_limit_bytes: int = 64 * MIB,
        read_limit_ms: int = 10_000,
    ) -> None:
        """Lock the file, create it if missing, migrate its schema and start the writer.

        Args:
            path: of the file, or `:memory:`.
            queries: all named queries, by name.
            url: where this process serves; shown to other processes that try to open the file.
            queue_limit: how many writes may wait.
            wal_limit_bytes: a larger WAL is truncated.
            read_limit_ms: how long a read in a reader thread may take.

        Raises:
            StorageError: the file cannot be opened, is another program's, or is locked by another
                process.
        """
        self.path = path
        self._is_memory = path == MEMORY
        self._queue_limit = queue_limit
        self._forks = ForkGuard()
        self._file_lock = None if self._is_memory else lock_file(path, url)
        self._compactor_lock = threading.Lock()
        self._large_writes: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            WeakKeyDictionary()
        )
        gate = self._gate = ReaderGate()
        try:
            connection = open_migrated(path)
            lock = self._file_lock
            watch = None if lock is None else FileWatch(path, lock.file_id)
            reports = Reports()
            self._writer = Writer(
                connection,
                queries,
                gate,
                watch,
                reports,
                path=path,
                queue_limit=queue_limit,
                wal_limit_bytes=wal_limit_bytes,
            )
        except BaseException:
            if self._file_lock:
                self._file_lock.release()
            raise
        self._readers = Readers(
            lambda: connect(path, read_only=True),
            queries,
            gate,
            reports,
            watch,
        )
        self._read_threads = ReadThreads(
            READER_THREADS, limit_ms=read_limit_ms, queue_limit=queue_limit
        )

    @property
    def dialect(self) -> Dialect:
        return "sqlite"

    @property
    def is_shared(self) -> bool:
        return False

    def read(self, operation: Operation[T]) -> T:
        if self._is_memory:
            return self.write(operation)
        self._forks.check()
        return outside.run(self._readers.read, operation)

    def write(self, operation: Operation[T]) -> T:
        return outside.run(self._write, operation)

    def _write(self, operation: Operation[T]) -> T:
        self._forks.check()
        done = threading.Event()
        task = Task(operation, done)
        self._writer.submit(task)
        done.wait()
        return task.result()

    async def read_async(self, operation: Operation[T], *, is_bounded: bool = True) -> T:
        if self._is_memory:
            return await self.write_async(operation)
        self._forks.check()
        if is_bounded:
            try:
                return self._readers.read(operation, is_inline=True)
            except NeedsThreadError:
                pass  # it turns out to be long
        return await outside.run_async(self._read_in_thread, operation)

    async def _read_in_thread(self, operation: Operation[T]) -> T:
        return await self._read_threads.run(partial(self._readers.read_until, operation))

    async def write_async(self, operation: Operation[T], *, is_bounded: bool = True) -> T:
        if is_bounded:
            return await self._write_soon(operation)
        # One at a time is in the writer's queue. If all were, others would wait for all of them.
        async with self._large_writes.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            return await self._write_soon(operation)

    async def _write_soon(self, operation: Operation[T]) -> T:
        try:
            return await self._submit(operation)
        except NeedsComputingError as needed:
            return await outside.run_again_async(self._submit, operation, needed)

    def _submit(self, operation: Operation[T]) -> "asyncio.Future[T]":
        self._forks.check()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._writer.submit(Task(operation, future))
        return future

    def describe(self) -> str:
        return "SQLite in memory" if self._is_memory else f"SQLite, {self.path}"

    def figures(self) -> Figures:
        writer = self._writer
        return Figures(
            writer.queued,
            self._queue_limit,
            rejected=writer.rejected + self._read_threads.rejected,
            long_reads=self._read_threads.running,
            writer=WriterFigures(writer.groups, writer.busy_s),
        )

    def disk(self) -> Disk | None:
        return None if self._is_memory else disk_of(self.path)

    def files(self) -> Files:
        self._forks.check()
        return files_of(self.path)

    def compactor(self, tables: Mapping[str, Sequence[str]]) -> SqliteCompactor:  # noqa: ARG002 - rewrites all
        self._forks.check()
        return SqliteCompactor(self._writer, self._compactor_lock, self.path)

    def vector_indexer(self) -> None:
        """Return None: the vectors of a collection are read as fast as an index would be."""

    def close(self) -> None:
        if self._forks.is_forked:
            return  # the connections and the lock belong to the parent process
        self._gate.open()
        self._read_threads.close()
        self._readers.close()
        self._writer.close()
        if self._file_lock:
            self._file_lock.release()
            self._file_lock = None


def open_migrated(path: str) -> apsw.Connection:
    """Open a database file that exists and is locked, and migrate its schema.

    Raises:
        StorageError: the file cannot be opened, or is another program's.
    """
    connection = connect(path)
    try:
        migrate(connection, path)
        delete_old_copies(path)
    except BaseException:
        connection.close()
        raise
    return connection


def lock_file(path: str, url: str | None) -> FileLock:
    """Lock a database file for this process, and create it (empty) if missing.

    Only the current user may read what is created, because it will contain conversations. SQLite
    gives the WAL the same mode as the file.

    Raises:
        StorageError: another process has locked it, it cannot be created, or it is another
            program's; nothing was changed.
    """
    folder = Path(path).parent
    try:
        make_private_folder(folder)
    except OSError as error:
        raise StorageError(f"The folder {folder} cannot be created: {error.strerror}.") from error
    lock = FileLock(path, may_create=True)
    try:
        check_is_ours(path)
        lock.publish(url)
    except BaseException:
        lock.release()
        raise
    return lock
