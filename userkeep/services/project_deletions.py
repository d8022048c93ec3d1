"""Deletion of a project with all that it has, in batches, to the last row.

The first transaction marks the project: from its commit on, no client can read or write in it. The
second one waits for the writes that were in flight then (see services.projects). Then the users are
deleted one after the other, each by an erasure of their own, and then the sessions without a user;
these erasures are the work list, and what a purge and a verification know of the deleted. Then come
the collections with the documents that are no user's. Last come what no client needs any more,
keys, tombstones and idempotency records, and the name. The project's row stays with the receipt,
and so do the erasures with their verifications: a purge needs them.

Each call of `advance` is one batch and one transaction. A process may stop after any of them;
another continues.
"""

from typing import NamedTuple

import msgspec

from userkeep.domain.erasure import Erasure, Subject
from userkeep.domain.errors import Conflict, NotFound
from userkeep.domain.project import DEFAULT_PROJECT, Project, ProjectState
from userkeep.domain.transaction import Transaction
from userkeep.domain.values.times import MAX_CLOCK_ERROR_US, Instant
from userkeep.services import collections, erasures, idempotency, keys, projects, tombstones
from userkeep.services.erasures import BATCH_MS, LEASE_US


class Progress(msgspec.Struct):
    """How far a process is with a deletion.

    Attributes:
        project: as it is now.
        erasure: the one that this process works on, if it is not finished.
        after_user, after_session: up to which number there are no more of them. An index still has
            deleted rows until a vacuum, and would be read from the beginning each time.
        is_waiting: whether another process must end its work first.
    """

    project: Project
    erasure: Erasure | None = None
    after_user: int = 0
    after_session: int = 0
    is_waiting: bool = False


class _Subject(NamedTuple):
    number: int
    id: str


def begin(tx: Transaction, key: str) -> Project:
    """Mark a project for deletion, which hides all that it has.

    Returns:
        The project; as it is, if it is being deleted or was deleted already.

    Raises:
        NotFound: there is no such project. Conflict: it is the default project.
    """
    project = projects.lock(tx, key)
    if project.number == DEFAULT_PROJECT:
        raise Conflict("The project 'default' cannot be deleted. Delete its users instead.")
    if project.state != ProjectState.ACTIVE:
        project.lease_expires_at = None  # another process has it
        return project
    uuid = project.uuid
    return tx.fetch_one("mark_project_deleting", Project, uuid=uuid, now_at=tx.now) or project


def advance(tx: Transaction, progress: Progress) -> Progress:
    """Delete one batch, unless the deletion is finished or another process has its lease.

    The transaction is bound to the project. `projects.wait_for_writes` comes first, in another
    transaction, so that nothing is added behind the deletion.
    """
    project = _acquire_lease(tx, progress.project)
    if project is None:
        current = projects.get(tx, progress.project.uuid)
        current.lease_expires_at = None
        return Progress(current, is_waiting=not current.is_finished)
    progress = msgspec.structs.replace(progress, project=project, is_waiting=False)
    is_prepared = True
    while (erasure := _next_erasure(tx, progress)) is not None:
        _advance_erasure(tx, progress, erasure, is_prepared=is_prepared)
        is_prepared = False
        if progress.erasure is not None or tx.spent_ms() > BATCH_MS:
            return _saved(tx, progress)
    if tx.fetch_one("count_running_erasures", int):
        progress.is_waiting = True
        return _saved(tx, progress)
    is_done = _remove_collections(tx, progress) and _remove_rest(tx)
    return _finished(tx, progress) if is_done else _saved(tx, progress)


def interrupted(tx: Transaction) -> list[Project]:
    """Return the projects whose deletion is not finished, and that no process works on."""
    return tx.fetch_all(
        "interrupted_project_deletions", Project, now_at=tx.now, latest_at=_latest_lease_at(tx)
    )


def release_leases(tx: Transaction) -> None:
    """Release all leases: no other process uses the database, so their holders have ended."""
    tx.defer("release_project_leases")


def _acquire_lease(tx: Transaction, project: Project) -> Project | None:
    return tx.fetch_one(
        "acquire_project_lease",
        Project,
        uuid=project.uuid,
        now_at=tx.now,
        latest_at=_latest_lease_at(tx),
        held_until_at=project.lease_expires_at,
        expires_at=Instant(tx.now + LEASE_US),
    )


def _latest_lease_at(tx: Transaction) -> Instant:
    return Instant(tx.now + LEASE_US + MAX_CLOCK_ERROR_US)


def _next_erasure(tx: Transaction, progress: Progress) -> Erasure | None:
    """Return the erasure to work on: one that has begun, or one that begins here."""
    if progress.erasure is not None:
        return progress.erasure
    begun = erasures.interrupted(tx, limit=1)
    if begun:
        return begun[0]
    return _begin_user(tx, progress) or _begin_session(tx, progress)


def _begin_user(tx: Transaction, progress: Progress) -> Erasure | None:
    found = tx.fetch_one("next_active_user", _Subject, after=progress.after_user)
    if found is None:
        return None
    progress.after_user = found.number
    return erasures.begin_user(tx, found.id)


def _begin_session(tx: Transaction, progress: Progress) -> Erasure | None:
    found = tx.fetch_one("next_active_session", _Subject, after=progress.after_session)
    if found is None:
        return None
    progress.after_session = found.number
    return erasures.begin_session(tx, found.id)


def _advance_erasure(
    tx: Transaction, progress: Progress, before: Erasure, *, is_prepared: bool
) -> None:
    """Delete one batch of an erasure, and count what it has deleted.

    What began before the deletion of the project has a receipt of its own, and is not counted.
    """
    after = erasures.advance(tx, before.uuid, before.lease_expires_at, is_prepared=is_prepared)
    project = progress.project
    if before.started_at >= (project.started_at or 0):
        project.user_count += after.is_finished and after.subject == Subject.USER
        project.session_count += after.session_count - before.session_count
        project.message_count += after.message_count - before.message_count
        project.document_count += after.document_count - before.document_count
    is_of_this_process = not after.is_finished and after.lease_expires_at is not None
    progress.erasure = after if is_of_this_process else None


def _remove_collections(tx: Transaction, progress: Progress) -> bool:
    """Delete a batch of the collections; return whether none is left."""
    while (removed := collections.remove_any(tx)) is not None:
        progress.project.document_count += removed
        if tx.spent_ms() > BATCH_MS:
            return False
    return True


def _remove_rest(tx: Transaction) -> bool:
    """Delete a batch of what no client needs any more; return whether nothing is left."""
    for remove_batch in (idempotency.remove_any, tombstones.remove_any, keys.remove_any):
        while remove_batch(tx):
            if tx.spent_ms() > BATCH_MS:
                return False
    return True


def _saved(tx: Transaction, progress: Progress) -> Progress:
    project = progress.project
    tx.defer(
        "set_project_deletion",
        uuid=project.uuid,
        user_count=project.user_count,
        session_count=project.session_count,
        message_count=project.message_count,
        document_count=project.document_count,
    )
    return progress


def _finished(tx: Transaction, progress: Progress) -> Progress:
    _saved(tx, progress)
    # Documents that are no user's have no erasure.
    unpurged = tx.fetch_one("is_unpurged", int) or tx.fetch_one("oldest_edit", int)
    finished = tx.fetch_one(
        "finish_project_deletion",
        Project,
        uuid=progress.project.uuid,
        now_at=tx.now,
        purged_at=None if unpurged else tx.now,
    )
    if finished is None:
        raise NotFound("There is no project with this uuid.")
    return Progress(finished)
