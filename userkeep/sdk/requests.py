"""Requests that apps create, under the names of the Zep API, and their encoding as JSON."""

import base64
import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from math import isfinite
from typing import Any, ClassVar, Self, TypeVar

import msgspec
from msgspec import UNSET

from userkeep.api.encoding import Encodable, plain_scalar
from userkeep.domain import collection, document, message, project, session, user
from userkeep.domain.conversions import reading
from userkeep.domain.conversions.shapes import MARK
from userkeep.domain.errors import InvalidField
from userkeep.domain.message import MAX_BATCH
from userkeep.domain.values.metadata import MAX_DEPTH, check_json
from userkeep.domain.values.text import check_is_utf8
from userkeep.domain.values.times import check_aware
from userkeep.sdk.boundary import mistake
from userkeep.sdk.keywords import TakesKeywords, example_of

R = TypeVar("R", bound=msgspec.Struct)

BATCH_BYTES = 4 * 1024 * 1024
"""The size of a batch. The server accepts bodies of up to 5 MiB."""


class CreateUserRequest(Encodable, user.NewUser, kw_only=True, metaclass=TakesKeywords):
    """A user to create, or to replace the existing one with this `user_id`.

    Attributes:
        user_id: your id of the user, any text of up to 512 characters.
        email, first_name, last_name: up to 512 characters each.
        metadata: a JSON object of up to 64 KiB.
        created_at: for an imported user, with a time zone.
        do_not_embed: whether no embedding model is given any text of the user.
    """

    _example: ClassVar = 'user_id="jane"'


class UpdateUserRequest(Encodable, user.UserChange, kw_only=True, metaclass=TakesKeywords):
    """An update of a user: absent fields stay, None removes a value, metadata is merged (RFC 7396).

    Attributes:
        user_id: the user.
        email, first_name, last_name: up to 512 characters each.
        metadata: merged into the existing metadata. A value of None removes its key.
        do_not_embed: as in CreateUserRequest. If it is set, the embeddings of the user are deleted.
    """

    _example: ClassVar = 'user_id="jane", email="jane@example.com"'

    user_id: str


class CreateSessionRequest(Encodable, session.NewSession, kw_only=True, metaclass=TakesKeywords):
    """A session to create.

    Attributes:
        session_id: your id of the session. By default the server generates one.
        user_id: the owner. It can also be set later, once.
        title: what a list of sessions shows, up to 512 characters.
        metadata: a JSON object of up to 64 KiB.
        created_at, ended_at: for imported history, with a time zone.
        do_not_embed: whether no embedding model is given any text of the session.
    """

    _example: ClassVar = 'session_id="chat-1", user_id="jane"'


class UpdateSessionRequest(Encodable, session.SessionChange, kw_only=True, metaclass=TakesKeywords):
    """An update of a session.

    Attributes:
        session_id: the session.
        user_id: the owner, if the session has none yet.
        title: up to 512 characters. None removes it.
        metadata: merged into the existing metadata (RFC 7396). A value of None removes its key, and
            None removes all metadata.
        ended_at: when the session ended, for imported history. None reopens it.
        do_not_embed: as in CreateSessionRequest. If it is set, the embeddings of the session are
            deleted.
    """

    _example: ClassVar = 'session_id="chat-1", title="Shoes"'

    session_id: str


class CreateProjectRequest(Encodable, project.NewProject, kw_only=True, metaclass=TakesKeywords):
    """A project to create.

    Attributes:
        name: up to 63 of a-z, 0-9, `-` and `_`, the first a letter or a digit. Not a uuid.
        max_messages_per_user: the most messages that a user can have. None: no limit.
        max_bytes_per_user: the most bytes that the texts of a user can have. None: no limit.
        max_documents_per_user: the most documents that a user can have. None: no limit.
    """

    _example: ClassVar = 'name="shop"'


class UpdateProjectRequest(Encodable, project.ProjectChange, kw_only=True, metaclass=TakesKeywords):
    """An update of a project: absent fields stay, None removes a limit.

    Attributes:
        project: the name of the project, or its uuid.
        name: the new name.
        max_messages_per_user, max_bytes_per_user, max_documents_per_user: as in
            CreateProjectRequest.
        do_not_embed: whether no embedding model is given any text of the project.
    """

    _example: ClassVar = 'project="shop", name="store"'

    project: str


