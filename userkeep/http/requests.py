"""Requests, as the APIs read them."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote_to_bytes

from starlette.types import Receive
from starlette.types import Scope as AsgiScope

from userkeep.domain.errors import BadRequest, TooLarge, Unavailable
from userkeep.domain.scope import Scope
from userkeep.http.limits import MAX_BODY_BYTES
from userkeep.http.request_log import REQUEST_ID_HEADER, request_id_of

T = TypeVar("T")

_SMALL_BODY_BYTES = 64 * 1024


class Disconnected(Unavailable):
    """The client disconnected."""


class BodyMemory:
    """The memory for all request bodies of a server.

    A body of at most 64 KiB does not count, so that large ones cannot keep small ones out.

    Args:
        limit: the limit in bytes.
    """

    def __init__(self, limit: int) -> None:
        self._free = limit

    def take(self, size: int) -> None:
        """Take memory.

        Raises:
            Unavailable: too little is free.
        """
        if size > self._free:
            raise Unavailable("The server is receiving too many large bodies; retry.")
        self._free -= size

    def give_back(self, size: int) -> None:
        """Give back memory."""
        self._free += size


class Request:
    """One HTTP request.

    Attributes:
        method: `GET` …
        path: the raw path as sent, without the query.
        route: the template of the path, such as `/v1/users/{user_id}`; empty if it is unknown.
        request_id: the client's X-Request-Id, or a new one.
        is_disconnected: whether the client was found to be gone before the response.
        headers: by lower-case name; the last value of a repeated header.
        scope: the scope in which the request runs; set when access control admits it.
        segments: the raw path segments of ids, by their names in the route.
    """

    __slots__ = (
        "_asgi_scope",
        "_memory",
        "_receive",
        "_taken_bytes",
        "headers",
        "is_disconnected",
        "method",
        "path",
        "request_id",
        "route",
        "scope",
        "segments",
    )

    scope: Scope

    def __init__(self, scope: AsgiScope, receive: Receive, memory: BodyMemory) -> None:
        self._asgi_scope = scope
        self._receive = receive
        self._memory = memory
        self._taken_bytes = 0
        self.method: str = scope["method"]
        self.path: bytes = scope.get("raw_path") or scope["path"].encode()
        self.route = ""
        self.is_disconnected = False
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.request_id = request_id_of(self.headers.get(REQUEST_ID_HEADER))
        self.segments: dict[str, bytes] = {}

    @property
    def handler_method(self) -> str:
        """The method whose handler responds: to HEAD, that of GET. The server drops the body."""
        return "GET" if self.method == "HEAD" else self.method

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        scheme: str = self._asgi_scope["scheme"]
        return scheme

    @property
    def root_path(self) -> str:
        """The prefix under which a reverse proxy serves all paths; it is not in `path`."""
        root_path: str = self._asgi_scope.get("root_path", "")
        return root_path

    @property
    def client(self) -> str:
        """The address of the client, without the port."""
        client = self._asgi_scope.get("client")
        return client[0] if client else ""

    @property
    def key_id(self) -> str | None:
        """The id of the request's key; None without one, or if it was not admitted."""
        scope: Scope | None = getattr(self, "scope", None)
        return scope.key_id if scope else None

    def log_fields(self) -> dict[str, Any]:
        """Return what a log record about the request has beside its message, as `extra`."""
        return {
            "fields": {
                "method": self.method,
                "route": self.route,
                "request_id": self.request_id,
            }
        }

    def check_headers(self) -> None:
        """Check that no header is repeated of which only one value can be meant.

        Raises:
            BadRequest: one is; another program may have read the other value.
        """
        headers = self._asgi_scope["headers"]
        if len(self.headers) == len(headers):
            return
        names = [name for name, _ in headers]
        for name in _SINGLE_HEADERS:
            if names.count(name) > 1:
                raise BadRequest(f"The header {name.decode()} must not be repeated.")

    def header(self, name: bytes) -> str | None:
        """Return a header as text, or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def id(self, name: str) -> str:
        """Return an id of the path, percent-decoded once.

        Raises:
            BadRequest: the path is not UTF-8.
        """
        return decode_segment(self.segments[name])

    def ids(self) -> dict[str, str]:
        """Return all ids of the path, percent-decoded once."""
        return {name: decode_segment(segment) for name, segment in self.segments.items()}

    def query(self) -> list[tuple[str, str]]:
        """Return the parameters of the query in their order, empty ones included.

        Raises:
            BadRequest: the query is not UTF-8.
        """
        text: bytes = self._asgi_scope["query_string"]
        if not text:
            return []
        try:
            return parse_qsl(text.decode(), keep_blank_values=True, errors="strict")
        except UnicodeError as error:
            raise BadRequest("The query is not UTF-8.") from error

    async def body(self) -> bytes:
        """Read the whole body.

        Raises:
            TooLarge: the body has more than 5 MiB.
            BadRequest: the client disconnected before the end of the body.
            Unavailable: the server is receiving too many large bodies.
        """
        declared = self.headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
            raise TooLarge(_TOO_LARGE)
        chunks: list[bytes] = []
        size, is_more = 0, True
        while is_more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.is_disconnected = True
                # Without its end, this is not what the client wanted to send.
                raise BadRequest("The body is incomplete: the client disconnected.")
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            is_more = message.get("more_body", False)
            if size > MAX_BODY_BYTES:
                raise TooLarge(_TOO_LARGE)
            if size > _SMALL_BODY_BYTES:
                self._take_memory(size)
        return b"".join(chunks)

    async def while_connected(self, running: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and return its result; cancel it if the client disconnects.

        It costs two tasks, so it is for work that may take long. Call it after `body`.

        Raises:
            Disconnected: the client is gone.
        """
        work = asyncio.create_task(running)
        disconnect = asyncio.create_task(self._wait_disconnect())
        try:
            await asyncio.wait({work, disconnect}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            self.is_disconnected = True
            raise Disconnected
        finally:
            disconnect.cancel()
            if not work.done():
                work.cancel()
                work.add_done_callback(_ignore_error)

    def close(self) -> None:
        """Give back the memory of the body."""
        if self._taken_bytes:
            self._memory.give_back(self._taken_bytes)
            self._taken_bytes = 0

    def _take_memory(self, size: int) -> None:
        self._memory.take(size - self._taken_bytes)
        self._taken_bytes = size

    async def _wait_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


_SINGLE_HEADERS = (
    b"host",
    b"origin",
    b"sec-fetch-site",
    b"authorization",
    b"api-key",
    b"content-length",
    b"content-type",
    b"transfer-encoding",
    b"idempotency-key",
    b"if-match",
)

_TOO_LARGE = "The body is larger than 5 MiB. Split it into several requests."


def _ignore_error(work: "asyncio.Task[Any]") -> None:
    """Retrieve the error of work whose client is gone, so that asyncio does not log it."""
    if not work.cancelled():
        work.exception()


def decode_segment(segment: bytes) -> str:
    """Return a segment of a raw path as text.

    Raises:
        BadRequest: the segment is not UTF-8.
    """
    try:
        return (unquote_to_bytes(segment) if b"%" in segment else segment).decode()
    except UnicodeDecodeError as error:
        raise BadRequest("The path is not UTF-8.") from error
