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
        """Return in how many seconds the next backup is due: 0 or less if it is.

        A backup whose time is after the current time was made by a clock that was wrong.
        """
        newest_at = max((each.created_at for each in backups_in(self.folder)), default=None)
        if newest_at is None or newest_at > now:
            return 0.0
        return (newest_at - now) / SECOND + self.every_s


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
        removed = remove_surplus(schedule.folder, schedule.keep)
    except OSError as error:
        raise StorageError(
            f"An old backup in {schedule.folder} cannot be removed: {error.strerror}."
        ) from error
    return report, removed
