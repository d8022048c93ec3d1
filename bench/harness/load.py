"""The load generator: one thread, raw sockets, epoll, keep-alive connections in a closed loop.

Each connection sends its next request when it has received the whole response to the previous one.
A request is bytes that are ready to be sent; of a response only the status and the length are read.
So it handles several times what a Python server can. How busy it was is measured with every load:
near 100 %, the generator would have been measured instead of the server.
"""

import select
import socket
from array import array
from collections.abc import Callable, Iterator
from math import inf
from time import perf_counter, process_time
from typing import NamedTuple

CONNECTIONS = 32
WARM_UP_S = 0.1

_POLL_S = 0.5
_RESPONSE_S = 10.0
_RECEIVE_BYTES = 1 << 18
_LENGTH = b"\r\ncontent-length: "


class Load(NamedTuple):
    """The result of a load.

    Attributes:
        sent: when each request was sent.
        received: when its response was complete.
        busy: the share of the time in which the generator used its core.
        server_s: processor seconds that the server used.
        database: the share of a core that the database's own processes used, if it has any.
    """

    sent: "array[float]"
    received: "array[float]"
    busy: float = 0.0
    server_s: float = 0.0
    database: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.received) / (self.received[-1] - self.sent[0])

    @property
    def waits(self) -> list[float]:
        """Seconds from request to response, sorted."""
        return sorted(map(float.__sub__, self.received, self.sent))


def drive(
    port: int,
    requests: Iterator[bytes],
    status: int,
    seconds: float,
    *,
    connections: int = CONNECTIONS,
    server_cpu: Callable[[], float] = lambda: 0.0,
    database_cpu: Callable[[], float] = lambda: 0.0,
) -> Load:
    """Load a server on loopback for some seconds, after a short warm-up that does not count.

    Args:
        requests: each is sent once, so that what must be unique can be.
        status: the status that every response must have.
        server_cpu: the processor seconds that the server has used so far.
        database_cpu: the same of the database's own processes.

    Raises:
        AssertionError: a response has another status, or is missing.
    """
    pool = _Connections(port, status, connections)
    try:
        pool.run(requests, WARM_UP_S)
        databases = database_cpu()
        began, own, servers = perf_counter(), process_time(), server_cpu()
        pool.run(requests, seconds)
        took = perf_counter() - began
        busy, database = (process_time() - own) / took, (database_cpu() - databases) / took
        return Load(pool.sent, pool.received, busy, server_cpu() - servers, database)
    finally:
        pool.close()


def send_all(port: int, requests: Iterator[bytes], status: int) -> None:
    """Send requests until there are no more, on several connections.

    Raises:
        AssertionError: a response has another status, or is missing.
    """
    pool = _Connections(port, status, CONNECTIONS)
    try:
        pool.run(requests, inf)
    finally:
        pool.close()


class _Connections:
    """The connections of one load, and what the last run measured."""

    def __init__(self, port: int, status: int, connections: int) -> None:
        self._start_of_head = b"HTTP/1.1 %d " % status
        self._length_of_head: dict[bytes, int] = {}
        self._parts: dict[int, bytes] = {}
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        for _ in range(connections):
            connection = socket.create_connection(("127.0.0.1", port), timeout=_RESPONSE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setblocking(False)
            self._sockets[connection.fileno()] = connection
            self._epoll.register(connection.fileno(), select.EPOLLIN)

    def run(self, requests: Iterator[bytes], seconds: float) -> None:
        """Keep every connection busy, then wait for the last responses."""
        self.sent, self.received = array("d"), array("d")
        sent_at: dict[int, float] = {}
        send = {fd: connection.send for fd, connection in self._sockets.items()}
        receive = {fd: connection.recv for fd, connection in self._sockets.items()}
        poll, is_whole = self._epoll.poll, self._is_whole
        note_sent, note_received = self.sent.append, self.received.append
        for fd, request in zip(self._sockets, requests, strict=False):
            sent_at[fd] = perf_counter()
            send[fd](request)
        ends = perf_counter() + seconds
        last_at = perf_counter()
        while sent_at:
            if perf_counter() > last_at + _RESPONSE_S:
                raise AssertionError(f"{len(sent_at)} requests got no response")
            for fd, _ in poll(_POLL_S):
                if is_whole(fd, receive[fd](_RECEIVE_BYTES)):
                    now = last_at = perf_counter()
                    note_sent(sent_at.pop(fd))
                    note_received(now)
                    following = next(requests, None) if now < ends else None
                    if following is not None:
                        sent_at[fd] = now
                        send[fd](following)

    def close(self) -> None:
        self._epoll.close()
        for connection in self._sockets.values():
            connection.close()

    def _is_whole(self, fd: int, data: bytes) -> bool:
        if not data:
            raise AssertionError("the server closed a connection")
        if fd in self._parts:
            data = self._parts.pop(fd) + data
        head, blank, body = data.partition(b"\r\n\r\n")
        if blank:
            length = self._length_of_head.get(head)
            if length is None:
                length = self._read_head(head, body)
            if len(body) == length:
                return True
            if len(body) > length:
                raise AssertionError(f"the response is longer than its head says: {data!r}")
        self._parts[fd] = data
        return False

    def _read_head(self, head: bytes, body: bytes) -> int:
        if not head.startswith(self._start_of_head):
            raise AssertionError(f"expected {self._start_of_head!r}, got {head!r} {body!r}")
        before, found, after = head.partition(_LENGTH)
        if not found:
            raise AssertionError(f"a response without its length: {before!r}")
        length = int(after.partition(b"\r\n")[0])
        if len(self._length_of_head) < 10_000:
            self._length_of_head[head] = length
        return length
