"""The PostgreSQL engine: lanes of connections for what is short, and two for what may take long.

On an event loop one connection more serves all reads of a single statement: see ReadPipe.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import TypeVar

import psycopg

from userkeep.domain.errors import StorageError, UserkeepError
from userkeep.domain.transaction import Operation, Transaction
from userkeep.domain.values.times import Instant
from userkeep.storage.clock import Clock
from userkeep.storage.engine import Dialect, Files
from userkeep.storage.forks import ForkGuard
from userkeep.storage.postgres.connection import Connection, opening_problem, place_of
from userkeep.storage.postgres.files import files_of
from userkeep.storage.postgres.lane import Gateway, Road
from userkeep.storage.postgres.lanes import Lanes
from userkeep.storage.postgres.migrations import migrate
from userkeep.storage.postgres.rewriter import PostgresRewriter
from userkeep.storage.postgres.statements import statement
from userkeep.storage.postgres.waiting import ThreadWaiting
from userkeep.storage.queries import Query
from userkeep.storage.refusals import SEARCHED_LONG

T = TypeVar("T")

LANES_FOR_LONG_READS = 2
PIPES = 1
OF_PURGES = 2
"""What a purge needs while it runs: one to write the tables anew, one to tell how far it is."""

_KEEP_TIME_EVERY_S = 60.0
_TOOK_LONG = "The database took longer than {} s; nothing was changed."


class PostgresEngine:
    """See storage.engine.Engine."""

    def __init__(
        self,
        url: str,
        queries: Mapping[str, Query],
        *,
        lanes: int = 8,
        queue_limit: int = 1_024,
        statement_limit_ms: int = 30_000,
        read_limit_ms: int = 10_000,
    ) -> None:
        """Bring the schema up to date and start the lanes.

        Args:
            url: of the database, as libpq understands it.
            queries: all named queries, by name.
            lanes: how many operations run at the same time, long reads aside.
            queue_limit: how many operations may wait.
            statement_limit_ms: how long one statement may take.
            read_limit_ms: how long one statement of a long read may take.

        Raises:
            StorageError: the database cannot be reached or used, or is not ours.
        """
        self._url = url
        self._place = place_of(url)
        self._forks = ForkGuard()
        try:
            migrate(url)
            self._version, last = _look(url, queries)
        except psycopg.Error as error:
            raise StorageError(opening_problem(error, url)) from error
        self._keep_time_at = monotonic() + _KEEP_TIME_EVERY_S
        clock = Clock(last)

        def lanes_of(
            count: int, limit_ms: int, limit_sentence: str, *, has_pipe: bool = False
        ) -> Lanes:
            connect = partial(Connection, url, statement_limit_ms=limit_ms)
            sentence = limit_sentence.format(f"{limit_ms / 1000:g}")
            road = Road(Gateway(connect), queries, clock, limit_sentence=sentence)
            connect_pipe = connect if has_pipe else None
            return Lanes(road, count=count, queue_limit=queue_limit, connect_pipe=connect_pipe)

        self._short = lanes_of(lanes, statement_limit_ms, _TOOK_LONG, has_pipe=True)
        self._long = lanes_of(LANES_FOR_LONG_READS, read_limit_ms, SEARCHED_LONG)

    @property
    def dialect(self) -> Dialect:
        """See storage.engine.Engine."""
        return "postgres"

    @property
    def is_shared(self) -> bool:
        """See storage.engine.Engine: any number of servers may use one database."""
        return True

    def read(self, operation: Operation[T]) -> T:
        """See storage.engine.Engine."""
        self._forks.check()
        return self._short.run(operation, is_write=False)

    def write(self, operation: Operation[T]) -> T:
        """See storage.engine.Engine."""
        self._forks.check()
        if self._must_keep_time():
            self._short.run(_keep_time, is_write=True)
        return self._short.run(operation, is_write=True)

    async def read_async(self, operation: Operation[T], *, is_bounded: bool = True) -> T:
        """See storage.engine.Engine."""
        self._forks.check()
        lanes = self._short if is_bounded else self._long
        return await lanes.on_loop().submit(operation, is_write=False)

    async def write_async(self, operation: Operation[T]) -> T:
        """See storage.engine.Engine."""
        self._forks.check()
        lanes = self._short.on_loop()
        if self._must_keep_time():
            lanes.submit(_keep_time, is_write=True)
        return await lanes.submit(operation, is_write=True)

    def describe(self) -> str:
        """See storage.engine.Engine."""
        return f"PostgreSQL {self._version}, {self._place}"

    def files(self) -> Files:
        """See storage.engine.Engine."""
        self._forks.check()
        return files_of(self._url)

    def rewriter(self, tables: Mapping[str, Sequence[str]]) -> PostgresRewriter:
        """See storage.engine.Engine."""
        self._forks.check()
        return PostgresRewriter(self._url, tables)

    def close(self) -> None:
        """See storage.engine.Engine. In a forked process it is not this engine's to close."""
        if self._forks.is_forked:
            return
        with suppress(UserkeepError):  # if the server is away, the time kept before will do
            self.write(_keep_time)
        self._long.close()
        self._short.close()

    def _must_keep_time(self) -> bool:
        if monotonic() <= self._keep_time_at:
            return False
        self._keep_time_at = monotonic() + _KEEP_TIME_EVERY_S
        return True


def _keep_time(tx: Transaction) -> None:
    """Let the clock go on from here after a restart, even if the machine's has gone back."""
    tx.defer("keep_time", value=str(tx.now))


def _look(url: str, queries: Mapping[str, Query]) -> tuple[str, Instant]:
    connection = Connection(url, ThreadWaiting(), statement_limit_ms=0)
    try:
        [(latest,)] = connection.rows(statement(queries["latest_time"].text({})), {})
        return connection.version, Instant(latest)
    finally:
        connection.close()
