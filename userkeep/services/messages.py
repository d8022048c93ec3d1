"""Messages: appending them in order, reading, editing and listing them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from userkeep.domain.errors import AlreadyExists, Conflict, NotFound
from userkeep.domain.message import Message, MessageChange, NewMessage
from userkeep.domain.search.entries import IndexEntry, make_entry
from userkeep.domain.session import Session
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import User
from userkeep.domain.values.filters import Node
from userkeep.domain.values.ids import check_id, is_uuid
from userkeep.domain.values.metadata import Merge
from userkeep.domain.values.paging import PageRequest
from userkeep.domain.values.text import check_content, check_name
from userkeep.services import changes, indexing, sessions, tombstones, users

_MOST_LOOKS = 5


class _Reserved(msgspec.Struct):
    last_seq: int
    user_id: str | None
    search_scope: int


class _Added(NamedTuple):
    """What is about to be added to a session: how many messages, and their length for ranking."""

    messages: int
    length: int


def append(
    tx: Transaction,
    session_id: str,
    new: Sequence[NewMessage],
    *,
    user_id: str | None = None,
    may_open_session: bool,
) -> list[Message]:
    """Append messages, all or none, with numbers that follow each other.

    Args:
        session_id: the session; one that does not exist is opened, if that is allowed.
        new: any number of messages; none at all touches the session (or opens it).
        user_id: whose session it is: added if unknown; the owner of a session without one.
        may_open_session: whether an unknown session is opened.

    Raises:
        NotFound: there is no such session. Gone: it, or the user, is being or was deleted.
        Conflict: the session has ended, or has another owner. AlreadyExists: a uuid is taken.
        InvalidField: naming the field, as `messages[3].content`.
    """
    if user_id is not None:
        check_id(user_id, "user_id")
    analyzer = tx.scope.rules.analyzer
    entries = [make_entry(analyzer, each.role, each.role_type, each.content) for each in new]
    added = _Added(len(new), sum(each.length for each in entries))
    last_seq, search_scope = _reserve(tx, session_id, added, user_id, may_open=may_open_session)
    first_seq = last_seq - len(new) + 1
    messages = [
        message.stored(first_seq + place, tx.new_uuid(), tx.now, f"messages[{place}]")
        for place, message in enumerate(new)
    ]
    rows = [
        _row(session_id, message, entry, search_scope)
        for message, entry in zip(messages, entries, strict=True)
    ]
    _insert(tx, rows, may_be_taken=any(each.uuid for each in new))
    tx.search_index.add(session_id, search_scope, list(enumerate(entries, first_seq)))
    return messages


def get(tx: Transaction, session_id: str, uuid: str) -> Message:
    """One message.

    Raises:
        NotFound: there is none. Gone: its session is being deleted.
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
    """Change the role, the content or the metadata of a message.

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
        metadata=changes.merged(message.metadata, change.metadata, merge),
    )
    indexing.change(tx, session_id, message, after)
    if after != message:
        tx.defer("add_edit", uuid=tx.new_uuid(), now_at=tx.now)
    changed = tx.fetch_one(
        "set_message",
        Message,
        session_id=session_id,
        uuid=message.uuid,
        role=after.role,
        content=after.content,
        metadata=after.metadata,
    )
    return changed or message


def page(
    tx: Transaction, session_id: str, page: PageRequest, filter: Node | None = None
) -> list[Message]:
    """Messages by `seq`: one more than the page's limit where more are left.

    Raises:
        NotFound: there is no such session. Gone: it is being deleted.
    """
    if filter is not None:
        # First, because to find nothing says nothing of the session, and may have taken long.
        sessions.get(tx, session_id)
        return select(tx, session_id, filter=filter, **page.values)
    return known(tx, session_id, select(tx, session_id, **page.values))


def known(tx: Transaction, session_id: str, messages: list[Message]) -> list[Message]:
    """The messages of a session that was read; no messages may mean that there is no session.

    Raises:
        NotFound: there is no such session. Gone: it is being deleted.
    """
    if not messages:
        sessions.get(tx, session_id)
    return messages


def select(tx: Transaction, session_id: str, **values: Any) -> list[Message]:
    """Messages of a session in one statement; none where it is unknown or being deleted.

    Args:
        values: `after` or `before` a seq (exclusive), `filter`, `descending`, `limit`, `offset`.
    """
    return tx.fetch_all("list_messages", Message, session_id=session_id, **values)


def _reserve(
    tx: Transaction,
    session_id: str,
    added: _Added,
    user_id: str | None,
    *,
    may_open: bool,
) -> tuple[int, int]:
    """The last of the numbers for new messages, in a session that is there or is opened; and where
    in the index its messages are.

    Others may open, clear or end it between any two statements: then we look again.
    """
    for _ in range(_MOST_LOOKS):
        owner = _owner_to_lock(tx, session_id, user_id)
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
        _check_can_be_opened(tx, session_id, is_allowed=may_open)
        if owner is not None or user_id is None:  # else it was theirs until a moment ago
            opened = _open(tx, session_id, added, owner)
            if opened is not None:
                return opened.last_seq, owner.number if owner else -opened.number
    raise Conflict("The session is opened and closed by others all the time; try again.")


def _owner_to_lock(tx: Transaction, session_id: str, user_id: str | None) -> User | None:
    """Return the user, locked, if the session is not theirs yet; else None.

    If it is theirs, the session's row is the fence, as for appends that name no user. A lock of the
    user for every message would make a deletion wait for as long as messages are added.
    """
    if user_id is None:
        return None
    session = tx.fetch_one("get_session", Session, session_id=session_id)
    if session is not None and session.user_id == user_id:
        return None
    return users.get_or_create_locked(tx, user_id)


def _check_owner(reserved: _Reserved, user_id: str | None) -> None:
    """Their session was theirs a moment ago, when its user was not held for it."""
    if user_id is not None and reserved.user_id != user_id:
        raise Conflict("The session was opened anew by somebody else; try again.", "user_id")


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


def _check_can_be_opened(tx: Transaction, session_id: str, *, is_allowed: bool) -> None:
    """Refuse where a session is there that takes nothing, or where none may be opened.

    One that has been opened since it was not found is no reason.
    """
    try:
        session = sessions.get(tx, session_id)
    except NotFound:
        if is_allowed:
            return
        tombstones.check(tx, "session", session_id)
        raise
    if session.ended_at is not None:
        raise Conflict("The session has ended; nothing can be appended to it.")


def _open(tx: Transaction, session_id: str, added: _Added, owner: User | None) -> Session | None:
    """A new session; None where another writer has opened it since we looked."""
    check_id(session_id, "session_id")
    opened = sessions.insert(
        tx, session_id, owner, message_count=added.messages, total_length=added.length
    )
    if opened is not None:
        # Only now: till the row was ours, the id could be used and deleted.
        tombstones.check(tx, "session", session_id)
    return opened


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


def _insert(tx: Transaction, rows: list[dict[str, Any]], *, may_be_taken: bool) -> None:
    if not may_be_taken:
        tx.defer_many("add_message", rows)
    elif tx.execute_many("add_message", rows) != len(rows):
        raise AlreadyExists("A message with one of these uuids is in the session already.", "uuid")
