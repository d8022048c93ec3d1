"""An erasure: the act of forgetting a user, a session or a message.

It begins when its subject is marked and hidden, goes on in batches, and is `erased` when the last
row is gone. It can be stopped at any point and taken up again, and it is what DELETE answers with.
What was erased is in the files still, where no query finds it, until a scrub has written them anew:
then it is `scrubbed`.
"""

from enum import StrEnum

import msgspec

from recollect.domain.times import Instant


class Subject(StrEnum):
    """What an erasure forgets."""

    USER = "user"
    SESSION = "session"
    MESSAGE = "message"


class ErasureState(StrEnum):
    """How far an erasure is."""

    ERASING = "erasing"
    ERASED = "erased"
    SCRUBBED = "scrubbed"


class Erasure(msgspec.Struct):
    """An erasure as stored.

    Attributes:
        number: order of acceptance.
        uuid: the erasure's own.
        subject: what kind of thing is forgotten.
        subject_id: its id while `erasing`; None once `erased`.
        subject_hash: the keyed hash of that id (a message's: of its session's id).
        subject_uuid: the uuid of what is forgotten.
        state: see ErasureState.
        hidden_at: when the last of what belongs to the subject was hidden from every reader.
        session_count, message_count: how many were erased so far.
        started_at, erased_at: when it was accepted, and when the last row was gone.
        claimed_until_at: until when the process that advances it has it for itself; None to whom
            does not advance it.
        scrub_asked_at: when somebody asked for its scrub at once, while they wait for it.
        scrub_uuid: the last scrub that began after it was erased.
        scrub_left: what that scrub could not do, as JSON (see NotDone); None where all was done.
        scrubbed_at: when nothing of it was in the files any more.
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
    erased_at: Instant | None
    claimed_until_at: Instant | None = None
    scrub_asked_at: Instant | None = None
    scrub_uuid: str | None = None
    scrub_left: str | None = None
    scrubbed_at: Instant | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the last row is gone."""
        return self.state != ErasureState.ERASING

    @property
    def waits_for_scrub(self) -> bool:
        """Whether somebody has asked for its scrub, which has not ended yet."""
        return self.scrub_asked_at is not None and self.scrubbed_at is None

    @property
    def is_hidden(self) -> bool:
        """Whether nothing of the subject can be read any more: DELETE may answer."""
        return self.hidden_at is not None
