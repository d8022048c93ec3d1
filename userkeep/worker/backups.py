"""The scheduled backups of a server."""

import asyncio
import logging
from contextlib import suppress
from functools import partial
from time import monotonic

from userkeep.domain.values.times import SECOND
from userkeep.jobs.backup.folder import backups_in
from userkeep.jobs.backup.job import Backup
from userkeep.jobs.backup.schedule import BackupSchedule, run_scheduled
from userkeep.jobs.stopping import Stopped
from userkeep.storage.clock import system_time
from userkeep.worker.figures import JobFigures
from userkeep.worker.supervision import SupervisedTask
from userkeep.worker.threads import run_in_daemon_thread
from userkeep.worker.timers import Timers

logger = logging.getLogger(__name__)

_LAST_RETRY_S = 3600.0
_STOP_S = 5.0


class ScheduledBackups:
    """Backs up when it is due, in a thread, from start to stop. A failure is retried.

    Attributes:
        figures: count backups; the last success is the newest backup in the folder.
    """

    def __init__(self, schedule: BackupSchedule, timers: Timers) -> None:
        self._schedule = schedule
        self._timers = timers
        self._task: SupervisedTask | None = None
        self._running: Backup | None = None
        self.figures = JobFigures()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def start(self) -> None:
        """Start the schedule."""
        newest = backups_in(self._schedule.folder)[-1:]
        self.figures.succeeded_at_s = newest[0].created_at / SECOND if newest else 0.0
        self._task = SupervisedTask(
            "backup",
            self._repeat,
            first_retry_s=self._timers.retry_backup_s,
            last_retry_s=_LAST_RETRY_S,
            figures=self.figures,
        )

    async def stop(self) -> None:
        """Stop, with a backup that runs: it leaves nothing, and is due at the next start."""
        if self._running is not None:
            self._running.stop()
        # Its thread removes what it has written; then the task is cancelled.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_idle.wait(), _STOP_S)
        if self._task is not None:
            self._task.stop()
            await self._task.wait(_STOP_S)

    async def _repeat(self) -> None:
        while True:
            self.figures.due_at_s = monotonic() + self._schedule.due_in_s(system_time())
            if self.figures.lag_s:
                await self._back_up()
            await asyncio.sleep(self._timers.check_backup_s)

    async def _back_up(self) -> None:
        self._is_idle.clear()
        try:
            with self.figures.run():
                self._running = self._schedule.make()
                run = partial(run_scheduled, self._schedule, self._running)
                report, removed = await run_in_daemon_thread(run, "userkeep-backup")
        except Stopped:
            return  # the server stops
        finally:
            self._running = None
            self._is_idle.set()
        fields = {
            "duration_ms": round(report.seconds * 1000),
            "bytes": report.size_bytes,
            "database_bytes": report.database_bytes,
            "removed": removed,
        }
        logger.info("backed up the database", extra={"fields": fields})
