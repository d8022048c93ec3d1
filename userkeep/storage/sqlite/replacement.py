"""Putting another SQLite file in the place of a database, and setting the former one aside.

Each step leaves the former database or the other one under the name, whole; so does a kill between
two of them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from userkeep.domain.errors import StorageError
from userkeep.storage.migrations import check_history, load_migrations
from userkeep.storage.private_files import create_private
from userkeep.storage.sqlite.connection import connect, opening_problem
from userkeep.storage.sqlite.file_lock import FileLock, is_locked
from userkeep.storage.sqlite.migrations import applied_migrations
from userkeep.storage.sqlite.read_only import open_read_only

_BEFORE = ".before-restore-"
_DRAFT = ".restoring"


def draft_of(real: str) -> Path:
    """Return where a database is prepared that will replace another one: beside it."""
    return Path(f"{real}{_DRAFT}")


def set_aside_name(path: str | Path, moment: str) -> Path:
    """Return the name of a file that was replaced at a moment."""
    return Path(f"{path}{_BEFORE}{moment}")


def leftovers(real: str) -> list[Path]:
    """Return the databases beside a database that restores have set aside or not finished."""
    path = Path(real)
    beside = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    marks = (f"{path.name}{_BEFORE}", f"{path.name}{_DRAFT}")
    return [each for each in beside if each.name.startswith(marks)]


@contextmanager
def new_draft(real: str) -> Iterator[Path]:
    """Create the empty draft of a database, and lock it during the block.

    Raises:
        StorageError: another restore of the same database is running, or the folder is not
            writable.
    """
    draft = draft_of(real)
    if os.path.lexists(draft) and not draft.is_symlink() and is_locked(str(draft)):
        raise StorageError(f"Another restore of {real} is running; wait for it.")
    remove_draft(draft)  # a process that was killed left it
    try:
        os.close(create_private(draft))
    except OSError as error:
        raise StorageError(f"{draft} cannot be written: {error.strerror}.") from error
    lock = FileLock(str(draft))
    try:
        yield draft
    finally:
        lock.release()


def remove_draft(draft: Path) -> None:
    """Delete what is left of a draft, and of the files that belong to it."""
    if draft.parent.is_dir():
        for each in list(draft.parent.iterdir()):
            if each.name.startswith(draft.name):
                each.unlink(missing_ok=True)


def check_restored(path: Path) -> None:
    """Check that a file is a whole database of this program or of an earlier version.

    Raises:
        StorageError: it is not.
    """
    with open_read_only(str(path)) as connection:
        found = [text for (text,) in connection.execute("PRAGMA quick_check(3)")]
        if found != ["ok"]:
            raise StorageError(f"The database in the backup is damaged: {'; '.join(found)}.")
        applied = applied_migrations(connection)
        if not applied:
            raise StorageError("The backup has a database of another program.")
        check_history("The database in the backup", applied, load_migrations("sqlite"))


def set_aside(real: str, moment: str) -> Path:
    """Give a database that is locked by this process a further name, and empty its WAL.

    Its own name stays until another file replaces it. If its WAL cannot be copied into it, because
    it is damaged, its files are set aside as they are.

    Returns:
        The further name.

    Raises:
        StorageError: it cannot be done; nothing was changed.
    """
    aside = set_aside_name(real, moment)
    try:
        is_whole = _copy_wal(real)
        aside.hardlink_to(real)
        if not is_whole:
            for end in ("-wal", "-journal"):
                with suppress(FileNotFoundError):
                    Path(f"{real}{end}").rename(f"{aside}{end}")
            Path(f"{real}-shm").unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{real} cannot be set aside as {aside}: {error.strerror}.") from error
    return aside


def _copy_wal(real: str) -> bool:
    """Copy the WAL of a database into it; return whether that was possible."""
    if Path(real).stat().st_size == 0:
        return not Path(f"{real}-wal").exists()
    try:
        connection = connect(real)
    except StorageError:
        return False
    try:
        frames, copied = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except (apsw.BusyError, apsw.LockedError, apsw.FullError) as error:
        raise StorageError(opening_problem(error, real)) from error
    except apsw.Error:
        return False
    finally:
        connection.close()
    return bool(frames == copied) and not Path(f"{real}-wal").exists()
