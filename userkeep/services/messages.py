"""Messages: append, read, edit and list them. `services.erasures` deletes them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from userkeep.domain.errors import AlreadyExists, Conflict, NotFound
from userkeep.domain.message import CheckedMessage, Message, MessageChange, NewMessage
from userkeep.domain.search.analyzer import Analyzer
from userkeep.domain.search.entries import IndexEntry, make_entry
from userkeep.domain.session import Session
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import User
from userkeep.domain.values.filters import Node
from userkeep.domain.values.ids import check_id, is_uuid
from userkeep.domain.values.metadata import Merge
from userkeep.domain.values.paging import PageRequest, Rows
from userkeep.domain.values.text import check_content, check_name
from userkeep.services import changes, indexing, sessions, tombstones, users

_MAX_TRIES = 5


class _Reserved(msgspec.Struct):
    last_seq: int
    user_id: str | None
    search_scope: int


class _Added(NamedTuple):
    """What is added to a session: the number of messages, and their length for ranking."""

    messages: int
    length: int


class PreparedMessage(NamedTuple):
    """A message to append: checked, with its index entry."""

    message: CheckedMessage
    entry: IndexEntry


def prepare(analyzer: Analyzer, new: Sequence[NewMessage]) -> list[PreparedMessage]:
    """Check messages to append, and make their index entries.

    This takes longer than all else of an append, so it comes before the transaction, in which other
    writers would wait for it.

    Raises:
        InvalidField: naming the field, by its path (`messages[3].content`).
    """
    return [
        PreparedMessage(
            message.checked(f"messages[{index}]"),
            make_entry(analyzer, message.role, message.role_type, message.content),
        )
        for index, message in enumerate(new)
    ]


def append(
    tx: Transaction,
    session_id: str,
    new: Sequence[PreparedMessage],
    *,
    user_id: str | None = None,
    may_create: bool,
) -> list[Message]:
    """Append messages with consecutive numbers, all or none.

    Args:
        session_id: the session.
        new: the messages, from `prepare`. Without any, the session is created, or its
            `updated_at` is set.
        user_id: the session's user, who becomes the owner of a session without one.
        may_create: whether a missing session is created, and a missing user.

    Raises:
        NotFound: there is no such session, or it has another owner, or there is no such user.
        Gone: the session or the user is being deleted, or was deleted not long ago.
        Conflict: the session has ended. AlreadyExists: a uuid is used.
        InvalidField: `user_id` is invalid.
    """
    if user_id is not None:
        check_id(user_id, "user_id")
    added = _Added(len(new), sum(each.entry.length for each in new))
    last_seq, search_scope = _reserve(tx, session_id, added, user_id, may_create=may_create)
    first_seq = last_seq - len(new) + 1
    messages = [
        each.message.to_message(seq, tx.new_uuid(), tx.now)
        for seq, each in enumerate(new, first_seq)
    ]
    rows = [
        _row(session_id, message, each.entry, search_scope)
        for message, each in zip(messages, new, strict=True)
    ]
    _insert(tx, rows, may_exist=any(each.message.uuid for each in new))
    entries = [(seq, each.entry) for seq, each in enumerate(new, first_seq)]
    tx.search_index.add(session_id, search_scope, entries)
    return messages


def get(tx: Transaction, session_id: str, uuid: str) -> Message:
    """Return a message.

    Raises:
        NotFound: there is no such message. Gone: its session is being deleted.
    """
    message = None
    if is_uuid(uuid):
        message = tx.fetch_one(
            "get_message",
            Message,
            session_id=session_id,
            uuid=uuid.lower(),
        )
    if message is None:
        sessions.get(tx, session_id)
        raise NotFound("There is no message with this uuid in this session.")
    return message


def update(
    tx: Transaction, session_id: str, uuid: str, change: MessageChange, merge: Merge
) -> Message:
    """Edit the role, the content or the metadata of a message.

    Raises:
        NotFound, Gone: as for `get`. InvalidField: naming the field.
    """
    sessions.lock(tx, session_id)
    message = get(tx, session_id, uuid)
    after = msgspec.structs.replace(
        message,
        role=message.role if change.role is UNSET else check_name(change.role, "role") or "",
        content=message.content
        if change.content is UNSET
        else check_content(change.content, "content"),
        metadata=changes.merge_metadata(message.metadata, change.metadata, merge),
    )
    indexing.change(tx, session_id, message, after)
    if after != message:
        tx.defer("add_edit", uuid=tx.new_uuid(), now_at=tx.now)
    updated = tx.fetch_one(
        "set_message",
        Message,
        session_id=session_id,
        uuid=message.uuid,
        role=after.role,
        content=after.content,
        metadata=after.metadata,
    )
    return updated or message


def page(
    tx: Transaction, session_id: str, page: PageRequest, filter: Node | None = None
) -> Rows[Message]:
    """Return a page of messages, in the order of `seq`.

    Raises:
        NotFound: there is no such session. Gone: it is being deleted.
    """
    if filter is not None:
        # First: a filter that finds nothing may take long, and does not mean a missing session.
        sessions.get(tx, session_id)
        return page.cut(select(tx, session_id, filter=filter, **page.values))
    messages = page.cut(select(tx, session_id, **page.values))
    check_session_if_empty(tx, session_id, messages.items)
    return messages


def check_session_if_empty(tx: Transaction, session_id: str, messages: list[Message]) -> None:
    """Check that a session exists, if reading it returned no messages.

    Raises:
        NotFound: there is no such session. Gone: it is being deleted.
    """
    if not messages:
        sessions.get(tx, session_id)


def select(tx: Transaction, session_id: str, **values: Any) -> Rows[Message]:
    """Return messages of a session, in one statement; none if it is missing or being deleted.

    Args:
        session_id: the session.
        values: `after` or `before` a seq (exclusive), `filter`, `descending`, `limit`, `offset`.
    """
    return tx.fetch_page("list_messages", Message, session_id=session_id, **values)


def _reserve(
    tx: Transaction,
    session_id: str,
    added: _Added,
    user_id: str | None,
    *,
    may_create: bool,
) -> tuple[int, int]:
    """Reserve numbers for new messages in a session, which is created if it is missing.

    Concurrent writers may create, delete or end the session between any two statements; then it
    tries again.

    Returns:
        The last number, and the session's search scope.
    """
    for _ in range(_MAX_TRIES):
        owner = _owner_to_lock(tx, session_id, user_id, may_create=may_create)
        reserved = tx.fetch_one(
            "reserve_seqs",
            _Reserved,
            session_id=session_id,
            count=added.messages,
            length=added.length,
            now_at=tx.now,
        )
        if reserved is not None:
            if user_id is None or owner is None:
                _check_owner(reserved, user_id)
                return reserved.last_seq, reserved.search_scope
            _check_or_set_owner(tx, session_id, reserved, owner, added.messages)
            return reserved.last_seq, owner.number
        _check_can_be_created(tx, session_id, is_allowed=may_create)
        # A user_id without a locked owner: the session was the user's, and was just deleted.
        if owner is not None or user_id is None:
            session = _create(tx, session_id, added, owner)
            if session is not None:
                return session.last_seq, owner.number if owner else -session.number
    raise Conflict("Too many concurrent changes of this session. Try again.")


def _owner_to_lock(
    tx: Transaction, session_id: str, user_id: str | None, *, may_create: bool
) -> User | None:
    """Return the user, locked, if the session is not theirs yet; else None.

    If it is theirs, the session's row is the fence, as for appends that name no user. A lock of the
    user for every message would make a deletion wait for as long as messages are added.
    """
    if user_id is None:
        return None
    session = tx.fetch_one("get_session", Session, session_id=session_id)
    if session is not None and session.user_id == user_id:
        return None
    if may_create:
        return users.get_or_create_locked(tx, user_id)
    return sessions.lock_owner(tx, user_id)


def _check_owner(reserved: _Reserved, user_id: str | None) -> None:
    """Check that a session still has the user as its owner, who is not locked."""
    if user_id is not None and reserved.user_id != user_id:
        raise sessions.not_of_user()


def _check_or_set_owner(
    tx: Transaction, session_id: str, reserved: _Reserved, owner: User, count: int
) -> None:
    sessions.check_owner(reserved.user_id, owner)
    if reserved.user_id is not None:
        return
    first_seq = reserved.last_seq - count + 1
    tx.search_index.move(session_id, reserved.search_scope, owner.number, first_seq)
    tx.defer(
        "set_session_owner",
        session_id=session_id,
        user_id=owner.user_id,
        user_uuid=owner.uuid,
        user_number=owner.number,
    )


def _check_can_be_created(tx: Transaction, session_id: str, *, is_allowed: bool) -> None:
    """Check that a missing session may be created, and that an existing one has not ended.

    A session that was created since it was not found is accepted.
    """
    try:
        session = sessions.get(tx, session_id)
    except NotFound:
        if is_allowed:
            return
        _check_is_not_late(tx, session_id)
        raise
    if session.ended_at is not None:
        raise Conflict("The session has ended; nothing can be appended to it.")


def _create(tx: Transaction, session_id: str, added: _Added, owner: User | None) -> Session | None:
    """Create a session; return None if a concurrent write has created it."""
    check_id(session_id, "session_id")
    session = sessions.insert(
        tx, session_id, owner, message_count=added.messages, total_length=added.length
    )
    # Only after the insert: before it, the session could be created and deleted by others.
    if session is not None and owner is None:
        tombstones.check(tx, "session", session_id)
    elif session is not None:
        _check_is_not_late(tx, session_id)
    return session


def _check_is_not_late(tx: Transaction, session_id: str) -> None:
    """Check that a missing session was not deleted a short time ago."""
    tombstones.check(tx, "session", session_id)
    tombstones.check(tx, "session alone", session_id)


def _row(session_id: str, message: Message, entry: IndexEntry, search_scope: int) -> dict[str, Any]:
    """Return a message as `add_message` stores it; an engine may store its terms with it."""
    return {
        "session_id": session_id,
        "seq": message.seq,
        "uuid": message.uuid,
        "role": message.role,
        "role_type": message.role_type,
        "token_count": message.token_count,
        "created_at": message.created_at,
        "metadata": message.metadata,
        "content": message.content,
        "data": message.data,
        "word_count": entry.word_count,
        "words": entry.terms,
        "search_scope": search_scope,
    }


def _insert(tx: Transaction, rows: list[dict[str, Any]], *, may_exist: bool) -> None:
    if not may_exist:
        tx.defer_many("add_message", rows)
    elif tx.execute_many("add_message", rows) != len(rows):
        raise AlreadyExists("A message with one of these uuids is already in the session.", "uuid")
