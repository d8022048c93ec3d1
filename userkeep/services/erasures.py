"""Erasures: delete a user, a session or a message, in batches, to the last row.

The order makes it safe. One transaction marks the subject `deleting`, a user together with all of
their sessions: from its commit on, nothing of the subject can be read and nothing can be added to
it; before it, nothing has changed. So a request is answered truthfully whatever fails afterwards.
Then rows are deleted in batches, the subject's own row last. Each call of `advance` is one batch
and one transaction. A process may stop after any of them; another continues.
"""

from typing import NamedTuple, cast

import msgspec

from userkeep.domain.erasure import Erasure, ErasureState, Subject
from userkeep.domain.errors import Conflict, Gone, InvalidField, NotFound
from userkeep.domain.ledger import DeletedPart
from userkeep.domain.message import FIRST_SEQ
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.search.analyzer import MAX_INDEXED_BYTES
from userkeep.domain.search.ranking import SHORTEST_LENGTH
from userkeep.domain.session import Session
from userkeep.domain.transaction import Transaction
from userkeep.domain.user import State, User, no_such_user
from userkeep.domain.values.ids import is_uuid
from userkeep.domain.values.paging import PageRequest, Rows
from userkeep.domain.values.times import MAX_CLOCK_ERROR_US, SECOND, Instant
from userkeep.services import (
    document_deletions,
    embeddings,
    idempotency,
    indexing,
    keys,
    messages,
    quotas,
    sessions,
    tombstones,
    user_words,
)

BATCH_MS = 20
"""A transaction ends after this time, so that other writers do not wait."""

BATCH_MESSAGES = 200
BATCH_BYTES = 2 * 1024 * 1024
BATCH_INDEXED_BYTES = 64 * 1024
"""A batch of messages has at most so many, of so many bytes, of which so many are indexed; or one.

SQLite deletes them in about 20 ms. A single message has up to 256 KiB that are indexed: 40,000
different words take SQLite 75 ms, and several times that when it merges parts of its index.
"""

LEASE_US = 10 * SECOND
"""A process that has not renewed its lease for this long has ended: another may continue."""

_NO_SEQ = 2**62

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
    "part",
)


class _MessageSize(NamedTuple):
    seq: int
    content_bytes: int
    data_bytes: int


class _SessionToDelete(NamedTuple):
    uuid: str
    user_id: str | None
    state: str
    assigned_at: Instant | None


class _Found(NamedTuple):
    message_count: int
    length: int


class _Batch(NamedTuple):
    """Consecutive messages that are deleted together."""

    from_seq: int
    before_seq: int
    indexed_bytes: int


def begin_user(tx: Transaction, user_id: str) -> Erasure:
    """Mark a user and their sessions for deletion, which hides all of them.

    In one transaction, because no state between is true for a reader. On a busy machine a server on
    SQLite needed 15 ms for 1,000 sessions, and 85 ms for 10,000.

    Returns:
        The erasure; the same one if the user is being deleted already.

    Raises:
        NotFound: there is no such user.
    """
    user = tx.fetch_one("lock_user", User, user_id=user_id)
    if user is None:
        raise no_such_user(user_id)
    of_user = {"user_id": user_id}
    if user.state == State.DELETING:
        return _hidden(tx, get(tx, tx.fetch_one("erasure_of_user", str, **of_user) or ""))
    erasure = _add(tx, Subject.USER, user_id, user.uuid)
    tx.defer("mark_user_deleting", erasure_uuid=erasure.uuid, now_at=tx.now, **of_user)
    keys.remove_user(tx, user_id)
    quotas.remove_user(tx, user_id)
    _hide_sessions(tx, erasure)
    return erasure


