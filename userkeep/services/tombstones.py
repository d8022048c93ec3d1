"""Tombstones: for a while, a deleted id cannot be recreated implicitly.

A thread of an application may still append messages after its user was deleted. Without a tombstone
that would create the session again, without an owner, with the user's words. Only implicit creation
is rejected: creating a user or a session explicitly removes the tombstone of its id.
"""

from typing import Literal, NamedTuple

from userkeep.domain.errors import Gone
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.times import MAX_CLOCK_ERROR_US, Instant

Kind = Literal["user", "session"]
_BATCH = 500


class _Tombstone(NamedTuple):
    subject: str
    id_hash: str


def add(tx: Transaction, kind: Kind, id_: str) -> None:
    """Add a tombstone for a deleted id, which expires as the rules say."""
    tx.defer(
        "add_tombstone",
        subject=kind,
        id_hash=_hash(tx.scope, kind, id_),
        expires_at=Instant(tx.now + tx.scope.rules.tombstone_ttl_us),
    )


def check(tx: Transaction, kind: Kind, id_: str) -> None:
    """Reject the implicit creation of a deleted id.

    Raises:
        Gone: the id has a tombstone.
    """
    id_hash = _hash(tx.scope, kind, id_)
    expires_at = tx.fetch_one("tombstone_expiry", int, subject=kind, id_hash=id_hash)
    if expires_at is not None and expires_at > tx.now:
        raise Gone(
            f"This {kind} was deleted, and an append does not recreate it. "
            f"To use the same id again, create the {kind} explicitly."
        )


def remove(tx: Transaction, kind: Kind, id_: str) -> None:
    """Remove the tombstone of an id that is created explicitly."""
    tx.defer("remove_tombstone", subject=kind, id_hash=_hash(tx.scope, kind, id_))


def delete_expired(tx: Transaction) -> bool:
    """Delete a batch of expired tombstones; return whether there may be more."""
    expired = tx.fetch_all("expired_tombstones", _Tombstone, limit=_BATCH, now_at=tx.now)
    rows = [tombstone._asdict() | {"now_at": tx.now} for tombstone in expired]
    tx.defer_many("delete_expired_tombstone", rows)
    return len(expired) == _BATCH


def shorten_far(tx: Transaction) -> bool:
    """Shorten a batch of tombstones that a wrong clock made expire too late; return if more may be.

    Only implicit creation waits for them, and longer than the rules say.
    """
    expires_at = Instant(tx.now + tx.scope.rules.tombstone_ttl_us)
    latest_at = Instant(expires_at + MAX_CLOCK_ERROR_US)
    far = tx.fetch_all("far_tombstones", _Tombstone, limit=_BATCH, latest_at=latest_at)
    rows = [tombstone._asdict() | {"expires_at": expires_at} for tombstone in far]
    tx.defer_many("shorten_tombstone", rows)
    return len(far) == _BATCH


def _hash(scope: Scope, kind: Kind, id_: str) -> str:
    return scope.rules.id_hash(str(scope.project_id), kind, id_)
