"""Checkpoints: the WAL grows with every commit, until it is copied back into the file."""

from time import monotonic

import apsw

from userkeep.storage.sqlite.connection import BUSY_TIMEOUT_MS
from userkeep.storage.sqlite.readers import ReaderGate

CHECKPOINT_PAGES = 1_000
CHECKPOINT_PAGES_UNDER_LOAD = 1_500
TRUNCATE_RETRY_S = 0.1
_HOLD_RATIO = 0.3
_RETRY_WITHOUT_HOLDING_S = 1.0
_FIRST_PAUSE_S = 1.0
_LAST_PAUSE_S = 60.0
_TRUNCATE_BUSY_TIMEOUT_MS = 10


class Checkpointer:
    """Copies the WAL back into the file, and truncates it when it gets too long.

    All calls come from the writer's thread.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        gate: ReaderGate,
        *,
        wal_limit_bytes: int,
    ) -> None:
        self._connection = connection
        self._gate = gate
        self._page_bytes: int = connection.pragma("page_size")
        self._wal_limit_bytes = wal_limit_bytes
        self._wal_pages = 0
        self._truncate_not_before = 0.0
        self._gate_opens_at = 0.0
        self._hold_not_before = 0.0
        self._pause_s = _FIRST_PAUSE_S
        connection.set_wal_hook(self._on_commit)

    @property
    def is_due(self) -> bool:
        """Whether the WAL is long enough for a checkpoint."""
        return self._wal_pages >= CHECKPOINT_PAGES

    def run(self, *, is_idle: bool) -> None:
        """Checkpoint a WAL that is due: when no write waits, or later under load."""
        if self._wal_pages * self._page_bytes > self._wal_limit_bytes:
            self.try_truncate()
        elif is_idle or self._wal_pages > CHECKPOINT_PAGES_UNDER_LOAD:
            self._checkpoint(apsw.SQLITE_CHECKPOINT_PASSIVE)

    def truncate_now(self) -> bool:
        """Truncate the WAL even if it is short; return whether it is done."""
        self._truncate_not_before = 0.0
        self._wal_pages = max(self._wal_pages, 1)
        self.try_truncate()
        return self._wal_pages == 0

    def try_truncate(self) -> None:
        """Truncate the WAL, if no reader needs it; else hold back new reads and retry later."""
        now = monotonic()
        if now < self._truncate_not_before:
            return
        self._hold_readers(now)
        # Writers do not wait for the readers: it is retried from time to time.
        self._connection.set_busy_timeout(_TRUNCATE_BUSY_TIMEOUT_MS)
        is_truncated = self.checkpoint_and_truncate()
        self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        if is_truncated:
            self._gate.open()
            self._hold_not_before, self._pause_s = 0.0, _FIRST_PAUSE_S
            return
        if self._gate.is_closed and now > self._gate_opens_at:
            self._release_readers(now)
        retry_s = TRUNCATE_RETRY_S if self._gate.is_closed else _RETRY_WITHOUT_HOLDING_S
        self._truncate_not_before = now + retry_s

    def _hold_readers(self, now: float) -> None:
        # A reader that began before the last checkpoint keeps the WAL from starting over, so reader
        # threads begin no read until the running ones have ended.
        if not self._gate.is_closed and now >= self._hold_not_before:
            self._gate.close()
            self._gate_opens_at = now + _HOLD_RATIO * self._pause_s

    def _release_readers(self, now: float) -> None:
        # Something else is in the way: a long read, another program, a full disk. Reads must not
        # wait for it; they are held back again after pauses that grow while it lasts, and as they
        # do for longer, since on a busy machine each running read may take seconds.
        self._gate.open()
        self._hold_not_before = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LAST_PAUSE_S)

    def checkpoint_and_truncate(self) -> bool:
        """Copy the whole WAL into the file and truncate it; return whether it is done."""
        is_truncated = self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)
        if is_truncated:
            self._wal_pages = 0
        return is_truncated

    def _on_commit(self, _connection: apsw.Connection, _database: str, wal_pages: int) -> int:
        self._wal_pages = wal_pages
        return apsw.SQLITE_OK

    def _checkpoint(self, mode: int) -> bool:
        try:
            wal_frames, copied_frames = self._connection.wal_checkpoint(mode=mode)
        except apsw.Error:
            # Locked, or the disk is full: the WAL still has everything, and the next group retries.
            return False
        return wal_frames == copied_frames
