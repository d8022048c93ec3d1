"""The format of exports: JSON Lines, a user, session or message in each line.

    {"userkeep": {"format": 1, "version": "0.1.0", "exported_at": "2026-11-22T11:30:00Z"}}
    {"user": {"user_id": "jane", "email": "jane@example.com", …}}
    {"session": {"session_id": "chat-1", "metadata": null, "ended": false}}
    {"message": {"uuid": "…", "role": "", "role_type": "user", "content": "Hi", …}}
    {"end": {"users": 1, "sessions": 1, "messages": 1}}

A user is followed by their sessions, a session by its messages. The first and the last line are
optional, for files written by hand. A file that has `exported_at` and no `end` is incomplete.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO, NamedTuple, Protocol

import msgspec
from msgspec import UNSET, Raw, UnsetType

from userkeep.api.parsing import read_body
from userkeep.domain.errors import BadRequest, InvalidField, TooLarge
from userkeep.domain.message import NewMessage
from userkeep.domain.user import NewUser
from userkeep.domain.values.ids import check_id
from userkeep.domain.values.metadata import Metadata, encode_metadata

FORMAT = 1
LONGEST_LINE = 8 * 1024 * 1024
"""Bytes. Content and data of 1 MiB each fit, if every character of the content is escaped too."""


class Header(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The first line; later versions may add fields."""

    format: int
    version: str | None = None
    exported_at: datetime | None = None


class ImportedSession(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A session in a file; its owner is the user before it."""

    session_id: str
    metadata: Metadata | None = None
    ended: bool = False


class Counts(msgspec.Struct):
    """Numbers of users, sessions and messages."""

    users: int = 0
    sessions: int = 0
    messages: int = 0


class Line(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A line; exactly one field is set."""

    userkeep: Header | UnsetType = UNSET
    user: NewUser | UnsetType = UNSET
    session: ImportedSession | UnsetType = UNSET
    message: NewMessage | UnsetType = UNSET
    end: Counts | UnsetType = UNSET


class ExportedUser(msgspec.Struct):
    """The fields of a user that an export copies."""

    user_id: str
    email: Raw
    first_name: Raw
    last_name: Raw
    metadata: Raw


class ExportedSession(msgspec.Struct):
    """The fields of a session that an export reads."""

    session_id: str
    metadata: Raw
    ended_at: datetime | None


class ExportedMessage(msgspec.Struct):
    """The fields of a message that an export copies, as the bytes that they are."""

    uuid: Raw
    role: Raw
    role_type: Raw
    content: Raw
    metadata: Raw
    data: Raw
    token_count: Raw
    created_at: Raw


class BadLine(BadRequest):
    """A line of the file is invalid."""


class NumberedLine(NamedTuple):
    """A line and its position.

    Attributes:
        number: from 1.
        end: the offset of its end in the file.
        size_bytes: its length.
        value: what it has: Header, NewUser, ImportedSession, NewMessage or Counts.
    """

    number: int
    end: int
    size_bytes: int
    value: Any


class Output(Protocol):
    """Where an export writes its lines."""

    def write(self, line: bytes, /) -> int:
        """Write a line; return its size in bytes."""
        ...

    def flush(self) -> None:
        """Pass on what was written."""
        ...


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


def write_line(file: Output, kind: str, value: Any) -> int:
    """Write a line; return its size in bytes."""
    return file.write(b'{"%b": %b}\n' % (kind.encode(), _encode(value)))


def read_lines(file: BinaryIO) -> Iterator[NumberedLine]:
    """Parse the lines of a file.

    Raises:
        BadLine: with the number of the line and the field.
    """
    number = end = 0
    while text := file.readline(LONGEST_LINE):
        number, end = number + 1, end + len(text)
        if text.strip():
            yield NumberedLine(number, end, len(text), _value(number, text))


def _value(number: int, text: bytes) -> Any:
    if len(text) == LONGEST_LINE:
        raise BadLine(f"Line {number} is longer than {LONGEST_LINE // 1024**2} MiB.")
    try:
        line = read_body(text, _decode)
        values = [each for each in msgspec.structs.astuple(line) if each is not UNSET]
        if len(values) != 1:
            raise InvalidField("it must have one of userkeep, user, session, message and end.")
        return _checked(values[0])
    except TooLarge as error:
        raise BadLine(f"Line {number} has more JSON values than a user or message can.") from error
    except InvalidField as error:
        raise BadLine(f"Line {number}: {error.detail}", *error.fields) from error
    except BadRequest as error:
        raise BadLine(f"Line {number} is not JSON: {error.__cause__}.") from error


def _checked(value: Any) -> Any:
    match value:
        case Header() if value.format != FORMAT:
            raise InvalidField(
                f"userkeep.format is {value.format}; this version reads {FORMAT}.",
                "userkeep.format",
            )
        case NewUser():
            value.check()
            encode_metadata(value.metadata, "user.metadata")
        case ImportedSession():
            check_id(value.session_id, "session.session_id")
            encode_metadata(value.metadata, "session.metadata")
        case NewMessage():
            _check_message(value)
    return value


def _check_message(message: NewMessage) -> None:
    if message.uuid is None:
        raise InvalidField(
            "message.uuid is missing; it identifies a message that exists already.", "message.uuid"
        )
    message.uuid = message.checked("message").uuid  # in lower case, as the instance returns it
