"""What an app says to the SDK: the inputs of the domain, under the names that Zep gave them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from userkeep.api.messages import MAX_BATCH
from userkeep.domain import message, session, user
from userkeep.domain.errors import InvalidField
from userkeep.domain.values.metadata import MAX_DEPTH, check_json
from userkeep.domain.values.text import check_is_utf8

R = TypeVar("R", bound=msgspec.Struct)

BATCH_BYTES = 4 * 1024 * 1024
"""A body may have 5 MiB."""


class CreateUserRequest(user.NewUser, kw_only=True):
    """A user to add, or to put in the place of the one with this `user_id`.

    Attributes:
        user_id: yours; any text of up to 512 characters.
        email, first_name, last_name: up to 512 characters each.
        metadata: a JSON object of up to 64 KiB.
    """


class UpdateUserRequest(user.UserChange, kw_only=True):
    """A change of a user: what is absent stays, None removes, metadata merges (RFC 7396).

    Attributes:
        user_id: whose.
        email, first_name, last_name: up to 512 characters each.
        metadata: merged into what is there; a None in it removes that key.
    """

    user_id: str


class CreateSessionRequest(session.NewSession, kw_only=True):
    """A session to open.

    Attributes:
        session_id: yours; without one the server makes it.
        user_id: the owner; without one it may be given later, once.
        metadata: a JSON object of up to 64 KiB.
    """


class UpdateSessionRequest(session.SessionChange, kw_only=True):
    """A change of a session.

    Attributes:
        session_id: which.
        user_id: an owner, where there is none yet.
        metadata: merged into what is there; a None in it removes that key, None all of it.
    """

    session_id: str


class NewMessage(message.NewMessage, kw_only=True):
    """A message to append.

    Attributes:
        content: what was said, up to 1 MiB.
        role: who said it, any text.
        role_type: what the role means to a model: `norole`, `system`, `assistant`, `user`,
            `function` or `tool`.
        uuid: yours, unique in the session; else the server's.
        token_count: yours; the server counts no tokens.
        created_at: when it was said, where you fill in a history; without a zone it is UTC.
        metadata: a JSON object of up to 64 KiB.
        data: any JSON that you want back as it was, up to 1 MiB (`msgspec.Raw`: to the byte).
    """

    data: Any = UNSET


def only_request(request: R | None, fields: dict[str, Any], kind: type[R]) -> R:
    """The request that was given, or the one that its fields make.

    Raises:
        TypeError: both were given, or something else, or a field that there is none of, or not all
            that are needed.
    """
    if request is None:
        return kind(**fields)
    if fields:
        raise TypeError(f"give a {kind.__name__}, or its fields, not both")
    if not isinstance(request, kind):
        given = type(request).__name__
        raise TypeError(f"give a {kind.__name__}, or its fields by name, not a {given}")
    return request


def body_of(request: msgspec.Struct, *left_out: str) -> bytes:
    """What a request says, as JSON, without the fields that travel elsewhere.

    Raises:
        InvalidField: naming the field that cannot be sent.
    """
    fields = msgspec.structs.asdict(request)
    for name in left_out:
        del fields[name]
    return body_with(**fields)


def body_with(**fields: Any) -> bytes:
    """The fields that were given, as JSON: all but those that are UNSET.

    Raises:
        InvalidField: naming the field that cannot be sent.
    """
    return _encode(_checked(fields))


def body_of_messages(messages: Any, user_id: str | None) -> bytes:
    """Messages to append, as JSON.

    Raises:
        InvalidField: naming the field that cannot be sent, such as `messages[3].content`.
    """
    if not isinstance(messages, Iterable) or isinstance(messages, str | bytes | Mapping):
        raise InvalidField("messages must be a list of NewMessage.", "messages")
    return _batch([_message(each, index) for index, each in enumerate(messages)], user_id)


def body_of_search(**fields: Any) -> bytes:
    """What to search for, as JSON: all fields but those that are None.

    Raises:
        InvalidField: naming the field that cannot be sent.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    for name, value in given.items():
        if isinstance(value, datetime):
            given[name] = value.isoformat()
        elif isinstance(value, Mapping):
            given[name] = dict(value)
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
            given[name] = list(value)
    return body_with(**given)


