"""The file has one owner: a process that holds the lock file beside it.

A second process that writes gains nothing and makes everybody wait, so it is refused, and told who
has the file. The lock is the operating system's and ends with the process, however it ends; the
text in the file says who and where, for those who are refused.
"""

import fcntl
import os
from pathlib import Path
from time import sleep
from typing import IO

import msgspec

from userkeep.domain.errors import StorageError


class Owner(msgspec.Struct):
    """Who has the file open: a process, and the URL it serves on (None: it does not serve)."""

    pid: int
    url: str | None


def lock_path(database: str) -> Path:
    """Where the lock file of a database is."""
    return Path(f"{os.path.realpath(database)}.owner")


class Ownership:
    """Holds a database file for this process until it is released."""

    def __init__(self, database: str, url: str | None) -> None:
        """Take the file.

        Raises:
            StorageError: another process has it, or the lock file cannot be written.
        """
        self._path = lock_path(database)
        try:
            self._file = self._path.open("a+")
        except OSError as error:
            raise StorageError(
                f"{self._path} cannot be written ({error.strerror}). The folder of the database "
                "must exist and be writable for this user."
            ) from error
        if not _lock_soon(self._file):
            self._file.close()
            raise StorageError(owned_by_another(database, read_owner(database)))
        self._file.truncate(0)
        self._file.write(msgspec.json.encode(Owner(os.getpid(), url)).decode())
        self._file.flush()

    def release(self) -> None:
        """Let go of the file; the lock file stays, empty."""
        self._file.truncate(0)
        # A forked process has the file open too, and would hold the lock for as long as it lives.
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._file.close()


def read_owner(database: str) -> Owner | None:
    """Who holds a database file now, or None."""
    try:
        with lock_path(database).open("r+") as file:
            if _lock(file):
                return None
            return msgspec.json.decode(file.read(), type=Owner)
    except (OSError, msgspec.MsgspecError):
        return None


def owned_by_another(database: str, owner: Owner | None) -> str:
    """A sentence for whoever comes second."""
    if owner is None:
        return f"{database} is held by another process; stop that one first."
    if owner.url is None and owner.pid == os.getpid():
        return (
            f"{database} is held by process {owner.pid}, which is this one; use what has opened it "
            "(any thread may), or close that first."
        )
    if owner.url is None:
        return f"{database} is held by process {owner.pid}; stop that one, or wait for its end."
    return f"{database} is served by process {owner.pid} at {owner.url}; use that, or stop it."


def _lock_soon(file: IO[str]) -> bool:
    # Whoever only looks who the owner is holds the lock for a moment.
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