def begin_session(tx: Transaction, session_id: str) -> Erasure:
    """Mark a session for deletion, which hides it.

    Returns:
        The erasure; the same one if the session is being deleted already.

    Raises:
        NotFound: there is no such session. Gone: it is being deleted with its user.
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


def delete_message(tx: Transaction, session_id: str, id: str) -> Erasure:
    """Delete one message.

    The erasure keeps its uuid. It keeps no other id, which may name a person: a new uuid stands
    for it.

    Raises:
        NotFound: there is no such message. Gone: its session is being deleted.
    """
    session = sessions.lock(tx, session_id)
    message = messages.get(tx, session_id, id)
    of_session = {"session_id": session_id}
    removed = indexing.remove(tx, session_id, message)
    tx.defer("delete_message", id=message.id, **of_session)
    embeddings.remove_message(tx, session_id, message.seq)
    reduced = {"count": 1, "length": removed.length}
    tx.defer("reduce_message_count", now_at=tx.now, **reduced, **of_session)
    uuid = message.id.lower() if is_uuid(message.id) else tx.new_uuid()
    erasure = _add(tx, Subject.MESSAGE, session_id, uuid)
    erasure.message_count = 1
    return _with_part(_finish(tx, erasure), DeletedPart(session.uuid, message.id))


def begin_messages(tx: Transaction, session_id: str, after_seq: int) -> Erasure:
    """Mark the messages of a session after a seq for deletion, which hides all of them.

    Returns:
        The erasure, with the number of messages; finished if there are none.

    Raises:
        NotFound: there is no such session. Gone: it is being deleted.
    """
    session = sessions.lock(tx, session_id)
    of_session = {"session_id": session_id}
    part = DeletedPart(session.uuid, after_seq=after_seq)
    found = tx.fetch_one(
        "measure_messages_after",
        _Found,
        after_seq=after_seq,
        shortest=SHORTEST_LENGTH,
        **of_session,
    )
    erasure = _add(tx, Subject.MESSAGE, session_id, tx.new_uuid())
    if found is None or found.message_count == 0:
        return _with_part(_finish(tx, erasure), part)
    tx.defer("hide_messages", after_seq=after_seq, **of_session)
    reduced = {"count": found.message_count, "length": found.length}
    tx.defer("reduce_message_count", now_at=tx.now, **reduced, **of_session)
    erasure.message_count = found.message_count
    return _with_part(_save(tx, erasure), part)


def advance(
    tx: Transaction,
    uuid: str,
    held_until_at: Instant | None = None,
    *,
    is_prepared: bool = True,
) -> Erasure:
    """Delete one batch, unless the erasure is finished or another process has its lease.

    Args:
        held_until_at: the lease that the last call returned (`lease_expires_at`).
        is_prepared: whether to prepare the batch first. Not if the transaction has changed much
            already, which would be rolled back; then the batch can be empty.

    Returns:
        The erasure; without a lease if another process has it.

    Raises:
        NotFound: there is no such erasure.
    """
    if is_prepared:
        _prepare(tx, uuid)
    erasure = tx.fetch_one(
        "acquire_lease",
        Erasure,
        uuid=uuid,
        now_at=tx.now,
        latest_at=_latest_lease_at(tx),
        held_until_at=held_until_at,
        expires_at=Instant(tx.now + LEASE_US),
    )
    if erasure is None:
        found = get(tx, uuid)
        found.lease_expires_at = None
        return found
    if erasure.subject == Subject.USER:
        return _advance_user(tx, erasure, is_prepared=is_prepared)
    if erasure.subject == Subject.MESSAGE:
        return _advance_messages(tx, erasure, is_prepared=is_prepared)
    return _advance_session(tx, erasure, is_prepared=is_prepared)


def get(tx: Transaction, uuid: str) -> Erasure:
    """Return an erasure.

    Raises:
        NotFound: there is none.
    """
    erasure = None
    if is_uuid(uuid):
        erasure = tx.fetch_one("get_erasure", Erasure, uuid=uuid.lower())
    if erasure is None:
        raise NotFound(f"There is no erasure with the id {uuid!r}.")
    return erasure


def to_verify(tx: Transaction, uuid: str, subject_id: str | None) -> Erasure:
    """Return an erasure that can be verified, because it is finished.

    Args:
        subject_id: the id that its subject had, as the client knows it; of a message, the id of
            its session.

    Raises:
        NotFound: there is no such erasure. Conflict: it is running. InvalidField: the id is
            another.
    """
    erasure = get(tx, uuid)
    if not erasure.is_finished:
        raise Conflict("The erasure is still running. Verify it after it has finished.")
    if subject_id is not None and not erasure.subject_hash:
        raise InvalidField(
            "This erasure was recorded under a former secret of the instance, so subject_id cannot "
            "be compared with it. Leave it out, and give the id in search_terms.",
            "subject_id",
        )
    if subject_id is not None and not is_about(tx.scope, erasure, subject_id):
        raise InvalidField("subject_id does not match this erasure.", "subject_id")
    return erasure


def is_about(scope: Scope, erasure: Erasure, subject_id: str) -> bool:
    """Return whether the subject of an erasure had this id; for a message, its session.

    Of an erasure that was recorded under a former secret, it is not known: then it may have had.
    """
    if not erasure.subject_hash:
        return True
    return _id_hash(scope, erasure.subject, subject_id) == erasure.subject_hash


def page(tx: Transaction, page: PageRequest) -> Rows[Erasure]:
    """Return a page of erasures, in the order in which they began."""
    return page.cut(Rows(tx.fetch_all("list_erasures", Erasure, **page.values), has_more=False))


def interrupted(tx: Transaction, limit: int | None = None) -> list[Erasure]:
    """Return the erasures that are not finished, and that no process works on.

    Args:
        limit: how many of them; None for all.
    """
    latest_at = _latest_lease_at(tx)
    values = {"now_at": tx.now, "latest_at": latest_at, "limit": limit}
    return tx.fetch_all("interrupted_erasures", Erasure, **values)


def release_leases(tx: Transaction) -> None:
    """Release all leases: no other process uses the database, so their holders have ended."""
    tx.defer("release_leases")


def _latest_lease_at(tx: Transaction) -> Instant:
    """Return until when a lease can be that was not acquired by a clock that was wrong."""
    return Instant(tx.now + LEASE_US + MAX_CLOCK_ERROR_US)


def _advance_user(tx: Transaction, erasure: Erasure, *, is_prepared: bool) -> Erasure:
    user_id = _subject_id(erasure)
    erasure = _hidden(tx, erasure)
    while (session_id := _next_session(tx, user_id)) is not None:
        session = _locked_session_of(tx, session_id, user_id)
        if session is None:
            continue
        if not _delete_session(tx, erasure, session_id, is_prepared=is_prepared):
            return _save(tx, erasure)
        is_prepared = False
        _prevent_return(tx, erasure, session_id, session)
        if tx.spent_ms() > BATCH_MS:
            return _save(tx, erasure)
    if not _delete_rest_of_user(tx, erasure, user_id):
        return _save(tx, erasure)
    tombstones.add(tx, "user", user_id)
    # Locked: another process may be making the user's words.
    user = tx.fetch_one("lock_user", User, user_id=user_id)
    if user is not None and user.uuid == erasure.subject_uuid:
        user_words.remove(tx, user)
    tx.defer("delete_user", uuid=erasure.subject_uuid, user_id=user_id)
    return _finish(tx, erasure)


def _delete_rest_of_user(tx: Transaction, erasure: Erasure, user_id: str) -> bool:
    """Delete a batch of what a user has besides sessions; return whether all is deleted."""
    deleted, is_done = document_deletions.delete_of_user(tx, user_id)
    erasure.document_count += deleted
    while is_done and idempotency.remove_user(tx, user_id):
        is_done = tx.spent_ms() <= BATCH_MS
    return is_done


def _prevent_return(
    tx: Transaction, erasure: Erasure, session_id: str, session: _SessionToDelete
) -> None:
    """Keep what prevents that a session which was deleted with its user is created again.

    The id is rejected for some time, and with the user also their sessions in an export. But an
    export from before a session was assigned has it without the user, so its uuid is kept.
    """
    tombstones.add(tx, "session", session_id)
    if session.assigned_at is not None:
        number = erasure.number
        tx.defer("add_deleted_session", uuid=session.uuid, erasure_number=number)


def _advance_session(tx: Transaction, erasure: Erasure, *, is_prepared: bool) -> Erasure:
    session_id = _subject_id(erasure)
    session = tx.fetch_one("lock_session", Session, session_id=session_id)
    # The user's erasure may have been faster, and the id may be in use again.
    is_there = session is not None and session.uuid == erasure.subject_uuid
    if is_there and not _delete_session(tx, erasure, session_id, is_prepared=is_prepared):
        return _save(tx, erasure)
    if is_there:
        tombstones.add(tx, "session alone", session_id)
    return _finish(tx, erasure)


def _advance_messages(tx: Transaction, erasure: Erasure, *, is_prepared: bool) -> Erasure:
    """Delete hidden messages of a session: those of this erasure, and of others."""
    session_id = _subject_id(erasure)
    session = tx.fetch_one("lock_session", Session, session_id=session_id)
    is_done = session is None
    if session is not None:
        _count, is_done = _delete_messages(tx, session_id, 0, is_prepared=is_prepared)
    return _finish(tx, erasure) if is_done else _save(tx, erasure)


def _hidden(tx: Transaction, erasure: Erasure) -> Erasure:
    """Return an erasure whose subject is hidden; earlier versions hid sessions after the mark."""
    if erasure.is_hidden or erasure.is_finished:
        return erasure
    _hide_sessions(tx, erasure)
    erasure.hidden_at = tx.now
    return _save(tx, erasure)


def _hide_sessions(tx: Transaction, erasure: Erasure) -> None:
    """Mark all sessions of a user, who is marked: so no session can be added to them."""
    tx.defer(
        "mark_sessions_of_user_deleting",
        user_id=_subject_id(erasure),
        user_uuid=erasure.subject_uuid,
        erasure_uuid=erasure.uuid,
    )


def _next_session(tx: Transaction, user_id: str) -> str | None:
    return tx.fetch_one("next_deleting_session_of_user", str, user_id=user_id)


def _locked_session_of(tx: Transaction, session_id: str, user_id: str) -> _SessionToDelete | None:
    """Lock a session and return it, unless it does not belong to the user any more.

    It may have been deleted since it was found, and created again for another user. The user's row
    exists until the end, so the user's id identifies them.
    """
    session = tx.fetch_one("lock_session_to_delete", _SessionToDelete, session_id=session_id)
    if session is None or (session.state, session.user_id) != (State.DELETING, user_id):
        return None
    return session


def _delete_session(
    tx: Transaction, erasure: Erasure, session_id: str, *, is_prepared: bool
) -> bool:
    """Delete a batch of a session's rows, its own last; return whether all are deleted."""
    of_session = {"session_id": session_id}
    deleted, is_done = _delete_messages(tx, session_id, _NO_SEQ, is_prepared=is_prepared)
    erasure.message_count += deleted
    if not is_done:
        return False
    while idempotency.remove_session(tx, session_id):
        if tx.spent_ms() > BATCH_MS:
            return False
    embeddings.remove_session(tx, session_id)
    erasure.session_count += tx.execute("delete_session", **of_session)
    return True


