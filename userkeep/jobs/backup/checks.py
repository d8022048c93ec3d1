"""Health checks of backups: how old the newest one is, and what backups and restores have left."""

import os
from collections.abc import Sequence
from pathlib import Path

from userkeep.domain.values.times import HOUR, Instant, rfc3339_text
from userkeep.jobs.backup.folder import abandoned_in, backups_in
from userkeep.storage.checks import Finding
from userkeep.storage.clock import system_time
from userkeep.storage.sqlite.replacement import leftovers
from userkeep.storage.sqlite.snapshot import abandoned

_OVERDUE_FACTOR = 2


def check_backups(folder: str, every_hours: int) -> Finding:
    """Check the folder of scheduled backups."""
    if not os.access(folder, os.W_OK):
        return Finding(
            "backups",
            False,
            f"{folder} is not a folder that this user may write to",
            "Create it, or name another one in USERKEEP_BACKUP_FOLDER.",
        )
    found = backups_in(Path(folder))
    if not found:
        return Finding("backups", True, f"none in {folder} yet; `userkeep serve` makes the first")
    age = Instant(system_time() - found[-1].created_at)
    finding = (
        f"{len(found)} in {folder}, the newest of {rfc3339_text(found[-1].created_at)} "
        f"({age / HOUR:,.1f} hours old)"
    )
    if age > _OVERDUE_FACTOR * every_hours * HOUR:
        advice = "Backups are overdue. Check that a server runs, and its log for `backup: retry`."
        return Finding("backups", False, finding, advice)
    return Finding("backups", True, finding)


def check_leftovers(database: str, folder: str) -> list[Finding]:
    """Report the files that backups and restores have left, if there are any."""
    real = os.path.realpath(database)
    left: Sequence[Path] = [
        *leftovers(real),
        *abandoned(real),
        *(abandoned_in(Path(folder)) if folder else ()),
    ]
    if not left:
        return []
    finding = f"left by backups and restores: {', '.join(map(str, left))}"
    advice = "They have personal data, also of deleted users. Delete those that you do not need."
    return [Finding("leftovers", True, finding, advice)]
