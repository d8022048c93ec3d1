"""The file that `export` writes and `import` reads: JSON Lines, and what each line may be.

    {"userkeep": {"format": 1, "version": "0.1.0", "exported_at": "2026-11-22T11:30:00Z"}}
    {"user": {"user_id": "jane", "email": "jane@example.com", …}}
    {"session": {"session_id": "chat-1", "metadata": null, "ended": false}}
    {"message": {"uuid": "…", "role": "", "role_type": "user", "content": "Hi", …}}
    {"end": {"users": 1, "sessions": 1, "messages": 1}}

A user is followed by their sessions, a session by its messages. The first line and the last may be
missing in a file that was written by hand. One that names the time of an export and does not end
with the last line is not whole.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from userkeep.api.parsing import read_body
from userkeep.domain.errors import BadRequest, InvalidField
from userkeep.domain.message import NewMessage
from userkeep.domain.user import NewUser
from userkeep.domain.values.ids import check_id
from userkeep.domain.values.metadata import Metadata, stored_metadata
from userkeep.domain.values.times import EARLIEST

FORMAT = 1
LONGEST_LINE = 32 * 1024 * 1024
"""Bytes; content and data of 1 MiB each fit, whatever of them is escaped."""


class Head(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the first line says; a later version may say more."""

    format: int
    version: str | None = None
    exported_at: datetime | None = None


class SessionFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a line says of a session; its owner is the user before it."""

    session_id: str
    metadata: Metadata | None = None
    ended: bool = False


class Counts(msgspec.Struct):
    """How many there are."""

    users: int = 0
    sessions: int = 0
    messages: int = 0


class Line(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One line: one of these."""

    userkeep: Head | UnsetType = UNSET
    user: NewUser | UnsetType = UNSET
    session: SessionFields | UnsetType = UNSET
    message: NewMessage | UnsetType = UNSET
    end: Counts | UnsetType = UNSET


class UserText(msgspec.Struct):
    """A user as an export copies it: what the answer said, unread."""

    user_id: str
    email: Raw
    first_name: Raw
    last_name: Raw
    metadata: Raw


class SessionText(msgspec.Struct):
    """A session as an export reads it."""

    session_id: str
    metadata: Raw
    ended_at: datetime | None


class MessageText(msgspec.Struct):
    """A message as an export copies it: metadata and data byte for byte."""

    uuid: Raw
    role: Raw
    role_type: Raw
    content: Raw
    metadata: Raw
    data: Raw
    token_count: Raw
    created_at: Raw


class BadLine(BadRequest):
    """A line of the file cannot be."""


class Numbered(NamedTuple):
    """A line and where it is: `number` from 1, `end` in bytes from the beginning of the file."""

    number: int
    end: int
    size: int
    value: Any


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


def write_line(file: BinaryIO, kind: str, value: Any) -> int:
    """Write a line; its size in bytes."""
    return file.write(b'{"%b": %b}\n' % (kind.encode(), _encode(value)))


def read_lines(file: BinaryIO) -> Iterator[Numbered]:
    """The lines of a file, each what it holds: Head, NewUser, SessionFields, NewMessage, Counts.

    Raises:
        BadLine: naming the line and the field.
    """
    number = end = 0
    while text := file.readline(LONGEST_LINE):
        number, end = number + 1, end + len(text)
        if text.strip():
            yield Numbered(number, end, len(text), _value(number, text))


def _value(number: int, text: bytes) -> Any:
    if len(text) == LONGEST_LINE:
        raise BadLine(f"Line {number} is longer than {LONGEST_LINE // 1024**2} MiB.")
    try:
        line = read_body(text, _decode)
        values = [each for each in msgspec.structs.astuple(line) if each is not UNSET]
        if len(values) != 1:
            raise InvalidField("one of userkeep, user, session, message and end must be there.")
        return _checked(values[0])
    except InvalidField as error:
        raise BadLine(f"Line {number}: {error.detail}", *error.fields) from error
    except BadRequest as error:
        raise BadLine(f"Line {number} is not JSON: {error.__cause__}.") from error


def _checked(value: Any) -> Any:
    match value:
        case Head() if value.format != FORMAT:
            raise InvalidField(
                f"userkeep.format is {value.format}; this version reads {FORMAT}.",
                "userkeep.format",
            )
        case NewUser():
            value.check()
            stored_metadata(value.metadata, "user.metadata")
        case SessionFields():
            check_id(value.session_id, "session.session_id")
            stored_metadata(value.metadata, "session.metadata")
        case NewMessage():
            _check_message(value)
    return value


def _check_message(message: NewMessage) -> None:
    if message.uuid is None:
        raise InvalidField(
            "message.uuid is missing; it tells a message that is there already.", "message.uuid"
        )
    stored = message.stored(1, message.uuid, EARLIEST, "message")
    message.uuid = stored.uuid  # in lower case, as it comes back
