"""Messages: append, read, edit and list them. `services.erasures` deletes them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from userkeep.domain.errors import AlreadyExists, Conflict, NotFound
from userkeep.domain.message import (
    MAX_MESSAGE_ID_LENGTH,
    CheckedMessage,
    CheckedMessageChange,
    Message,
    NewMessage,
    check_is_not_empty,
)
from userkeep.domain.search.analyzer import Analyzer
from userkeep.domain.search.entries import IndexEntry, make_entry
from userkeep.domain.session import NewSession, Session
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import User
from userkeep.domain.values.filters import Node
from userkeep.domain.values.ids import check_id
from userkeep.domain.values.metadata import Merge
from userkeep.domain.values.paging import PageRequest, Rows
from userkeep.domain.values.times import Instant
from userkeep.services import changes, embeddings, indexing, quotas, sessions, tombstones, users
from userkeep.services.sessions import AddedMessages

_MAX_TRIES = 5


class _Reserved(msgspec.Struct):
    last_seq: int
    user_id: str | None
    search_scope: int


class PreparedMessage(NamedTuple):
    """A message to append: checked, with its index entry."""

    message: CheckedMessage
    entry: IndexEntry


def prepare(
    analyzer: Analyzer, new: Sequence[NewMessage], *, may_be_empty: bool = False
) -> list[PreparedMessage]:
    """Check messages to append, and make their index entries.

    This takes longer than all else of an append, so it comes before the transaction, in which other
    writers would wait for it.

    Args:
        analyzer: of the instance's language.
        new: the messages.
        may_be_empty: whether they may have neither content nor data, as for old clients.

    Raises:
        InvalidField: naming the field, by its path (`messages[3].content`).
    """
    checked = (
        message.checked(f"messages[{index}]", may_be_empty=may_be_empty)
        for index, message in enumerate(new)
    )
    return [
        PreparedMessage(each, make_entry(analyzer, each.name, each.role, each.content))
        for each in checked
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
        Conflict: the session has ended. AlreadyExists: an id is used.
        QuotaExceeded: the user would have too much. InvalidField: `user_id` is invalid.
    """
    if user_id is not None:
        check_id(user_id, "user_id")
    counted = quotas.lock_owner(tx, session_id, user_id)
    added = _added(tx, new)
    last_seq, search_scope = _reserve(tx, session_id, added, user_id, may_create=may_create)
    first_seq = last_seq - len(new) + 1
    messages = [
        each.message.to_message(seq, tx.new_uuid(), tx.now)
        for seq, each in enumerate(new, first_seq)
    ]
    rows = [
        row(session_id, message, each.entry, search_scope)
        for message, each in zip(messages, new, strict=True)
    ]
    _insert(tx, rows, may_exist=any(each.message.id for each in new))
    entries = [(seq, each.entry) for seq, each in enumerate(new, first_seq)]
    tx.search_index.add(session_id, search_scope, entries)
    if counted is not None:
        has_got_owner = not counted.is_theirs and first_seq > 1
        added_bytes = None if has_got_owner else sum(each.text_bytes for each in messages)
        quotas.check(tx, counted, added_messages=len(new), added_bytes=added_bytes)
    return messages


def get(tx: Transaction, session_id: str, id: str) -> Message:
    """Return a message.

    Raises:
        NotFound: there is no such message. Gone: its session is being deleted.
    """
    message = None
    if len(id) <= MAX_MESSAGE_ID_LENGTH and "\0" not in id:
        message = tx.fetch_one("get_message", Message, session_id=session_id, id=id)
    if message is None:
        sessions.get(tx, session_id)
        raise NotFound(f"There is no message with the id {id!r} in this session.")
    return message


def update(
    tx: Transaction,
    session_id: str,
    id: str,
    change: CheckedMessageChange,
    merge: Merge,
    if_revision: int | None = None,
) -> Message:
    """Change a message. Nothing changes if all fields have their values already.

    Raises:
        NotFound, Gone: as for `get`. RevisionMismatch: `if_revision` is not the current one.
        InvalidField: naming the field.
    """
    counted = quotas.lock_owner(tx, session_id)
    sessions.lock(tx, session_id)
    message = get(tx, session_id, id)
    changes.check_revision(message.revision, if_revision)
    after = msgspec.structs.replace(
        message,
        **change.fields,
        metadata=changes.merge_metadata(message.metadata, change.metadata, merge),
    )
    if after == message:
        return message
    after.revision += 1
    after.edited_at = tx.now
    if not change.fields.keys().isdisjoint({"content", "data"}):
        check_is_not_empty(after.content, after.data, "content")
    indexing.change(tx, session_id, message, after)
    if _texts(after) != _texts(message):
        tx.defer("add_edit", uuid=tx.new_uuid(), now_at=tx.now)
    tx.defer("set_message", **_changed_row(session_id, message, after))
    if after.content != message.content:
        embeddings.remove_message(tx, session_id, message.seq)
        embeddings.embed_again(tx, session_id, message.seq)
    if counted is not None:
        added_bytes = after.text_bytes - message.text_bytes
        quotas.check(tx, counted, added_messages=0, added_bytes=added_bytes)
    return after


