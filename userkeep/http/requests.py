"""Requests, as the APIs read them."""

from urllib.parse import parse_qsl, unquote_to_bytes

from starlette.types import Receive
from starlette.types import Scope as AsgiScope

from userkeep.domain.errors import BadRequest, TooLarge
from userkeep.domain.scope import Scope

MAX_BODY_BYTES = 5 * 1024 * 1024


class Request:
    """One HTTP request.

    Attributes:
        method: `GET` …
        path: the raw path as sent, without the query.
        headers: by lower-case name; the last value of a repeated header.
        scope: the scope in which the request runs; set when access control admits it.
        segments: the raw path segments of ids, by their names in the route.
    """

    __slots__ = ("_asgi_scope", "_receive", "headers", "method", "path", "scope", "segments")

    scope: Scope

    def __init__(self, scope: AsgiScope, receive: Receive) -> None:
        self._asgi_scope = scope
        self._receive = receive
        self.method: str = scope["method"]
        self.path: bytes = scope.get("raw_path") or scope["path"].encode()
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.segments: dict[str, bytes] = {}

    @property
    def client(self) -> str:
        """The address of the client, without the port."""
        client = self._asgi_scope.get("client")
        return client[0] if client else ""

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
        """
        declared = self.headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
            raise TooLarge(_TOO_LARGE)
        chunks: list[bytes] = []
        size, is_more = 0, True
        while is_more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                # Without its end, this is not what the client wanted to send.
                raise BadRequest("The body is incomplete: the client disconnected.")
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            is_more = message.get("more_body", False)
            if size > MAX_BODY_BYTES:
                raise TooLarge(_TOO_LARGE)
        return b"".join(chunks)

    async def wait_disconnect(self) -> None:
        """Wait until the client disconnects. Call it after `body`."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


_TOO_LARGE = "The body is larger than 5 MiB. Split it into several requests."


def decode_segment(segment: bytes) -> str:
    """Return a segment of a raw path as text.

    Raises:
        BadRequest: the segment is not UTF-8.
    """
    try:
        return (unquote_to_bytes(segment) if b"%" in segment else segment).decode()
    except UnicodeDecodeError as error:
        raise BadRequest("The path is not UTF-8.") from error
