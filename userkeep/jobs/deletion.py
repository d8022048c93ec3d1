"""Deletion: what is left of an erasure, batch by batch, and its purge if one was requested.

The protocol is described in services.erasures. Any process can continue an erasure where another
stopped; a lease says which one works on it.
"""

import logging
from functools import partial

from userkeep.domain.erasure import Erasure, Subject
from userkeep.domain.ledger import Deleted
from userkeep.domain.purge import PurgeStatus
from userkeep.domain.scope import Rules, Scope
from userkeep.domain.transaction import Transaction, scoped
from userkeep.jobs.collection_deletion import CollectionDeletionJob
from userkeep.jobs.job import DeletionJob
from userkeep.jobs.project_deletion import ProjectDeletion, interrupted_project_deletions
from userkeep.jobs.projects import project_scopes, unpurged_project_scopes
from userkeep.jobs.steps import PurgeFiles, Read, Record, Sleep, Steps, Write
from userkeep.services import (
    collections,
    document_embeddings,
    erasures,
    ledger,
    project_deletions,
    purges,
)
from userkeep.services.collections import CollectionDeletion
from userkeep.services.ledger import AssignedSession, UserToDelete

logger = logging.getLogger(__name__)

_OTHER_PROCESS_PAUSE_S = 0.1


class Deletion(DeletionJob):
    """The job of one erasure.

    Attributes:
        erasure: as it is now.
        purge: what a purge does or did to it last; None if none was requested.
        may_respond: whether it is in the deletion ledger: before that, a backup could bring back
            what a client believes to be deleted.

    Args:
        is_recorded: whether it is in the ledger already.
    """

    def __init__(self, scope: Scope, erasure: Erasure, *, is_recorded: bool = False) -> None:
        self._scope = scope
        self.erasure = erasure
        self.may_respond = is_recorded
        self._deleted = Deleted(
            erasure.subject, erasure.subject_uuid, erasure.started_at, erasure.part
        )
        self.purge: PurgeStatus | None = None

    @property
    def key(self) -> str:
        """The erasure's uuid."""
        return self.erasure.uuid

    @property
    def is_finished(self) -> bool:
        """Whether the last row is deleted, and the files are purged if that was requested."""
        return self.erasure.is_finished and not self.erasure.waits_for_purge

    def steps(self) -> Steps[None]:
        """Delete to the last row, then purge once if a purge was requested."""
        yield from self.delete()
        if self.erasure.waits_for_purge:
            yield PurgeFiles()
            self.erasure, self.purge = yield Read(scoped(self._scope, _state, self.key))

    def delete(self) -> Steps[None]:
        """Delete to the last row."""
        was_finished = self.erasure.is_finished
        self._scope.rules.forget_queries(self._scope.project_id)
        if not self.may_respond:
            yield from self._record()
            self.may_respond = True
        while not self.erasure.is_finished:
            yield from self._advance()
        if not was_finished:
            self._log()

    def _record(self) -> Steps[None]:
        """Add it to the ledger, before the first row is deleted.

        Before a user come their sessions that began without one. So where the ledger has the user,
        it has these too.
        """
        entries, number = yield from self._sessions_after(0)
        while len(entries) == ledger.PAGE:
            yield Record(entries)
            entries, number = yield from self._sessions_after(number)
        if self.erasure.session_count:
            # Another process has begun it, whose ledger may be another.
            yield from self._record_deleted_sessions()
        yield Record([*entries, self._deleted])

    def _sessions_after(self, number: int) -> Steps[tuple[list[Deleted], int]]:
        """Return a page of what is recorded of such sessions, and the number of the last one."""
        erasure = self.erasure
        if erasure.subject != Subject.USER or erasure.subject_id is None:
            return [], number
        user = UserToDelete(self._scope.project_id, erasure.subject_id, erasure.subject_uuid)
        sessions: list[AssignedSession] = yield Read(
            partial(ledger.assigned_sessions_after, user=user, number=number)
        )
        entries = [self._deleted_with_user(each.uuid) for each in sessions]
        return entries, sessions[-1].number if sessions else number

    def _record_deleted_sessions(self) -> Steps[None]:
        """Record those of such sessions that are deleted already."""
        find = partial(ledger.deleted_sessions_after, number=self.erasure.number)
        page: list[str] = yield Read(partial(find, uuid=ledger.FIRST_UUID))
        while page:
            yield Record([self._deleted_with_user(uuid) for uuid in page])
            page = yield Read(partial(find, uuid=page[-1]))

    def _deleted_with_user(self, uuid: str) -> Deleted:
        erasure = self.erasure
        return ledger.deleted_with_user(uuid, erasure.subject_uuid, erasure.started_at)

    def _log(self) -> None:
        """Log what was deleted: counts, and the uuid of the erasure, which names no user."""
        fields = {
            "subject": self.erasure.subject,
            "sessions": self.erasure.session_count,
            "messages": self.erasure.message_count,
            "documents": self.erasure.document_count,
            "erasure": self.erasure.uuid,
        }
        logger.info("deleted", extra={"fields": fields})

    def _advance(self) -> Steps[None]:
        lease = self.erasure.lease_expires_at
        advance = scoped(self._scope, erasures.advance, self.key, held_until_at=lease)
        self.erasure = yield Write(advance)
        if not self.erasure.is_finished and self.erasure.lease_expires_at is None:
            yield Sleep(_OTHER_PROCESS_PAUSE_S)  # another process has the lease


InterruptedDeletions = list[Deletion | ProjectDeletion | CollectionDeletionJob]


def interrupted_deletions(rules: Rules) -> Steps[InterruptedDeletions]:
    """Return the deletions that no process works on.

    Without those in a project that is being deleted itself: they are a part of its deletion, which
    counts what they delete.
    """
    found: InterruptedDeletions = []
    for scope in (yield from project_scopes(rules)):
        of_users, of_collections = yield Read(scoped(scope, _interrupted))
        found += [Deletion(scope, erasure) for erasure in of_users]
        found += [CollectionDeletionJob(scope, deletion) for deletion in of_collections]
    found += yield from interrupted_project_deletions(rules)
    return found


def release_leases(rules: Rules) -> Steps[None]:
    """Release the leases of a process that has ended.

    Only for a database that no other process uses: there, every holder of a lease has ended.
    """
    for scope in (yield from unpurged_project_scopes(rules)):
        yield Write(scoped(scope, erasures.release_leases))
    for scope in (yield from project_scopes(rules)):
        yield Write(scoped(scope, document_embeddings.release_leases))
    yield Write(project_deletions.release_leases)
    yield Write(purges.clear_status)


def _interrupted(tx: Transaction) -> tuple[list[Erasure], list[CollectionDeletion]]:
    return erasures.interrupted(tx), collections.deletions(tx)


def _state(tx: Transaction, uuid: str) -> tuple[Erasure, PurgeStatus | None]:
    return erasures.get(tx, uuid), purges.status(tx)
