"""Doing a thing once, however often it is asked for.

The row that remembers a request holds its key, a keyed hash of the request, the owner of what was
made, and what was made: never a body. It is written in the transaction of the write itself.
"""

import msgspec

from userkeep.domain.errors import IdempotencyMismatch
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.times import Instant

_DROPPED_AT_ONCE = 500


class Made(msgspec.Struct):
    """What a request has made.

    Attributes:
        request_hash: the keyed hash of the request.
        user_id, session_id: the owner, with whom this row is deleted.
        uuid: of the user or the session that was made or ended.
        first_seq, message_count: which messages were appended.
        created_at: when.
    """

    request_hash: str = ""
    user_id: str | None = None
    session_id: str | None = None
    uuid: str | None = None
    first_seq: int | None = None
    message_count: int | None = None
    created_at: Instant = Instant(0)


def find(tx: Transaction, key: str, request_hash: str) -> Made | None:
    """What the request with this key has made, if it came before and is remembered.

    Raises:
        IdempotencyMismatch: the key was used with another request.
    """
    made = tx.fetch_one("get_made", Made, key=key)
    if made is None or made.created_at <= _oldest_at(tx):
        return None
    if made.request_hash != request_hash:
        raise IdempotencyMismatch
    return made


def remember(tx: Transaction, key: str, made: Made) -> None:
    """Remember what a request has made, in the same transaction."""
    tx.defer(
        "drop_expired_made_by_key",
        key=key,
        oldest_at=_oldest_at(tx),
    )
    made.created_at = tx.now
    tx.execute("add_made", key=key, **msgspec.structs.asdict(made))


def delete_expired(tx: Transaction) -> bool:
    """Drop some rows whose time is over; whether there may be more."""
    expired = {"oldest_at": _oldest_at(tx)}
    keys = tx.fetch_all("expired_made", str, limit=_DROPPED_AT_ONCE, **expired)
    tx.defer_many("drop_expired_made_by_key", [{"key": key, **expired} for key in keys])
    return len(keys) == _DROPPED_AT_ONCE


def _oldest_at(tx: Transaction) -> Instant:
    return Instant(tx.now - tx.scope.rules.idempotency_ttl_us)
