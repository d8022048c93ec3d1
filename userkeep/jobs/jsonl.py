"""The format of exports: JSON Lines, a user, session, message, collection or document in each.

    {"userkeep": {"format": 4, "version": "0.1.0"}}
    {"user": {"user_id": "jane", "uuid": "…", "email": "jane@example.com", …}}
    {"session": {"session_id": "chat-1", "user_id": "jane", "title": "Shoes", "ended_at": null, …}}
    {"message": {"seq": 1, "id": "…", "role": "user", "name": null, "content": "Hi", …}}
    {"session": {"session_id": "chat-2", "user_id": null, …}}
    {"collection": {"name": "notes", "uuid": "…", "dimensions": 384, "embedded_by": "caller", …}}
    {"document": {"document_id": "n-1", "uuid": "…", "user_id": "jane", "embedding": "zcxMPQ…", …}}
    {"end": {"users": 1, "sessions": 2, "messages": 1, "collections": 1, "documents": 1}}

A user is followed by their sessions, a session by its messages. Then come sessions without a user,
and at last the collections, each followed by its documents. An embedding is float32, little-endian,
in base64.
The lines have no time of the export, so the same data makes the same file. The first and the last
line are optional, for files written by hand. A file that has the first and not the last one is
incomplete.

Files of formats 1 to 3 are read too: they have no collections and documents. Formats 1 and 2 have
no uuids of users and sessions, no `seq`, and no times of changes. In format 1, a message has a
`uuid` in place of the `id`, `role` is the name of the speaker, and `role_type` the role. A session
has `ended`, without the time.
"""

import binascii
from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO, NamedTuple, Protocol

import msgspec
from msgspec import UNSET, Raw, UnsetType

from userkeep.api.parsing import body_decoder, read_body
from userkeep.domain.document import prepare_document
from userkeep.domain.errors import BadRequest, InvalidField, TooLarge
from userkeep.domain.imports import (
    GivenRevision,
    GivenSeq,
    GivenUuid,
    ImportedCollection,
    ImportedDocument,
    ImportedMessage,
    ImportedSession,
    ImportedUser,
)
from userkeep.domain.message import GIVEN_ROLES, ROLES, CreatedAt, NewMessage, Role
from userkeep.domain.values.ids import check_id, check_uuid
from userkeep.domain.values.metadata import Metadata, encode_metadata
from userkeep.domain.values.past import PastTime
from userkeep.domain.values.text import check_name, other_encoding, without_mark
from userkeep.domain.vectors.encoding import encode_embedding

FORMAT = 4
_READ_FORMATS = (1, 2, 3, 4)
_NEEDS_END = 3
LONGEST_LINE = 8 * 1024 * 1024
"""Bytes. Content and data of 1 MiB each fit, if every character of the content is escaped too."""


