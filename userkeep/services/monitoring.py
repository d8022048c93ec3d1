"""What the database knows about the instance as a whole, for those who watch it."""

from typing import NamedTuple

from userkeep.domain.transaction import Transaction
from userkeep.domain.values.times import Instant
from userkeep.services import embeddings, purges

COUNTED = 10_000
"""Erasures are counted up to this number, so that counting them takes milliseconds at most."""


class StoredFigures(NamedTuple):
    """What is stored, in all projects.

    Attributes:
        deleting: how many deletions are not complete: of users, sessions, messages and projects.
        deleting_since_at: when the oldest of them began.
        deleted: how many erasures are deleted and wait for a purge.
        incomplete: how many of these a purge could not complete.
        unpurged_since_at: since when the oldest deleted or edited data waits for a purge.
        database_bytes: the size of the database.
        embedding_lag: which messages have no embedding yet.
    """

    deleting: int
    deleting_since_at: Instant | None
    deleted: int
    incomplete: int
    unpurged_since_at: Instant | None
    database_bytes: int
    embedding_lag: embeddings.Lag


class _Running(NamedTuple):
    number: int
    since_at: Instant | None


class _Unpurged(NamedTuple):
    number: int
    incomplete: int


def stored_figures(tx: Transaction) -> StoredFigures:
    """Return what is stored, in all projects."""
    tx.see_all_projects()
    running = [
        tx.fetch_one("running_erasures", _Running, limit=COUNTED) or _Running(0, None),
        tx.fetch_one("running_project_deletions", _Running) or _Running(0, None),
    ]
    unpurged = tx.fetch_one("unpurged_erasures", _Unpurged, limit=COUNTED) or _Unpurged(0, 0)
    pending = purges.pending(tx)
    return StoredFigures(
        deleting=sum(each.number for each in running),
        deleting_since_at=min((each.since_at for each in running if each.since_at), default=None),
        deleted=unpurged.number,
        incomplete=unpurged.incomplete,
        unpurged_since_at=pending.since_at if pending else None,
        database_bytes=purges.database_bytes(tx),
        embedding_lag=embeddings.lag(tx),
    )
