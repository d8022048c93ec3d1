"""An erasure: the record of the deletion of a user, a session or a message.

It starts when its subject is marked and hidden, continues in batches, and is `deleted` when the
last row is deleted. It can be interrupted at any point and resumed. Deleted rows remain in the
files, where no query finds them, until a purge has rewritten the files: then it is `purged`.
"""

from enum import StrEnum

import msgspec

from userkeep.domain.ledger import DeletedPart
from userkeep.domain.values.times import Instant


class Subject(StrEnum):
    """What an erasure deletes."""

    USER = "user"
    SESSION = "session"
    MESSAGE = "message"


class ErasureState(StrEnum):
    """The state of an erasure."""

    DELETING = "deleting"
    DELETED = "deleted"
    PURGED = "purged"


class Erasure(msgspec.Struct):
    """An erasure as stored.

    Attributes:
        number: the order of creation.
        uuid: of the erasure.
        subject: what is deleted; see Subject.
        subject_id: its id while `deleting`; None once `deleted`.
        subject_hash: the keyed hash of this id; of a message, of its session's id.
        subject_uuid: the uuid of what is deleted; a new one for a message whose id is not a uuid.
        state: see ErasureState.
        hidden_at: when all data of the subject was hidden from readers.
        session_count, message_count, document_count: how many were deleted so far.
        started_at, deleted_at: when it was created, and when the last row was deleted.
        lease_expires_at: until when the process that advances it has exclusive access; None in any
            other process.
        purge_requested_at: when a client requested an immediate purge, until it is purged.
        purge_uuid: the last purge that started after the deletion.
        skipped_steps: what this purge could not do, as JSON of SkippedStep; None if nothing.
        purged_at: when none of the deleted data was in the files any more.
        part: which messages are deleted, in the process that began the erasure; not stored.
    """

    number: int
    uuid: str
    subject: str
    subject_id: str | None
    subject_hash: str
    subject_uuid: str
    state: str
    session_count: int
    message_count: int
    document_count: int
    started_at: Instant
    hidden_at: Instant | None
    deleted_at: Instant | None
    lease_expires_at: Instant | None = None
    purge_requested_at: Instant | None = None
    purge_uuid: str | None = None
    skipped_steps: str | None = None
    purged_at: Instant | None = None
    part: DeletedPart | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the last row is deleted."""
        return self.state != ErasureState.DELETING

    @property
    def waits_for_purge(self) -> bool:
        """Whether a client requested its purge, and it is not purged yet."""
        return self.purge_requested_at is not None and self.purged_at is None

    @property
    def is_hidden(self) -> bool:
        """Whether no data of the subject can be read any more, so that DELETE may respond."""
        return self.hidden_at is not None
