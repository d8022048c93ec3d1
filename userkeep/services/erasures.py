"""Erasures: deleting a user, a session or a message, in batches, to the last row.

The order is what makes it safe. First the subject is marked `deleting` and that is committed: from
then on nothing can be added to it. Then a user's sessions are marked, so that nobody can read what
is half gone. Then rows are deleted in batches that stop by time, the subject's own row last. Each
call of `advance` is one batch and one transaction; whoever calls it until the erasure is finished
may stop at any point, and somebody else may go on.
"""

from typing import cast

import msgspec

from userkeep.domain.erasure import Erasure, ErasureState, Subject
from userkeep.domain.errors import Conflict, Gone, InvalidField, NotFound
from userkeep.domain.scope import Scope
from userkeep.domain.session import Session
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import State, User
from userkeep.domain.values.ids import is_uuid
from userkeep.domain.values.paging import Page
from userkeep.domain.values.times import SECOND, Instant
from userkeep.services import indexing, messages, sessions, tombstones

BATCH_MS = 20
"""A batch ends after this long, so that other writers do not wait."""

CLAIMED_FOR_US = 10 * SECOND
"""A process that has not gone on with an erasure for so long has ended: another may take it up."""

_UNCHANGING = (
    "number",
    "subject",
    "subject_hash",
    "subject_uuid",
    "started_at",
    "lease_expires_at",
    "purge_requested_at",
    "purge_uuid",
    "skipped_steps",
    "purged_at",
)
_MESSAGES_AT_FIRST = 20
_SESSIONS_AT_ONCE = 100


def begin_user(tx: Transaction, user_id: str) -> Erasure:
    """Begin to delete a user; nothing can be added to them after. Asked again: the same erasure.

    Raises:
        NotFound: there is no such user.
    """
    user = tx.fetch_one("lock_user", User, user_id=user_id)
    if user is None:
        raise NotFound("There is no user with this user_id.")
    of_user = {"user_id": user_id}
    if user.state == State.DELETING:
        return get(tx, tx.fetch_one("erasure_of_user", str, **of_user) or "")
    erasure = _add(tx, Subject.USER, user_id, user.uuid)
    tx.defer("mark_user_deleting", erasure_uuid=erasure.uuid, now_at=tx.now, **of_user)
    return erasure


def begin_session(tx: Transaction, session_id: str) -> Erasure:
    """Begin to delete a session; it is hidden at once. Asked again: the same erasure.

    Raises:
        NotFound: there is none. Gone: it is being deleted with its user.
    """
    of_session = {"session_id": session_id}
    try:
        session = sessions.lock(tx, session_id)
    except Gone:
        running = get(tx, tx.fetch_one("erasure_of_session", str, **of_session) or "")
        if running.subject == Subject.SESSION:
            return running
        raise
    erasure = _add(tx, Subject.SESSION, session_id, session.uuid)
    tx.defer("mark_session_deleting", erasure_uuid=erasure.uuid, **of_session)
    return erasure


def delete_message(tx: Transaction, session_id: str, uuid: str) -> Erasure:
    """Delete one message, at once.

    Raises:
        NotFound: there is none. Gone: its session is being deleted.
    """
    sessions.lock(tx, session_id)
    message = messages.get(tx, session_id, uuid)
    of_session = {"session_id": session_id}
    removed = indexing.remove(tx, session_id, message)
    tx.defer("delete_message", uuid=message.uuid, **of_session)
    tx.defer("count_one_message_less", length=removed.length, now_at=tx.now, **of_session)
    erasure = _add(tx, Subject.MESSAGE, session_id, message.uuid)
    erasure.message_count = 1
    return _finish(tx, erasure)


