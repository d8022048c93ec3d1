"""Tombstones: for a while, a deleted id cannot be recreated implicitly.

A thread of an application may still append messages after its user, or its session, was deleted:
the answer of a model arrives late. Without a tombstone that would create the session again, with
the words of the deleted one. Only implicit creation is rejected: creating a user or a session
explicitly removes the tombstones of its id.

A session that was deleted by itself has a tombstone of its own kind, because clients of Zep create
sessions by appending to them, also to one that they have just deleted.
"""

from typing import Literal, NamedTuple

from userkeep.domain.errors import Gone
from userkeep.domain.scope import Scope
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.times import MAX_CLOCK_ERROR_US, Instant, to_datetime

Kind = Literal["user", "session", "session alone"]
"""What was deleted: a user, a session with its user, or a session by itself."""

NOUNS: dict[Kind, str] = {"user": "user", "session": "session", "session alone": "session"}
_BATCH = 500


class _Tombstone(NamedTuple):
    subject: str
    id_hash: str


def add(tx: Transaction, kind: Kind, id_: str) -> None:
    """Add a tombstone for a deleted id, which expires as the rules say."""
    tx.defer(
        "add_tombstone",
        subject=NOUNS[kind],
        id_hash=_hash(tx.scope, kind, id_),
        expires_at=Instant(tx.now + tx.scope.rules.tombstone_ttl_us),
    )


def check(tx: Transaction, kind: Kind, id_: str) -> None:
    """Reject the implicit creation of a deleted id.

    Raises:
        Gone: the id has a tombstone; the error says until when, and what removes it.
    """
    noun, expires_at = NOUNS[kind], expiry(tx, kind, id_)
    if expires_at is not None:
        end = to_datetime(expires_at).strftime("%Y-%m-%d %H:%M:%S")
        raise Gone(
            f"This {noun} was deleted. Until {end} UTC, an append does not create it again. To use "
            f"the same id before that, create the {noun}: POST /v1/{noun}s, {noun}.add in the SDK."
        )


def expiry(tx: Transaction, kind: Kind, id_: str) -> Instant | None:
    """Return until when an id has a tombstone, or None if it has none."""
    values = {"subject": NOUNS[kind], "id_hash": _hash(tx.scope, kind, id_)}
    expires_at = tx.fetch_one("tombstone_expiry", int, **values)
    return Instant(expires_at) if expires_at is not None and expires_at > tx.now else None


def remove(tx: Transaction, kind: Kind, id_: str) -> None:
    """Remove the tombstone of an id that is created explicitly."""
    tx.defer("remove_tombstone", subject=NOUNS[kind], id_hash=_hash(tx.scope, kind, id_))


def remove_session(tx: Transaction, session_id: str) -> None:
    """Remove the tombstones of a session that is created explicitly."""
    remove(tx, "session", session_id)
    remove(tx, "session alone", session_id)


def delete_expired(tx: Transaction) -> bool:
    """Delete a batch of expired tombstones; return whether there may be more."""
    expired = tx.fetch_all("expired_tombstones", _Tombstone, limit=_BATCH, now_at=tx.now)
    rows = [tombstone._asdict() | {"now_at": tx.now} for tombstone in expired]
    tx.defer_many("delete_expired_tombstone", rows)
    return len(expired) == _BATCH


def remove_any(tx: Transaction) -> bool:
    """Delete a batch of the tombstones of a deleted project; return whether there may be more."""
    found = tx.fetch_all("some_tombstones", _Tombstone, limit=_BATCH)
    tx.execute_many("remove_tombstone", [tombstone._asdict() for tombstone in found])
    return len(found) == _BATCH


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