class CreateCollectionRequest(
    Encodable, collection.NewCollection, kw_only=True, metaclass=TakesKeywords
):
    """A collection to create.

    Attributes:
        name: up to 63 of a-z, 0-9, `-` and `_`, the first a letter or a digit. Not a uuid.
        description: what it is for, up to 1,000 characters.
        metadata: a JSON object of up to 64 KiB.
        dimensions: the length of its embeddings, from 8 to 2,000. If the model makes them, the
            default is the model's.
        embedded_by: `caller` if you send the embeddings, `model` if the configured embedding model
            makes them.
    """

    _example: ClassVar = 'name="articles", dimensions=384'


class UpdateCollectionRequest(
    Encodable, collection.CollectionChange, kw_only=True, metaclass=TakesKeywords
):
    """An update of a collection: absent fields stay, None removes a value.

    Attributes:
        name: the collection.
        description: up to 1,000 characters.
        metadata: merged into the existing metadata (RFC 7396). A value of None removes its key.
    """

    _example: ClassVar = 'name="articles", description="what we wrote"'

    name: str


class NewDocument(Encodable, document.NewDocument, kw_only=True, metaclass=TakesKeywords):
    """A document to add to a collection.

    Attributes:
        content: the text, up to 1 MiB. It can be empty if there is an embedding.
        document_id: your id, unique in the collection: any text of up to 512 characters. By default
            the server generates a uuid.
        user_id: the user whom it belongs to, and with whom it is deleted. By default, none.
        metadata: a JSON object of up to 64 KiB.
        embedding: as many numbers as the collection has dimensions: a list, or an array of numpy.
            Required, unless the model makes it.
    """

    _example: ClassVar = 'content="about shoes", embedding=[0.1, 0.2]'


