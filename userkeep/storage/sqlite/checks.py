"""Health checks of a SQLite file; they change nothing, and may run beside a server."""

import os
import shutil
from pathlib import Path

import apsw

from userkeep.domain.errors import StorageError
from userkeep.storage.checks import COPY_SOURCE, KNOWN_FINGERPRINT, Finding, check_schema
from userkeep.storage.private_files import check_parents, is_on_read_only_disk
from userkeep.storage.sqlite.connection import MEMORY
from userkeep.storage.sqlite.file_lock import is_locked, read_lock_holder
from userkeep.storage.sqlite.files import copies_of
from userkeep.storage.sqlite.migrations import applied_migrations
from userkeep.storage.sqlite.read_only import open_read_only
from userkeep.storage.sqlite.upgrade_copy import KEPT_DAYS

_GIB = 1024**3


def sqlite_version() -> str:
    """Return the version of the SQLite library."""
    return apsw.sqlite_lib_version()


def check_database(path: str) -> list[Finding]:
    """Check a file, who has it open, and the free space on its disk."""
    if path == MEMORY:
        return [Finding("database", True, "in memory: lost when the server stops")]
    return [
        _check_file(path),
        *_check_folder(path),
        _check_lock(path),
        _check_space(path),
        *_check_copies(path),
    ]


def secret_fingerprint(path: str) -> str | None:
    """Return the fingerprint of the secret that a file is bound to, if it is to one.

    Raises:
        StorageError: it cannot be read.
    """
    if path == MEMORY or not Path(path).exists():
        return None
    with open_read_only(path) as connection:
        if not applied_migrations(connection):
            return None
        return next((str(value) for (value,) in connection.execute(KNOWN_FINGERPRINT)), None)


def _check_file(path: str) -> Finding:
    if not Path(path).exists():
        return _check_missing(path)
    try:
        with open_read_only(path) as connection:
            applied = applied_migrations(connection)
            is_complete = not applied or not list(connection.execute(COPY_SOURCE))
    except StorageError as error:
        return Finding("database", False, error.detail)
    size_bytes = Path(path).stat().st_size
    return check_schema("sqlite", path, size_bytes, applied, is_complete=is_complete)


def _check_missing(path: str) -> Finding:
    holder = read_lock_holder(path)
    if holder is None:
        return Finding(
            "database", True, f"{path} does not exist yet", "`userkeep serve` creates it."
        )
    return Finding(
        "database",
        False,
        f"{path} was moved or deleted, and process {holder.pid} has it open",
        "Put it back. If it was deleted, stop that process only when the file was recovered.",
    )


def _check_folder(path: str) -> list[Finding]:
    """Report what keeps a server from writing: the folder, the file, or files beside it."""
    real = Path(os.path.realpath(path))
    try:
        check_parents(real.parent)
    except StorageError as error:
        return [Finding("folder", False, error.detail)]
    folder = real.parent if real.parent.exists() else real.parent.parent
    beside = [real.with_name(f"{real.name}{end}") for end in ("", "-wal", "-shm", ".lock")]
    needed = [(folder, os.W_OK | os.X_OK)]
    needed += [(each, os.R_OK | os.W_OK) for each in beside if each.exists()]
    problems = [str(each) for each, rights in needed if not os.access(each, rights)]
    if is_on_read_only_disk(folder):
        problems = [f"the disk of {folder}"]
    if not problems:
        return []
    return [
        Finding(
            "folder",
            False,
            f"this user cannot write to {', '.join(problems)}",
            "Run the server as the user who owns the files, or give this user the right to write. "
            "SQLite creates files beside the database.",
        )
    ]


def _check_lock(path: str) -> Finding:
    owner = read_lock_holder(path)
    if owner is None and is_locked(path):
        return Finding("lock", True, "held by a process that is not known")
    if owner is None:
        return Finding("lock", True, "no process has the database open for writing")
    server = f", the server at {owner.url}" if owner.url else ""
    return Finding("lock", True, f"held by process {owner.pid}{server}")


def _check_copies(path: str) -> list[Finding]:
    return [
        Finding(
            "copy",
            True,
            f"{each} is the database from before an upgrade, with personal data",
            "Delete it if the new version works for you. The next purge deletes it, and so does a "
            f"start after {KEPT_DAYS} days.",
        )
        for each in copies_of(path)
    ]


def _check_space(path: str) -> Finding:
    folder = next(each for each in Path(path).resolve().parents if each.exists())
    free_bytes = shutil.disk_usage(folder).free
    size_bytes = Path(path).stat().st_size if Path(path).exists() else 0
    finding = f"{free_bytes / _GIB:.1f} GiB free on the disk of {folder}"
    if free_bytes < max(_GIB, 2 * size_bytes):
        return Finding(
            "space",
            False,
            finding,
            "Free some space: a purge needs the size of the database again, and at least 1 GiB.",
        )
    return Finding("space", True, finding)