def advance(tx: Transaction, uuid: str, held_until_at: Instant | None = None) -> Erasure:
    """Do one batch of an erasure, unless it is finished or another process is at work on it.

    Args:
        held_until_at: the claim that the last call gave (`lease_expires_at`), to go on with.

    Raises:
        NotFound: there is no such erasure.
    """
    erasure = tx.fetch_one(
        "acquire_lease",
        Erasure,
        uuid=uuid,
        now_at=tx.now,
        held_until_at=held_until_at,
        expires_at=Instant(tx.now + CLAIMED_FOR_US),
    )
    if erasure is None:
        found = get(tx, uuid)
        found.lease_expires_at = None
        return found
    if erasure.subject == Subject.USER:
        return _advance_user(tx, erasure)
    return _advance_session(tx, erasure)


def get(tx: Transaction, uuid: str) -> Erasure:
    """One erasure.

    Raises:
        NotFound: there is none.
    """
    erasure = None
    if is_uuid(uuid):
        erasure = tx.fetch_one("get_erasure", Erasure, uuid=uuid.lower())
    if erasure is None:
        raise NotFound("There is no erasure with this id.")
    return erasure


def to_verify(tx: Transaction, uuid: str, subject_id: str | None) -> Erasure:
    """An erasure that can be verified, because it has come to its end.

    Args:
        subject_id: what whoever asks believes to have been the id of its subject; of a message,
            that of its session.

    Raises:
        NotFound: there is no such erasure. Conflict: it goes on. InvalidField: it was another id.
    """
    erasure = get(tx, uuid)
    if not erasure.is_finished:
        raise Conflict(
            "This erasure goes on still: what it is about is there. Verify it when it is deleted."
        )
    if subject_id is not None and not is_about(tx.scope, erasure, subject_id):
        raise InvalidField(
            "subject_id is not the id of what was deleted: its keyed hash is another.", "subject_id"
        )
    return erasure


def is_about(scope: Scope, erasure: Erasure, subject_id: str) -> bool:
    """Whether the subject of an erasure had this id; for a message, whether its session had."""
    return _id_hash(scope, erasure.subject, subject_id) == erasure.subject_hash


def page(tx: Transaction, page: Page) -> list[Erasure]:
    """Erasures in the order of their acceptance: one more than the limit where more are left."""
    return tx.fetch_all("list_erasures", Erasure, **page.values)


def interrupted(tx: Transaction) -> list[Erasure]:
    """Return the erasures that are not finished, and that no process works on."""
    return tx.fetch_all("interrupted_erasures", Erasure, now_at=tx.now)


def release_leases(tx: Transaction) -> None:
    """Let nobody be at work on any: whoever was has ended, as is known where one process serves."""
    tx.defer("release_leases")


def _advance_user(tx: Transaction, erasure: Erasure) -> Erasure:
    user_id = _subject_id(erasure)
    if not erasure.is_hidden and not _hide_sessions(tx, erasure, user_id):
        return erasure
    if not erasure.is_hidden:
        erasure.hidden_at = tx.now
    while (session_id := _next_session(tx, user_id)) is not None:
        if not _is_theirs(tx, session_id, user_id):
            continue
        if not _delete_session(tx, erasure, session_id):
            return _save(tx, erasure)
        tombstones.remember(tx, "session", session_id)
        if tx.spent_ms() > BATCH_MS:
            return _save(tx, erasure)
    tombstones.remember(tx, "user", user_id)
    of_user = {"user_id": user_id}
    tx.defer("delete_idempotency_records_of_user", **of_user)
    tx.defer("delete_user", uuid=erasure.subject_uuid, **of_user)
    return _finish(tx, erasure)


def _advance_session(tx: Transaction, erasure: Erasure) -> Erasure:
    session_id = _subject_id(erasure)
    session = tx.fetch_one("lock_session", Session, session_id=session_id)
    # Its user's erasure may have been faster, and the id may be a namesake's by now.
    is_there = session is not None and session.uuid == erasure.subject_uuid
    if is_there and not _delete_session(tx, erasure, session_id):
        return _save(tx, erasure)
    return _finish(tx, erasure)


