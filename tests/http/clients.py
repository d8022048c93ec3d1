"""HTTP clients that send every byte as written.

HTTP libraries normalize paths (`//healthz`, `/a/../b`) and reject malformed requests. Older clients
send such paths, and attackers send worse.

- `InProcessClient` calls the ASGI application as uvicorn does.
- `SocketClient` sends bytes to the port of a server.
"""

import asyncio
import json
import socket
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPResponse
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import unquote

from starlette.types import ASGIApp

from tests.http.described import check_is_described
from userkeep.config import Settings
from userkeep.instance import Instance, open_instance
from userkeep.server import behind_proxies, make_application
from userkeep.worker.timers import SERVER_TIMERS, Timers

HOST = "127.0.0.1:8000"
_MAX_CONCURRENT = 200
_TIMEOUT_S = 60

T = TypeVar("T")


class Response(NamedTuple):
    """A response: headers by lower-case name, the body, and the number of its pieces."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    pieces: int = 1

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def content_type(self) -> str:
        """The media type without parameters; empty if there is none."""
        return self.headers.get("content-type", "").partition(";")[0]


class Request(NamedTuple):
    """A request. A body that is not bytes is sent as JSON; None means no body.

    Attributes:
        target: the raw path and query.
        pieces: the body in chunks, without a Content-Length.
        address: the IP address of the client.
    """

    method: str
    target: str | bytes
    body: Any = None
    headers: Mapping[str, str] | None = None
    pieces: Iterable[bytes] | None = None
    address: str = "127.0.0.1"

    @property
    def raw_target(self) -> bytes:
        """Path and query as bytes."""
        return self.target.encode() if isinstance(self.target, str) else self.target

    @property
    def raw_body(self) -> bytes | None:
        """The body as bytes."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body).encode()

    def raw_headers(self, host: str) -> list[tuple[bytes, bytes]]:
        """All headers; Host and Content-Length are added unless given."""
        headers = {"host": host, **{k.lower(): v for k, v in (self.headers or {}).items()}}
        if self.pieces is not None:
            headers["transfer-encoding"] = "chunked"
        elif (body := self.raw_body) is not None:
            headers.setdefault("content-length", str(len(body)))
        return [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        ]


class Client(Protocol):
    """A client of one server."""

    def send(self, method: str, target: str | bytes, body: Any = None, **more: Any) -> Response:
        """Send one request; `more` are further fields of `Request`."""
        ...


class InProcessClient:
    """A client of an application on its own loop. It raises what the application raises.

    Attributes:
        headers: of every request that does not have them.
    """

    def __init__(self, instance: Instance, application: ASGIApp, runner: asyncio.Runner) -> None:
        self.instance = instance
        self.headers: Mapping[str, str] = {}
        self._application = application
        self._runner = runner

    def send(self, method: str, target: str | bytes, body: Any = None, **more: Any) -> Response:
        """Send one request; `more` are further fields of `Request`."""
        return self.run(self._send(Request(method, target, body, **more)))

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop of the application."""
        # Not Runner.run: its handler for Ctrl-C, set for each call, takes as long as a request.
        return self._runner.get_loop().run_until_complete(coroutine)

    def send_all(self, requests: Iterable[Request]) -> list[Response]:
        """Send requests concurrently; return the responses in their order."""

        async def send() -> list[Response]:
            slots = asyncio.Semaphore(_MAX_CONCURRENT)

            async def send_one(request: Request) -> Response:
                async with slots:
                    return await self._send(request)

            return await asyncio.gather(*map(send_one, requests))

        return self.run(send())

    def send_in_turn(self, requests: Iterable[Request]) -> list[Response]:
        """Send requests one after the other; return the responses."""

        async def send() -> list[Response]:
            return [await self._send(request) for request in requests]

        return self.run(send())

    async def _send(self, request: Request) -> Response:
        request = request._replace(headers={**self.headers, **(request.headers or {})})
        messages: list[Any] = []
        incoming = _incoming(request)
        done = asyncio.Event()

        async def receive() -> Any:
            message = next(incoming, None)
            if message is None:
                await done.wait()
                return {"type": "http.disconnect"}
            return message

        async def send(message: Any) -> None:
            messages.append(message)

        await self._application(_scope(request), receive, send)
        done.set()
        start, *rest = messages
        pieces = [message.get("body", b"") for message in rest]
        # A server drops the body of a response to HEAD.
        body = b"" if request.method == "HEAD" else b"".join(pieces)
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        check_is_described(request.method, request.raw_target, start["status"])
        return Response(start["status"], headers, body, len([piece for piece in pieces if piece]))


def _incoming(request: Request) -> Iterator[Any]:
    if request.pieces is None:
        yield {"type": "http.request", "body": request.raw_body or b"", "more_body": False}
        return
    for piece in request.pieces:
        yield {"type": "http.request", "body": piece, "more_body": True}
    yield {"type": "http.request", "body": b"", "more_body": False}


def _scope(request: Request) -> Any:
    path, _, query = request.raw_target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": request.raw_headers(HOST),
        "client": (request.address, 50000),
        "server": ("127.0.0.1", 8000),
    }


@contextmanager
def serve_in_process(
    settings: Settings, timers: Timers = SERVER_TIMERS
) -> Iterator[InProcessClient]:
    """Start and stop the application of a fresh instance; yield its client."""
    with (
        asyncio.Runner() as runner,
        closing(open_instance(settings)) as instance,
        serve_instance(instance, settings, runner, timers) as client,
    ):
        yield client


@contextmanager
def serve_instance(
    instance: Instance, settings: Settings, runner: asyncio.Runner, timers: Timers = SERVER_TIMERS
) -> Iterator[InProcessClient]:
    """Start and stop an application of an open instance; yield its client."""
    application = make_application(instance, settings, timers)
    lifespan = application.lifespan_context(application)
    runner.run(lifespan.__aenter__())
    try:
        yield InProcessClient(instance, behind_proxies(application, settings), runner)
    finally:
        runner.run(lifespan.__aexit__(None, None, None))


class SocketClient:
    """A client of a server on a local port; each request has its own connection."""

    def __init__(self, port: int) -> None:
        self.port = port

    def send(self, method: str, target: str | bytes, body: Any = None, **more: Any) -> Response:
        """Send one request; `more` are further fields of `Request`."""
        request = Request(method, target, body, **more)
        head = [b"%s %s HTTP/1.1" % (method.encode(), request.raw_target), b"connection: close"]
        head += [b": ".join(pair) for pair in request.raw_headers(f"127.0.0.1:{self.port}")]
        pieces = [b"\r\n".join(head), b"\r\n\r\n"]
        if request.pieces is None:
            pieces.append(request.raw_body or b"")
        else:
            pieces += [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in request.pieces]
            pieces.append(b"0\r\n\r\n")
        return self.send_bytes(pieces, method)

    def send_bytes(self, pieces: Iterable[bytes], method: str = "GET") -> Response:
        """Send bytes and read the response, which may arrive before all of them are sent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=_TIMEOUT_S) as connection:
            try:
                for piece in pieces:
                    connection.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the server rejected the request before its end
            response = HTTPResponse(connection, method=method)
            try:
                response.begin()
                headers = {name.lower(): value for name, value in response.getheaders()}
                return Response(response.status, headers, response.read())
            finally:
                response.close()
