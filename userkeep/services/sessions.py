"""Sessions: create, read, update, end and list them. `services.erasures` deletes them."""

from datetime import datetime
from typing import Any, NamedTuple

from msgspec import UNSET, UnsetType

from userkeep.domain.errors import AlreadyExists, Gone, NotFound
from userkeep.domain.imports import NEW, Version
from userkeep.domain.search.beginnings import words_of_title
from userkeep.domain.session import NewSession, Session, SessionChange
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import State, User
from userkeep.domain.values.ids import check_id
from userkeep.domain.values.metadata import Merge, encode_metadata
from userkeep.domain.values.paging import PageRequest, Rows
from userkeep.domain.values.past import check_past
from userkeep.domain.values.text import check_name
from userkeep.domain.values.times import Instant
from userkeep.services import changes, embeddings, quotas, tombstones, users


class AddedMessages(NamedTuple):
    """What is appended to a session.

    Attributes:
        message_count: how many.
        length: the sum of their lengths, for ranking.
        active_at: the latest of their `created_at`, but not later than now; None without messages.
    """

    message_count: int
    length: int
    active_at: Instant | None


NO_MESSAGES = AddedMessages(0, 0, None)


def add(tx: Transaction, new: NewSession) -> Session:
    """Create a session.

    Raises:
        AlreadyExists: the id is used. NotFound: there is no such user.
        Gone: the user, or the session with this id, is being deleted. InvalidField: naming the
            field.
    """
    new.check()
    owner = None if new.user_id is None else lock_owner(tx, new.user_id)
    session_id = new.session_id or tx.new_uuid()
    session = insert(tx, session_id, owner, new)
    if session is None:
        existing = _find(tx, session_id)
        if existing is None or existing.state == State.DELETING:  # None: deleted in the meantime
            raise _being_deleted()
        raise AlreadyExists(
            f"A session with the session_id {session_id!r} already exists.", "session_id"
        )
    tombstones.remove_session(tx, session_id)
    return session


def insert(
    tx: Transaction,
    session_id: str,
    owner: User | None,
    new: NewSession,
    messages: AddedMessages = NO_MESSAGES,
    version: Version = NEW,
) -> Session | None:
    """Insert a session, whose owner is locked; return None if the id is used.

    Raises:
        InvalidField: a time is in the future.
    """
    given_at = _past(tx, new.created_at, "created_at")
    created_at = tx.now if given_at is None else given_at
    return tx.fetch_one(
        "add_session",
        Session,
        session_id=session_id,
        uuid=version.uuid or tx.new_uuid(),
        user_id=owner.user_id if owner else None,
        user_uuid=owner.uuid if owner else None,
        user_number=owner.number if owner else None,
        title=new.title,
        title_words=words_of_title(new.title),
        metadata=encode_metadata(new.metadata),
        message_count=messages.message_count,
        total_length=messages.length,
        ended_at=_past(tx, new.ended_at, "ended_at"),
        active_at=created_at if messages.active_at is None else messages.active_at,
        revision=version.revision,
        created_at=created_at,
        updated_at=tx.now if version.updated_at is None else version.updated_at,
        do_not_embed=int(new.do_not_embed is True),
        embedded_seq=embeddings.first_seq(tx, new),
    )


def get(tx: Transaction, session_id: str) -> Session:
    """Return a session.

    Raises:
        NotFound: there is no such session. Gone: it is being deleted.
    """
    return _visible(tx, _find(tx, session_id), session_id)


def update(
    tx: Transaction,
    session_id: str,
    change: SessionChange,
    merge: Merge,
    if_revision: int | None = None,
    *,
    touches: bool = False,
) -> Session:
    """Update a session. Nothing changes if all fields have their values already.

    Args:
        touches: whether `updated_at` changes in any case, as in Zep.

    Raises:
        NotFound, Gone: as for `get`, or there is no such user, or the session has another owner.
        RevisionMismatch: `if_revision` is not the current one. InvalidField: naming the field.
        QuotaExceeded: the user would have too much.
    """
    owner, counted = None, None
    if not isinstance(change.user_id, UnsetType):
        check_id(change.user_id, "user_id")
        counted = quotas.lock_owner(tx, session_id, change.user_id)
        owner = lock_owner(tx, change.user_id)
    if not isinstance(change.title, UnsetType):
        check_name(change.title, "title")
    session = lock(tx, session_id)
    changes.check_revision(session.revision, if_revision)
    if owner:
        check_owner(session_id, session.user_id, owner)
    is_first_owner = owner is not None and session.user_id is None
    if owner and is_first_owner:
        tx.search_index.move(session_id, -session.number, owner.number, session.last_seq + 1)
    do_not_embed = _changed_flag(session, change)
    fields = {
        "title": session.title if change.title is UNSET else change.title,
        "metadata": changes.merge_metadata(session.metadata, change.metadata, merge),
        "ended_at": _changed_end(tx, session, change),
        "do_not_embed": do_not_embed,
    }
    has_new = any(getattr(session, name) != value for name, value in fields.items())
    is_change = is_first_owner or has_new
    if not is_change and not touches:
        return session
    revision = session.revision + is_change
    assigned_at = tx.now if is_first_owner else None
    reviewed_seq = embeddings.reviewed_seq(
        tx, session.do_not_embed, do_not_embed, owner if is_first_owner else None
    )
    updated = _set(
        tx,
        session,
        owner=owner,
        assigned_at=assigned_at,
        reviewed_seq=reviewed_seq,
        **fields,
        revision=revision,
    )
    if counted is not None and is_first_owner:
        added_bytes = None if session.message_count else 0
        added_messages = session.message_count
        quotas.check(tx, counted, added_messages=added_messages, added_bytes=added_bytes)
    return updated


