"""The copy of a database file that an upgrade keeps beside it: the file as it was before.

What is deleted from the database stays in the copy. So a purge deletes the copy: what it was asked
to remove is then in no file. What is not needed any more is also deleted when the database is
opened.
"""

import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path
from time import time

from userkeep.domain.errors import StorageError
from userkeep.storage.private_files import create_private
from userkeep.storage.sqlite.files import UNFINISHED, SqliteFile, copies_of

logger = logging.getLogger(__name__)

KEPT_DAYS = 7

_BLOCK_BYTES = 1024 * 1024
_SPARE_BYTES = 16 * _BLOCK_BYTES
_DAY_S = 86_400


def check_space(path: str) -> None:
    """Check that the disk has room for a copy of a file, and for its migration.

    Raises:
        StorageError: it has not.
    """
    size = Path(path).stat().st_size
    free = shutil.disk_usage(Path(path).resolve().parent).free
    needed = 2 * size + _SPARE_BYTES  # a migration can write every page again
    if free < needed:
        raise StorageError(
            f"Migrating {path} needs {needed >> 20:,} MiB on its disk, because a copy is made "
            f"before; {free >> 20:,} MiB are free. Nothing was changed."
        )


def make_copy(path: str, schema: int) -> Path:
    """Copy a database file that nothing writes to now, and whose WAL is empty.

    Only the current user can read the copy. It is complete on the disk when this returns.

    Args:
        path: of the file.
        schema: the version of its schema.

    Returns:
        The path of the copy. One of the same version is replaced.

    Raises:
        StorageError: it cannot be written.
    """
    database = Path(os.path.realpath(path))
    copy = database.with_name(f"{database.name}.schema-{schema}")
    draft = database.with_name(f"{copy.name}{UNFINISHED}")
    try:
        draft.unlink(missing_ok=True)  # of a process that has crashed
        _write(database, draft)
        draft.replace(copy)
        _sync_folder(database.parent)
    except OSError as error:
        raise StorageError(
            f"The copy {copy} of the database could not be made: {error.strerror or error}. "
            "Nothing was changed."
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    logger.warning(
        "kept the database as it was before its migration: %s. The copy has personal data. The "
        "next purge deletes it, and so does a start after %d days. Delete it earlier if the new "
        "version works for you",
        copy,
        KEPT_DAYS,
    )
    return copy


def delete_copies(path: str) -> None:
    """Delete all copies of a database file.

    Raises:
        OSError: one cannot be deleted; its `filename` names it.
    """
    for copy in copies_of(path):
        copy.unlink(missing_ok=True)
        logger.info("deleted the copy from before a migration: %s", copy)


def delete_old_copies(path: str) -> None:
    """Delete copies of a database file that are old or unfinished; log which cannot be deleted."""
    for copy in copies_of(path):
        try:
            if _is_old(copy):
                copy.unlink(missing_ok=True)
                logger.info("deleted the copy from before a migration: %s", copy)
        except OSError as error:
            logger.warning("%s, with personal data, cannot be deleted: %s", copy, error.strerror)


def _is_old(copy: Path) -> bool:
    return copy.suffix == UNFINISHED or time() - copy.stat().st_mtime > KEPT_DAYS * _DAY_S


def _write(database: Path, draft: Path) -> None:
    with (
        SqliteFile(database, database.name).open() as source,
        os.fdopen(create_private(draft), "wb") as file,
    ):
        for offset in range(0, source.size, _BLOCK_BYTES):
            file.write(source.read(offset, _BLOCK_BYTES))
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
