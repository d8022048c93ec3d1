"""A message: one entry of a session."""

from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec
from msgspec import UNSET, Raw, UnsetType

from userkeep.domain.errors import InvalidField
from userkeep.domain.values.ids import check_id
from userkeep.domain.values.json_text import find_too_deep
from userkeep.domain.values.metadata import MAX_DEPTH, Metadata, encode_metadata
from userkeep.domain.values.text import (
    MAX_CONTENT_BYTES,
    STORE_ELSEWHERE,
    check_content,
    check_name,
    utf8_bytes,
)
from userkeep.domain.values.times import (
    EARLIEST,
    LATEST,
    TIME_SCHEMA,
    GivenTime,
    Instant,
    from_datetime,
)

Role = Literal["system", "developer", "user", "assistant", "tool", "function", "norole"]
ROLES: tuple[str, ...] = get_args(Role)

GivenRole = Literal[
    "system",
    "developer",
    "user",
    "assistant",
    "tool",
    "function",
    "norole",
    "human",
    "ai",
    "model",
    "bot",
]
"""A role as clients may write it: some frameworks have other words for `user` and `assistant`."""
GIVEN_ROLES: tuple[str, ...] = get_args(GivenRole)

_SYNONYMS: dict[str, Role] = {
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "bot": "assistant",
}

MAX_TOKEN_COUNT = 2**31 - 1
FIRST_SEQ = -(2**62)
"""Less than every seq. A message that is being deleted with others has the negative of its own."""

MAX_BATCH = 1000
"""How many messages one request appends."""

MAX_MESSAGE_ID_LENGTH = 128
"""In characters: with the session's id of 512, so much fits into an entry of PostgreSQL's index."""

_ROLE_OF_ZEP_ROLE: dict[str, Role] = {
    "user": "user",
    "human": "user",
    "ai": "assistant",
    "assistant": "assistant",
    "bot": "assistant",
    "system": "system",
    "function": "function",
    "tool": "tool",
}


def role_of_zep_role(role: str) -> Role:
    """Return the role of a free-text role, for clients that send no role type (Zep 0.x)."""
    return _ROLE_OF_ZEP_ROLE.get(role.lower(), "norole")


def stored_role(role: str) -> str:
    """Return the role that a given one means."""
    return _SYNONYMS.get(role, role)


class Message(msgspec.Struct):
    """A message as stored, without its session, which the reader knows.

    Attributes:
        seq: 1, 2, 3 … in the order of arrival, which is the order of reading. Numbers are assigned
            without gaps, and the number of a deleted message is never used again.
        id: the app's, unique in the session, or one of the server's: a uuid of version 7.
        role: the role for a model.
        name: who speaks, any text; empty if that is unknown.
        token_count: the app's; the server does not count tokens.
        created_at: the server's time, or the app's, for imported history.
        edited_at: when it was last changed, if ever.
        revision: counts changes, from 1.
        metadata: a JSON object as text, or None.
        content: the text of the message; empty only with data, or from an old client.
        data: opaque JSON text that a framework gets back byte for byte.
    """

    seq: int
    id: str
    role: str
    name: str
    token_count: int | None
    created_at: Instant
    edited_at: Instant | None
    revision: int
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

    @property
    def text_bytes(self) -> int:
        """The bytes of content and data, which count for a quota."""
        return utf8_bytes(self.content) + utf8_bytes(self.data)


CreatedAt = Annotated[
    GivenTime,
    msgspec.Meta(
        description="When the message was created, for imported history. The default is now.",
        extra_json_schema=TIME_SCHEMA,
    ),
]


Content = Annotated[
    str | None, msgspec.Meta(description="The text, up to 1 MiB. It can be empty if there is data.")
]
SpeakerName = Annotated[
    str | None, msgspec.Meta(description="Who speaks: any text of up to 512 characters.")
]
MessageId = Annotated[
    str | None,
    msgspec.Meta(description="Yours, up to 128 characters. By default the server generates one."),
]
Data = Annotated[
    Raw | UnsetType, msgspec.Meta(description="Any JSON, returned byte for byte, up to 1 MiB.")
]


