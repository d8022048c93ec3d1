"""Idempotency: records of requests with an Idempotency-Key, so that each is performed once.

A record holds the key, a keyed hash of the request, and the ids of what the request created or
changed, with its owner. It never holds a body. It is written in the same transaction as the change.
"""

import msgspec

from userkeep.domain.errors import IdempotencyMismatch
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.times import Instant

_DELETED_PER_CALL = 500


class IdempotencyRecord(msgspec.Struct):
    """The result of a request, by its ids.

    Attributes:
        request_hash: the keyed hash of the request.
        user_id, session_id: the owner; the record is deleted with it.
        uuid: of the user or the session that was created or ended.
        first_seq, message_count: which messages were appended.
        created_at: when the request was performed.
    """

    request_hash: str = ""
    user_id: str | None = None
    session_id: str | None = None
    uuid: str | None = None
    first_seq: int | None = None
    message_count: int | None = None
    created_at: Instant = Instant(0)


def find(tx: Transaction, key: str, request_hash: str) -> IdempotencyRecord | None:
    """Return the record of the request with this key; None where there is none, or it has expired.

    Raises:
        IdempotencyMismatch: the key was used with another request.
    """
    record = tx.fetch_one("get_idempotency_record", IdempotencyRecord, key=key)
    if record is None or record.created_at <= _oldest_at(tx):
        return None
    if record.request_hash != request_hash:
        raise IdempotencyMismatch
    return record


def add(tx: Transaction, key: str, record: IdempotencyRecord) -> None:
    """Store the record of a request, in the transaction that performs it."""
    tx.defer("delete_expired_idempotency_record", key=key, oldest_at=_oldest_at(tx))
    record.created_at = tx.now
    tx.execute("add_idempotency_record", key=key, **msgspec.structs.asdict(record))


def delete_expired(tx: Transaction) -> bool:
    """Delete a batch of expired records; return whether there may be more."""
    expired = {"oldest_at": _oldest_at(tx)}
    keys = tx.fetch_all("expired_idempotency_keys", str, limit=_DELETED_PER_CALL, **expired)
    tx.defer_many("delete_expired_idempotency_record", [{"key": key, **expired} for key in keys])
    return len(keys) == _DELETED_PER_CALL


def _oldest_at(tx: Transaction) -> Instant:
    return Instant(tx.now - tx.scope.rules.idempotency_ttl_us)
