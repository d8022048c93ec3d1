"""A session: one conversation, with or without a user."""

from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from userkeep.domain.values.ids import check_id
from userkeep.domain.values.metadata import MAX_METADATA_BYTES, Metadata
from userkeep.domain.values.text import utf8_bytes
from userkeep.domain.values.times import Instant


class Session(msgspec.Struct):
    """A session as stored.

    Attributes:
        number: the order of creation; never reused, with gaps.
        session_id: the app's, or the server's if the app has given none; unique in the project.
        uuid: of version 7; it distinguishes sessions that had the same session_id.
        user_id: the owner. A session without one, as frameworks create them, can be given one
            later, so that it is deleted with its user. After that the owner never changes.
        metadata: a JSON object as text; None and `{}` differ in Zep's API.
        state: `deleting` hides the session and its messages from all readers and writers.
        revision: counts updates, from 1.
        message_count: the number of messages.
        last_seq: the greatest `seq` that was assigned; numbers of deleted messages are not reused.
        ended_at: when the app ended the session; nothing can be appended after that.
        updated_at: the time of the last update or append.
    """

    max_size_bytes: ClassVar = MAX_METADATA_BYTES

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

    @property
    def size_bytes(self) -> int:
        """The bytes of its metadata, which is the only text that can be long."""
        return utf8_bytes(self.metadata)


class NewSession(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A session to create; without a `session_id`, the server generates one."""

    session_id: str | None = None
    user_id: str | None = None
    metadata: Metadata | None = None

    def check(self) -> None:
        """Check the ids.

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
