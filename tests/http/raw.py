"""A server with limits of its own, and connections that send and read bytes as they are."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPResponse
from typing import Any

import uvicorn
import uvloop
from uvicorn.server import ServerState

from tests.http.clients import Response
from tests.ways import loop_in_thread
from userkeep.config import Settings
from userkeep.http.connections import Connections
from userkeep.http.cors import AllowedOrigins
from userkeep.http.limits import Limits
from userkeep.http.protocol import ServerProtocol
from userkeep.instance import open_instance
from userkeep.server import allowed_origins, behind_proxies, make_application

_TIMEOUT_S = 30
QUICK = Limits(check_every_s=0.01)
"""Limits whose times a test replaces by short ones."""


class RawConnection:
    """A connection of a client."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> "RawConnection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def send_endlessly(self, data: bytes, most: int = 64 * 1024 * 1024) -> int:
        """Send bytes until the server ends the connection, or reads no more; return how many."""
        sent = 0
        try:
            while sent < most:
                self.socket.sendall(data)
                sent += len(data)
        except OSError:
            return sent
        raise AssertionError(f"the server still reads after {sent:,} bytes")

    def half_close(self) -> None:
        """Send no more."""
        self.socket.shutdown(socket.SHUT_WR)

    def read(self, method: str = "GET") -> Response:
        """Read one response."""
        response = HTTPResponse(_Reader(self._file), method=method)  # type: ignore[arg-type]
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, headers, response.read())

    def is_closed(self) -> bool:
        """Wait until the server closes the connection; return whether it sent nothing before."""
        try:
            return self._file.read(1) == b""
        except ConnectionError:
            return True

    def reset(self) -> None:
        """Close the connection so that the server gets an error, not an end."""
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self.socket.close()


class _Reader:
    """Lets HTTPResponse read one response of many, without closing the connection."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def makefile(self, _mode: str) -> "_Reader":
        return self

    def close(self) -> None:
        pass

    def flush(self) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class RawServer:
    """A server in this process."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connect(self) -> RawConnection:
        """Return a new connection."""
        return RawConnection(self.port)

    def send(self, data: bytes) -> Response:
        """Send bytes on a new connection and read one response."""
        with self.connect() as connection:
            connection.send(data)
            return connection.read()


@contextmanager
def serve_application(
    application: Any, limits: Limits = QUICK, origins: AllowedOrigins | None = None
) -> Iterator[RawServer]:
    """Serve an ASGI application on a socket; at the end, cancel what runs, as a stop does."""
    config = uvicorn.Config(
        application, lifespan="off", log_config=None, ws="none", proxy_headers=False
    )
    config.load()
    connections = Connections(limits, origins=origins)
    state = ServerState()

    async def start() -> tuple[asyncio.Server, int]:
        loop = asyncio.get_running_loop()

        def protocol() -> ServerProtocol:
            return ServerProtocol(
                connections, config=config, server_state=state, app_state={}, _loop=loop
            )

        server = await loop.create_server(protocol, "127.0.0.1", 0)
        return server, server.sockets[0].getsockname()[1]

    async def stop(server: asyncio.Server) -> None:
        server.close()
        for task in state.tasks:
            task.cancel()
        await asyncio.sleep(0)
        for connection in list(state.connections):
            connection.transport.abort()
        while state.connections or state.tasks:
            await asyncio.sleep(0.001)

    with loop_in_thread(uvloop.new_event_loop()) as run:
        server, port = run(start())
        try:
            yield RawServer(port)
        finally:
            run(stop(server))


@contextmanager
def serve_raw(limits: Limits = QUICK, **settings: Any) -> Iterator[RawServer]:
    """Serve Userkeep on a socket, with a database in memory."""
    given = Settings(database_url="sqlite:///:memory:", **settings)
    with closing(open_instance(given)) as instance:
        application = behind_proxies(make_application(instance, given), given)
        with serve_application(application, limits, allowed_origins(given)) as server:
            yield server


def request(method: str, target: str, body: bytes | None = None, *headers: str) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + (body or b"")


def chunked(*chunks: bytes) -> bytes:
    """Return a chunked body without its end."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
