"""The writer: one thread that runs every write, many in one commit (group commit).

A commit costs one wait for the disk, whatever it contains. So the writer takes all operations that
wait, runs them in one transaction, commits once, and only then returns their results. A failed
operation does not affect the others of its group: how is explained where each failure is handled.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic, perf_counter
from typing import Any, TypeVar

import apsw

from userkeep.domain.errors import StorageError, Unavailable
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.histograms import Histogram
from userkeep.domain.values.times import Instant
from userkeep.storage.clock import Clock, latest_credible
from userkeep.storage.errors import CLOSED, OUT_OF_MEMORY, QUEUE_FULL, as_future_exception
from userkeep.storage.queries import Query
from userkeep.storage.reports import Reports
from userkeep.storage.sqlite.checkpointer import TRUNCATE_RETRY_S, Checkpointer
from userkeep.storage.sqlite.connection import (
    keep_wal,
    opening_problem,
    temporary_files_beside,
    translate_error,
)
from userkeep.storage.sqlite.files import FileWatch
from userkeep.storage.sqlite.readers import ReaderGate
from userkeep.storage.sqlite.task import Task, complete
from userkeep.storage.sqlite.transaction import DeferredWrites, SqliteTransaction

T = TypeVar("T")

GROUP_MS = 20
"""A group takes no more operations after this time, so that a busy queue delays no result."""

_GROUP_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SAVE_CLOCK_EVERY_S = 60.0

_HAS_SAMPLES = "SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat4'"


# What ends a statement, a commit or a rollback. It must not end the writer's thread: callers would
# wait for it for ever.
_FAILURES = (apsw.Error, MemoryError)


class _NeedsSavepointsError(Exception):
    """An operation failed after it had changed something, which must be undone alone."""


class Writer:
    """Runs tasks in groups, on a connection of its own, until it is closed.

    Its clock continues from the time that the query `get_clock` returns; `save_clock` saves it.

    Attributes:
        groups: the number of tasks in each group.
        busy_s: how many seconds it has run groups.
        rejected: how many tasks were rejected because the queue was full.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        queries: Mapping[str, Query],
        gate: ReaderGate,
        watch: FileWatch | None,
        reports: Reports,
        *,
        path: str,
        queue_limit: int,
        wal_limit_bytes: int,
    ) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._queries = queries
        self._deferred = DeferredWrites()
        self._gate = gate
        self._watch = watch
        self._reports = reports
        self._clock = Clock(self._saved_clock(path))
        self._saved_changes = connection.total_changes()
        self._queue: SimpleQueue[Task[Any] | None] = SimpleQueue()
        self._queue_limit = queue_limit
        self._checkpointer = Checkpointer(connection, gate, wal_limit_bytes=wal_limit_bytes)
        self._save_clock_at = 0.0
        self._maintenance: list[Task[Any]] = []
        self._is_vacuuming = False
        self._is_closed = False
        self.groups = Histogram(_GROUP_BOUNDS)
        self.busy_s = 0.0
        self.rejected = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="userkeep-writer", daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        """How many tasks wait."""
        return self._queue.qsize()

    def submit(self, task: Task[Any]) -> None:
        """Queue a task. It runs even if its caller leaves.

        Raises:
            Unavailable: the queue is full, or the writer is closed.
        """
        with self._lock:
            if self._is_closed:
                raise Unavailable(CLOSED)
            if self._queue.qsize() >= self._queue_limit:
                self.rejected += 1
                raise Unavailable(QUEUE_FULL)
            self._queue.put(task)

    def run_exclusive(self, function: Callable[[], T]) -> T:
        """Run maintenance of the file in the writer's thread, between two groups.

        Args:
            function: calls this writer's `vacuum` or `truncate_wal`.

        Raises:
            What it raises. Unavailable: as for `submit`.
        """
        done = threading.Event()
        task: Task[T] = Task(lambda _tx: function(), done)

        def schedule(_tx: Transaction) -> None:
            if task not in self._maintenance:  # every operation may run twice
                self._maintenance.append(task)

        self.submit(Task(schedule, threading.Event()))
        done.wait()
        return task.result()

    def vacuum(self) -> None:
        """Rewrite the file without deleted data. Call it by `run_exclusive`; writers wait.

        Raises:
            Unavailable: the disk is full, or it was interrupted.
        """
        # ANALYZE keeps samples of keys. No plan depends on them: connections plan without values.
        if self._connection.execute(_HAS_SAMPLES).fetchall():
            self._connection.execute("DELETE FROM sqlite_stat4")
        self._is_vacuuming = True
        try:
            with temporary_files_beside(self._connection):
                self._connection.execute("VACUUM")
        finally:
            self._is_vacuuming = False

    def truncate_wal(self) -> bool:
        """Copy the WAL into the file and truncate it. Call it by `run_exclusive`.

        Returns:
            Whether it is done. If a reader still needs the WAL, reader threads begin no read until
            it is, or until that takes too long.
        """
        return self._checkpointer.truncate_now()

    def interrupt_vacuum(self) -> None:
        """Roll back `vacuum`, if it is running; from any thread."""
        if self._is_vacuuming:
            self._connection.interrupt()

    def close(self) -> None:
        """Run what is queued, copy the WAL into the file, close the connection."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._queue.put(None)
        self._thread.join()
        self._save_clock()
        self._checkpointer.checkpoint_and_truncate()
        if self._watch is not None and self._watch.has_foreign_wal:
            keep_wal(self._connection)
        self._connection.close()

    def _check_files(self) -> None:
        if self._watch is not None:
            self._watch.check()

    def _saved_clock(self, path: str) -> Instant:
        try:
            rows = self._cursor.execute(self._queries["get_clock"].text({})).fetchall()
        except apsw.Error as error:
            self._connection.close()
            raise StorageError(opening_problem(error, path)) from error
        latest: Any = rows[0][0]
        return Instant(latest)

    def _save_clock(self) -> None:
        """Let the clock continue from here after a restart, even if the system clock goes back."""
        if self._connection.total_changes() == self._saved_changes:
            return
        self._save_clock_at = monotonic() + _SAVE_CLOCK_EVERY_S
        try:
            text = self._queries["save_clock"].text({})
            last = self._clock.last
            self._cursor.execute(text, {"value": str(last), "latest": latest_credible(last)})
            self._saved_changes = self._connection.total_changes()
        except _FAILURES:
            return  # `get_clock` looks at the newest rows too

    def _run(self) -> None:
        while (task := self._next_task()) is not None:
            began_s = perf_counter()
            group = self._run_group(task)
            self.busy_s += perf_counter() - began_s
            self.groups.add(len(group))
            complete(group)
            self._run_maintenance()
            self._maybe_checkpoint()
        self._run_maintenance()
        self._gate.open()

    def _run_maintenance(self) -> None:
        while self._maintenance:
            task = self._maintenance.pop()
            try:
                if self._is_closed:
                    raise Unavailable(CLOSED)
                self._check_files()
                task.value = task.operation(self._transaction())
            except Exception as error:
                task.error = self._translated(error)
            complete([task])

    def _next_task(self) -> Task[Any] | None:
        # While readers are held back for the WAL, its truncation is retried.
        while self._gate.is_closed:
            try:
                return self._queue.get(timeout=TRUNCATE_RETRY_S)
            except Empty:
                self._checkpointer.try_truncate()
        return self._queue.get()

    def _run_group(self, first: Task[Any]) -> list[Task[Any]]:
        """Run a task and those that wait, in one transaction; return all of them."""
        try:
            self._check_files()
        except Unavailable as error:
            return self._fail_all(first, error)
        if self._queue.empty():
            self._run_alone(first)
            return [first]
        group: list[Task[Any]] = []
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
        except _FAILURES as error:
            # Another program has locked the file: without this, every task would wait for the lock
            # in turn.
            return self._fail_all(first, error)
        try:
            for task in self._arriving(first):
                group.append(task)
                self._run_in_group(task)
            self._deferred.flush(self._cursor)
            self._cursor.execute("COMMIT")
        except (*_FAILURES, _NeedsSavepointsError):
            # No result was returned yet, so every operation can run again.
            self._rollback()
            self._run_again(group)
        return group

    def _run_again(self, group: list[Task[Any]]) -> None:
        """Run a group that failed again: in savepoints or, if that fails too, one by one."""
        group += self._take_waiting()
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
            for task in group:
                self._run_in_savepoint(task)
            self._cursor.execute("COMMIT")
        except _FAILURES:
            # Some errors end the whole transaction (disk full, I/O error, interrupt, out of
            # memory), and COMMIT itself may fail. Alone, only the operations at fault fail.
            self._rollback()
            for task in group:
                self._run_alone(task)

    def _arriving(self, first: Task[Any]) -> Iterator[Task[Any]]:
        """Yield a task and those in the queue, also those that arrive while it runs."""
        began = perf_counter()
        task: Task[Any] | None = first
        while task is not None:
            yield task
            if (perf_counter() - began) * 1000 > GROUP_MS:
                return
            try:
                task = self._queue.get_nowait()
            except Empty:
                return
        self._queue.put(None)  # the writer is closed: `_next_task` must see that after the group

    def _run_in_group(self, task: Task[Any]) -> None:
        changes, deferred = self._connection.total_changes(), len(self._deferred)
        try:
            task.value = task.operation(self._transaction())
        except Exception as error:
            if self._connection.total_changes() != changes:
                raise _NeedsSavepointsError from error
            # Nearly every operation that fails does so before it changes anything: it needs no
            # savepoint.
            del self._deferred[deferred:]
            task.error = self._translated(error)
        if not self._connection.in_transaction:
            raise _NeedsSavepointsError

    def _run_in_savepoint(self, task: Task[Any]) -> None:
        task.value, task.error = None, None
        self._cursor.execute("SAVEPOINT operation")
        try:
            task.value = task.operation(self._transaction())
            self._deferred.flush(self._cursor)
        except Exception as error:
            self._deferred.clear()
            if not self._connection.in_transaction:
                raise apsw.AbortError("SQLite ended the transaction of the group") from error
            self._cursor.execute("ROLLBACK TO operation")
            task.error = self._translated(error)
        self._cursor.execute("RELEASE operation")

    def _run_alone(self, task: Task[Any]) -> None:
        task.value, task.error = None, None
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
            task.value = task.operation(self._transaction())
            self._deferred.flush(self._cursor)
            self._cursor.execute("COMMIT")
        except Exception as error:
            self._rollback()
            task.error = self._translated(error)

    def _transaction(self) -> SqliteTransaction:
        return SqliteTransaction(self._cursor, self._queries, self._clock.tick(), self._deferred)

    def _rollback(self) -> None:
        self._deferred.clear()
        if not self._connection.in_transaction:
            return
        try:
            self._cursor.execute("ROLLBACK")
        except _FAILURES:
            # The disk is broken. The next BEGIN fails, and with it every operation; if the thread
            # ended here, they would wait for ever.
            return

    def _fail_all(self, first: Task[Any], error: Exception) -> list[Task[Any]]:
        failed = [first, *self._take_waiting()]
        for task in failed:
            task.error = self._translated(error)
        return failed

    def _take_waiting(self) -> list[Task[Any]]:
        taken = []
        for _ in range(self._queue.qsize()):
            task = self._queue.get()
            if task is None:
                self._queue.put(None)
            else:
                taken.append(task)
        return taken

    def _maybe_checkpoint(self) -> None:
        if self._gate.is_closed:
            with suppress(*_FAILURES):
                self._checkpointer.try_truncate()
        if not self._checkpointer.is_due:
            return
        if monotonic() > self._save_clock_at:
            self._save_clock()
        with suppress(*_FAILURES):  # the next one tries again
            self._checkpointer.run(is_idle=self._queue.empty())

    def _translated(self, error: Exception) -> BaseException:
        if isinstance(error, apsw.Error):
            translated = translate_error(error, self._reports)
            if translated is not None:
                translated.__cause__ = error
                return translated
        if isinstance(error, MemoryError):
            return Unavailable(OUT_OF_MEMORY)
        return as_future_exception(error)