def end(tx: Transaction, session_id: str) -> Session:
    """End a session: nothing can be appended afterwards. Ending it again changes nothing.

    Raises:
        NotFound, Gone: as for `get`.
    """
    session = lock(tx, session_id)
    if session.ended_at is not None:
        return session
    return _set(tx, session, ended_at=tx.now, revision=session.revision + 1)


def reopen(tx: Transaction, session_id: str) -> Session:
    """Undo the end of a session. Without one, nothing changes.

    Raises:
        NotFound, Gone: as for `get`.
    """
    session = lock(tx, session_id)
    if session.ended_at is None:
        return session
    return _set(tx, session, ended_at=None, revision=session.revision + 1)


def page(tx: Transaction, page: PageRequest, **filters: Any) -> Rows[Session]:
    """Return a page of sessions, in the order of their numbers or of their activity.

    Args:
        page: which rows.
        filters: `user_id`, `has_user`, `has_no_user`, `created_after_at`, `created_before_at`,
            `active_after_at`, `active_before_at`, `title_words`, `filter`; None for no filter. With
            `last_message`, each session has its newest message.
    """
    values = page.values | filters
    if page.is_by_activity:
        return page.cut(tx.fetch_page("list_sessions_by_activity", Session, **values))
    return page.cut(tx.fetch_page("list_sessions", Session, **values))


def count(tx: Transaction, **filters: Any) -> int:
    """Return the number of sessions that match the filters of `page`."""
    return tx.fetch_one("count_sessions", int, **filters) or 0


def count_without_user(tx: Transaction, limit: int) -> int:
    """Return the number of sessions that belong to no user, up to a limit."""
    return tx.fetch_one("count_sessions_without_user", int, limit=limit) or 0


def skip(tx: Transaction, offset: int) -> int | None:
    """Return the number after which a list starts that skips `offset` sessions, or None."""
    return tx.fetch_one("skip_sessions", int, skipped=offset - 1)


def lock(tx: Transaction, session_id: str) -> Session:
    """Return a session, locked against changes and deletion until this transaction ends.

    Raises:
        NotFound: there is no such session. Gone: it is being deleted.
    """
    return _visible(tx, tx.fetch_one("lock_session", Session, session_id=session_id), session_id)


def lock_owner(tx: Transaction, user_id: str) -> User:
    """Return a user who is to own a session, locked against deletion.

    Raises:
        NotFound: there is no such user. Gone: the user is being deleted.
    """
    try:
        return users.lock_shared(tx, user_id)
    except NotFound as error:
        raise NotFound(f"There is no user with the user_id {user_id!r}.", "user_id") from error


def check_owner(session_id: str, current: str | None, owner: User) -> None:
    """Reject an owner of a session that has another one.

    Raises:
        NotFound: it has another owner, whose sessions do not exist for this one.
    """
    if current not in {None, owner.user_id}:
        raise not_of_user(session_id)


def not_of_user(session_id: str) -> NotFound:
    """Return the error about a session that is missing or another user's: it does not say which."""
    return NotFound(f"This user has no session with the session_id {session_id!r}.")


def _find(tx: Transaction, session_id: str) -> Session | None:
    return tx.fetch_one("get_session", Session, session_id=session_id)


def _changed_end(tx: Transaction, session: Session, change: SessionChange) -> Instant | None:
    if isinstance(change.ended_at, UnsetType):
        return session.ended_at
    return _past(tx, change.ended_at, "ended_at")


def _changed_flag(session: Session, change: SessionChange) -> int:
    given = change.do_not_embed
    return session.do_not_embed if isinstance(given, UnsetType) else int(given)


def _past(tx: Transaction, moment: datetime | None, field: str) -> Instant | None:
    return None if moment is None else check_past(moment, field, tx.now)


def _set(tx: Transaction, session: Session, *, owner: User | None = None, **fields: Any) -> Session:
    current = {
        "user_id": owner.user_id if owner else session.user_id,
        "user_uuid": owner.uuid if owner else None,
        "user_number": owner.number if owner else None,
        "assigned_at": None,
        "title": session.title,
        "metadata": session.metadata,
        "ended_at": session.ended_at,
        "do_not_embed": session.do_not_embed,
        "reviewed_seq": None,
    } | fields
    updated = tx.fetch_one(
        "set_session",
        Session,
        session_id=session.session_id,
        title_words=words_of_title(current["title"]),
        now_at=tx.now,
        **current,
    )
    return _visible(tx, updated, session.session_id)


def _visible(tx: Transaction, session: Session | None, session_id: str) -> Session:
    if session is None:
        if tx.scope.user_id:
            raise not_of_user(session_id)
        raise NotFound(f"There is no session with the session_id {session_id!r}.")
    if session.state == State.DELETING:
        raise _being_deleted()
    return session


def _being_deleted() -> Gone:
    return Gone("This session is being deleted.")
