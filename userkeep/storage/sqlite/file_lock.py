"""The lock of a database file: one process at a time may open it.

A second process that writes would gain nothing and make both wait, so it is rejected. The lock is
the operating system's, on a lock file beside the database, and ends with the process in any case.
The lock file names its holder, for the error message of processes that are rejected.
"""

import fcntl
import os
from pathlib import Path
from time import sleep
from typing import IO

import msgspec

from userkeep.domain.errors import StorageError


class LockHolder(msgspec.Struct):
    """The process that has the file open, and the URL where it serves (None: it does not)."""

    pid: int
    url: str | None


def lock_path(database: str) -> Path:
    """Return the path of a database's lock file."""
    return Path(f"{os.path.realpath(database)}.lock")


class FileLock:
    """Locks a database file for this process until it is released."""

    def __init__(self, database: str, url: str | None) -> None:
        """Lock the file.

        Raises:
            StorageError: another process has locked it, or the lock file cannot be written.
        """
        self._path = lock_path(database)
        try:
            self._file = self._path.open("a+")
        except OSError as error:
            raise StorageError(
                f"{self._path} cannot be written ({error.strerror}). The folder of the database "
                "must exist and be writable for this user."
            ) from error
        if not _lock_with_retries(self._file):
            self._file.close()
            raise StorageError(locked_by_another(database, read_lock_holder(database)))
        self._file.truncate(0)
        self._file.write(msgspec.json.encode(LockHolder(os.getpid(), url)).decode())
        self._file.flush()

    def release(self) -> None:
        """Unlock the file; the lock file stays, empty."""
        self._file.truncate(0)
        # Explicitly, because a forked process has the file open too, which keeps the lock.
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._file.close()


def read_lock_holder(database: str) -> LockHolder | None:
    """Return the holder of a database file's lock, or None."""
    try:
        with lock_path(database).open("r+") as file:
            if _lock(file):
                return None
            return msgspec.json.decode(file.read(), type=LockHolder)
    except (OSError, msgspec.MsgspecError):
        return None


def locked_by_another(database: str, holder: LockHolder | None) -> str:
    """Return the error message for a process that is rejected."""
    if holder is None:
        return f"{database} is locked by another process; stop that one first."
    if holder.url is None and holder.pid == os.getpid():
        return (
            f"{database} is locked by process {holder.pid}, which is this one; use the client "
            "that opened it (from any thread), or close that client first."
        )
    if holder.url is None:
        return f"{database} is locked by process {holder.pid}; stop that process, or wait for it."
    return f"{database} is served by process {holder.pid} at {holder.url}; use that, or stop it."


def _lock_with_retries(file: IO[str]) -> bool:
    # `read_lock_holder` in another process holds the lock for a moment.
    for _ in range(4):
        if _lock(file):
            return True
        sleep(0.05)
    return False


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
