"""The SQLite engine: owner, writer lane and readers of one file, or one database in memory."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import apsw

from userkeep.domain.errors import StorageError
from userkeep.domain.transaction import Operation
from userkeep.storage.engine import Dialect, Files
from userkeep.storage.forks import ForkGuard
from userkeep.storage.queries import Query
from userkeep.storage.sqlite.connection import MEMORY, connect
from userkeep.storage.sqlite.files import files_of
from userkeep.storage.sqlite.jobs import Job
from userkeep.storage.sqlite.migrations import check_is_ours, migrate
from userkeep.storage.sqlite.owner import Ownership
from userkeep.storage.sqlite.readers import ReaderGate, Readers
from userkeep.storage.sqlite.rewriter import SqliteRewriter
from userkeep.storage.sqlite.writer import WriterLane

T = TypeVar("T")

MIB = 1024 * 1024


class SqliteEngine:
    """See storage.engine.Engine.

    A database in memory has one connection, so there its reads go through the writer lane.
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
        """Take the file (made if missing), bring its schema up to date, start the lanes.

        Args:
            path: of the file, or `:memory:`.
            queries: all named queries, by name.
            url: where this process serves, for those who come second.
            queue_limit: how many writes may wait.
            wal_limit_bytes: above this the log is cut back.
            read_limit_ms: how long a read in a lane may take.

        Raises:
            StorageError: the file cannot be opened, is not ours, or is held by another.
        """
        self.path = path
        self._is_memory = path == MEMORY
        self._forks = ForkGuard()
        self._ownership = None if self._is_memory else take_file(path, url)
        self._rewriting = threading.Lock()
        gate = self._gate = ReaderGate()
        try:
            connection = open_file(path)
            self._writer = WriterLane(
                connection,
                queries,
                gate,
                path=path,
                queue_limit=queue_limit,
                wal_limit_bytes=wal_limit_bytes,
                read_limit_s=read_limit_ms / 1000,
            )
        except BaseException:
            if self._ownership:
                self._ownership.release()
            raise
        self._readers = Readers(
            lambda: connect(path, read_only=True), queries, gate, limit_ms=read_limit_ms
        )

    @property
    def dialect(self) -> Dialect:
        """See storage.engine.Engine."""
        return "sqlite"

    @property
    def is_shared(self) -> bool:
        """See storage.engine.Engine: a file has one owner."""
        return False

    def read(self, operation: Operation[T]) -> T:
        """See storage.engine.Engine."""
        if self._is_memory:
            return self.write(operation)
        self._forks.check()
        return self._readers.read(operation)

    def write(self, operation: Operation[T]) -> T:
        """See storage.engine.Engine."""
        self._forks.check()
        done = threading.Event()
        job = Job(operation, done)
        self._writer.submit(job)
        done.wait()
        return job.outcome()

    async def read_async(self, operation: Operation[T], *, is_bounded: bool = True) -> T:
        """See storage.engine.Engine."""
        if self._is_memory:
            return await self.write_async(operation)
        self._forks.check()
        if is_bounded:
            return self._readers.read(operation)
        return await self._readers.read_in_lane(operation)

    async def write_async(self, operation: Operation[T]) -> T:
        """See storage.engine.Engine."""
        self._forks.check()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._writer.submit(Job(operation, future))
        return await future

    def describe(self) -> str:
        """See storage.engine.Engine."""
        return "SQLite in memory" if self._is_memory else f"SQLite, {self.path}"

    def files(self) -> Files:
        """See storage.engine.Engine."""
        self._forks.check()
        return files_of(self.path)

    def rewriter(self, tables: Mapping[str, Sequence[str]]) -> SqliteRewriter:  # noqa: ARG002 - all at once
        """See storage.engine.Engine."""
        self._forks.check()
        return SqliteRewriter(self._writer, self._rewriting, self.path)

    def close(self) -> None:
        """See storage.engine.Engine. In a forked process it is not this engine's to close."""
        if self._forks.is_forked:
            return
        self._gate.open()
        self._readers.close()
        self._writer.close()
        if self._ownership:
            self._ownership.release()
            self._ownership = None


def open_file(path: str) -> apsw.Connection:
    """A connection to a file of ours, which is there and held, with its schema up to date.

    Raises:
        StorageError: the file cannot be opened, or is not ours.
    """
    if path != MEMORY:
        check_is_ours(path)
    connection = connect(path)
    try:
        migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def take_file(path: str, url: str | None) -> Ownership:
    """Hold a file for this process, and make it (empty) where it is missing.

    Raises:
        StorageError: another process has it, or it cannot be made.
    """
    # What is made here is this user's alone: people's conversations will be in it. SQLite gives
    # the log the same mode as the file.
    folder = Path(path).parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    ownership = Ownership(path, url)
    try:
        Path(path).touch(mode=0o600, exist_ok=True)
    except OSError as error:
        ownership.release()
        raise StorageError(f"{path} cannot be opened: {error.strerror}.") from error
    return ownership