def _hide_sessions(tx: Transaction, erasure: Erasure, user_id: str) -> bool:
    """Mark the user's sessions, some at least; False where time is up before all of them are.

    A session may have been deleted by itself since the list was made, and opened again for somebody
    else: so each is marked only if it is this user's.
    """
    of_user = {"user_id": user_id, "limit": _SESSIONS_AT_ONCE}
    of_erasure = {
        "user_uuid": erasure.subject_uuid,
        "erasure_uuid": erasure.uuid,
    }
    while session_ids := tx.fetch_all("next_active_sessions_of_user", str, **of_user):
        marks = [{"session_id": session_id, **of_erasure} for session_id in session_ids]
        tx.execute_many("mark_session_of_user_deleting", marks)
        if tx.spent_ms() > BATCH_MS:
            return False
    return True


def _next_session(tx: Transaction, user_id: str) -> str | None:
    return tx.fetch_one("next_deleting_session_of_user", str, user_id=user_id)


def _is_theirs(tx: Transaction, session_id: str, user_id: str) -> bool:
    """Whether a session that was found is the user's still; it is locked then.

    It may have been deleted by itself since, and opened again for somebody else. The user's row is
    there until the end, so whoever bears the user's id is the user.
    """
    session = tx.fetch_one("lock_session", Session, session_id=session_id)
    return session is not None and (session.state, session.user_id) == (State.DELETING, user_id)


def _delete_session(tx: Transaction, erasure: Erasure, session_id: str) -> bool:
    """Delete a session's rows, some at least, its own last; False where time is up before that."""
    of_session = {"session_id": session_id}
    next_seq, at_once = 0, _MESSAGES_AT_FIRST
    while (
        seq := tx.fetch_one("first_message_seq", int, from_seq=next_seq, **of_session)
    ) is not None:
        next_seq = seq + at_once
        indexing.remove_range(tx, session_id, seq, next_seq)
        # Each takes at most about as long as all before it, which was not too long.
        at_once *= 2
        erasure.message_count += tx.execute(
            "delete_messages", from_seq=seq, before_seq=next_seq, **of_session
        )
        if tx.spent_ms() > BATCH_MS:
            return False
    tx.defer("delete_idempotency_records_of_session", **of_session)
    erasure.session_count += tx.execute("delete_session", **of_session)
    return True


def _add(tx: Transaction, subject: Subject, subject_id: str, subject_uuid: str) -> Erasure:
    added = tx.fetch_one(
        "add_erasure",
        Erasure,
        uuid=tx.new_uuid(),
        subject=subject,
        subject_id=subject_id,
        subject_hash=_id_hash(tx.scope, subject, subject_id),
        subject_uuid=subject_uuid,
        state=ErasureState.DELETING,
        session_count=0,
        message_count=0,
        hidden_at=None if subject == Subject.USER else tx.now,
        deleted_at=None,
        now_at=tx.now,
    )
    return cast("Erasure", added)


def _id_hash(scope: Scope, subject: str, subject_id: str) -> str:
    kind = Subject.SESSION if subject == Subject.MESSAGE else subject
    return scope.rules.id_hash(str(scope.project_id), kind, subject_id)


def _finish(tx: Transaction, erasure: Erasure) -> Erasure:
    erasure.state = ErasureState.DELETED
    erasure.subject_id = None
    erasure.deleted_at = tx.now
    return _save(tx, erasure)


def _save(tx: Transaction, erasure: Erasure) -> Erasure:
    fields = msgspec.structs.asdict(erasure)
    for unchanging in _UNCHANGING:
        del fields[unchanging]
    saved = tx.fetch_one("set_erasure", Erasure, **fields)
    return saved or erasure


def _subject_id(erasure: Erasure) -> str:
    if erasure.subject_id is None:
        raise NotFound("This erasure is finished.")
    return erasure.subject_id
