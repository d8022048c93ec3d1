"""Quotas: no user gets more messages or documents, or bytes of them, than their project allows.

Whatever adds to a user locks them first, and counts last: so counts are exact, whatever else runs.
The number of messages is the sum of those of the user's sessions. Bytes are counted once, and then
kept, with the numbers of messages and documents that they were counted for: if one is another,
because something was deleted, or a session got its owner, they are counted again.

Without a quota, none of this does anything.
"""

from collections.abc import Iterable
from typing import NamedTuple

from userkeep.domain.errors import Conflict, QuotaExceeded
from userkeep.domain.quota import Quota, Usage, Use
from userkeep.domain.session import Session
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import User


class Counted(NamedTuple):
    """What an operation adds to.

    Attributes:
        quota: the quota of the project.
        session_id: the session.
        user_id: its owner, if it has one.
        is_locked: whether the user was there and is locked.
        is_theirs: whether the session had this owner before.
    """

    quota: Quota
    session_id: str
    user_id: str | None
    is_locked: bool
    is_theirs: bool


class AddedText(NamedTuple):
    """A document that was added, or whose text was changed.

    Attributes:
        user_id: its owner, if it has one.
        documents: 1 if it was added, else 0.
        byte_count: the bytes by which its text is longer; negative if it is shorter.
    """

    user_id: str | None
    documents: int
    byte_count: int


class _Added(NamedTuple):
    """What a transaction has added to a user; None for bytes that must be counted."""

    messages: int
    documents: int
    byte_count: int | None


class _Numbers(NamedTuple):
    """How many messages and documents a user has now."""

    messages: int
    documents: int


def lock_owner(tx: Transaction, session_id: str, user_id: str | None = None) -> Counted | None:
    """Lock the user to whom an operation on a session adds something, if there is a quota.

    Call it before the session is locked or changed, as a deletion of the user does.

    Args:
        session_id: the session, which may not exist yet.
        user_id: who is to own it; None for its owner.

    Returns:
        What to pass to `check`; None without a quota.
    """
    if tx.scope.quota is None:
        return None
    session = tx.fetch_one("get_session", Session, session_id=session_id)
    owner_id = session.user_id if session is not None else None
    user_id = user_id or owner_id
    is_locked = user_id is not None and _lock(tx, user_id)
    return Counted(tx.scope.quota, session_id, user_id, is_locked, owner_id == user_id)


def check(
    tx: Transaction, counted: Counted, *, added_messages: int, added_bytes: int | None
) -> None:
    """Check what a user has after something was added.

    Args:
        counted: from `lock_owner`.
        added_messages, added_bytes: what this transaction has added; None for bytes that the
            messages of a session had before it got its owner.

    Raises:
        QuotaExceeded: it is too much. The transaction must be rolled back.
        Conflict: the session has got an owner at the same time.
    """
    quota, user_id = counted.quota, counted.user_id
    if user_id is None:
        session = tx.fetch_one("get_session", Session, session_id=counted.session_id)
        if session is not None and session.user_id is not None:
            raise Conflict("The session was changed at the same time. Try again.")
        return
    if not counted.is_locked:
        _lock(tx, user_id)  # this transaction, or one at the same time, has created the user
    _check_user(tx, quota, user_id, _Added(added_messages, 0, added_bytes))


def lock_users(tx: Transaction, user_ids: Iterable[str | None]) -> None:
    """Lock the users to whom documents are added, if there is a quota.

    Call it before the collection is locked, as a deletion of a user does.
    """
    if tx.scope.quota is None:
        return
    # In one order, so that two writers cannot wait for each other.
    for user_id in sorted({each for each in user_ids if each is not None}):
        _lock(tx, user_id)


def check_documents(tx: Transaction, added: Iterable[AddedText]) -> None:
    """Check what users have after documents were added or changed; they are locked.

    Args:
        added: of each document.

    Raises:
        QuotaExceeded: it is too much. The transaction must be rolled back.
    """
    quota = tx.scope.quota
    if quota is None:
        return
    of_users: dict[str, _Added] = {}
    for user_id, documents, byte_count in added:
        if user_id is not None:
            before = of_users.get(user_id, _Added(0, 0, 0))
            sum_ = before.documents + documents, (before.byte_count or 0) + byte_count
            of_users[user_id] = _Added(0, *sum_)
    for user_id, of_user in of_users.items():
        _check_user(tx, quota, user_id, of_user)


