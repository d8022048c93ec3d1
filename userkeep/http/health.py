"""Readiness: whether the server can perform requests now, with one check for each part."""

import asyncio
import logging
from functools import partial
from typing import Literal

import msgspec

from userkeep.domain.errors import UserkeepError
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.times import SECOND, Instant
from userkeep.jobs.ledger import OpenLedger
from userkeep.services import embeddings, instance
from userkeep.storage.engine import Engine
from userkeep.storage.figures import Disk
from userkeep.storage.migrations import load_migrations
from userkeep.version import __version__
from userkeep.worker.embedding import Embedding

logger = logging.getLogger(__name__)

_RESPONSE_S = 5.0
_LATEST_EMBEDDING_S = 60
_MIB = 1024 * 1024

_LATE = f"The database did not respond within {_RESPONSE_S:g} s."
_HIDDEN = "The database cannot be opened. The log of the server has the reason."
_NO_DATABASE = "Not checked, because the database does not respond."
_READ_ONLY_FILE = "The file of the database, or its folder, cannot be written."
_OLDER_DATABASE = (
    "The database is older than its deletion ledger, so it was restored from a backup: deleted "
    "users are in it again. Stop the server and run `userkeep replay-erasures`."
)
_NO_LEDGER = "There is no deletion ledger: it is off, or the database is in memory."
_UNKNOWN_DISK = "The server does not know the disk of this database."


class Check(msgspec.Struct, omit_defaults=True):
    """The result of a check.

    Attributes:
        status: `skipped` if it could not be made; `warning` if something is wrong that requests can
            do without. Neither makes the server unready.
        detail: why it failed or was skipped; it names no path and nothing that is stored.
    """

    status: Literal["ok", "warning", "failed", "skipped"]
    detail: str = ""


OK = Check("ok")


class Readiness(msgspec.Struct):
    """Whether a server is ready."""

    status: Literal["ok", "failed"]
    version: str
    checks: dict[str, Check]

    @property
    def is_ready(self) -> bool:
        """Whether no check has failed."""
        return self.status == "ok"


class ReadinessChecks:
    """Makes all checks.

    Args:
        ledger: of the database.
        min_free_bytes: below it, the disk of the database counts as full; 0 turns that off.
        embedding: embeds messages; None without an embedding model.
    """

    def __init__(
        self,
        engine: Engine,
        ledger: OpenLedger,
        min_free_bytes: int,
        embedding: Embedding | None = None,
    ) -> None:
        self._engine = engine
        self._embedding = embedding
        self._ledger = ledger
        self._min_free_bytes = min_free_bytes
        self._newest_migration = load_migrations(engine.dialect)[-1].number

    async def run(self) -> Readiness:
        """Return the result of every check. It takes a few seconds at most."""
        checks = await self._of_database()
        checks["queue"] = self._queue()
        disk = self._engine.disk()
        checks["disk"] = self._space(disk)
        if disk is not None and not disk.is_writable and checks["rights"] == OK:
            checks["rights"] = Check("failed", _READ_ONLY_FILE)
        checks["ledger"] = self._comparison()
        if self._embedding is not None:
            checks["embeddings"] = await self._of_embeddings(self._embedding)
        is_failed = any(check.status == "failed" for check in checks.values())
        return Readiness("failed" if is_failed else "ok", __version__, checks)

    async def _of_database(self) -> dict[str, Check]:
        read = partial(instance.readiness_problems, newest_migration=self._newest_migration)
        try:
            problems = await asyncio.wait_for(self._engine.read_async(read), _RESPONSE_S)
        except TimeoutError:
            return _unreachable(_LATE)
        except UserkeepError as error:
            return _unreachable(_without_path(error.detail))
        return {name: _of(name, problems) for name in ("database", "schema", "rights")}

    async def _of_embeddings(self, embedding: Embedding) -> Check:
        """Return whether new messages get embeddings. Without them, searches go by words."""
        try:
            now_at, lag = await asyncio.wait_for(self._engine.read_async(_lag), _RESPONSE_S)
        except (TimeoutError, UserkeepError):
            return Check("skipped", _NO_DATABASE)
        waits_s = 0 if lag.since_at is None else (now_at - lag.since_at) // SECOND
        if embedding.problem is None and waits_s < _LATEST_EMBEDDING_S:
            return OK
        reason = "the embedding model does not respond as it should; the log has the reason"
        return Check(
            "warning",
            f"Messages without an embedding: {lag.messages:,} or more, for up to {waits_s:,} s. "
            f"Searches find them by words"
            + (f": {reason}." if embedding.problem is not None else "."),
        )

    def _queue(self) -> Check:
        figures = self._engine.figures()
        if figures.queued < figures.queue_limit:
            return OK
        return Check("failed", "The queue of the database is full: requests are rejected.")

    def _comparison(self) -> Check:
        """Return what the last comparison of the database with its ledger has shown."""
        if self._ledger.is_off:
            return Check("skipped", _NO_LEDGER)
        return Check("failed", _OLDER_DATABASE) if self._ledger.is_database_older else OK

    def _space(self, disk: Disk | None) -> Check:
        if disk is None:
            return Check("skipped", _UNKNOWN_DISK)
        if disk.free_bytes < self._min_free_bytes:
            least = f"{self._min_free_bytes // _MIB:,} MiB"
            return Check("failed", f"Less than {least} are free on the disk of the database.")
        return OK


def _lag(tx: Transaction) -> tuple[Instant, embeddings.Lag]:
    return tx.now, embeddings.lag(tx)


def _of(name: str, problems: list[instance.ReadinessProblem]) -> Check:
    details = [problem.detail for problem in problems if problem.check == name]
    return Check("failed", " ".join(details)) if details else OK


def _unreachable(detail: str) -> dict[str, Check]:
    skipped = Check("skipped", _NO_DATABASE)
    return {"database": Check("failed", detail), "schema": skipped, "rights": skipped}


def _without_path(detail: str) -> str:
    """Return why the database does not respond, without its path: everyone may read it."""
    if "/" not in detail:
        return detail
    logger.warning("not ready: %s", detail)
    return _HIDDEN
