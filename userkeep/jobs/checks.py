"""Health checks of an instance: versions, access, and the search index.

The checks of a database are its engine's own: `storage.sqlite.checks`, `storage.postgres.checks`.
"""

import platform
from collections.abc import Sequence
from functools import partial
from importlib import metadata
from pathlib import Path

from userkeep.domain.errors import StorageError
from userkeep.domain.values.times import SECOND
from userkeep.jobs.index import IndexReport
from userkeep.jobs.ledger import check_is_current, find_ledger, lost_entries
from userkeep.services import embeddings
from userkeep.services.instance import count_sessions_without_user
from userkeep.storage.checks import CHANGE_MODES, Finding
from userkeep.storage.engine import Engine
from userkeep.version import __version__

_MAX_SESSIONS = 1_000_000
_PACKAGES = ("apsw", "psycopg", "uvicorn", "starlette", "msgspec")


def check_versions(sqlite_version: str) -> Finding:
    """List the versions of the program and of what it depends on.

    Args:
        sqlite_version: that of the SQLite library, which only the engine knows.
    """
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES)
    python = platform.python_version()
    return Finding(
        "versions",
        True,
        f"Userkeep {__version__}, Python {python}, SQLite {sqlite_version}, {versions}",
    )


def check_permissions(exposed: Sequence[str]) -> list[Finding]:
    """Report files of the instance that other users can use, if there are any."""
    if not exposed:
        return []
    return [Finding("permissions", False, "; ".join(exposed), CHANGE_MODES)]


def check_access(host: str, *, is_loopback: bool, is_open: bool, has_keys: bool) -> Finding:
    """Check which machines can reach a server.

    Args:
        host: the address that it listens on.
        is_loopback: whether only this machine reaches that address.
        is_open: whether the settings allow other addresses without authentication.
        has_keys: whether requests need an API key.
    """
    if is_loopback:
        return Finding("access", True, f"{host}: this machine only")
    if has_keys:
        return Finding("access", True, f"{host}: requests need an API key")
    if is_open:
        return Finding(
            "access",
            False,
            f"{host}: everyone who can reach this address can read and write everything",
            "Make sure that a reverse proxy authenticates requests.",
        )
    return Finding(
        "access",
        False,
        f"{host}: other machines can reach this address, so `userkeep serve` does not start",
        "Create an API key, listen on 127.0.0.1, or pass --insecure-no-auth.",
    )


def check_ledger(engine: Engine, path: Path) -> list[Finding]:
    """Compare a database with its deletion ledger; nothing is found where neither knows the other.

    Args:
        engine: of the database; it is only read.
        path: of the ledger.
    """
    file = find_ledger(engine, path)
    try:
        lost = lost_entries(engine, file)
        if not file.exists():
            gone = Finding("ledger", False, f"{path} is gone; {_had(lost)}", _LOST)
            return [gone] if lost else []
        entries = sum(1 for _ in file.read())  # reads each line, and so finds one that was changed
        if lost:
            finding = f"{path} is shorter than the database knows; {_had(lost)}"
            return [Finding("ledger", False, finding, _LOST)]
        check_is_current(engine, file)
        file.check_can_be_written()
    except StorageError as error:
        return [Finding("ledger", False, error.detail)]
    return [Finding("ledger", True, f"{path}, entries: {entries:,}")]


def check_sessions(engine: Engine) -> list[Finding]:
    """Count the sessions that belong to no user, which no deletion of a user deletes, if any.

    Args:
        engine: of the database; it is only read.
    """
    count = engine.read(partial(count_sessions_without_user, limit=_MAX_SESSIONS))
    some = f"at least {count:,}" if count >= _MAX_SESSIONS else f"{count:,}"
    return [Finding("sessions", True, f"{some} without a user")] if count else []


def check_embeddings(engine: Engine) -> list[Finding]:
    """Count the messages without an embedding, if any are to be embedded.

    Args:
        engine: of the database; it is only read.
    """
    now_at, lag = engine.read(lambda tx: (tx.now, embeddings.lag(tx)))
    if not lag.messages:
        return []
    waits_s = 0 if lag.since_at is None else (now_at - lag.since_at) // SECOND
    finding = f"{lag.messages:,} or more messages have no embedding, new ones for {waits_s:,} s"
    if waits_s < _LATEST_EMBEDDING_S:
        return [Finding("embeddings", True, finding)]
    return [Finding("embeddings", False, finding, _NOT_EMBEDDED)]


_LATEST_EMBEDDING_S = 3600
_NOT_EMBEDDED = (
    "A server with an embedding model embeds them; its log has the reason if it cannot. Without a "
    "server, run `userkeep embed`."
)


def _had(lost: int) -> str:
    return f"entries lost: {lost:,}"


_LOST = (
    "Restore the ledger from a copy. Without one, the next start completes it from the database. "
    "If the database was restored from a backup, do not start it: run `userkeep replay-erasures` "
    "with a copy of the ledger first."
)


def check_index(report: IndexReport) -> Finding:
    """Summarize a comparison of the search index; one that does not match has been rebuilt."""
    if report.is_correct:
        return Finding("index", True, f"matches the messages ({report.messages:,} compared)")
    entries = report.found.count - report.expected.count
    faults = f"sessions: {len(report.faults):,}, entries: {entries:+,}"
    return Finding("index", True, f"did not match ({faults}) and was rebuilt")
