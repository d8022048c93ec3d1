"""The lock of a database file: one process at a time may open it.

A second process that writes would gain nothing and make both wait, so it is rejected. The lock is
the operating system's, and ends with the process in any case. It is on the file itself, far behind
its end, where SQLite has no locks. So it is the same lock for every path and every hard link, and
removing the lock file changes nothing.

The lock file beside the database names the process that holds the lock, for the error message of
processes that are rejected and for commands, which then call that process. It is believed only if
no other user can have written it.
"""

import errno
import fcntl
import logging
import os
import stat
import struct
import sys
import threading
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from time import sleep
from urllib.parse import urlsplit

import apsw
import msgspec

from userkeep.domain.errors import StorageError
from userkeep.storage.private_files import MODE, create_private, kind_of
from userkeep.storage.sqlite.connection import opening_problem
from userkeep.storage.sqlite.descriptors import FileId, close_when_unused
from userkeep.storage.sqlite.files import real_path

logger = logging.getLogger(__name__)

_HAS_LOCKS_OF_DESCRIPTORS = sys.platform == "linux"
"""Elsewhere the lock is on the lock file."""

_LOCK_START = 1 << 62
"""No file is as long as this, and SQLite's locks are at 1 GiB."""

_MOST_BYTES = 4096
_ATTEMPTS = 4
_PAUSE_S = 0.05

_process_lock = threading.Lock()
_held: dict[FileId, int] = {}
"""The files that are locked, and by which process: after a fork, the parent has them."""


# A fork copies a lock that another thread holds, and the copy would never be released.
os.register_at_fork(
    before=_process_lock.acquire,
    after_in_parent=_process_lock.release,
    after_in_child=_process_lock.release,
)


class LockHolder(msgspec.Struct):
    """The process that has the file open, and the URL where it serves (None: it does not)."""

    pid: int
    url: str | None


def lock_path(database: str) -> Path:
    """Return the path of a database's lock file."""
    return Path(f"{os.path.realpath(database)}.lock")


class FileLock:
    """Locks a database file for this process until it is released."""

    def __init__(self, database: str, *, may_create: bool = False) -> None:
        """Lock the file; nothing in it or beside it changes.

        Args:
            database: its path.
            may_create: whether to create an empty file if it is missing.

        Raises:
            StorageError: another process has locked it, it is not a file that this process may
                write, or it does not exist.
        """
        self._database = database
        self._path = lock_path(database)
        self._lock_file: int | None = None
        with _process_lock:
            self._descriptor = _open(database, may_create=may_create)
            self.file_id = FileId.of(os.fstat(self._descriptor))
            _held[self.file_id] = os.getpid()

    def publish(self, url: str | None) -> None:
        """Name this process in the lock file.

        Args:
            url: where this process serves, if it does.

        Raises:
            StorageError: the folder is not writable.
        """
        self._lock_file = self._open_lock_file()
        if self._lock_file is None:
            return
        content = msgspec.json.encode(LockHolder(os.getpid(), url))
        os.ftruncate(self._lock_file, 0)
        os.pwrite(self._lock_file, content, 0)

    def release(self) -> None:
        """Unlock the file; the lock file stays, empty."""
        if self._lock_file is not None:
            os.ftruncate(self._lock_file, 0)
            # Explicitly, because a forked process has the file open too, which keeps the lock.
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)
            os.close(self._lock_file)
        with _process_lock:
            _held.pop(self.file_id, None)
            if _HAS_LOCKS_OF_DESCRIPTORS:
                _set_lock(self._descriptor, fcntl.F_UNLCK)
            close_when_unused(self._descriptor)

    def _open_lock_file(self) -> int | None:
        """Open and lock the lock file; return None if it is not ours, and so says nothing."""
        try:
            descriptor = _create_or_open(self._path)
        except OSError as error:
            if not os.path.lexists(self._path):
                raise StorageError(
                    f"{self._path} cannot be written ({error.strerror}). The folder of the "
                    "database must exist and be writable for this user."
                ) from error
            descriptor = None
        if descriptor is None or not _is_ours(descriptor):
            self._ignore(descriptor)
            return None
        os.fchmod(descriptor, MODE)
        if not _flock(descriptor) and not _HAS_LOCKS_OF_DESCRIPTORS:
            os.close(descriptor)
            raise StorageError(locked_by_another(self._database, read_lock_holder(self._database)))
        return descriptor

    def _ignore(self, descriptor: int | None) -> None:
        if descriptor is not None:
            os.close(descriptor)
        sentence = (
            f"{self._path} is not a lock file of this user; it is not used. Remove it, so that "
            "commands find the process that has the database open."
        )
        if not _HAS_LOCKS_OF_DESCRIPTORS:
            raise StorageError(sentence)
        logger.warning(sentence)


