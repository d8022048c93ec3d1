"""A wire between an engine and its server, which a test can cut or make deaf."""

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
_LOOK_EVERY_S = 0.2
_AT_ONCE = struct.pack("ii", 1, 0)

# A message of PostgreSQL's protocol: a warning, as a server sends it that crashes.
_WARNING = b"SWARNING\0VWARNING\0C57P02\0Mlast words\0\0"
_LAST_WORDS = b"N" + struct.pack("!i", 4 + len(_WARNING)) + _WARNING


class Proxy:
    """Passes bytes on, connection by connection, until it is told otherwise.

    Attributes:
        direct_url: the database.
        url: the same, through the wire.
    """

    def __init__(self, direct_url: str) -> None:
        given = conninfo_to_dict(direct_url)
        self.direct_url = direct_url
        self._server = (str(given["host"]), int(str(given["port"])))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self.url = direct_url.replace(f":{given['port']}/", f":{self._port}/")
        self._is_open = threading.Event()
        self._is_open.set()
        self._is_over = False
        self._swallows_after: int | None = None
        self._resets = False
        self._has_last_words = threading.Event()
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
        self._is_over = True
        self._is_open.set()
        # To wake whoever accepts.
        socket.create_connection(("127.0.0.1", self._port)).close()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def swallow_next_answer(self, *, after: int = 0, reset: bool = False) -> None:
        """Pass the next message on, then break its connection in place of the answer.

        Args:
            after: how many messages are answered before.
            reset: end the connection with an error in place of an end.
        """
        self._resets = reset
        self._swallows_after = after

    def end_with_last_words(self) -> None:
        """Say something in the server's name, then reset every connection; return when it is so."""
        self._has_last_words.set()
        sleep(2 * _LOOK_EVERY_S)
        self._has_last_words.clear()

    def go_deaf(self) -> None:
        """From now on bytes are taken and not passed on, in either direction."""
        self._is_open.clear()

    def hear_again(self) -> None:
        """Pass on what was taken meanwhile, and all that follows."""
        self._is_open.set()

    def _start(self, run: object, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._is_over:
                client.close()
                return
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            self._is_open.wait()
            with socket.create_connection(self._server) as server:
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        while not self._is_over:
            readable, _, _ = select.select([client, server], [], [], _LOOK_EVERY_S)
            if self._has_last_words.is_set():
                client.sendall(_LAST_WORDS)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                return
            for end in readable:
                chunk = end.recv(_CHUNK)
                self._is_open.wait()
                if not chunk:
                    return
                other[end].sendall(chunk)
                if end is client and self._is_to_be_swallowed():
                    server.recv(_CHUNK)  # it is done, and nobody will know
                    if self._resets:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                    return

    def _is_to_be_swallowed(self) -> bool:
        if self._swallows_after is None:
            return False
        left = self._swallows_after
        self._swallows_after = left - 1 if left else None
        return left == 0
