"""When backups are due, and the backup of a schedule."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from userkeep.domain.errors import StorageError
from userkeep.domain.values.times import SECOND, Instant
from userkeep.jobs.backup.folder import backups_in, remove_surplus
from userkeep.jobs.backup.job import Backup, BackupReport


class BackupSchedule(NamedTuple):
    """The backups of a server.

    Attributes:
        folder: where they are.
        every_s: the time between two of them, in seconds.
        keep: how many are kept.
        make: returns the job of the next one.
    """

    folder: Path
    every_s: int
    keep: int
    make: Callable[[], Backup]

    def due_in_s(self, now: Instant) -> float:
        """Return in how many seconds the next backup is due: 0 or less if it is."""
        newest = backups_in(self.folder, until=now)[-1:]
        return (newest[0].created_at - now) / SECOND + self.every_s if newest else 0.0


def run_scheduled(schedule: BackupSchedule, job: Backup) -> tuple[BackupReport, int]:
    """Write a backup; then, when it is complete and verified, remove the oldest.

    Returns:
        The report, and how many were removed.

    Raises:
        StorageError: it could not be written, or the oldest could not be removed.
        Stopped: the job was stopped.
    """
    report = job.run()
    try:
        removed = remove_surplus(schedule.folder, schedule.keep, report.created_at)
    except OSError as error:
        raise StorageError(
            f"An old backup in {schedule.folder} cannot be removed: {error.strerror}."
        ) from error
    return report, removed
