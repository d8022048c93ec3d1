"""When a server purges, and that it does so in a thread beside the requests."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic, time_ns

import msgspec

from userkeep.domain.errors import UserkeepError
from userkeep.domain.purge import Schedule
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.times import Instant
from userkeep.jobs.purge import Purge
from userkeep.services import purges
from userkeep.storage.engine import Engine
from userkeep.worker.timers import Timers

logger = logging.getLogger(__name__)

_LONGEST_PAUSE_S = 600.0
_STOP_S = 5.0


class Purger:
    """Purges what was deleted when it is due, or asked for, from `start` to `stop`.

    Attributes:
        requested_at_s: when the last request came in, on the monotonic clock.
    """

    def __init__(self, engine: Engine, schedule: Schedule, timers: Timers) -> None:
        self._engine = engine
        self._schedule = msgspec.structs.replace(schedule, idle_s=timers.idle_s)
        self._timers = timers
        self._is_asked = asyncio.Event()
        self._is_stopping = False
        self._looked: list[asyncio.Future[None]] = []
        self._running: Purge | None = None
        self._caring: asyncio.Task[None] | None = None
        self._not_before_s = 0.0
        self._pause_s = self._timers.retry_purge_s
        self.requested_at_s = monotonic()

    def start(self) -> None:
        """Begin to look for what is due."""
        self._caring = asyncio.create_task(self._care())

    async def stop(self) -> None:
        """End, with a purge that runs: the next start does it again.

        What asks the database is not cancelled but waited for, so that no connection is left behind
        half made; and not for ever, because a database may have fallen silent.
        """
        self._is_stopping = True
        self._is_asked.set()
        if self._running is not None:
            self._running.stop()
        if self._caring is not None:
            await asyncio.wait({self._caring}, timeout=_STOP_S)
            self._caring.cancel()

    def ask(self) -> "asyncio.Future[None]":
        """Look at once, because somebody has asked for a purge; done when that look is."""
        looked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._looked.append(looked)
        self._is_asked.set()
        return looked

    async def _care(self) -> None:
        while not self._is_stopping:
            await self._until_next_look()
            asked, self._looked = self._looked, []
            try:
                await self._look()
            except UserkeepError as error:
                logger.warning("the purge is tried again in %.0f s: %s", self._pause_s, error)
                self._not_before_s = monotonic() + self._pause_s
                self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
            except Exception:
                # Whatever it is, what was deleted must go.
                logger.exception("the purge is tried again in %.0f s", _LONGEST_PAUSE_S)
                self._not_before_s = monotonic() + _LONGEST_PAUSE_S
            for each in asked:
                if not each.done():
                    each.set_result(None)

    async def _until_next_look(self) -> None:
        try:
            await asyncio.wait_for(self._is_asked.wait(), self._timers.check_purge_s)
        except TimeoutError:
            return
        self._is_asked.clear()
        self._not_before_s = 0.0

    async def _look(self) -> None:
        if self._is_stopping or monotonic() < self._not_before_s:
            return
        if await self._engine.read_async(self._is_due) and not self._is_stopping:
            await self._purge()
            self._pause_s = self._timers.retry_purge_s

    def _is_due(self, tx: Transaction) -> bool:
        waiting = purges.waiting(tx)
        if waiting is None or waiting.is_asked:
            return waiting is not None
        return self._schedule.is_due(
            waiting.since_at,
            Instant(time_ns() // 1000),
            purges.database_bytes(tx),
            monotonic() - self.requested_at_s,
        )

    async def _purge(self) -> None:
        began = monotonic()
        self._running = Purge(self._engine)
        try:
            await _in_thread(self._running.run)
        finally:
            self._running = None
        logger.info("purged what was deleted in %.1f s", monotonic() - began)


async def _in_thread(run: Callable[[], None]) -> None:
    """Run a function in a thread that no exit of the process waits for."""
    ended: Future[None] = Future()
    ended.set_running_or_notify_cancel()  # it goes on, whoever stops to wait for it

    def work() -> None:
        try:
            run()
        except BaseException as error:
            ended.set_exception(error)
        else:
            ended.set_result(None)

    threading.Thread(target=work, name="userkeep-purge", daemon=True).start()
    await asyncio.wrap_future(ended)
