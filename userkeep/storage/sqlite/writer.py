"""The writer lane: one thread that runs every write, many in one commit.

A commit costs one wait for the disk, whatever is in it. So the lane takes what is waiting, runs
all of it in one transaction, commits once, and only then answers them all.

What can go wrong, and what happens then:

- An operation refuses before it has changed anything, as nearly all that refuse do: it gets its
  error, its neighbours never know.
- An operation raises half-way: the group runs again, each operation in a savepoint of its own, and
  that one is rolled back.
- SQLite ends the *whole* transaction (disk full, I/O error, interrupt, no memory), or COMMIT
  fails: nobody has been answered yet, so the group runs again one by one, each in a transaction of
  its own, and only those fail that fail alone. Hence an operation may run twice.
- The file is locked by another program: all who wait are refused at once, not one after another.
- Whoever asked has left: the write still runs, and nobody is woken.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from queue import Empty, SimpleQueue
from time import monotonic, perf_counter
from typing import Any, TypeVar

import apsw

from userkeep.domain.errors import StorageError, Unavailable
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.times import Instant
from userkeep.storage.clock import Clock
from userkeep.storage.queries import Query
from userkeep.storage.refusals import CLOSED, TOO_MANY, carried
from userkeep.storage.sqlite.connection import (
    BUSY_TIMEOUT_MS,
    opening_problem,
    refusal,
    temporary_files_beside,
)
from userkeep.storage.sqlite.jobs import Job, answer
from userkeep.storage.sqlite.readers import ReaderGate
from userkeep.storage.sqlite.transaction import AtEnd, SqliteTransaction

T = TypeVar("T")

GROUP_MS = 20
"""A group commits after this long at the latest, so that nobody waits for a crowd."""

CHECKPOINT_PAGES = 1_000
CHECKPOINT_PAGES_UNDER_LOAD = 1_500
_TRUNCATE_WAIT_MS = 10
_TRUNCATE_PAUSE_S = 0.1
_KEEP_TIME_EVERY_S = 60.0


_HAS_SAMPLES = "SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat4'"


class _NeedsSavepointsError(Exception):
    """An operation failed half-way: what it has changed must be undone, and nothing else."""


class WriterLane:
    """Runs jobs in groups on a connection of its own until it is closed.

    The queries `latest_time` and `keep_time` are its own: they give and keep its clock.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        queries: Mapping[str, Query],
        gate: ReaderGate,
        *,
        path: str,
        queue_limit: int,
        wal_limit_bytes: int,
        read_limit_s: float,
    ) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._queries = queries
        self._at_end = AtEnd()
        self._gate = gate
        self._clock = Clock(self._latest_time(path))
        self._changes_kept = connection.total_changes()
        self._queue: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._queue_limit = queue_limit
        self._page_bytes: int = connection.pragma("page_size")
        self._wal_limit_bytes = wal_limit_bytes
        self._wal_pages = 0
        self._truncate_not_before = 0.0
        self._gate_opens_at = 0.0
        self._keep_time_at = 0.0
        self._read_limit_s = read_limit_s
        self._chores: list[Job[Any]] = []
        self._is_rewriting = False
        self._is_closed = False
        self._lock = threading.Lock()
        connection.set_wal_hook(self._note_wal_pages)
        self._thread = threading.Thread(target=self._run, name="userkeep-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job[Any]) -> None:
        """Queue a job.

        Raises:
            Unavailable: too many are waiting, or the lane is closed.
        """
        with self._lock:
            if self._is_closed:
                raise Unavailable(CLOSED)
            if self._queue.qsize() >= self._queue_limit:
                raise Unavailable(TOO_MANY)
            self._queue.put(job)

    def do(self, chore: Callable[[], T]) -> T:
        """Run what concerns the file as a whole in the lane, between two groups of writes.

        Args:
            chore: one of this lane's `rewrite` and `empty_log`.

        Raises:
            What it raises; Unavailable as for `submit`.
        """
        done = threading.Event()
        job: Job[T] = Job(lambda _tx: chore(), done)

        def hand_over(_tx: Transaction) -> None:
            if job not in self._chores:  # like every operation it may run twice
                self._chores.append(job)

        self.submit(Job(hand_over, threading.Event()))
        done.wait()
        return job.outcome()

    def rewrite(self) -> None:
        """Write the file anew, free of what was deleted; all writers wait. A chore.

        Raises:
            Unavailable: the disk is full, or it was interrupted.
        """
        # Samples of keys, which ANALYZE keeps of what it saw. No plan depends on them, because
        # connections are set to plan without values.
        if self._connection.execute(_HAS_SAMPLES).fetchall():
            self._connection.execute("DELETE FROM sqlite_stat4")
        self._is_rewriting = True
        try:
            with temporary_files_beside(self._connection):
                self._connection.execute("VACUUM")
        finally:
            self._is_rewriting = False

    def empty_log(self) -> bool:
        """Copy the whole log back into the file and cut it to nothing, if no reader needs it.

        A chore. Until it is done no reader lane begins a read; but not for ever.
        """
        self._truncate_not_before = 0.0
        self._wal_pages = max(self._wal_pages, 1)
        self._shorten_log()
        return self._wal_pages == 0

    def interrupt_rewriting(self) -> None:
        """Let `rewrite` end with nothing done, if it is running; from any thread."""
        if self._is_rewriting:
            self._connection.interrupt()

    def close(self) -> None:
        """Run what is queued, copy the log back into the file, close the connection."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._queue.put(None)
        self._thread.join()
        self._keep_time()
        self._truncate_log()
        self._connection.close()

    def _latest_time(self, path: str) -> Instant:
        try:
            rows = self._cursor.execute(self._queries["latest_time"].text({})).fetchall()
        except apsw.Error as error:
            self._connection.close()
            raise StorageError(opening_problem(error, path)) from error
        latest: Any = rows[0][0]
        return Instant(latest)

    def _keep_time(self) -> None:
        """Let the clock go on from here after a restart, even if the machine's has gone back."""
        if self._connection.total_changes() == self._changes_kept:
            return
        self._keep_time_at = monotonic() + _KEEP_TIME_EVERY_S
        try:
            text = self._queries["keep_time"].text({})
            self._cursor.execute(text, {"value": str(self._clock.last)})
            self._changes_kept = self._connection.total_changes()
        except apsw.Error:
            return  # the newest rows know the time well enough

    def _run(self) -> None:
        while (job := self._next_job()) is not None:
            group = self._run_alone_or_in_group(job)
            answer(group)
            self._do_chores()
            self._tend_log()
        self._do_chores()
        self._gate.open()

    def _do_chores(self) -> None:
        while self._chores:
            job = self._chores.pop()
            try:
                if self._is_closed:
                    raise Unavailable(CLOSED)
                job.value = job.operation(self._transaction())
            except Exception as error:
                job.error = _told(error)
            answer([job])

    def _next_job(self) -> Job[Any] | None:
        while self._gate.is_closed:
            try:
                return self._queue.get(timeout=_TRUNCATE_PAUSE_S)
            except Empty:
                self._shorten_log()
        return self._queue.get()

    def _run_alone_or_in_group(self, first: Job[Any]) -> list[Job[Any]]:
        if self._queue.empty():
            self._perform_alone(first)
            return [first]
        group: list[Job[Any]] = []
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
        except apsw.Error as error:
            return self._refuse_all(first, error)
        try:
            for job in self._arriving(first):
                group.append(job)
                self._perform_in_group(job)
            self._at_end.flush(self._cursor)
            self._cursor.execute("COMMIT")
        except (apsw.Error, _NeedsSavepointsError):
            self._leave_transaction()
            self._run_again(group)
        return group

    def _run_again(self, group: list[Job[Any]]) -> None:
        group += self._take_waiting()
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
            for job in group:
                self._perform_in_savepoint(job)
            self._cursor.execute("COMMIT")
        except apsw.Error:
            self._leave_transaction()
            for job in group:
                self._perform_alone(job)

    def _arriving(self, first: Job[Any]) -> Iterator[Job[Any]]:
        began = perf_counter()
        job: Job[Any] | None = first
        while job is not None:
            yield job
            if (perf_counter() - began) * 1000 > GROUP_MS:
                return
            try:
                job = self._queue.get_nowait()
            except Empty:
                return
        self._queue.put(None)  # the end of the lane was reached; it is met again by _run

    def _perform_in_group(self, job: Job[Any]) -> None:
        changes, left = self._connection.total_changes(), len(self._at_end)
        try:
            job.value = job.operation(self._transaction())
        except Exception as error:
            if self._connection.total_changes() != changes:
                raise _NeedsSavepointsError from error
            del self._at_end[left:]
            job.error = _told(error)
        if not self._connection.in_transaction:
            raise _NeedsSavepointsError

    def _perform_in_savepoint(self, job: Job[Any]) -> None:
        job.value, job.error = None, None
        self._cursor.execute("SAVEPOINT operation")
        try:
            job.value = job.operation(self._transaction())
            self._at_end.flush(self._cursor)
        except Exception as error:
            self._at_end.clear()
            if not self._connection.in_transaction:
                raise apsw.AbortError("SQLite ended the transaction of the group") from error
            self._cursor.execute("ROLLBACK TO operation")
            job.error = _told(error)
        self._cursor.execute("RELEASE operation")

    def _perform_alone(self, job: Job[Any]) -> None:
        job.value, job.error = None, None
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
            job.value = job.operation(self._transaction())
            self._at_end.flush(self._cursor)
            self._cursor.execute("COMMIT")
        except Exception as error:
            self._leave_transaction()
            job.error = _told(error)

    def _transaction(self) -> SqliteTransaction:
        return SqliteTransaction(self._cursor, self._queries, self._clock.tick(), self._at_end)

    def _leave_transaction(self) -> None:
        self._at_end.clear()
        if not self._connection.in_transaction:
            return
        try:
            self._cursor.execute("ROLLBACK")
        except apsw.Error:
            # The disk is broken. The next BEGIN is refused, so that everybody is told: a lane that
            # ended here would keep them waiting for ever.
            return

    def _refuse_all(self, first: Job[Any], error: apsw.Error) -> list[Job[Any]]:
        refused = [first, *self._take_waiting()]
        for job in refused:
            job.error = _told(error)
        return refused

    def _take_waiting(self) -> list[Job[Any]]:
        taken = []
        for _ in range(self._queue.qsize()):
            job = self._queue.get()
            if job is None:
                self._queue.put(None)
            else:
                taken.append(job)
        return taken

    # The log (WAL) grows with every commit and is copied back into the file by checkpoints.

    def _note_wal_pages(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _tend_log(self) -> None:
        if self._wal_pages < CHECKPOINT_PAGES:
            return
        if monotonic() > self._keep_time_at:
            self._keep_time()
        if self._wal_pages * self._page_bytes > self._wal_limit_bytes:
            self._shorten_log()
        elif self._queue.empty() or self._wal_pages > CHECKPOINT_PAGES_UNDER_LOAD:
            self._checkpoint(apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _shorten_log(self) -> None:
        # A reader that began before the last checkpoint keeps the log from starting over. So no
        # reader lane begins a read until those that run have come to their end. Writers are not
        # kept waiting for it: it is tried again every now and then. Nor are readers, beyond what
        # a read may take: then something else is wrong (a full disk, a reader without a limit).
        now = monotonic()
        if now < self._truncate_not_before:
            return
        if not self._gate.is_closed:
            self._gate.close()
            self._gate_opens_at = now + self._read_limit_s
        self._connection.set_busy_timeout(_TRUNCATE_WAIT_MS)
        is_bounded = self._truncate_log()
        self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        if is_bounded:
            self._gate.open()
        elif now > self._gate_opens_at:
            self._gate.open()
            self._truncate_not_before = now + self._read_limit_s
        else:
            self._truncate_not_before = now + _TRUNCATE_PAUSE_S

    def _truncate_log(self) -> bool:
        is_bounded = self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)
        if is_bounded:
            self._wal_pages = 0
        return is_bounded

    def _checkpoint(self, mode: int) -> bool:
        try:
            left, copied = self._connection.wal_checkpoint(mode=mode)
        except apsw.Error:
            # Busy, or the disk is full: the log keeps everything, and the next group tries again.
            return False
        return left == copied


def _told(error: Exception) -> BaseException:
    if isinstance(error, apsw.Error):
        refused = refusal(error)
        if refused is not None:
            refused.__cause__ = error
            return refused
    return carried(error)
