"""A server that sends the responses of a test, closes the connection, or does not respond."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, NamedTuple

import anyio

from userkeep import AsyncUserkeep, Userkeep

MODES = ("sync", "asyncio", "trio")
"""How a client waits: a Userkeep, or an AsyncUserkeep on one of the event loops."""

USER = {
    "user_id": "jane",
    "uuid": "019a0000-0000-7000-8000-000000000000",
    "email": None,
    "first_name": None,
    "last_name": None,
    "metadata": None,
    "revision": 1,
    "created_at": "2026-01-01T00:00:00Z",
    "updated_at": "2026-01-01T00:00:00Z",
}


class Response(NamedTuple):
    """A response of the fake server."""

    status: int = 200
    body: bytes = json.dumps(USER).encode()
    headers: Mapping[str, str] = {}


class ReceivedRequest(NamedTuple):
    """A request that arrived, with the port of the client, which tells connections apart."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    port: int


CLOSED = Response(0)
NO_RESPONSE = Response(-1)
HTML = Response(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"})


def error_response(status: int, code: str, **headers: str) -> Response:
    """Return an error response of a Userkeep server."""
    problem = {"status": status, "code": code, "detail": f"The error is {code}.", "fields": ["x"]}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, json.dumps(problem).encode(), named)


class FakeServer:
    """Sends the given responses in order, and repeats the last one."""

    def __init__(self, *responses: Response) -> None:
        self.requests: list[ReceivedRequest] = []
        self.is_closing = Event()
        self._responses = list(responses) or [Response()]
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake_server = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def keys(self) -> list[str | None]:
        """The idempotency keys of the requests."""
        return [each.headers.get("Idempotency-Key") for each in self.requests]

    def next_response(self) -> Response:
        return self._responses.pop(0) if len(self._responses) > 1 else self._responses[0]

    def close(self) -> None:
        self.is_closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fake_server: FakeServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    disable_nagle_algorithm = True
    server: _Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = dict(self.headers.items())
        fake_server = self.server.fake_server
        response = fake_server.next_response()
        fake_server.requests.append(
            ReceivedRequest(self.command, self.path, headers, body, self.client_address[1])
        )
        if response is NO_RESPONSE:
            fake_server.is_closing.wait(10)
        if response is CLOSED or response is NO_RESPONSE:
            self.close_connection = True
            return
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, *_: Any) -> None:
        pass


for _method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler.respond)


@contextmanager
def fake_server(*responses: Response) -> Iterator[FakeServer]:
    """Run a fake server for the duration of the block."""
    server = FakeServer(*responses)
    try:
        yield server
    finally:
        server.close()


def call(mode: str, url: str, method: Callable[[Any], Any], **options: Any) -> Any:
    """Return the result of `method` with a client of the given mode."""
    if mode == "sync":
        with Userkeep(url, **options) as client:
            return method(client)

    async def main() -> Any:
        async with AsyncUserkeep(url, **options) as client:
            return await method(client)

    return anyio.run(main, backend=mode)