def read_lock_holder(database: str) -> LockHolder | None:
    """Return the holder of a database file's lock, or None if there is none, or it is not known."""
    try:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(lock_path(database), flags)
    except OSError:
        return None
    try:
        if not _is_ours(descriptor) or _others_may_write(descriptor):
            return None
        if _flock(descriptor, attempts=1):
            return None  # its process has ended
        holder = msgspec.json.decode(os.pread(descriptor, _MOST_BYTES, 0), type=LockHolder)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    finally:
        os.close(descriptor)
    if holder.url is not None and not _is_on_this_machine(holder.url):
        holder.url = None
    return holder


def is_locked(database: str) -> bool:
    """Whether a process has locked a database file."""
    try:
        with _process_lock:
            if FileId.of(Path(database).stat()) in _held:
                return True
            if not _HAS_LOCKS_OF_DESCRIPTORS:
                return read_lock_holder(database) is not None
            descriptor = os.open(database, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _lock_bytes(fcntl.F_WRLCK))
    except OSError:
        return False
    finally:
        close_when_unused(descriptor)
    (kind,) = struct.unpack_from("h", found)
    return bool(kind != fcntl.F_UNLCK)


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


def _open(database: str, *, may_create: bool) -> int:
    """Open a file and lock it."""
    path = real_path(database)
    _check_not_held(database, path)
    descriptor = _open_file(database, path, may_create=may_create)
    try:
        kind = kind_of(os.fstat(descriptor))
        if kind is not None:
            raise StorageError(f"{database} is a {kind}, not a database file. Name another file.")
        if _HAS_LOCKS_OF_DESCRIPTORS and not _lock_with_retries(descriptor):
            raise StorageError(locked_by_another(database, read_lock_holder(database)))
    except BaseException:
        close_when_unused(descriptor)
        raise
    return descriptor


def _check_not_held(database: str, path: str) -> None:
    with suppress(OSError):
        if _held.get(FileId.of(Path(path).stat())) == os.getpid():
            holder = read_lock_holder(database) or LockHolder(os.getpid(), None)
            raise StorageError(locked_by_another(database, holder))


def _open_file(database: str, path: str, *, may_create: bool) -> int:
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    for _ in range(_ATTEMPTS):
        try:
            return os.open(path, flags)
        except FileNotFoundError as error:
            if not may_create:
                raise StorageError(f"Database {database} does not exist.") from error
        except OSError as error:
            raise StorageError(_problem(error, database)) from error
        try:
            return create_private(path)
        except FileExistsError:
            continue  # another process has created it in between
        except OSError as error:
            raise StorageError(f"{database} cannot be opened: {error.strerror}.") from error
    raise StorageError(opening_problem(apsw.CantOpenError(), database))


def _problem(error: OSError, database: str) -> str:
    is_read_only = error.errno in {errno.EACCES, errno.EROFS} and os.access(database, os.R_OK)
    kind = apsw.ReadOnlyError() if is_read_only else apsw.CantOpenError()
    return opening_problem(kind, database)


def _lock_with_retries(descriptor: int) -> bool:
    # `is_locked` in another process does not lock, but a process that just ends may still do.
    for _ in range(_ATTEMPTS):
        if _set_lock(descriptor, fcntl.F_WRLCK):
            return True
        sleep(_PAUSE_S)
    return False


def _set_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _lock_bytes(kind))
    except OSError as error:
        if error.errno not in {errno.EAGAIN, errno.EACCES}:
            raise StorageError(
                f"The file system of the database has no locks ({error.strerror}). Use another one."
            ) from error
        return False
    return True


def _lock_bytes(kind: int) -> bytes:
    """Return a `struct flock` of Linux, for one byte."""
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, _LOCK_START, 1, 0)


def _create_or_open(path: Path) -> int:
    with suppress(FileExistsError):
        return create_private(path)
    return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _is_ours(descriptor: int) -> bool:
    """Whether a file is a lock file of this user, and no other file under another name."""
    status = os.fstat(descriptor)
    is_single = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
    if not is_single or status.st_uid != os.geteuid() or status.st_size > _MOST_BYTES:
        return False
    return os.pread(descriptor, 1, 0) in {b"", b"{"}


def _others_may_write(descriptor: int) -> bool:
    return bool(os.fstat(descriptor).st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _flock(descriptor: int, attempts: int = _ATTEMPTS) -> bool:
    # `read_lock_holder` in another process holds the lock for a moment.
    for attempt in range(attempts):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt + 1 < attempts:
                sleep(_PAUSE_S)
        else:
            return True
    return False


def _is_on_this_machine(url: str) -> bool:
    """Whether a URL is one of a server on this machine."""
    if url.startswith("unix:/"):
        return True
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_plain = parts.scheme == "http" and "@" not in parts.netloc and parts.path in {"", "/"}
        return is_plain and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:
        return False
