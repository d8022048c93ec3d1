"""Sessions: opening, reading, changing, ending and listing them."""

from typing import Any

from msgspec import UNSET, UnsetType

from userkeep.domain.errors import AlreadyExists, Conflict, Gone, NotFound
from userkeep.domain.session import NewSession, Session, SessionChange
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import State, User
from userkeep.domain.values.ids import check_id
from userkeep.domain.values.metadata import Merge, stored_metadata
from userkeep.domain.values.paging import PageRequest
from userkeep.services import changes, tombstones, users


def add(tx: Transaction, new: NewSession) -> Session:
    """Open a session.

    Raises:
        AlreadyExists: the id is taken. NotFound: there is no such user.
        Gone: the user, or the id's former bearer, is being deleted. InvalidField: naming the field.
    """
    new.check()
    owner = None if new.user_id is None else _lock_owner(tx, new.user_id)
    session_id = new.session_id or tx.new_uuid()
    session = insert(tx, session_id, owner, metadata=stored_metadata(new.metadata))
    if session is None:
        existing = _find(tx, session_id)
        if existing is None or existing.state == State.DELETING:  # or was so until a moment ago
            raise _being_deleted()
        raise AlreadyExists(
            f"There is a session with the session_id {session_id!r} already.", "session_id"
        )
    tombstones.remove(tx, "session", session_id)
    return session


def insert(
    tx: Transaction,
    session_id: str,
    owner: User | None,
    *,
    metadata: str | None = None,
    message_count: int = 0,
    total_length: int = 0,
) -> Session | None:
    """A row for a session whose owner is locked; None where the id is taken."""
    return tx.fetch_one(
        "add_session",
        Session,
        session_id=session_id,
        uuid=tx.new_uuid(),
        user_id=owner.user_id if owner else None,
        user_uuid=owner.uuid if owner else None,
        user_number=owner.number if owner else None,
        metadata=metadata,
        message_count=message_count,
        total_length=total_length,
        now_at=tx.now,
    )


def get(tx: Transaction, session_id: str) -> Session:
    """A session by id.

    Raises:
        NotFound: there is none. Gone: it is being deleted.
    """
    return _visible(_find(tx, session_id))


def update(
    tx: Transaction,
    session_id: str,
    change: SessionChange,
    merge: Merge,
    if_revision: int | None = None,
) -> Session:
    """Change a session; a change that names no field moves `updated_at` and nothing else.

    Raises:
        NotFound, Gone: as for `get`, or there is no such user. Conflict: it has another owner.
        RevisionMismatch: `if_revision` is not the present one. InvalidField: naming the field.
    """
    owner = None
    if not isinstance(change.user_id, UnsetType):
        check_id(change.user_id, "user_id")
        owner = _lock_owner(tx, change.user_id)
    session = lock(tx, session_id)
    changes.check_revision(session.revision, if_revision)
    if owner:
        check_owner(session.user_id, owner)
    if owner and session.user_id is None:
        tx.search_index.move(session_id, -session.number, owner.number, session.last_seq + 1)
    return _set(
        tx,
        session,
        owner=owner,
        metadata=changes.merged(session.metadata, change.metadata, merge),
        revision=session.revision + (owner is not None or change.metadata is not UNSET),
    )


def end(tx: Transaction, session_id: str) -> Session:
    """End a session: nothing can be appended after. Ending it again changes nothing.

    Raises:
        NotFound, Gone: as for `get`.
    """
    session = lock(tx, session_id)
    if session.ended_at is not None:
        return session
    return _set(tx, session, ended_at=tx.now, revision=session.revision + 1)


def page(tx: Transaction, page: PageRequest, **filters: Any) -> list[Session]:
    """Sessions in the order of their creation: one more than the limit where more are left.

    Args:
        filters: `user_id`, `created_after_at`, `created_before_at`, `filter`; those
            that are None do not count.
    """
    return tx.fetch_all("list_sessions", Session, **page.values, **filters)


def skip(tx: Transaction, offset: int) -> int | None:
    """The number after which a list begins that skips `offset` sessions; None: nothing is left."""
    return tx.fetch_one("skip_sessions", int, skipped=offset - 1)


def lock(tx: Transaction, session_id: str) -> Session:
    """A session that nobody can change or delete before this transaction ends.

    Raises:
        NotFound: there is none. Gone: it is being deleted.
    """
    return _visible(tx.fetch_one("lock_session", Session, session_id=session_id))


def check_owner(present: str | None, owner: User) -> None:
    """Refuse to give a session to somebody else than its owner.

    Raises:
        Conflict: it has another owner.
    """
    if present not in {None, owner.user_id}:
        raise Conflict("The session belongs to another user; its owner cannot change.", "user_id")


def _lock_owner(tx: Transaction, user_id: str) -> User:
    try:
        return users.lock_shared(tx, user_id)
    except NotFound as error:
        raise NotFound(f"There is no user with the user_id {user_id!r}.", "user_id") from error


def _find(tx: Transaction, session_id: str) -> Session | None:
    return tx.fetch_one("get_session", Session, session_id=session_id)


def _set(tx: Transaction, session: Session, *, owner: User | None = None, **fields: Any) -> Session:
    present = {
        "user_id": owner.user_id if owner else session.user_id,
        "user_uuid": owner.uuid if owner else None,
        "user_number": owner.number if owner else None,
        "metadata": session.metadata,
        "ended_at": session.ended_at,
    }
    changed = tx.fetch_one(
        "set_session",
        Session,
        session_id=session.session_id,
        now_at=tx.now,
        **(present | fields),
    )
    return _visible(changed)


def _visible(session: Session | None) -> Session:
    if session is None:
        raise NotFound("There is no session with this session_id.")
    if session.state == State.DELETING:
        raise _being_deleted()
    return session


def _being_deleted() -> Gone:
    return Gone("This session is being deleted.")