class NewMessage(Encodable, message.NewMessage, kw_only=True, metaclass=TakesKeywords):
    """A message to append.

    Attributes:
        role: the role for a language model: `system`, `developer`, `user`, `assistant`, `tool` or
            `function`; `norole` if there is none. `human` is stored as `user`, and `ai`, `model`
            and `bot` as `assistant`.
        content: the text, up to 1 MiB. It can be empty or None if there is data.
        name: who speaks, any text of up to 512 characters.
        id: your id, unique in the session: any text of up to 128 characters. By default the server
            generates a uuid.
        token_count: your count of tokens. The server does not count them.
        created_at: when the message was created, for imported history, with a time zone.
            The default is now.
        metadata: a JSON object of up to 64 KiB.
        data: any JSON, returned unchanged, up to 1 MiB. `msgspec.Raw` is returned byte for byte.
    """

    _example: ClassVar = 'role="user", content="hi"'

    data: Any = UNSET

    @classmethod
    def from_openai(
        cls,
        message: Any,
        *,
        id: str | None = None,
        name: str | None = None,
        token_count: int | None = None,
        created_at: datetime | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Self:
        """Return a message of OpenAI's Chat Completions API as a message to append.

        The original is kept in `data`, its text in `content`. A message of text alone needs no
        `data`.

        Args:
            message: a dict, or an object of the `openai` package.
            id, token_count, created_at, metadata: as in NewMessage.
            name: who speaks, if it is not the `name` of the message.

        Raises:
            InvalidField: it is not such a message, or is larger than 1 MiB.
        """
        return cls._from_fields(
            reading.from_openai(message),
            name,
            metadata,
            id=id,
            token_count=token_count,
            created_at=created_at,
        )

    @classmethod
    def from_openai_responses(
        cls,
        item: Any,
        *,
        id: str | None = None,
        name: str | None = None,
        token_count: int | None = None,
        created_at: datetime | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Self:
        """Return an item of OpenAI's Responses API as a message to append.

        Each item is a message: a text, a tool call, a result, the reasoning.

        Args:
            item: an item of `input` or of `output`, as a dict or an object of the `openai` package.
            id, name, token_count, created_at, metadata: as in NewMessage.

        Raises:
            InvalidField: it is not such an item, or is larger than 1 MiB.
        """
        return cls._from_fields(
            reading.from_openai_responses(item),
            name,
            metadata,
            id=id,
            token_count=token_count,
            created_at=created_at,
        )

    @classmethod
    def from_anthropic(
        cls,
        message: Any,
        *,
        id: str | None = None,
        name: str | None = None,
        token_count: int | None = None,
        created_at: datetime | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Self:
        """Return a message of Anthropic's Messages API as a message to append.

        Args:
            message: a message or a response, as a dict or an object of the `anthropic` package.
            id, name, token_count, created_at, metadata: as in NewMessage.

        Raises:
            InvalidField: it is not such a message, or is larger than 1 MiB.
        """
        return cls._from_fields(
            reading.from_anthropic(message),
            name,
            metadata,
            id=id,
            token_count=token_count,
            created_at=created_at,
        )

    @classmethod
    def _from_fields(
        cls,
        read: reading.MessageFields,
        name: str | None,
        metadata: dict[str, Any] | None,
        **fields: Any,
    ) -> Self:
        if read.data_format is not None:
            metadata = {**(metadata or {}), MARK: read.data_format}
        return cls(
            role=read.role,  # type: ignore[arg-type]
            name=read.name if name is None else name,
            content=read.content,
            data=UNSET if read.data is None else read.data,
            metadata=metadata,
            **fields,
        )


DocumentInput = NewDocument | Mapping[str, Any]
"""A document to add: a NewDocument, or a dict with the same fields."""

MessageInput = NewMessage | Mapping[str, Any]
"""A message to append: a NewMessage, or a dict with the same fields."""


def request_from(request: R | None, fields: dict[str, Any], kind: type[R]) -> R:
    """Return the given request, or create it from its fields.

    Raises:
        TypeError: both were given, or an object of another type, or a field is unknown or missing.
    """
    if request is None:
        return kind(**fields)
    if not isinstance(request, kind):
        raise mistake(
            TypeError(f"pass {_either(kind)}; got a value of type {type(request).__name__}")
        )
    if fields:
        raise mistake(TypeError(f"pass {_either(kind)}, not both"))
    return request


def _either(kind: Any) -> str:
    return f"the fields as keywords, such as {kind._example}, or one {example_of(kind)}"


def encode_request(request: msgspec.Struct, *in_path: str) -> bytes:
    """Return a request as JSON, without the fields that are sent in the path.

    Raises:
        InvalidField: a field cannot be sent.
    """
    fields = msgspec.structs.asdict(request)
    for name in in_path:
        del fields[name]
    return encode_fields(**fields)


def encode_fields(**fields: Any) -> bytes:
    """Return fields as JSON, without those that are UNSET.

    Raises:
        InvalidField: a field cannot be sent.
    """
    return _encode(_checked(fields))


_FIELDS_OF_MESSAGE = frozenset(NewMessage.__struct_fields__)

_CONVERT = (
    "Convert messages of a model's API with NewMessage.from_openai, from_openai_responses or "
    "from_anthropic."
)


def encode_messages(messages: Any, user_id: str | None, *, create: bool) -> bytes:
    """Return messages to append as JSON.

    Raises:
        InvalidField: a field cannot be sent, such as `messages[3].content`.
    """
    if not isinstance(messages, Iterable) or isinstance(messages, str | bytes | Mapping):
        kind = type(messages).__name__
        detail = (
            f"messages must be a NewMessage, a dict, or a list of these; got a value of type {kind}"
            f". Write {example_of(NewMessage)}."
        )
        raise InvalidField(detail, "messages")
    encoded = [_message(each, index) for index, each in enumerate(messages)]
    return _batch(encoded, user_id, create=create)


def encode_documents(documents: Any) -> bytes:
    """Return documents to add as JSON.

    Raises:
        InvalidField: a field cannot be sent, such as `documents[3].content`.
    """
    return _batch_of_documents(_encoded_documents(documents))


def encode_document_batches(documents: Iterable[DocumentInput]) -> Iterator[tuple[int, bytes]]:
    """Return documents to add as JSON bodies, each with its number of documents.

    A body has up to MAX_BATCH documents and BATCH_BYTES bytes.

    Raises:
        InvalidField: a field cannot be sent. The index in its name is that in the batch.
    """
    batch: list[bytes] = []
    size_bytes = 0
    for each in documents:
        text = _document(each, len(batch))
        is_full = len(batch) == MAX_BATCH or size_bytes + len(text) > BATCH_BYTES
        if batch and is_full:
            yield len(batch), _batch_of_documents(batch)
            batch, size_bytes = [], 0
        batch.append(text)
        size_bytes += len(text)
    if batch:
        yield len(batch), _batch_of_documents(batch)


def encode_document_fields(**fields: Any) -> bytes:
    """Return fields of a document or of a search as JSON, without those that are UNSET.

    Raises:
        InvalidField: a field cannot be sent.
    """
    return _encode(_checked_document(fields, ""))


def _encoded_documents(documents: Any) -> list[bytes]:
    if not isinstance(documents, Iterable) or isinstance(documents, str | bytes):
        kind = type(documents).__name__
        raise InvalidField(
            "documents must be a NewDocument, a dict, or a list of these; got a value of type "
            f"{kind}. Write {example_of(NewDocument)}.",
            "documents",
        )
    return [_document(each, index) for index, each in enumerate(documents)]


def _document(each: Any, index: int) -> bytes:
    place = f"documents[{index}]"
    fields: dict[Any, Any]
    if isinstance(each, document.NewDocument):
        fields = msgspec.structs.asdict(each)
    elif isinstance(each, Mapping):
        fields = dict(each)
    else:
        raise InvalidField(
            f"{place} must be a NewDocument or a dict; got a value of type {type(each).__name__}. "
            f"Write {example_of(NewDocument)}.",
            place,
        )
    unnamed = next((name for name in fields if not isinstance(name, str)), None)
    if unnamed is not None:
        raise InvalidField(f"{place} has a key that is not a str: {unnamed!r}.", place)
    return _encode(_checked_document(fields, f"{place}."))


def _checked_document(fields: dict[str, Any], prefix: str) -> dict[str, Any]:
    embedding = fields.pop("embedding", UNSET)
    checked = _checked(fields, prefix)
    if embedding is not UNSET:
        checked |= _checked({"embedding": _short_embedding(embedding)}, prefix)
    return checked


def _short_embedding(embedding: Any) -> Any:
    """Return an embedding in base64, which is several times as fast; what is none, as it is."""
    # An array of numpy has this method.
    numbers = embedding.tolist() if hasattr(embedding, "tolist") else embedding
    if not isinstance(numbers, list | tuple) or not numbers:
        return numbers
    try:
        packed = struct.pack(f"<{len(numbers)}f", *numbers)
    except (struct.error, OverflowError):
        return list(numbers)
    return base64.b64encode(packed).decode()


def _batch_of_documents(documents: list[bytes]) -> bytes:
    return _encode({"documents": [msgspec.Raw(each) for each in documents]})


def encode_search(**fields: Any) -> bytes:
    """Return a search as JSON, without the fields that are None.

    Raises:
        InvalidField: a field cannot be sent.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    for name, value in given.items():
        if isinstance(value, Mapping):
            given[name] = dict(value)
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
            given[name] = list(value)
    return encode_fields(**given)


def encode_verification(subject_id: str | None, search_terms: Any) -> bytes:
    """Return a verification request as JSON.

    Raises:
        InvalidField: a field cannot be sent, such as `search_terms[3]`.
    """
    if not isinstance(search_terms, Iterable) or isinstance(search_terms, str | bytes | Mapping):
        raise InvalidField("search_terms must be a list of str.", "search_terms")
    return encode_fields(subject_id=subject_id, search_terms=list(search_terms))


def encode_batches(
    messages: Iterable[MessageInput], user_id: str | None, *, create: bool
) -> Iterator[tuple[int, bytes]]:
    """Return messages to append as JSON bodies, each with its number of messages.

    A body has up to MAX_BATCH messages and BATCH_BYTES bytes.

    Raises:
        InvalidField: a field cannot be sent. The index in its name is that in the batch.
    """
    batch: list[bytes] = []
    size_bytes = 0
    for each in messages:
        text = _message(each, len(batch))
        is_full = len(batch) == MAX_BATCH or size_bytes + len(text) > BATCH_BYTES
        if batch and is_full:
            yield len(batch), _batch(batch, user_id, create=create)
            batch, size_bytes = [], 0
        batch.append(text)
        size_bytes += len(text)
    if batch:
        yield len(batch), _batch(batch, user_id, create=create)


def _batch(messages: list[bytes], user_id: str | None, *, create: bool) -> bytes:
    fields: dict[str, Any] = {"messages": [msgspec.Raw(each) for each in messages]}
    if user_id is not None:
        fields |= _checked({"user_id": user_id})
    if create is not True:
        fields |= _checked({"create": create})
    return _encode(fields)


def _message(each: Any, index: int) -> bytes:
    place = f"messages[{index}]"
    fields = _fields_of(each, place)
    return _encode(_checked_with_data(fields, f"{place}."))


def _fields_of(each: Any, place: str) -> dict[str, Any]:
    if isinstance(each, message.NewMessage):
        return msgspec.structs.asdict(each)
    if not isinstance(each, Mapping):
        kind = type(each).__name__
        raise InvalidField(
            f"{place} must be a NewMessage or a dict; got a value of type {kind}. Write "
            f"{example_of(NewMessage)}.",
            place,
        )
    fields = dict(each)
    unnamed = next((name for name in fields if not isinstance(name, str)), None)
    if unnamed is not None:
        raise InvalidField(f"{place} has a key that is not a str: {unnamed!r}.", place)
    unknown = next((name for name in fields if name not in _FIELDS_OF_MESSAGE), None)
    if unknown is not None:
        place = f"{place}.{unknown}"
        raise InvalidField(f"{place} is not a field of a message. {_CONVERT}", place)
    if isinstance(fields.get("content"), list):
        place = f"{place}.content"
        raise InvalidField(f"{place} must be a str or None, not a list. {_CONVERT}", place)
    return fields


def encode_message_change(**fields: Any) -> bytes:
    """Return a change of a message as JSON, without the fields that are UNSET.

    Raises:
        InvalidField: a field cannot be sent.
    """
    return _encode(_checked_with_data(fields))


def _checked_with_data(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    data = fields.pop("data", UNSET)
    checked = _checked(fields, prefix)
    if data is not UNSET:
        checked["data"] = _encode_data(data, f"{prefix}data")
    return checked


def _checked(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    # The encoder would turn NaN into null, and keys that are numbers into text, without an error.
    given = {name: value for name, value in fields.items() if value is not UNSET}
    for name, value in given.items():
        if isinstance(value, date):
            check_aware(value, f"{prefix}{name}")
            given[name] = value.isoformat()
        else:
            check_json(value, f"{prefix}{name}")
    return given


def _encode_data(data: Any, field: str) -> msgspec.Raw:
    """Return any JSON value as text; `msgspec.Raw` is JSON text already, and is sent unchanged."""
    if isinstance(data, msgspec.Raw):
        return data
    _check_data(data, field, 1)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return msgspec.Raw(check_is_utf8(text, field).encode())


def _check_data(value: Any, field: str, depth: int) -> None:
    # It is stored as text, so it may contain what metadata may not: NUL, and numbers of any size.
    if isinstance(value, dict | list | tuple):
        if depth > MAX_DEPTH:
            raise InvalidField(f"{field} is nested deeper than {MAX_DEPTH} levels.", field)
        for item in value.values() if isinstance(value, dict) else value:
            _check_data(item, field, depth + 1)
        if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
            raise InvalidField(f"{field} has a key that is not a str.", field)
    elif isinstance(value, float):
        if not isfinite(value):
            raise InvalidField(f"{field} contains a number that is not finite.", field)
    elif value is not None and not isinstance(value, str | int):
        kind = type(value).__name__
        raise InvalidField(f"{field} contains a {kind}, which JSON does not support.", field)


_encode = msgspec.json.Encoder(enc_hook=plain_scalar).encode
