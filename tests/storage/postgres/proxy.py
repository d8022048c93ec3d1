"""A proxy between an engine and its server that can break connections or stop forwarding."""

import select
import socket
import struct
import threading
from contextlib import suppress
from time import sleep
from types import TracebackType
from typing import Self

from psycopg.conninfo import conninfo_to_dict

_CHUNK = 65_536
_CHECK_EVERY_S = 0.2
_RESET = struct.pack("ii", 1, 0)

# A message of PostgreSQL's protocol: the warning that a crashing server sends.
_WARNING = b"SWARNING\0VWARNING\0C57P02\0Mlast words\0\0"
_WARNING_MESSAGE = b"N" + struct.pack("!i", 4 + len(_WARNING)) + _WARNING


class Proxy:
    """Forwards the bytes of each connection, until it is told otherwise.

    Attributes:
        direct_url: of the database.
        url: of the database, through the proxy.
    """

    def __init__(self, direct_url: str) -> None:
        given = conninfo_to_dict(direct_url)
        self.direct_url = direct_url
        self._host, self._server_port = str(given["host"]), int(str(given["port"]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self.url = f"postgresql://{given['user']}@127.0.0.1:{self._port}/{given['dbname']}"
        self._is_open = threading.Event()
        self._is_open.set()
        self._is_closed = False
        self._drops_after: int | None = None
        self._resets = False
        self._then_refuses = False
        self._is_refusing = False
        self._sends_warning = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_closed = True
        self._is_open.set()
        # Wakes the thread that accepts connections.
        socket.create_connection(("127.0.0.1", self._port)).close()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def drop_next_response(
        self, *, after: int = 0, reset: bool = False, then_refuse: bool = False
    ) -> None:
        """Forward the next message, then break its connection instead of the response.

        Args:
            after: how many responses are forwarded before.
            reset: reset the connection instead of closing it.
            then_refuse: break all other connections too, and those that are made after it.
        """
        self._resets = reset
        self._then_refuses = then_refuse
        self._drops_after = after

    def accept_again(self) -> bool:
        """Break no connection any more; return whether one was broken."""
        has_broken = self._drops_after is None
        self._drops_after = None
        self._is_refusing = False
        return has_broken

    def reset_after_warning(self) -> None:
        """Send a warning in the server's name, then reset every connection."""
        self._sends_warning.set()
        sleep(2 * _CHECK_EVERY_S)
        self._sends_warning.clear()

    def stop_forwarding(self) -> None:
        """Receive bytes without forwarding them, in both directions."""
        self._is_open.clear()

    def resume_forwarding(self) -> None:
        """Forward what was received since, and all that follows."""
        self._is_open.set()

    def _start(self, run: object, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._is_closed:
                client.close()
                return
            if self._is_refusing:
                client.close()
                continue
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            self._is_open.wait()
            with self._connect() as server:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._forward(client, server)

    def _connect(self) -> socket.socket:
        if self._host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{self._host}/.s.PGSQL.{self._server_port}")
            return server
        server = socket.create_connection((self._host, self._server_port))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return server

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        while not self._is_closed:
            readable, _, _ = select.select([client, server], [], [], _CHECK_EVERY_S)
            if self._is_refusing:
                return
            if self._sends_warning.is_set():
                client.sendall(_WARNING_MESSAGE)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                return
            for end in readable:
                chunk = end.recv(_CHUNK)
                self._is_open.wait()
                if not chunk:
                    return
                other[end].sendall(chunk)
                if end is client and self._is_to_be_dropped():
                    # The server has done it, but the client does not get the response.
                    server.recv(_CHUNK)
                    self._is_refusing = self._then_refuses
                    if self._resets:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    return

    def _is_to_be_dropped(self) -> bool:
        if self._drops_after is None:
            return False
        left = self._drops_after
        self._drops_after = left - 1 if left else None
        return left == 0
