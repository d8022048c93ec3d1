"""A call of `/api/v1`, decided before anything is sent, and what its answer says."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec

from userkeep.sdk.http_client import HTTPRequest, HTTPResponse
from userkeep.zep.exceptions import APIError, AuthError, NotFoundError
from userkeep.zep.model import Model, json_value

PREFIX = "/api/v1"

T = TypeVar("T")
M = TypeVar("M", bound=Model)
Read = Callable[[HTTPResponse], T]

_SUCCESSES = range(200, 300)
_NO_SEGMENT = {".", ".."}


@dataclass(frozen=True)
class ZepCall(Generic[T]):
    """What is sent, and how to read what comes back.

    Attributes:
        request: to send.
        read: makes a value of an answer.
        missing: the sentence for an answer that says 404.
    """

    request: HTTPRequest
    read: Read[T]
    missing: str

    def value_of(self, reply: HTTPResponse) -> T:
        """What an answer says.

        Raises:
            NotFoundError, AuthError, APIError.
        """
        if reply.status == 404:
            raise NotFoundError(self.missing)
        if reply.status == 401:
            raise AuthError(reply)
        if reply.status not in _SUCCESSES:
            raise APIError(reply)
        return self.read(reply)


def make_call(
    method: str,
    path: str,
    read: Read[T],
    *,
    ids: Mapping[str, Any] | None = None,
    query: Mapping[str, int | None] | None = None,
    body: Any = None,
    missing: str = "There is nothing at this address.",
) -> ZepCall[T]:
    """A call.

    Args:
        method: of HTTP.
        path: below the prefix, with a place for each id, such as `/user/{user_id}`.
        read: see ZepCall.
        ids: by name; each is encoded whole, slashes too.
        query: by name; None is left out.
        body: to be JSON.
        missing: see ZepCall.

    Raises:
        ValueError: an id is blank, or nothing that an address can carry; a body is no JSON.
    """
    checked = {name: check_id(value, name) for name, value in (ids or {}).items()}
    segments = {name: quote(value, safe="") for name, value in checked.items()}
    address = PREFIX + path.format(**segments)
    given = [(name, value) for name, value in (query or {}).items() if value is not None]
    if given:
        address = f"{address}?{urlencode(given)}"
    if body is None:
        return ZepCall(HTTPRequest(method, address, {}, None), read, missing)
    headers = {"Content-Type": "application/json"}
    return ZepCall(HTTPRequest(method, address, headers, _encoded(body)), read, missing)


def one(kind: type[M]) -> Read[M]:
    """Reads an object."""
    return lambda reply: understood(reply, kind.parse_obj)


def several(kind: type[M], name: str | None = None) -> Read[list[M]]:
    """Reads a list of objects, which is the answer or has this name in it."""

    def listed(answer: Any) -> list[M]:
        rows = answer if name is None else answer[name]
        return [kind.parse_obj(row) for row in rows]

    return lambda reply: understood(reply, listed)


def understood(reply: HTTPResponse, read: Callable[[Any], T]) -> T:
    """What is made of an answer's JSON.

    Raises:
        APIError: it is none, or not what was asked for.
    """
    try:
        return read(msgspec.json.decode(reply.body))
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise APIError(reply, "This answer is none of Userkeep's or Zep's") from error


def read_text(reply: HTTPResponse) -> str:
    """Reads an answer that is a text."""
    return reply.body.decode()


def read_nothing(_reply: HTTPResponse) -> None:
    """Reads an answer that says no more than that it was done."""


def cursors(chunk_size: int) -> Iterator[int | None]:
    """The cursors of a walk through a list: of its chunks, until one is empty.

    Raises:
        ValueError: there are no chunks of this size.
    """
    if chunk_size < 1:
        raise ValueError("chunk_size must be a positive integer")
    yield None
    cursor = chunk_size
    while True:
        yield cursor
        cursor += chunk_size


def check_id(value: Any, name: str) -> str:
    """The text of an id, which callers also give as the UUID or the number that it is.

    Raises:
        ValueError: it is blank, or nothing that an address can carry.
    """
    text = str(value) if isinstance(value, UUID | int) else value
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{name} must be given, and not blank")
    if text in _NO_SEGMENT:
        raise ValueError(f"{name} cannot be {text!r}, which no address can carry")
    return text


def _encoded(body: Any) -> bytes:
    return json.dumps(body, default=json_value, allow_nan=False).encode()
