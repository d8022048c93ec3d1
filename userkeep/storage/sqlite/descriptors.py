"""Descriptors of database files, beside those of SQLite.

When a process closes any descriptor of a file, POSIX drops all locks that the process has on it.
SQLite's are lost too, and no longer protect the file from other programs. So a descriptor that
is not SQLite's stays open for as long as a connection of this process uses the file.
"""

import os
import threading
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple
from weakref import WeakSet

import apsw


class FileId(NamedTuple):
    """What a file is, whatever its path: hard links have the same one."""

    device: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileId":
        """Return the identity in a status."""
        return cls(status.st_dev, status.st_ino)


_lock = threading.Lock()
os.register_at_fork(
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
)
_connections: dict[FileId, WeakSet[apsw.Connection]] = {}
_waiting: dict[FileId, list[int]] = defaultdict(list)


def register(connection: apsw.Connection, path: str) -> None:
    """Record that a connection uses a file."""
    try:
        file_id = FileId.of(Path(path).stat())
    except OSError:
        return  # it is in memory, or gone
    with _lock:
        _connections.setdefault(file_id, WeakSet()).add(connection)
        _close_unused()


def close_when_unused(descriptor: int) -> None:
    """Close a descriptor, now or when no connection of this process uses its file any more."""
    with _lock:
        _waiting[FileId.of(os.fstat(descriptor))].append(descriptor)
        _close_unused()


def _close_unused() -> None:
    # Also called with each new connection: nothing else happens when a connection is closed.
    for file_id in list(_connections):
        if not any(map(_is_open, list(_connections[file_id]))):
            del _connections[file_id]
    for file_id in [each for each in _waiting if each not in _connections]:
        for descriptor in _waiting.pop(file_id):
            os.close(descriptor)


def _is_open(connection: apsw.Connection) -> bool:
    try:
        connection.in_transaction  # noqa: B018 - raises if it is closed
    except apsw.ConnectionClosedError:
        return False
    except apsw.Error:  # in use by another thread
        return True
    return True
