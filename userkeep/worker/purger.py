"""The purge schedule of a server."""

import asyncio
import logging
from time import monotonic

import msgspec

from userkeep.domain.errors import UserkeepError
from userkeep.domain.purge import Schedule
from userkeep.domain.transaction import Transaction
from userkeep.jobs.purge import Purge
from userkeep.services import purges
from userkeep.storage.clock import system_time
from userkeep.storage.engine import Engine
from userkeep.worker.figures import JobFigures
from userkeep.worker.supervision import SupervisedTask
from userkeep.worker.threads import run_in_daemon_thread
from userkeep.worker.timers import Timers
from userkeep.worker.traces import JobTraces

logger = logging.getLogger(__name__)

_LAST_RETRY_S = 600.0
_STOP_S = 5.0
_AFTER_FAULT_S = 1.0

PAUSE_FACTOR = 9
"""After a purge, the next one waits for so many times as long as that took.

Writes wait while a file is rewritten. So purges take a tenth of the time at most, however often
they are requested; all requests that arrive during the pause are met by one purge.
"""


class Purger:
    """Purges when it is due or requested, in a thread, from start to stop.

    Attributes:
        figures: of the purges of this process.
        requested_at_s: when the last request of a client arrived, on the monotonic clock.
    """

    def __init__(
        self, engine: Engine, schedule: Schedule, timers: Timers, traces: JobTraces
    ) -> None:
        self._engine = engine
        self._schedule = msgspec.structs.replace(schedule, idle_s=timers.idle_s)
        self._timers = timers
        self._traces = traces
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._waiters: list[asyncio.Future[None]] = []
        self._running: Purge | None = None
        self._task: SupervisedTask | None = None
        self._not_before_s = 0.0
        self._paused_until_s = 0.0
        self._retry_s = self._timers.retry_purge_s
        self.figures = JobFigures()
        self.requested_at_s = monotonic()

    @property
    def is_running(self) -> bool:
        """Whether a purge is running."""
        return self._running is not None

    def start(self) -> None:
        """Start the schedule."""
        self._task = SupervisedTask(
            "purge",
            self._run,
            first_retry_s=_AFTER_FAULT_S,
            last_retry_s=_AFTER_FAULT_S,
            figures=self.figures,
        )

    async def stop(self) -> None:
        """Stop, with a purge that runs: the next start repeats it.

        The task is not cancelled at once but waited for, because a cancelled query would leave a
        half-open connection; but not without limit, because a database may not respond.
        """
        self._is_stopping = True
        self._wake.set()
        if self._running is not None:
            self._running.stop()
        if self._task is not None:
            await self._task.wait(_STOP_S)
            self._task.stop()

    def check_now(self) -> "asyncio.Future[None]":
        """Check now; the future resolves after the check, and after the purge if it was due."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._wake.set()
        return waiter

    async def _run(self) -> None:
        while not self._is_stopping:
            await self._wait_for_next_check()
            waiters, self._waiters = self._waiters, []
            try:
                await self._check()
            except UserkeepError as error:
                logger.warning("purge: retry in %.0f s: %s", self._retry_s, error)
                self._not_before_s = monotonic() + self._retry_s
                self._retry_s = min(self._retry_s * 2, _LAST_RETRY_S)
            except Exception:
                # Whatever the error, deleted data must be purged: the schedule continues.
                logger.exception("purge: retry in %.0f s", _LAST_RETRY_S)
                self._not_before_s = monotonic() + _LAST_RETRY_S
            finally:
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_result(None)

    async def _wait_for_next_check(self) -> None:
        wait_s = self._timers.check_purge_s
        pause_s = self._paused_until_s - monotonic()
        if pause_s > 0:
            wait_s = min(wait_s, pause_s)
        try:
            await asyncio.wait_for(self._wake.wait(), wait_s)
        except TimeoutError:
            return
        self._wake.clear()
        self._not_before_s = 0.0  # a client requested it

    async def _check(self) -> None:
        if self._is_stopping or monotonic() < max(self._not_before_s, self._paused_until_s):
            return
        if await self._engine.read_async(self._is_due) and not self._is_stopping:
            await self._purge()
            self._retry_s = self._timers.retry_purge_s

    def _is_due(self, tx: Transaction) -> bool:
        pending = purges.pending(tx)
        if pending is None or pending.is_requested:
            return pending is not None
        return self._schedule.is_due(
            pending.since_at,
            system_time(),
            purges.database_bytes(tx),
            monotonic() - self.requested_at_s,
        )

    async def _purge(self) -> None:
        began = monotonic()
        self._running = Purge(self._engine)
        try:
            with self._traces.job("purge"), self.figures.run():
                await run_in_daemon_thread(self._running.run, "userkeep-purge")
        finally:
            self._running = None
            ended = monotonic()
            self._paused_until_s = ended + PAUSE_FACTOR * (ended - began)
