"""Calls of `/api/v1`, complete before anything is sent, and the parsing of responses."""

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
_INVALID_IDS = {".", ".."}


@dataclass(frozen=True)
class ZepCall(Generic[T]):
    """A request, and how to read its response.

    Attributes:
        request: the HTTP request.
        read: returns the value in a successful response.
        missing: the error message for a response with the status 404.
    """

    request: HTTPRequest
    read: Read[T]
    missing: str

    def parse(self, response: HTTPResponse) -> T:
        """Return the value in a response.

        Raises:
            NotFoundError, AuthError, APIError: the response is an error.
        """
        if response.status == 404:
            raise NotFoundError(self.missing)
        if response.status == 401:
            raise AuthError(response)
        if response.status not in _SUCCESSES:
            raise APIError(response)
        return self.read(response)


def make_call(
    method: str,
    path: str,
    read: Read[T],
    *,
    ids: Mapping[str, Any] | None = None,
    query: Mapping[str, int | None] | None = None,
    body: Any = None,
    missing: str = "This path does not exist.",
) -> ZepCall[T]:
    """Return a call.

    Args:
        method: the HTTP method.
        path: the path below the prefix, with the names of ids, such as `/user/{user_id}`.
        read: returns the value in a successful response.
        ids: the ids in the path by name. Each is percent-encoded, with its slashes.
        query: the query parameters by name. None is omitted.
        body: the body, encoded as JSON.
        missing: the error message for a response with the status 404.

    Raises:
        ValueError: an id is blank or impossible in a URL, or the body is not JSON.
    """
    checked = {name: check_id(value, name) for name, value in (ids or {}).items()}
    segments = {name: quote(value, safe="") for name, value in checked.items()}
    url_path = PREFIX + path.format(**segments)
    given = [(name, value) for name, value in (query or {}).items() if value is not None]
    if given:
        url_path = f"{url_path}?{urlencode(given)}"
    if body is None:
        return ZepCall(HTTPRequest(method, url_path, {}, None), read, missing)
    headers = {"Content-Type": "application/json"}
    return ZepCall(HTTPRequest(method, url_path, headers, _encoded(body)), read, missing)


def read_object(kind: type[M]) -> Read[M]:
    """Return a reader of an object."""
    return lambda response: decode(response, kind.parse_obj)


def read_list(kind: type[M], name: str | None = None) -> Read[list[M]]:
    """Return a reader of a list of objects: the body, or the field `name` of it."""

    def parse_list(value: Any) -> list[M]:
        rows = value if name is None else value[name]
        return [kind.parse_obj(row) for row in rows]

    return lambda response: decode(response, parse_list)


def decode(response: HTTPResponse, read: Callable[[Any], T]) -> T:
    """Return what `read` makes of the JSON of a response.

    Raises:
        APIError: it is not JSON, or not of the expected form.
    """
    try:
        return read(msgspec.json.decode(response.body))
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise APIError(response, "The response is not from a Userkeep or Zep server") from error


def read_text(response: HTTPResponse) -> str:
    """Return the body as text."""
    return response.body.decode()


def read_nothing(_reply: HTTPResponse) -> None:
    """Ignore the body."""


def cursors(chunk_size: int) -> Iterator[int | None]:
    """Yield the cursors of the pages of a list; the caller stops at an empty page.

    Raises:
        ValueError: chunk_size is not positive.
    """
    if chunk_size < 1:
        raise ValueError("chunk_size must be a positive integer")
    yield None
    cursor = chunk_size
    while True:
        yield cursor
        cursor += chunk_size


def check_id(value: Any, name: str) -> str:
    """Return an id as text; a UUID or a number is also accepted.

    Raises:
        ValueError: it is blank, or impossible in a URL.
    """
    text = str(value) if isinstance(value, UUID | int) else value
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{name} must not be blank")
    if text in _INVALID_IDS:
        raise ValueError(f"{name} cannot be {text!r}, which is not possible in a URL")
    return text


def _encoded(body: Any) -> bytes:
    return json.dumps(body, default=json_value, allow_nan=False).encode()