class Header(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The first line; later versions may add fields. `exported_at` is of former formats."""

    format: int
    version: str | None = None
    exported_at: datetime | None = None

    @property
    def needs_end(self) -> bool:
        """Whether the file has a last line, so that it is incomplete without."""
        return self.format >= _NEEDS_END or self.exported_at is not None


class FileSession(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A session in a file. Its owner is the user before it, unless `user_id` is null.

    `ended` is of format 1: the session ends when it is imported.
    """

    session_id: str
    uuid: GivenUuid | None = None
    user_id: str | None | UnsetType = UNSET
    title: str | None = None
    metadata: Metadata | None = None
    revision: GivenRevision | None = None
    created_at: PastTime | None = None
    updated_at: PastTime | None = None
    active_at: PastTime | None = None
    ended_at: PastTime | None = None
    ended: bool = False
    do_not_embed: bool = False

    @property
    def has_end(self) -> bool:
        """Whether it is known if the session has ended, and when."""
        return self.ended_at is not None or not self.ended

    def to_import(self, user_id: str | None, *, as_new: bool) -> ImportedSession:
        """Return the session to import, without messages.

        Args:
            user_id: its owner.
            as_new: whether it gets a uuid of its own.
        """
        return ImportedSession(
            session_id=self.session_id,
            uuid=None if as_new else self.uuid,
            user_id=user_id,
            title=self.title,
            metadata=self.metadata,
            revision=self.revision,
            created_at=self.created_at,
            updated_at=self.updated_at,
            active_at=self.active_at,
            ended_at=self.ended_at,
            has_end=self.has_end,
            do_not_embed=self.do_not_embed,
            messages=[],
        )


class FileMessage(NewMessage, kw_only=True):
    """A message in a file, of any format."""

    seq: GivenSeq | None = None
    revision: GivenRevision | None = None
    edited_at: CreatedAt | None = None
    role: str = ""  # type: ignore[assignment]
    uuid: str | None = None
    role_type: Role | UnsetType = UNSET

    @property
    def is_of_format_1(self) -> bool:
        """Whether it has fields that only format 1 has."""
        return self.uuid is not None or self.role_type is not UNSET


class Counts(msgspec.Struct):
    """Numbers of users, sessions, messages, collections and documents."""

    users: int = 0
    sessions: int = 0
    messages: int = 0
    collections: int = 0
    documents: int = 0


class Line(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A line; exactly one field is set."""

    userkeep: Header | UnsetType = UNSET
    user: ImportedUser | UnsetType = UNSET
    session: FileSession | UnsetType = UNSET
    message: FileMessage | UnsetType = UNSET
    collection: ImportedCollection | UnsetType = UNSET
    document: ImportedDocument | UnsetType = UNSET
    end: Counts | UnsetType = UNSET


class ExportedUser(msgspec.Struct, omit_defaults=True):
    """The fields of a user that an export copies: all."""

    user_id: str
    uuid: Raw
    email: Raw
    first_name: Raw
    last_name: Raw
    metadata: Any
    revision: Raw
    created_at: Raw
    updated_at: Raw
    do_not_embed: bool = False


class ExportedSession(msgspec.Struct, omit_defaults=True):
    """The fields of a session that an export copies: all but what its messages say."""

    session_id: str
    uuid: Raw
    user_id: Raw
    title: Raw
    metadata: Any
    revision: Raw
    created_at: Raw
    updated_at: Raw
    active_at: Raw
    ended_at: Raw
    do_not_embed: bool = False


class ExportedMessage(msgspec.Struct):
    """The fields of a message that an export copies: all, as the bytes that they are."""

    seq: Raw
    id: Raw
    role: Raw
    name: Raw
    content: Raw
    metadata: Any
    data: Raw
    token_count: Raw
    revision: Raw
    created_at: Raw
    edited_at: Raw


class ExportedCollection(msgspec.Struct):
    """The fields of a collection that an export copies: all but what its documents say."""

    name: str
    uuid: Raw
    description: Raw
    metadata: Any
    dimensions: Raw
    embedded_by: Raw
    model: str | None
    revision: Raw
    created_at: Raw
    updated_at: Raw


class ExportedDocument(msgspec.Struct):
    """The fields of a document that an export copies: all.

    `embedding` is read as numbers, and written in base64.
    """

    document_id: Raw
    uuid: Raw
    user_id: Raw
    content: Raw
    metadata: Any
    embedding_state: Raw
    revision: Raw
    created_at: Raw
    updated_at: Raw
    embedding: list[float] | str | None


class BadLine(BadRequest):
    """A line of the file is invalid."""


class NumberedLine(NamedTuple):
    """A line and its position.

    Attributes:
        number: from 1.
        end: the offset of its end in the file.
        size_bytes: its length.
        value: what it has: Header, ImportedUser, FileSession, ImportedMessage, ImportedCollection,
            ImportedDocument or Counts.
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


_WITH_METADATA = (
    ExportedUser,
    ExportedSession,
    ExportedMessage,
    ExportedCollection,
    ExportedDocument,
)
_SHORT_INTEGER = 1e16
"""From here on, a float without a fraction is written with an exponent."""
_INT64 = 2**63

_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = body_decoder(Line)


def write_line(file: Output, kind: str, value: Any) -> int:
    """Write a line; return its size in bytes.

    Metadata is written in one form, whatever form a database keeps it in: PostgreSQL changes the
    order of keys and the form of numbers.
    """
    if isinstance(value, _WITH_METADATA):
        value.metadata = _with_plain_numbers(value.metadata)
    if isinstance(value, ExportedDocument) and isinstance(value.embedding, list):
        encoded = encode_embedding(value.embedding, "embedding")
        value.embedding = binascii.b2a_base64(encoded, newline=False).decode()
    return file.write(b'{"%b": %b}\n' % (kind.encode(), _encode(value)))


def _with_plain_numbers(value: Any) -> Any:
    """Return a JSON value whose numbers are those that both engines return for them."""
    match value:
        case dict():
            return {key: _with_plain_numbers(each) for key, each in value.items()}
        case list():
            return [_with_plain_numbers(each) for each in value]
        case float() if _SHORT_INTEGER <= abs(value) < _INT64:
            return int(value)
        case float() if value == 0:
            return 0.0  # without a sign
        case int() if not -_INT64 <= value < _INT64:
            return float(value)
        case _:
            return value


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
            raise InvalidField(
                "it must have one of userkeep, user, session, message, collection, document "
                "and end."
            )
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
                f"userkeep.format is {value.format}; this version reads 1 to 4.",
                "userkeep.format",
            )
        case ImportedUser():
            value.check()
            _check_uuid(value.uuid, "user.uuid")
            encode_metadata(value.metadata, "user.metadata")
        case FileSession():
            check_id(value.session_id, "session.session_id")
            _check_uuid(value.uuid, "session.uuid")
            check_name(value.title, "session.title")
            encode_metadata(value.metadata, "session.metadata")
        case FileMessage():
            return _message(value)
        case ImportedCollection():
            value.check()
            _check_uuid(value.uuid, "collection.uuid")
            encode_metadata(value.metadata, "collection.metadata")
        case ImportedDocument():
            _check_document(value)
    return value


def _check_document(document: ImportedDocument) -> None:
    if document.uuid is None and document.document_id is None:
        raise InvalidField(
            "document.document_id is missing; it identifies a document that exists already.",
            "document.document_id",
        )
    _check_uuid(document.uuid, "document.uuid")
    prepare_document(document, "document")


def _check_uuid(uuid: str | None, field: str) -> None:
    if uuid is not None:
        check_uuid(uuid, field)


def _message(given: FileMessage) -> ImportedMessage:
    """Return a message to import, checked."""
    message = _of_format_1(given) if given.is_of_format_1 else _of_format_2(given)
    if message.id is None:
        raise InvalidField(
            "message.id is missing; it identifies a message that exists already.", "message.id"
        )
    message.checked("message", may_be_empty=True)
    return message


def _of_format_1(given: FileMessage) -> ImportedMessage:
    if given.id is not None or given.name is not None:
        field = "message.name" if given.id is None else "message.id"
        raise InvalidField(f"{field} does not exist in format 1, of `uuid` and `role_type`.", field)
    uuid = None if given.uuid is None else check_uuid(given.uuid, "message.uuid")
    role = "norole" if isinstance(given.role_type, UnsetType) else given.role_type
    return _with_role(given, role, name=given.role, id=uuid)


def _of_format_2(given: FileMessage) -> ImportedMessage:
    if given.role not in GIVEN_ROLES:
        raise InvalidField(
            f"message.role must be one of {', '.join(ROLES)}; got {given.role!r}.", "message.role"
        )
    return _with_role(given, given.role, name=given.name, id=given.id)


def _with_role(given: FileMessage, role: Any, **fields: Any) -> ImportedMessage:
    return ImportedMessage(
        role=role,
        content=given.content,
        token_count=given.token_count,
        created_at=given.created_at,
        metadata=given.metadata,
        data=given.data,
        seq=given.seq,
        revision=given.revision,
        edited_at=given.edited_at,
        **fields,
    )
