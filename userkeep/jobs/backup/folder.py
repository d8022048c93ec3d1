"""The backups in a folder: their names, which say when they were made, and their removal."""

import re
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from userkeep.domain.values.times import LATEST, Instant, from_datetime, to_datetime

SEALED = ".tar.age"
UNSEALED = ".tar"

_NAME = re.compile(r"userkeep-(\d{8}T\d{6}Z)(?:-\d+)?\.tar(?:\.age)?")
_DRAFT = re.compile(r"\.(.+)\.[0-9a-f]{16}\.part")
_FORMAT = "%Y%m%dT%H%M%SZ"
_ABANDONED_AFTER_S = 3600.0


class BackupFile(NamedTuple):
    """A backup in a folder, and when it was made: to the second, never later."""

    path: Path
    created_at: Instant


def name_of(created_at: Instant, *, is_sealed: bool) -> str:
    """Return the name of a backup: `userkeep-20261128T063000Z.tar.age`."""
    moment = to_datetime(created_at).strftime(_FORMAT)
    return f"userkeep-{moment}{SEALED if is_sealed else UNSEALED}"


def backups_in(folder: Path, until: Instant = LATEST) -> list[BackupFile]:
    """Return the backups in a folder, the oldest first; none if it cannot be read.

    Only regular files count, by their names.

    Args:
        until: the time of the newest. Later ones were named by a clock that was wrong.
    """
    found = []
    with suppress(OSError):
        for path in folder.iterdir():
            match = _NAME.fullmatch(path.name)
            moment = None if match is None else _parse(match[1])
            if moment is None or moment > until or path.is_symlink() or not path.is_file():
                continue
            found.append(BackupFile(path, moment))
    return sorted(found, key=lambda each: (each.created_at, each.path.name))


def remove_surplus(folder: Path, keep: int, until: Instant) -> int:
    """Remove the oldest backups of a folder, but for the newest `keep`; return how many.

    Args:
        until: the time of the newest; later ones do not count, and stay.

    Raises:
        OSError: one cannot be removed.
    """
    surplus = backups_in(folder, until)[:-keep]
    for each in surplus:
        each.path.unlink(missing_ok=True)
    return len(surplus)


def abandoned_in(folder: Path, name: str | None = None) -> list[Path]:
    """Return the unfinished backups in a folder that no process has written to for an hour.

    Args:
        name: of the file that they were to become; None: any that `name_of` returns.
    """
    found = []
    with suppress(OSError):
        for path in folder.iterdir():
            draft = _DRAFT.fullmatch(path.name)
            is_one = draft and (draft[1] == name or (name is None and _NAME.fullmatch(draft[1])))
            with suppress(OSError):
                if is_one and time.time() - path.lstat().st_mtime > _ABANDONED_AFTER_S:
                    found.append(path)
    return sorted(found)


def _parse(text: str) -> Instant | None:
    try:
        return from_datetime(datetime.strptime(text, _FORMAT).replace(tzinfo=UTC))
    except ValueError:
        return None
