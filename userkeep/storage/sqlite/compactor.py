"""Rewriting a SQLite file, so that deleted data is no longer in it.

`secure_delete` overwrites what is deleted, but is not enough: when SQLite balances pages, copies of
whole cells stay in their gaps. VACUUM writes every page again, without them.

Before this, the full-text index must have dropped its deleted entries, which it keeps in live rows;
see the query `merge_index`.
"""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Self

from userkeep.domain.errors import Unavailable
from userkeep.domain.purge import SkippedStep
from userkeep.storage.errors import PURGE_RUNNING, PURGE_STOPPED
from userkeep.storage.sqlite.connection import MEMORY
from userkeep.storage.sqlite.upgrade_copy import delete_copies
from userkeep.storage.sqlite.writer import Writer

READER_WAIT_S = 60.0
_CHECK_EVERY_S = 0.05
_COPIES = 2
_SPARE_BYTES = 16 * 1024 * 1024


class SqliteCompactor:
    """Rewrites the file with VACUUM."""

    def __init__(self, writer: Writer, lock: threading.Lock, path: str) -> None:
        self._writer = writer
        self._lock = lock
        self._path = path
        self._is_stopping = threading.Event()

    def __enter__(self) -> Self:
        if not self._lock.acquire(blocking=False):
            raise Unavailable(PURGE_RUNNING)
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def run(self, report: Callable[[str], None]) -> list[SkippedStep]:
        # Then truncate the WAL: a reader with an old snapshot, perhaps of another program, is
        # waited for before the expensive step, not after it.
        self._delete_copies()
        report("waiting for readers of the former state")
        self._truncate_wal()
        if self._path != MEMORY:
            self._check_free_space()
        # VACUUM makes a copy in a temporary file beside the database, and writes that to the WAL.
        # Writers wait, readers continue. It is one transaction: a crash or a full disk changes
        # nothing.
        report("rewriting the file")
        self._writer.run_exclusive(self._vacuum)
        # The new pages replace the old ones in the file only now, and the WAL has old pages too.
        report("truncating the WAL")
        self._truncate_wal()
        return []

    def stop(self) -> None:
        self._is_stopping.set()
        self._writer.interrupt_vacuum()

    def _delete_copies(self) -> None:
        """Delete the files from before upgrades: what was deleted since is in them."""
        try:
            delete_copies(self._path)
        except OSError as error:
            raise Unavailable(
                f"{error.filename}, from before an upgrade, may have deleted data, and cannot be "
                f"deleted: {error.strerror}."
            ) from error

    def _vacuum(self) -> None:
        self._check_not_stopped()
        self._writer.vacuum()

    def _truncate_wal(self) -> None:
        deadline = monotonic() + READER_WAIT_S
        while not self._writer.run_exclusive(self._writer.truncate_wal):
            self._check_not_stopped()
            if monotonic() > deadline:
                raise Unavailable(
                    "A reader, perhaps another program, keeps a transaction open. Deleted data "
                    "stays in the files until it ends."
                )
            sleep(_CHECK_EVERY_S)

    def _check_not_stopped(self) -> None:
        if self._is_stopping.is_set():
            raise Unavailable(PURGE_STOPPED)

    def _check_free_space(self) -> None:
        size = Path(self._path).stat().st_size
        free = shutil.disk_usage(Path(self._path).resolve().parent).free
        needed = _COPIES * size + _SPARE_BYTES
        if free < needed:
            raise Unavailable(
                f"Rewriting the file needs {needed >> 20:,} MiB on its disk; {free >> 20:,} MiB "
                "are free."
            )
