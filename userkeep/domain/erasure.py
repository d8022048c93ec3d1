"""An erasure: the act of deleting a user, a session or a message.

It begins when its subject is marked and hidden, goes on in batches, and is `deleted` when the last
row is gone. It can be stopped at any point and taken up again, and it is what DELETE answers with.
Deleted rows remain in the files, where no query finds them, until a purge has rewritten the files:
then it is `purged`.
"""

from enum import StrEnum

import msgspec

from userkeep.domain.values.times import Instant


class Subject(StrEnum):
    """What an erasure deletes."""

    USER = "user"
    SESSION = "session"
    MESSAGE = "message"


class ErasureState(StrEnum):
    """How far an erasure is."""

    DELETING = "deleting"
    DELETED = "deleted"
    PURGED = "purged"


class Erasure(msgspec.Struct):
    """An erasure as stored.

    Attributes:
        number: order of acceptance.
        uuid: the erasure's own.
        subject: what kind of thing is deleted.
        subject_id: its id while `deleting`; None once `deleted`.
        subject_hash: the keyed hash of that id (a message's: of its session's id).
        subject_uuid: the uuid of what is deleted.
        state: see ErasureState.
        hidden_at: when the last of what belongs to the subject was hidden from every reader.
        session_count, message_count: how many were deleted so far.
        started_at, deleted_at: when it was accepted, and when the last row was gone.
        lease_expires_at: until when the process that advances it has it for itself; None to whom
            does not advance it.
        purge_requested_at: when somebody asked for its purge at once, while they wait for it.
        purge_uuid: the last purge that began after it was deleted.
        skipped_steps: what that purge could not do, as JSON of SkippedStep; None: nothing.
        purged_at: when nothing of it was in the files any more.
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
    started_at: Instant
    hidden_at: Instant | None
    deleted_at: Instant | None
    lease_expires_at: Instant | None = None
    purge_requested_at: Instant | None = None
    purge_uuid: str | None = None
    skipped_steps: str | None = None
    purged_at: Instant | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the last row is gone."""
        return self.state != ErasureState.DELETING

    @property
    def waits_for_purge(self) -> bool:
        """Whether somebody has asked for its purge, which has not ended yet."""
        return self.purge_requested_at is not None and self.purged_at is None

    @property
    def is_hidden(self) -> bool:
        """Whether nothing of the subject can be read any more: DELETE may answer."""
        return self.hidden_at is not None
