"""The format of exports: JSON Lines, a user, session or message in each line.

    {"userkeep": {"format": 2, "version": "0.1.0", "exported_at": "2026-11-22T11:30:00.000000Z"}}
    {"user": {"user_id": "jane", "email": "jane@example.com", …}}
    {"session": {"session_id": "chat-1", "title": "Shoes", "ended_at": null, …}}
    {"message": {"id": "…", "role": "user", "name": null, "content": "Hi", …}}
    {"end": {"users": 1, "sessions": 1, "messages": 1}}

A user is followed by their sessions, a session by its messages. The first and the last line are
optional, for files written by hand. A file that has `exported_at` and no `end` is incomplete.

Files of format 1 are read too: there a message has a `uuid` in place of the `id`, `role` is the
name of the speaker, and `role_type` the role. A session has `ended`, without the time.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO, NamedTuple, Protocol

import msgspec
from msgspec import UNSET, Raw, UnsetType

from userkeep.api.parsing import body_decoder, read_body
from userkeep.domain.errors import BadRequest, InvalidField, TooLarge
from userkeep.domain.message import GIVEN_ROLES, ROLES, NewMessage, Role
from userkeep.domain.user import NewUser
from userkeep.domain.values.ids import check_id, check_uuid
from userkeep.domain.values.metadata import Metadata, encode_metadata
from userkeep.domain.values.past import PastTime
from userkeep.domain.values.text import check_name, other_encoding, without_mark

FORMAT = 2
_READ_FORMATS = (1, 2)
LONGEST_LINE = 8 * 1024 * 1024
"""Bytes. Content and data of 1 MiB each fit, if every character of the content is escaped too."""


class Header(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The first line; later versions may add fields."""

    format: int
    version: str | None = None
    exported_at: datetime | None = None


class ImportedSession(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A session in a file; its owner is the user before it.

    `ended` is of format 1: the session ends when it is imported.
    """

    session_id: str
    title: str | None = None
    metadata: Metadata | None = None
    created_at: PastTime | None = None
    ended_at: PastTime | None = None
    ended: bool = False


class ImportedMessage(NewMessage, kw_only=True):
    """A message in a file, of either format; see `to_message`."""

    role: str = ""  # type: ignore[assignment]
    uuid: str | None = None
    role_type: Role | UnsetType = UNSET

    @property
    def is_of_format_1(self) -> bool:
        """Whether it has fields that only format 1 has."""
        return self.uuid is not None or self.role_type is not UNSET


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
    message: ImportedMessage | UnsetType = UNSET
    end: Counts | UnsetType = UNSET


class ExportedUser(msgspec.Struct):
    """The fields of a user that an export copies."""

    user_id: str
    email: Raw
    first_name: Raw
    last_name: Raw
    metadata: Raw
    created_at: Raw


class ExportedSession(msgspec.Struct):
    """The fields of a session that an export copies."""

    session_id: str
    title: Raw
    metadata: Raw
    created_at: Raw
    ended_at: Raw


class ExportedMessage(msgspec.Struct):
    """The fields of a message that an export copies, as the bytes that they are."""

    id: Raw
    role: Raw
    name: Raw
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


_NO_DATA = (UNSET, Raw(b"null"))
_DATA_OF_EMPTY = Raw(b"{}")
"""A message can be empty only if it has data; those of Zep's API can be empty without."""

_encode = msgspec.json.Encoder().encode
_decode = body_decoder(Line)


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
        if number == 1:
            text = _without_mark(text)
        if text.strip():
            yield NumberedLine(number, end, len(text), _value(number, text))


def _without_mark(text: bytes) -> bytes:
    other = other_encoding(text)
    if other is not None:
        raise BadLine(f"The file is {other}, not UTF-8. Save it as UTF-8.")
    return without_mark(text)


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
        detail = error.detail.replace("The body must", "it must", 1)
        raise BadLine(f"Line {number}: {detail}", *error.fields) from error
    except BadRequest as error:
        raise BadLine(f"Line {number} is not JSON: {error.__cause__}.") from error


def _checked(value: Any) -> Any:
    match value:
        case Header() if value.format not in _READ_FORMATS:
            raise InvalidField(
                f"userkeep.format is {value.format}; this version reads 1 and 2.",
                "userkeep.format",
            )
        case NewUser():
            value.check()
            encode_metadata(value.metadata, "user.metadata")
        case ImportedSession():
            check_id(value.session_id, "session.session_id")
            check_name(value.title, "session.title")
            encode_metadata(value.metadata, "session.metadata")
        case ImportedMessage():
            return _message(value)
    return value


def _message(given: ImportedMessage) -> NewMessage:
    """Return a message to append, checked."""
    message = _of_format_1(given) if given.is_of_format_1 else _of_format_2(given)
    if message.id is None:
        raise InvalidField(
            "message.id is missing; it identifies a message that exists already.", "message.id"
        )
    message.checked("message", may_be_empty=True)
    if not message.content and message.data in _NO_DATA:
        message.data = _DATA_OF_EMPTY
    return message


def _of_format_1(given: ImportedMessage) -> NewMessage:
    if given.id is not None or given.name is not None:
        field = "message.name" if given.id is None else "message.id"
        raise InvalidField(f"{field} does not exist in format 1, of `uuid` and `role_type`.", field)
    uuid = None if given.uuid is None else check_uuid(given.uuid, "message.uuid")
    role = "norole" if isinstance(given.role_type, UnsetType) else given.role_type
    return _with_role(given, role, name=given.role, id=uuid)


def _of_format_2(given: ImportedMessage) -> NewMessage:
    if given.role not in GIVEN_ROLES:
        raise InvalidField(
            f"message.role must be one of {', '.join(ROLES)}; got {given.role!r}.", "message.role"
        )
    return _with_role(given, given.role, name=given.name, id=given.id)


def _with_role(given: ImportedMessage, role: Any, **fields: Any) -> NewMessage:
    return NewMessage(
        role=role,
        content=given.content,
        token_count=given.token_count,
        created_at=given.created_at,
        metadata=given.metadata,
        data=given.data,
        **fields,
    )