class NewMessage(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A message to append.

    `role` is the role for a model: `human` is stored as `user`, and `ai`, `model` and `bot` as
    `assistant`. `content` may be empty, null or absent if there is `data`.
    """

    role: GivenRole
    content: Content = None
    name: SpeakerName = None
    id: MessageId = None
    token_count: int | None = None
    created_at: CreatedAt | None = None
    metadata: Metadata | None = None
    data: Data = UNSET

    def checked(self, field: str, *, may_be_empty: bool = False) -> "CheckedMessage":
        """Check the fields.

        Args:
            field: the path of the message in the request, such as `messages[3]`.
            may_be_empty: whether it may have neither content nor data, as for old clients.

        Raises:
            InvalidField: naming the field, by its path.
        """
        data = check_data(self.data, f"{field}.data")
        content = check_content(self.content or "", f"{field}.content")
        if not may_be_empty:
            check_is_not_empty(content, data, f"{field}.content")
        return CheckedMessage(
            id=None if self.id is None else check_message_id(self.id, f"{field}.id"),
            role=stored_role(self.role),
            name=check_name(self.name, f"{field}.name") or "",
            token_count=check_token_count(self.token_count, f"{field}.token_count"),
            created_at=None
            if self.created_at is None
            else check_created_at(self.created_at, f"{field}.created_at"),
            metadata=encode_metadata(self.metadata, f"{field}.metadata"),
            content=content,
            data=data,
        )


class CheckedMessage(msgspec.Struct):
    """A message to append, with the values to store; see Message."""

    id: str | None
    role: str
    name: str
    token_count: int | None
    created_at: Instant | None
    metadata: str | None
    content: str
    data: str | None

    def to_message(self, seq: int, id: str, now: Instant) -> Message:
        """Return the message to store.

        Args:
            seq: its number.
            id, now: for a message without an id or a time.
        """
        return Message(
            seq,
            self.id or id,
            self.role,
            self.name,
            self.token_count,
            now if self.created_at is None else self.created_at,
            None,
            1,
            self.metadata,
            self.content,
            self.data,
        )


class MessageChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An update of a message: absent fields stay, null removes a value, metadata is merged.

    `content` may be empty or null if the message has `data`.
    """

    role: GivenRole | UnsetType = UNSET
    name: SpeakerName | UnsetType = UNSET
    content: Content | UnsetType = UNSET
    data: Data = UNSET
    token_count: int | None | UnsetType = UNSET
    metadata: Metadata | None | UnsetType = UNSET

    def checked(self) -> "CheckedMessageChange":
        """Check the fields, except metadata, which is checked when it is merged.

        Raises:
            InvalidField: naming the field.
        """
        fields: dict[str, Any] = {}
        if self.role is not UNSET:
            fields["role"] = stored_role(self.role)
        if self.name is not UNSET:
            fields["name"] = check_name(self.name, "name") or ""
        if self.content is not UNSET:
            fields["content"] = check_content(self.content or "", "content")
        if self.data is not UNSET:
            fields["data"] = check_data(self.data, "data")
        if self.token_count is not UNSET:
            fields["token_count"] = check_token_count(self.token_count, "token_count")
        return CheckedMessageChange(fields, self.metadata)


class CheckedMessageChange(NamedTuple):
    """An update of a message.

    Attributes:
        fields: the fields to store, by name, without metadata.
        metadata: to merge; UNSET keeps it, None removes it.
    """

    fields: dict[str, Any]
    metadata: Metadata | None | UnsetType


def check_message_id(value: str, field: str) -> str:
    """Check the id of a message: any text up to 128 characters, by the rules of `check_id`.

    Raises:
        InvalidField: naming `field`.
    """
    if len(value) > MAX_MESSAGE_ID_LENGTH:
        raise InvalidField(f"{field} is longer than {MAX_MESSAGE_ID_LENGTH} characters.", field)
    return check_id(value, field)


def check_is_not_empty(content: str, data: str | None, field: str) -> None:
    """Check that a message has content, or else data.

    Raises:
        InvalidField: naming `field`.
    """
    if not content and data is None:
        raise InvalidField(f"{field} can be empty only in a message with data.", field)


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
        raise InvalidField(f"{field} is larger than 1 MiB. {STORE_ELSEWHERE}", field)
    if find_too_deep(text, MAX_DEPTH) is not None:
        raise InvalidField(f"{field} is nested deeper than {MAX_DEPTH} levels.", field)
    try:
        return None if text == b"null" else text.decode()
    except UnicodeDecodeError as error:
        raise InvalidField(f"{field} is not UTF-8.", field) from error
