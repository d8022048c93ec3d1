"""A session: one conversation, with or without an owner."""

import msgspec
from msgspec import UNSET, UnsetType

from userkeep.domain.values.ids import check_id
from userkeep.domain.values.metadata import Metadata
from userkeep.domain.values.times import Instant


class Session(msgspec.Struct):
    """A session as stored.

    Attributes:
        number: order of creation; never reused, gaps allowed.
        session_id: the caller's own or made by the server, unique in the project.
        user_id: the owner. It may be set once, from none to a user, and never changes after:
            else what a framework created without an owner could never be deleted with its user.
        metadata: a JSON object as text; None and `{}` differ on Zep's wire.
        state: `deleting` hides the session and all in it from every reader and writer.
        message_count: how many messages there are.
        last_seq: the number of the newest message ever; those of deleted ones are not used again.
        ended_at: set when the app has ended the session; nothing is appended after.
        updated_at: moves with every change and every append; `revision` with changes alone.
    """

    number: int
    session_id: str
    uuid: str
    user_id: str | None
    metadata: str | None
    state: str
    revision: int
    message_count: int
    last_seq: int
    ended_at: Instant | None
    created_at: Instant
    updated_at: Instant


class NewSession(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A session to create; without a `session_id`, the server generates one."""

    session_id: str | None = None
    user_id: str | None = None
    metadata: Metadata | None = None

    def check(self) -> None:
        """Refuse what cannot be stored.

        Raises:
            InvalidField: naming the field.
        """
        if self.session_id is not None:
            check_id(self.session_id, "session_id")
        if self.user_id is not None:
            check_id(self.user_id, "user_id")


class SessionChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An update of a session: an owner, if it has none, and metadata to merge."""

    user_id: str | UnsetType = UNSET
    metadata: Metadata | None | UnsetType = UNSET
