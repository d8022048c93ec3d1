"""Idempotency: records of requests with an Idempotency-Key, so that each is performed once.

A record holds keyed hashes of the key and of the request, and the ids of what the request created
or changed, with its owner. It never holds a body. It is written in the same transaction as the
change.

When its owner is deleted, the record stays without the ids, until it expires. So the same request,
sent once more by a client that retries, cannot bring back what was deleted.
"""

from typing import NamedTuple

import msgspec

from userkeep.domain.errors import IdempotencyMismatch
from userkeep.domain.scope import Rules
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.times import EARLIEST, MAX_CLOCK_ERROR_US, Instant

_PER_CALL = 500


class IdempotencyRecord(msgspec.Struct):
    """The result of a request, by its ids.

    Attributes:
        request_hash: the keyed hash of the request.
        user_id, session_id: the owner; neither for a project, and once it is deleted.
        uuid: of the user, the session or the project that was created or ended.
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

    @property
    def is_of_deleted(self) -> bool:
        """Whether what the request created or changed is deleted, with its owner."""
        return self.user_id is None and self.session_id is None and self.uuid is None


def find(tx: Transaction, key: str, request_hash: str) -> IdempotencyRecord | None:
    """Return the record of the request with this key; None where there is none, or it has expired.

    Raises:
        IdempotencyMismatch: the key was used with another request.
    """
    record = tx.fetch_one("get_idempotency_record", IdempotencyRecord, key=_hash(tx, key))
    if record is None or record.created_at <= _oldest_at(tx):
        return None
    if record.request_hash != request_hash:
        raise IdempotencyMismatch
    return record


def add(tx: Transaction, key: str, record: IdempotencyRecord) -> None:
    """Store the record of a request, in the transaction that performs it."""
    key_hash = _hash(tx, key)
    tx.defer("delete_expired_idempotency_record", key=key_hash, oldest_at=_oldest_at(tx))
    record.created_at = tx.now
    tx.execute("add_idempotency_record", key=key_hash, **msgspec.structs.asdict(record))


def remove_user(tx: Transaction, user_id: str) -> bool:
    """Remove the ids from a batch of a user's records; return whether there may be more."""
    keys = tx.fetch_all("idempotency_keys_of_user", str, user_id=user_id, limit=_PER_CALL)
    return _remove_ids(tx, keys)


def remove_session(tx: Transaction, session_id: str) -> bool:
    """Remove the ids from a batch of a session's records; return whether there may be more."""
    keys = tx.fetch_all("idempotency_keys_of_session", str, session_id=session_id, limit=_PER_CALL)
    return _remove_ids(tx, keys)


def oldest_kept_at(tx: Transaction) -> Instant:
    """Return the time up to which records are no longer kept: they are too old or too many."""
    limit = tx.scope.rules.idempotency_limit
    surplus_at = tx.fetch_one("oldest_surplus_idempotency_record", Instant, limit=limit)
    return max(_oldest_at(tx), surplus_at or EARLIEST)


def delete_old(tx: Transaction, oldest_at: Instant) -> bool:
    """Delete a batch of the records up to a time; return whether there may be more."""
    values = {"oldest_at": oldest_at}
    keys = tx.fetch_all("expired_idempotency_keys", str, limit=_PER_CALL, **values)
    tx.defer_many("delete_expired_idempotency_record", [{"key": key, **values} for key in keys])
    return len(keys) == _PER_CALL


def remove_any(tx: Transaction) -> bool:
    """Delete a batch of the records of a deleted project; return whether there may be more."""
    keys = tx.fetch_all("some_idempotency_keys", str, limit=_PER_CALL)
    tx.execute_many("delete_idempotency_record", [{"key": key} for key in keys])
    return len(keys) == _PER_CALL


def date_far(tx: Transaction) -> bool:
    """Date a batch of records that a wrong clock dated years ahead; return if more may be."""
    latest_at = Instant(tx.now + MAX_CLOCK_ERROR_US)
    keys = tx.fetch_all("far_idempotency_keys", str, limit=_PER_CALL, latest_at=latest_at)
    rows = [{"key": key, "created_at": tx.now} for key in keys]
    tx.defer_many("date_idempotency_record", rows)
    return len(keys) == _PER_CALL


class _PlainKey(NamedTuple):
    project_id: int
    key: str


def hash_plain_keys(tx: Transaction, rules: Rules) -> None:
    """Replace keys by their hashes, once: earlier versions stored the keys themselves."""
    if not tx.execute("record_hashed_keys"):
        return
    tx.see_all_projects()
    for plain in tx.fetch_all("plain_idempotency_keys", _PlainKey):
        key_hash = _hash_of(rules, plain.project_id, plain.key)
        tx.defer("hash_idempotency_key", key_hash=key_hash, **plain._asdict())
        tx.defer("delete_plain_idempotency_key", **plain._asdict())


def are_keys_hashed(tx: Transaction) -> bool:
    """Return whether `hash_plain_keys` was run."""
    return tx.fetch_one("are_keys_hashed", str) is not None


def _remove_ids(tx: Transaction, keys: list[str]) -> bool:
    tx.defer_many("remove_ids_of_idempotency_record", [{"key": key} for key in keys])
    return len(keys) == _PER_CALL


def _hash(tx: Transaction, key: str) -> str:
    scope = tx.scope
    if scope.is_bound:
        # Users choose their keys by themselves, and must not learn which ones others have used.
        return _hash_of(scope.rules, scope.project_id, key, scope.user_uuid or "")
    return _hash_of(scope.rules, scope.project_id, key)


def _hash_of(rules: Rules, project_id: int, key: str, *user: str) -> str:
    return rules.id_hash(str(project_id), "idempotency key", key, *user)


def _oldest_at(tx: Transaction) -> Instant:
    return Instant(tx.now - tx.scope.rules.idempotency_ttl_us)