def _texts(message: Message) -> tuple[str | None, ...]:
    """Return the texts of a message; where one was replaced, a purge is due."""
    return message.name, message.content, message.data, message.metadata


def _changed_row(session_id: str, before: Message, after: Message) -> dict[str, Any]:
    """Return a message as `set_message` stores it."""
    return {
        "session_id": session_id,
        "id": after.id,
        "role": after.role,
        "name": after.name,
        "token_count": after.token_count,
        "metadata": after.metadata,
        "revision": after.revision,
        "edited_at": after.edited_at,
        "content": after.content,
        "data": after.data,
        "sets_content": True if after.content != before.content else None,
        "sets_data": True if after.data != before.data else None,
    }


class Selection(msgspec.Struct, kw_only=True):
    """Which messages of a session to list; None for no condition.

    Attributes:
        after_seq, before_seq: exclusive.
        created_after_at, created_before_at: exclusive.
        role: the role for a model.
        filter: on metadata.
    """

    after_seq: int | None = None
    before_seq: int | None = None
    created_after_at: Instant | None = None
    created_before_at: Instant | None = None
    role: str | None = None
    filter: Node | None = None

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions without an index, by their names in the query."""
        values = {
            "created_after_at": self.created_after_at,
            "created_before_at": self.created_before_at,
            "role": self.role,
            "filter": self.filter,
        }
        return {name: value for name, value in values.items() if value is not None}

    def bounded(self, after: int | None, before: int | None) -> dict[str, Any]:
        """Return the bounds of `seq`: those of the page, or closer ones.

        One condition for each side: of two, SQLite may choose the wider one for the index.
        """
        afters = [each for each in (after, self.after_seq) if each is not None]
        befores = [each for each in (before, self.before_seq) if each is not None]
        return {
            "after": max(afters) if afters else None,
            "before": min(befores) if befores else None,
        }


def page(
    tx: Transaction, session_id: str, page: PageRequest, selection: Selection | None = None
) -> Rows[Message]:
    """Return a page of messages, in the order of `seq`.

    Raises:
        NotFound: there is no such session. Gone: it is being deleted.
    """
    selection = selection or Selection()
    values = page.values
    values |= selection.bounded(values.get("after"), values.get("before"))
    if selection.conditions:
        # First: conditions that match nothing may take long, and do not mean a missing session.
        sessions.get(tx, session_id)
        return page.cut(select(tx, session_id, **selection.conditions, **values))
    messages = page.cut(select(tx, session_id, **values))
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
        values: `after` or `before` a seq (exclusive), `created_after_at`, `created_before_at`,
            `role`, `filter`, `descending`, `limit`, `offset`.
    """
    return tx.fetch_page("list_messages", Message, session_id=session_id, **values)


def _added(tx: Transaction, new: Sequence[PreparedMessage]) -> AddedMessages:
    given = (each.message.created_at for each in new)
    latest = max((tx.now if at is None else at for at in given), default=None)
    # A time in the future counts as now; else the session would stay the first of all.
    active_at = None if latest is None else min(latest, tx.now)
    return AddedMessages(len(new), sum(each.entry.length for each in new), active_at)


def _reserve(
    tx: Transaction,
    session_id: str,
    added: AddedMessages,
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
            count=added.message_count,
            length=added.length,
            active_at=added.active_at,
            now_at=tx.now,
        )
        if reserved is not None:
            if user_id is None or owner is None:
                _check_owner(session_id, reserved, user_id)
                return reserved.last_seq, reserved.search_scope
            _check_or_set_owner(tx, session_id, reserved, owner, added.message_count)
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


def _check_owner(session_id: str, reserved: _Reserved, user_id: str | None) -> None:
    """Check that a session still has the user as its owner, who is not locked."""
    if user_id is not None and reserved.user_id != user_id:
        raise sessions.not_of_user(session_id)


def _check_or_set_owner(
    tx: Transaction, session_id: str, reserved: _Reserved, owner: User, count: int
) -> None:
    sessions.check_owner(session_id, reserved.user_id, owner)
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
        stops_embedding=True if owner.do_not_embed else None,
        now_at=tx.now,
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
        if not tx.scope.is_bound:  # it may have been another user's
            _check_is_not_late(tx, session_id)
        raise
    if session.ended_at is not None:
        raise Conflict("The session has ended; nothing can be appended to it.")


def _create(
    tx: Transaction, session_id: str, added: AddedMessages, owner: User | None
) -> Session | None:
    """Create a session; return None if a concurrent write has created it."""
    check_id(session_id, "session_id")
    session = sessions.insert(tx, session_id, owner, NewSession(), added)
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


def row(session_id: str, message: Message, entry: IndexEntry, search_scope: int) -> dict[str, Any]:
    """Return a message as `add_message` stores it; an engine may store its terms with it."""
    return {
        "session_id": session_id,
        "seq": message.seq,
        "id": message.id,
        "role": message.role,
        "name": message.name,
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
        raise AlreadyExists("A message with one of these ids is already in the session.", "id")
