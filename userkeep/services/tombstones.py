"""No ghosts: for a while, the id of what was deleted refuses to come back by itself.

An application's thread that still appends after its user was deleted would otherwise open the
session again, ownerless, with the person's words. Only implicit creation is refused; who adds a
user or a session on purpose means somebody new, and lifts the mark of that one id.
"""

from typing import Literal, NamedTuple

from userkeep.domain.errors import Gone
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.times import Instant

Kind = Literal["user", "session"]
_DROPPED_AT_ONCE = 500


class _Mark(NamedTuple):
    subject: str
    id_hash: str


def remember(tx: Transaction, kind: Kind, id_: str) -> None:
    """Mark an id as deleted, for as long as the rules say."""
    tx.defer(
        "add_tombstone",
        subject=kind,
        id_hash=_hash(tx.scope, kind, id_),
        expires_at=Instant(tx.now + tx.scope.rules.tombstone_ttl_us),
    )


def refuse(tx: Transaction, kind: Kind, id_: str) -> None:
    """Let nothing be created in passing under an id that was deleted.

    Raises:
        Gone: the id is marked.
    """
    expires_at = tx.fetch_one(
        "tombstone_expiry",
        int,
        subject=kind,
        id_hash=_hash(tx.scope, kind, id_),
    )
    if expires_at is not None and expires_at > tx.now:
        raise Gone(
            f"This {kind} was deleted. A late write does not bring it back; "
            f"to begin anew under the same id, add the {kind} explicitly."
        )


def lift(tx: Transaction, kind: Kind, id_: str) -> None:
    """Free an id: somebody new bears it."""
    tx.defer(
        "remove_tombstone",
        subject=kind,
        id_hash=_hash(tx.scope, kind, id_),
    )


def delete_expired(tx: Transaction) -> bool:
    """Drop some marks whose time is over; whether there may be more."""
    expired = {"now_at": tx.now}
    marks = tx.fetch_all("expired_tombstones", _Mark, limit=_DROPPED_AT_ONCE, **expired)
    tx.defer_many("delete_expired_tombstone", [mark._asdict() | expired for mark in marks])
    return len(marks) == _DROPPED_AT_ONCE


def _hash(scope: Scope, kind: Kind, id_: str) -> str:
    return scope.rules.id_hash(str(scope.project_id), kind, id_)
