"""The PostgreSQL engine: a pool for short operations, and a few threads for long reads.

On an event loop, reads of a single statement share one more connection: see PipelinedReader.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import NamedTuple, TypeVar

import psycopg

from userkeep.domain.deadline import TIME_LIMIT
from userkeep.domain.errors import StorageError, Unavailable, UserkeepError
from userkeep.domain.transaction import Operation, Transaction
from userkeep.domain.values.times import Instant
from userkeep.storage import outside
from userkeep.storage.clock import Clock, latest_credible
from userkeep.storage.engine import Dialect, Files
from userkeep.storage.errors import QUEUE_FULL, READ_ONLY
from userkeep.storage.figures import Disk, Figures
from userkeep.storage.forks import ForkGuard
from userkeep.storage.postgres.compactor import PostgresCompactor
from userkeep.storage.postgres.connection import Connection
from userkeep.storage.postgres.files import files_of
from userkeep.storage.postgres.hnsw_builder import HnswBuilder
from userkeep.storage.postgres.long_reads import LongReads
from userkeep.storage.postgres.migrations import check_is_migrated, migrate
from userkeep.storage.postgres.pipelined_reader import Connect
from userkeep.storage.postgres.pool import FIRST_LOCK_WAIT_MS, LOCK_WAIT_S, Pool
from userkeep.storage.postgres.pooled_connection import Connector, PoolContext
from userkeep.storage.postgres.row_security import (
    RowSecurity,
    check_row_security,
    row_security_of,
    set_row_security,
)
from userkeep.storage.postgres.server import connect as open_connection
from userkeep.storage.postgres.server import describe_url, opening_problem, server_version
from userkeep.storage.queries import Query, load_queries
from userkeep.storage.reports import Reports
from userkeep.storage.transaction import NeedsComputingError, NeedsThreadError

T = TypeVar("T")

LONG_READ_POOL_SIZE = 2
LARGE_WRITE_THREADS = 2
MAX_LARGE_WRITES = 64
PIPELINED_READERS = 1
PURGE_CONNECTIONS = 2
"""What a purge uses while it runs: one connection to rewrite the tables, one for its progress."""

_SAVE_CLOCK_EVERY_S = 60.0
_SCHEMA = "SELECT CAST(current_schema() AS text)"
_STATEMENT_TIMEOUT = "The database took longer than {} s; nothing was changed."


class PostgresEngine:
    """Runs operations on a PostgreSQL database; see `storage.engine.Engine`."""

    def __init__(
        self,
        url: str,
        queries: Mapping[str, Query],
        *,
        pool_size: int = 8,
        read_only: bool = False,
        queue_limit: int = 1_024,
        statement_limit_ms: int = 30_000,
        read_limit_ms: int = 10_000,
        row_security: bool = False,
    ) -> None:
        """Migrate the schema, or check it if read-only, and create the pools.

        Args:
            url: of the database, as libpq understands it.
            queries: all named queries, by name.
            pool_size: how many operations run at the same time, without long reads.
            read_only: do not migrate the schema, and reject every write.
            queue_limit: how many operations may wait for a connection.
            statement_limit_ms: the time-out of a statement.
            read_limit_ms: how long a long read may take, statements and Python.
            row_security: whether PostgreSQL itself keeps projects apart; see row_security. A
                database that is only read stays as it is, and must have it if it is wanted.

        Raises:
            StorageError: the database cannot be reached or used, is another program's, or, if
                read-only, has not the schema of this program.
        """
        self._url = url
        self._queue_limit = queue_limit
        self._is_read_only = read_only
        self._location = describe_url(url)
        self._forks = ForkGuard()
        opened = _prepare(url, queries, is_read_only=read_only, has_row_security=row_security)
        self._save_clock_at = monotonic() + _SAVE_CLOCK_EVERY_S
        self._version, self._schema = opened.version, opened.schema
        contexts = _Contexts(url, queries, opened)
        connect = contexts.connect
        self._pool = Pool(
            contexts.new(
                partial(connect, lock_wait_ms=FIRST_LOCK_WAIT_MS),
                statement_limit_ms,
                _STATEMENT_TIMEOUT,
            ),
            size=pool_size,
            queue_limit=queue_limit,
            connect_pipeline=partial(connect, statement_limit_ms=statement_limit_ms),
        )
        self._long_reads = LongReads(
            contexts.new(connect, read_limit_ms, TIME_LIMIT),
            threads=LONG_READ_POOL_SIZE,
            limit_ms=read_limit_ms,
            queue_limit=queue_limit,
        )
        self._writer_threads = ThreadPoolExecutor(
            LARGE_WRITE_THREADS, thread_name_prefix="userkeep-writer"
        )
        self._large_writes = 0

    @property
    def dialect(self) -> Dialect:
        return "postgres"

    @property
    def is_shared(self) -> bool:
        return True

    def read(self, operation: Operation[T]) -> T:
        self._forks.check()
        return outside.run(self._read, operation)

    def _read(self, operation: Operation[T]) -> T:
        return self._pool.run(operation, is_write=False)

    def write(self, operation: Operation[T]) -> T:
        self._check_can_write()
        if self._must_save_clock():
            self._pool.run(_save_clock, is_write=True)
        return outside.run(self._write, operation)

    def _write(self, operation: Operation[T]) -> T:
        return self._pool.run(operation, is_write=True)

    async def read_async(self, operation: Operation[T], *, is_bounded: bool = True) -> T:
        self._forks.check()
        if not is_bounded:
            return await outside.run_async(self._long_reads.run, operation)
        try:
            return await self._pool.on_loop().submit(operation, is_write=False)
        except NeedsThreadError:
            return await outside.run_async(self._long_reads.run, operation)

    async def write_async(self, operation: Operation[T], *, is_bounded: bool = True) -> T:
        self._check_can_write()
        if not is_bounded:
            return await self._run_in_thread(partial(self.write, operation))
        pool = self._pool.on_loop()
        if self._must_save_clock():
            pool.submit(_save_clock, is_write=True).add_done_callback(_ignore_error)
        try:
            return await pool.submit(operation, is_write=True)
        except NeedsComputingError as needed:
            submit = partial(pool.submit, is_write=True)
            return await outside.run_again_async(submit, operation, needed)

    def describe(self) -> str:
        mode = " (read-only)" if self._is_read_only else ""
        return f"PostgreSQL {self._version}, {self._location}{mode}"

    def figures(self) -> Figures:
        return Figures(
            self._pool.queued,
            self._queue_limit,
            rejected=self._pool.rejected + self._long_reads.rejected,
            long_reads=self._long_reads.running,
            pools={**self._pool.figures(), "long_reads": self._long_reads.figures()},
        )

    def disk(self) -> Disk | None:
        return None  # PostgreSQL shows no free space

    def files(self) -> Files:
        self._forks.check()
        return files_of(self._url)

    def compactor(self, tables: Mapping[str, Sequence[str]]) -> PostgresCompactor:
        self._check_can_write()
        return PostgresCompactor(self._url, self._schema, tables)

    def vector_indexer(self) -> HnswBuilder:
        self._check_can_write()
        return HnswBuilder(self._url, self._schema)

    def close(self) -> None:
        if self._forks.is_forked:
            return  # the connections belong to the parent process
        if not self._is_read_only:
            with suppress(UserkeepError):  # without the server, the time saved last must do
                self.write(_save_clock)
        self._writer_threads.shutdown(wait=True, cancel_futures=True)
        self._long_reads.close()
        self._pool.close()

    async def _run_in_thread(self, write: Callable[[], T]) -> T:
        if self._large_writes >= MAX_LARGE_WRITES:
            raise Unavailable(QUEUE_FULL)
        self._large_writes += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._writer_threads, write)
        finally:
            self._large_writes -= 1

    def _check_can_write(self) -> None:
        self._forks.check()
        if self._is_read_only:
            raise StorageError(READ_ONLY)

    def _must_save_clock(self) -> bool:
        if monotonic() <= self._save_clock_at:
            return False
        self._save_clock_at = monotonic() + _SAVE_CLOCK_EVERY_S
        return True


def _save_clock(tx: Transaction) -> None:
    """Let the clock continue from here after a restart, even if the system clock was set back."""
    tx.defer("save_clock", value=str(tx.now), latest=latest_credible(tx.now))


def _ignore_error(future: "asyncio.Future[None]") -> None:
    """Retrieve the error of a future that is not awaited, so that asyncio does not log it."""
    if not future.cancelled():
        future.exception()


class _Opened(NamedTuple):
    """What is read when a database is opened."""

    version: str
    schema: str
    clock: Instant
    row_security: RowSecurity


def _prepare(
    url: str, queries: Mapping[str, Query], *, is_read_only: bool, has_row_security: bool
) -> _Opened:
    """Migrate a database, or check it if it is only read; return what is read then."""
    try:
        if not is_read_only:
            migrate(url)
            set_row_security(url, is_wanted=has_row_security)
            return _open(url, queries)
        check_is_migrated(url)
        if has_row_security:
            check_row_security(url)
        return _open(url, queries)
    except psycopg.Error as error:
        raise StorageError(opening_problem(error, url)) from error


def _open(url: str, queries: Mapping[str, Query]) -> _Opened:
    with open_connection(url) as connection:
        [(latest,)] = connection.execute(queries["get_clock"].text({}).encode())
        [(schema,)] = connection.execute(_SCHEMA)
        return _Opened(
            server_version(connection), schema, Instant(latest), row_security_of(connection)
        )


class _Contexts:
    """Makes what the pools of a database share: how they connect, their statements, their clock.

    Attributes:
        connect: connects, with the usual wait for locks.
    """

    def __init__(self, url: str, queries: Mapping[str, Query], opened: _Opened) -> None:
        self._clock, self._reports = Clock(opened.clock), Reports()
        self._queries = queries
        if opened.row_security.is_on:
            secured = load_queries("postgres", *opened.row_security.features)
            self._queries = {**queries, **secured}
        self.connect = partial(
            Connection,
            url,
            schema=opened.schema,
            lock_wait_ms=int(LOCK_WAIT_S * 1000),
            row_security=opened.row_security.is_on,
        )

    def new(self, connect: Connect, limit_ms: int, timeout_message: str) -> PoolContext:
        """Return the context of a pool whose statements may take so long."""
        return PoolContext(
            Connector(partial(connect, statement_limit_ms=limit_ms), self._reports),
            self._queries,
            self._clock,
            timeout_message=timeout_message.format(f"{limit_ms / 1000:g}"),
            reports=self._reports,
        )
