"""What an app says to the SDK: the inputs of the domain, under the names that Zep gave them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from recollect.api.wire import MAX_BATCH
from recollect.domain import message, session, user
from recollect.domain.metadata import encode_json
from recollect.sdk.calls import given

R = TypeVar("R", bound=msgspec.Struct)

_BATCH_BYTES = 4 * 1024 * 1024
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
        data: any JSON that you want back as it was, up to 1 MiB.
    """

    data: Any = UNSET


def only_request(request: R | None, fields: dict[str, Any], kind: type[R]) -> R:
    """The request that was given, or the one that its fields make.

    Raises:
        TypeError: both were given, or a field that there is none of, or not all that are needed.
    """
    if request is None:
        return kind(**fields)
    if fields:
        raise TypeError(f"give a {kind.__name__}, or its fields, not both")
    return request


def fields_of(request: msgspec.Struct, *left_out: str) -> dict[str, Any]:
    """What a request says, as JSON has it, without the fields that travel elsewhere."""
    fields = given(**msgspec.structs.asdict(request))
    for name in left_out:
        del fields[name]
    return fields


def messages_of(messages: Sequence[NewMessage]) -> list[dict[str, Any]]:
    """Messages as JSON has them."""
    return [_message(each) for each in messages]


def batches_of(messages: Iterable[NewMessage]) -> Iterator[list[NewMessage]]:
    """Messages in batches that one request can carry: as many as it may have, and as large."""
    batch: list[NewMessage] = []
    size_bytes = 0
    for each in messages:
        each_bytes = len(encode_json(each))
        is_full = len(batch) == MAX_BATCH or size_bytes + each_bytes > _BATCH_BYTES
        if batch and is_full:
            yield batch
            batch, size_bytes = [], 0
        batch.append(each)
        size_bytes += each_bytes
    if batch:
        yield batch


def _message(each: NewMessage) -> dict[str, Any]:
    fields = fields_of(each)
    if each.created_at is not None:
        fields["created_at"] = each.created_at.isoformat()
    return fields
