"""A message: one turn in a session."""

from datetime import datetime
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import UNSET, Raw, UnsetType

from userkeep.domain.errors import InvalidField
from userkeep.domain.values.ids import check_uuid
from userkeep.domain.values.json_text import find_too_deep
from userkeep.domain.values.metadata import MAX_DEPTH, Metadata, encode_metadata
from userkeep.domain.values.text import MAX_CONTENT_BYTES, check_content, check_name, utf8_bytes
from userkeep.domain.values.times import EARLIEST, LATEST, Instant, from_datetime

RoleType = Literal["norole", "system", "assistant", "user", "function", "tool"]
ROLE_TYPES: tuple[str, ...] = get_args(RoleType)
MAX_TOKEN_COUNT = 2**31 - 1
MAX_BATCH = 1000
"""How many messages one request appends."""

_ROLE_TYPE_OF_ZEP_ROLE = {
    "user": "user",
    "human": "user",
    "ai": "assistant",
    "assistant": "assistant",
    "bot": "assistant",
    "system": "system",
    "function": "function",
    "tool": "tool",
}


def role_type_of(role: str) -> RoleType:
    """Return the role type of a free-text role, for clients that send no role type (Zep 0.x)."""
    return _ROLE_TYPE_OF_ZEP_ROLE.get(role.lower(), "norole")  # type: ignore[return-value]


class Message(msgspec.Struct):
    """A message as stored, without its session, which the reader knows.

    Attributes:
        seq: 1, 2, 3 … in the order of arrival, which is the order of reading. Numbers are assigned
            without gaps, and the number of a deleted message is never used again.
        uuid: the app's, unique in the session, or one of the server's, of version 7.
        role: free text.
        role_type: the role for a model.
        token_count: the app's; the server does not count tokens.
        created_at: the server's time, or the app's, for imported history.
        metadata: a JSON object as text, or None.
        content: the text of the message.
        data: opaque JSON text that a framework gets back byte for byte.
    """

    seq: int
    uuid: str
    role: str
    role_type: str
    token_count: int | None
    created_at: Instant
    metadata: str | None
    content: str
    data: str | None

    @property
    def size_bytes(self) -> int:
        """The bytes of the texts that can be long."""
        content = self.content
        size = len(content) if content.isascii() else utf8_bytes(content)
        if self.metadata is not None:
            size += utf8_bytes(self.metadata)
        if self.data is not None:
            size += utf8_bytes(self.data)
        return size


CreatedAt = Annotated[
    datetime,
    msgspec.Meta(
        description="When the message was created, for imported history. The default is now.",
        extra_json_schema={"format": "date-time"},
    ),
]


class NewMessage(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A message to append."""

    content: str
    role: str = ""
    role_type: RoleType = "norole"
    uuid: str | None = None
    token_count: int | None = None
    created_at: CreatedAt | None = None
    metadata: Metadata | None = None
    data: Raw | UnsetType = UNSET

    def checked(self, field: str) -> "CheckedMessage":
        """Check the fields.

        Args:
            field: the path of the message in the request, such as `messages[3]`.

        Raises:
            InvalidField: naming the field, by its path.
        """
        return CheckedMessage(
            uuid=None if self.uuid is None else check_uuid(self.uuid, f"{field}.uuid"),
            role=check_name(self.role, f"{field}.role") or "",
            role_type=self.role_type,
            token_count=check_token_count(self.token_count, f"{field}.token_count"),
            created_at=None
            if self.created_at is None
            else check_created_at(self.created_at, f"{field}.created_at"),
            metadata=encode_metadata(self.metadata, f"{field}.metadata"),
            content=check_content(self.content, f"{field}.content"),
            data=check_data(self.data, f"{field}.data"),
        )


class CheckedMessage(msgspec.Struct):
    """A message to append, with the values to store; see Message."""

    uuid: str | None
    role: str
    role_type: str
    token_count: int | None
    created_at: Instant | None
    metadata: str | None
    content: str
    data: str | None

    def to_message(self, seq: int, uuid: str, now: Instant) -> Message:
        """Return the message to store.

        Args:
            seq: its number.
            uuid, now: for a message without a uuid or a time.
        """
        return Message(
            seq,
            self.uuid or uuid,
            self.role,
            self.role_type,
            self.token_count,
            now if self.created_at is None else self.created_at,
            self.metadata,
            self.content,
            self.data,
        )


class MessageChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An update of a message: absent fields stay, metadata is merged."""

    role: str | UnsetType = UNSET
    content: str | UnsetType = UNSET
    metadata: Metadata | None | UnsetType = UNSET


def check_token_count(count: int | None, field: str) -> int | None:
    """Check that a token count is a non-negative integer of 31 bits.

    Raises:
        InvalidField: naming `field`.
    """
    if count is not None and not 0 <= count <= MAX_TOKEN_COUNT:
        raise InvalidField(f"{field} must be from 0 to {MAX_TOKEN_COUNT}.", field)
    return count


def check_created_at(moment: datetime, field: str) -> Instant:
    """Return a time, which must be between the years 1 and 9999 in UTC.

    Raises:
        InvalidField: naming `field`.
    """
    instant = from_datetime(moment)
    if not EARLIEST <= instant <= LATEST:
        raise InvalidField(f"{field} must be between the years 1 and 9999 in UTC.", field)
    return instant


def check_data(data: Raw | UnsetType, field: str) -> str | None:
    """Return opaque JSON of up to 1 MiB as the text that was sent; `null` is None.

    Raises:
        InvalidField: naming `field`.
    """
    if isinstance(data, UnsetType):
        return None
    text = bytes(data)
    if len(text) > MAX_CONTENT_BYTES:
        raise InvalidField(f"{field} is larger than 1 MiB.", field)
    if find_too_deep(text, MAX_DEPTH) is not None:
        raise InvalidField(f"{field} is nested deeper than {MAX_DEPTH} levels.", field)
    try:
        return None if text == b"null" else text.decode()
    except UnicodeDecodeError as error:
        raise InvalidField(f"{field} is not UTF-8.", field) from error