def body_of_verification(subject_id: str | None, search_terms: Any) -> bytes:
    """What to look for, as JSON.

    Raises:
        InvalidField: naming the field that cannot be sent, such as `search_terms[3]`.
    """
    if not isinstance(search_terms, Iterable) or isinstance(search_terms, str | bytes | Mapping):
        raise InvalidField("search_terms must be a list of texts.", "search_terms")
    return body_with(subject_id=subject_id, search_terms=list(search_terms))


def batches_of(messages: Iterable[NewMessage], user_id: str | None) -> Iterator[tuple[int, bytes]]:
    """Messages to append in bodies that one request can carry, and how many each has.

    A body has as many as a request may have, and is as large as it may be.

    Raises:
        InvalidField: as body_of_messages does; the place is that in its batch.
    """
    batch: list[bytes] = []
    size_bytes = 0
    for each in messages:
        text = _message(each, len(batch))
        is_full = len(batch) == MAX_BATCH or size_bytes + len(text) > BATCH_BYTES
        if batch and is_full:
            yield len(batch), _batch(batch, user_id)
            batch, size_bytes = [], 0
        batch.append(text)
        size_bytes += len(text)
    if batch:
        yield len(batch), _batch(batch, user_id)


def _batch(messages: list[bytes], user_id: str | None) -> bytes:
    fields: dict[str, Any] = {"messages": [msgspec.Raw(each) for each in messages]}
    if user_id is not None:
        fields |= _checked({"user_id": user_id})
    return _encode(fields)


def _message(each: Any, index: int) -> bytes:
    place = f"messages[{index}]"
    if not isinstance(each, message.NewMessage):
        raise InvalidField(f"{place} must be a NewMessage, not a {type(each).__name__}.", place)
    fields = msgspec.structs.asdict(each)
    if isinstance(each.created_at, datetime):
        fields["created_at"] = each.created_at.isoformat()
    data = fields.pop("data")
    fields = _checked(fields, f"{place}.")
    if data is not UNSET:
        fields["data"] = _opaque(data, f"{place}.data")
    return _encode(fields)


def _checked(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    # The encoder would make null of NaN in silence, and text of a number that is a key.
    given = {name: value for name, value in fields.items() if value is not UNSET}
    for name, value in given.items():
        check_json(value, f"{prefix}{name}")
    return given


def _opaque(data: Any, field: str) -> msgspec.Raw:
    """Any JSON; what an app has as JSON text already, as `msgspec.Raw`, goes out as it is."""
    if isinstance(data, msgspec.Raw):
        return data
    _check_opaque(data, field, 1)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return msgspec.Raw(check_is_utf8(text, field).encode())


def _check_opaque(value: Any, field: str, depth: int) -> None:
    # Kept as text, data may have more than metadata: NUL, and numbers of any size.
    if isinstance(value, dict | list | tuple):
        if depth > MAX_DEPTH:
            raise InvalidField(f"{field} is nested deeper than {MAX_DEPTH} levels.", field)
        for item in value.values() if isinstance(value, dict) else value:
            _check_opaque(item, field, depth + 1)
        if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
            raise InvalidField(f"{field} has a key that is not text.", field)
    elif isinstance(value, float):
        if not isfinite(value):
            raise InvalidField(f"{field} has a number in it that is not finite.", field)
    elif value is not None and not isinstance(value, str | int):
        kind = type(value).__name__
        raise InvalidField(f"{field} has a {kind} in it, which JSON cannot hold.", field)


def _plain(value: Any) -> Any:
    """What a class of the app's own is, where it is a text or a number at heart."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    return float(value)


_encode = msgspec.json.Encoder(enc_hook=_plain).encode