def _check_user(tx: Transaction, quota: Quota, user_id: str, added: _Added) -> None:
    messages, documents = _numbers_of(tx, user_id, quota)
    if quota.max_messages is not None and messages > quota.max_messages and added.messages:
        raise QuotaExceeded(
            f"The user would have {messages:,} messages; the project allows "
            f"{quota.max_messages:,} for each user."
        )
    if quota.max_documents is not None and documents > quota.max_documents and added.documents:
        raise QuotaExceeded(
            f"The user would have {documents:,} documents; the project allows "
            f"{quota.max_documents:,} for each user."
        )
    if quota.max_bytes is not None:
        _check_bytes(tx, quota, user_id, _Numbers(messages, documents), added)


def _numbers_of(tx: Transaction, user_id: str, quota: Quota) -> _Numbers:
    """Return what a user has; no documents, if the quota is about messages alone."""
    of_user = {"user_id": user_id}
    messages = tx.fetch_one("count_messages_of_user", _number, **of_user) or 0
    if quota.max_documents is None and quota.max_bytes is None:
        return _Numbers(messages, 0)
    documents = tx.fetch_one("count_documents_of_user", _number, **of_user) or 0
    return _Numbers(messages, documents)


def _count_bytes(tx: Transaction, user_id: str) -> int:
    of_user = {"user_id": user_id}
    of_messages = tx.fetch_one("count_bytes_of_user", _number, **of_user) or 0
    return of_messages + (tx.fetch_one("count_document_bytes_of_user", _number, **of_user) or 0)


def _check_bytes(
    tx: Transaction, quota: Quota, user_id: str, numbers: _Numbers, added: _Added
) -> None:
    of_user = {"user_id": user_id}
    usage = tx.fetch_one("get_usage", Usage, **of_user)
    before = _Numbers(numbers.messages - added.messages, numbers.documents - added.documents)
    if usage is None or added.byte_count is None or not _is_known(usage, quota, before):
        byte_count = _count_bytes(tx, user_id)
    else:
        byte_count = usage.byte_count + added.byte_count
    has_added = added.byte_count is None or added.byte_count > 0
    if quota.max_bytes is not None and byte_count > quota.max_bytes and has_added:
        raise QuotaExceeded(
            f"The texts of the user would have {byte_count:,} bytes; the project allows "
            f"{quota.max_bytes:,} for each user."
        )
    counts = {"message_count": numbers.messages, "document_count": numbers.documents}
    counts["byte_count"] = byte_count
    tx.defer("set_usage", quota_set_at=quota.set_at, **counts, **of_user)


def _is_known(usage: Usage, quota: Quota, numbers: _Numbers) -> bool:
    """Return whether the bytes were counted for so many messages and documents."""
    counted = (usage.message_count, usage.document_count)
    return counted == numbers and usage.quota_set_at == quota.set_at


def use_of_user(tx: Transaction, user_id: str, quota: Quota, most_counted: int) -> Use:
    """Return how much of a quota a user has used.

    Args:
        most_counted: of a user with more messages and documents, the bytes are not counted if they
            are not known since something was added last.
    """
    numbers = _numbers_of(tx, user_id, quota)
    if quota.max_bytes is None:
        return Use(*numbers, None)
    known = tx.fetch_one("get_usage", Usage, user_id=user_id)
    if known is not None and _is_known(known, quota, numbers):
        return Use(*numbers, known.byte_count)
    if sum(numbers) > most_counted:
        return Use(*numbers, None)
    return Use(*numbers, _count_bytes(tx, user_id))


def _lock(tx: Transaction, user_id: str) -> bool:
    return tx.fetch_one("lock_user", User, user_id=user_id) is not None


def remove_user(tx: Transaction, user_id: str) -> None:
    """Delete what was counted of a user."""
    tx.defer("delete_usage", user_id=user_id)


def _number(value: int | None) -> int:
    """Return a sum, which is null for no rows, and a decimal number on PostgreSQL."""
    return int(value or 0)