def _delete_messages(
    tx: Transaction, session_id: str, before_seq: int, *, is_prepared: bool
) -> tuple[int, bool]:
    """Delete a batch of a session's messages.

    Returns:
        How many of the deleted ones were visible, and whether all are deleted.
    """
    next_seq, count = FIRST_SEQ, 0
    while (batch := _next_batch(tx, session_id, next_seq, before_seq)) is not None:
        if not is_prepared and not _is_inline(tx, batch):
            return count, False
        tx.search_index.remove_range(session_id, batch.from_seq, batch.before_seq)
        deleted = tx.execute(
            "delete_messages",
            session_id=session_id,
            from_seq=batch.from_seq,
            before_seq=batch.before_seq,
        )
        embeddings.remove_range(tx, session_id, batch.from_seq, batch.before_seq)
        count += deleted if batch.from_seq > 0 else 0
        if tx.spent_ms() > BATCH_MS:
            return count, False
        next_seq, is_prepared = batch.before_seq, False
    return count, True


def _prepare(tx: Transaction, uuid: str) -> None:
    """Prepare the removal of the next batch from the index, before anything is changed."""
    if tx.search_index.inline_bytes is None:
        return
    erasure = tx.fetch_one("get_erasure", Erasure, uuid=uuid)
    if erasure is None or erasure.subject_id is None:
        return
    session_id: str | None = erasure.subject_id
    if erasure.subject == Subject.USER:
        session_id = _next_session(tx, erasure.subject_id)
    before_seq = 0 if erasure.subject == Subject.MESSAGE else _NO_SEQ
    if session_id is None:
        return
    batch = _next_batch(tx, session_id, FIRST_SEQ, before_seq)
    if batch is not None:
        tx.search_index.prepare_removal(session_id, batch.from_seq, batch.before_seq)


