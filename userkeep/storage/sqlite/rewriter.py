"""Writing a SQLite file anew, so that nothing that was deleted is in it any more.

`secure_delete` overwrites what is deleted, and is not enough: when pages are balanced whole cells
stay behind in their gaps. VACUUM writes every page anew, into the log; and what the log holds comes
into the file, and the log is cut to nothing, only when no reader needs the state before. So:

1. Empty the log. A reader with an old snapshot, perhaps another program's, is waited for before
   the expensive step, not after it.
2. VACUUM: a copy in a temporary file beside the database, from there into the log. Nobody writes
   meanwhile; readers go on. It is one transaction: a crash or a full disk changes nothing.
3. Empty the log again.

Before this, whatever keeps its own deleted entries in live rows must have dropped them (the index
of words: see the queries).
"""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Self

from userkeep.domain.errors import Unavailable
from userkeep.domain.purge import NotDone
from userkeep.storage.refusals import OTHER_PURGE, PURGE_STOPPED
from userkeep.storage.sqlite.connection import MEMORY
from userkeep.storage.sqlite.writer import WriterLane

READER_WAIT_S = 60.0
_LOOK_EVERY_S = 0.05
_COPIES = 2
_SPARE_BYTES = 16 * 1024 * 1024


class SqliteRewriter:
    """See storage.engine.Rewriter."""

    def __init__(self, lane: WriterLane, right: threading.Lock, path: str) -> None:
        self._lane = lane
        self._right = right
        self._path = path
        self._is_stopping = threading.Event()

    def __enter__(self) -> Self:
        """See storage.engine.Rewriter."""
        if not self._right.acquire(blocking=False):
            raise Unavailable(OTHER_PURGE)
        return self

    def __exit__(self, *_: object) -> None:
        self._right.release()

    def run(self, tell: Callable[[str], None]) -> list[NotDone]:
        """See storage.engine.Rewriter. Everything can be done on SQLite."""
        tell("waiting for readers of the former state")
        self._empty_log()
        if self._path != MEMORY:
            self._check_room()
        tell("writing the file anew")
        self._lane.do(self._rewrite)
        tell("emptying the log")
        self._empty_log()
        return []

    def stop(self) -> None:
        """See storage.engine.Rewriter."""
        self._is_stopping.set()
        self._lane.interrupt_rewriting()

    def _rewrite(self) -> None:
        self._check_goes_on()
        self._lane.rewrite()

    def _empty_log(self) -> None:
        ends = monotonic() + READER_WAIT_S
        while not self._lane.do(self._lane.empty_log):
            self._check_goes_on()
            if monotonic() > ends:
                raise Unavailable(
                    "A reader, perhaps another program, has had the database open in one "
                    "transaction for long: until it ends, what was deleted stays in the files."
                )
            sleep(_LOOK_EVERY_S)

    def _check_goes_on(self) -> None:
        if self._is_stopping.is_set():
            raise Unavailable(PURGE_STOPPED)

    def _check_room(self) -> None:
        size = Path(self._path).stat().st_size
        free = shutil.disk_usage(Path(self._path).resolve().parent).free
        needed = _COPIES * size + _SPARE_BYTES
        if free < needed:
            raise Unavailable(
                f"Writing the file anew needs {needed >> 20:,} MiB on its disk, and "
                f"{free >> 20:,} are free."
            )
