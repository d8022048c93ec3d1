"""A session: one conversation, with or without a user."""

from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from userkeep.domain.embedding import DoNotEmbed
from userkeep.domain.values.ids import check_id
from userkeep.domain.values.metadata import MAX_METADATA_BYTES, Metadata
from userkeep.domain.values.past import PastTime
from userkeep.domain.values.text import check_name, utf8_bytes
from userkeep.domain.values.times import Instant


class Session(msgspec.Struct):
    """A session as stored.

    Attributes:
        number: the order of creation; never reused, with gaps.
        session_id: the app's, or the server's if the app has given none; unique in the project.
        uuid: of version 7; it distinguishes sessions that had the same session_id.
        user_id: the owner. A session without one, as frameworks create them, can be given one
            later, so that it is deleted with its user. After that the owner never changes.
        title: what a list of sessions shows.
        metadata: a JSON object as text; None and `{}` differ in Zep's API.
        state: `deleting` hides the session and its messages from all readers and writers.
        revision: counts updates, from 1.
        message_count: the number of messages.
        last_seq: the greatest `seq` that was assigned; numbers of deleted messages are not reused.
        ended_at: when the app ended the session; nothing can be appended after that.
        active_at: the latest `created_at` of its messages; without any, its own. Nothing but an
            append changes it.
        created_at: the server's time, or the app's, for imported history.
        updated_at: the time of the last update or append.
        do_not_embed: whether nothing of it is given to an embedding model; 0 or 1.
        last_message: where it was asked for: a JSON array with its newest message, or None.
    """

    max_size_bytes: ClassVar = MAX_METADATA_BYTES

    number: int
    session_id: str
    uuid: str
    user_id: str | None
    title: str | None
    metadata: str | None
    state: str
    revision: int
    message_count: int
    last_seq: int
    ended_at: Instant | None
    active_at: Instant
    created_at: Instant
    updated_at: Instant
    do_not_embed: int
    last_message: str | None = None

    @property
    def size_bytes(self) -> int:
        """The bytes of its metadata, which is the only text that can be long."""
        return utf8_bytes(self.metadata)


class NewSession(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A session to create; without a `session_id`, the server generates one."""

    session_id: str | None = None
    user_id: str | None = None
    title: str | None = None
    metadata: Metadata | None = None
    created_at: PastTime | None = None
    ended_at: PastTime | None = None
    do_not_embed: DoNotEmbed | UnsetType = UNSET

    def check(self) -> None:
        """Check the ids and the title.

        Raises:
            InvalidField: naming the field.
        """
        if self.session_id is not None:
            check_id(self.session_id, "session_id")
        if self.user_id is not None:
            check_id(self.user_id, "user_id")
        check_name(self.title, "title")


class SessionChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An update of a session: an owner, if it has none, and metadata to merge.

    An absent field stays. None removes a title, metadata or `ended_at`; the last reopens the
    session.
    """

    user_id: str | UnsetType = UNSET
    title: str | None | UnsetType = UNSET
    metadata: Metadata | None | UnsetType = UNSET
    ended_at: PastTime | None | UnsetType = UNSET
    do_not_embed: DoNotEmbed | UnsetType = UNSET