def _next_batch(tx: Transaction, session_id: str, from_seq: int, before_seq: int) -> _Batch | None:
    """Return the next messages to delete: those that are hidden, or those that are not."""
    if from_seq < 0 < before_seq:
        hidden = _next_batch(tx, session_id, from_seq, 0)
        return hidden or _next_batch(tx, session_id, 0, before_seq)
    sizes = tx.fetch_all(
        "message_sizes",
        _MessageSize,
        session_id=session_id,
        from_seq=from_seq,
        before_seq=before_seq,
        limit=BATCH_MESSAGES,
    )
    if not sizes:
        return None
    first, last, total, indexed = sizes[0], sizes[0], 0, 0
    for size in sizes:
        of_index = min(size.content_bytes, MAX_INDEXED_BYTES)
        total += size.content_bytes + size.data_bytes
        is_full = total > BATCH_BYTES or indexed + of_index > BATCH_INDEXED_BYTES
        if is_full and size is not first:
            break
        last, indexed = size, indexed + of_index
    return _Batch(first.seq, last.seq + 1, indexed)


def _is_inline(tx: Transaction, batch: _Batch) -> bool:
    limit = tx.search_index.inline_bytes
    return limit is None or batch.indexed_bytes <= limit


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
        document_count=0,
        hidden_at=tx.now,
        deleted_at=None,
        now_at=tx.now,
    )
    return cast("Erasure", added)


def hash_of_subject(rules: Rules, project_id: int, subject: str, subject_id: str) -> str:
    """Return the hash by which an erasure recognizes the id of its subject."""
    kind = Subject.SESSION if subject == Subject.MESSAGE else subject
    return rules.id_hash(str(project_id), kind, subject_id)


def _id_hash(scope: Scope, subject: str, subject_id: str) -> str:
    return hash_of_subject(scope.rules, scope.project_id, subject, subject_id)


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


def _with_part(erasure: Erasure, part: DeletedPart) -> Erasure:
    erasure.part = part
    return erasure


def _subject_id(erasure: Erasure) -> str:
    if erasure.subject_id is None:
        raise NotFound("This erasure is finished.")
    return erasure.subject_id
