"""Quotas: no user gets more messages, or bytes of them, than their project allows.

Whatever adds to a user locks them first, and counts last: so counts are exact, whatever else runs.
The number of messages is the sum of those of the user's sessions. Their bytes are counted once, and
then kept, with the number of messages that they were counted for: if that is another one, because
messages were deleted, or a session got its owner, they are counted again.

Without a quota, none of this does anything.
"""

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
    message_count = tx.fetch_one("count_messages_of_user", _number, user_id=user_id) or 0
    if quota.max_messages is not None and message_count > quota.max_messages and added_messages:
        raise QuotaExceeded(
            f"The user would have {message_count:,} messages; the project allows "
            f"{quota.max_messages:,} for each user."
        )
    if quota.max_bytes is not None:
        _check_bytes(tx, counted, message_count, added_messages, added_bytes)


def _check_bytes(
    tx: Transaction,
    counted: Counted,
    message_count: int,
    added_messages: int,
    added_bytes: int | None,
) -> None:
    quota, of_user = counted.quota, {"user_id": counted.user_id}
    usage = tx.fetch_one("get_usage", Usage, **of_user)
    known = (message_count - added_messages, quota.set_at)
    is_known = usage is not None and (usage.message_count, usage.quota_set_at) == known
    if usage is None or added_bytes is None or not is_known:
        byte_count = tx.fetch_one("count_bytes_of_user", _number, **of_user) or 0
    else:
        byte_count = usage.byte_count + added_bytes
    has_added = added_bytes is None or added_bytes > 0
    if quota.max_bytes is not None and byte_count > quota.max_bytes and has_added:
        raise QuotaExceeded(
            f"The messages of the user would have {byte_count:,} bytes; the project allows "
            f"{quota.max_bytes:,} for each user."
        )
    counts = {"message_count": message_count, "byte_count": byte_count}
    tx.defer("set_usage", quota_set_at=quota.set_at, **counts, **of_user)


def use_of_user(tx: Transaction, user_id: str, quota: Quota, most_counted: int) -> Use:
    """Return how much of a quota a user has used.

    Args:
        most_counted: of a user with more messages, the bytes are not counted if they are not known
            since something was added last.
    """
    of_user = {"user_id": user_id}
    messages = tx.fetch_one("count_messages_of_user", _number, **of_user) or 0
    if quota.max_bytes is None:
        return Use(messages, None)
    known = tx.fetch_one("get_usage", Usage, **of_user)
    if known and (known.message_count, known.quota_set_at) == (messages, quota.set_at):
        return Use(messages, known.byte_count)
    if messages > most_counted:
        return Use(messages, None)
    return Use(messages, tx.fetch_one("count_bytes_of_user", _number, **of_user) or 0)


def _lock(tx: Transaction, user_id: str) -> bool:
    return tx.fetch_one("lock_user", User, user_id=user_id) is not None


def remove_user(tx: Transaction, user_id: str) -> None:
    """Delete what was counted of a user."""
    tx.defer("delete_usage", user_id=user_id)


def _number(value: int | None) -> int:
    """Return a sum, which is null for no rows, and a decimal number on PostgreSQL."""
    return int(value or 0)
