"""Plain numbers about a running engine, for those who watch it. To read them costs little."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple


class Figures(NamedTuple):
    """What an engine does at the moment.

    Attributes:
        queued: how many operations wait: writes (SQLite), or operations (PostgreSQL).
        queue_limit: how many may wait; further ones are rejected.
    """

    queued: int
    queue_limit: int


class Disk(NamedTuple):
    """The disk of a database's files.

    Attributes:
        free_bytes: how much this process may still write.
        is_writable: whether the file and its folder can be written.
    """

    free_bytes: int
    is_writable: bool


def disk_of(path: str) -> Disk | None:
    """Return the disk of a file; None if the file is not there."""
    file = Path(os.path.realpath(path))
    try:
        file.stat()
        free_bytes = shutil.disk_usage(file.parent).free
    except OSError:
        return None
    is_writable = os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)
    return Disk(free_bytes, is_writable)
