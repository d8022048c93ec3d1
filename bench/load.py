"""The load generator: one thread, raw sockets, epoll, keep-alive connections in a closed loop.

Each connection sends its next request when it has the whole answer to the one before. A request is
bytes that are ready to be sent; of an answer only the status and the length are looked at. So it
does several times what a Python server can answer. How much of the time it was busy is measured
with every load: near 100 % it would have been the generator that was measured.
"""

import select
import socket
from array import array
from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter, process_time

CONNECTIONS = 32
WARM_UP_S = 0.1

_POLL_S = 0.5
_ANSWER_S = 10.0
_RECEIVE_BYTES = 1 << 18
_LENGTH = b"\r\ncontent-length: "


class Load:
    """What came of a load: when each request was sent, and when its answer was there."""

    def __init__(
        self,
        sent: "array[float]",
        answered: "array[float]",
        busy: float,
        server_s: float,
        database: float,
    ) -> None:
        self.sent = sent
        self.answered = answered
        self.busy = busy
        """The share of the time in which the generator used its core."""
        self.cost_s = server_s / len(answered)
        """Seconds of processor that the server used for an answer."""
        self.database = database
        """The share of a core that the database's own processes used, if it has some."""

    @property
    def rate(self) -> float:
        """Answers a second: those after the first, in the time since it."""
        return (len(self.answered) - 1) / (self.answered[-1] - self.answered[0])

    def waits(self) -> list[float]:
        """Seconds from request to answer, the shortest first."""
        return sorted(map(float.__sub__, self.answered, self.sent))

    @property
    def p50(self) -> float:
        """The median wait in seconds."""
        return median(self.waits())

    @property
    def p99(self) -> float:
        """The wait in seconds that one of a hundred exceeds."""
        waits = self.waits()
        return waits[len(waits) * 99 // 100]

    def longest_wait(self, began: float, ended: float) -> float:
        """The longest wait of a request that was under way at some time of a window."""
        return max(
            answered - sent
            for sent, answered in zip(self.sent, self.answered, strict=True)
            if sent < ended and answered > began
        )


def drive(
    port: int,
    requests: Iterator[bytes],
    status: int,
    seconds: float,
    *,
    connections: int = CONNECTIONS,
    stop: Callable[[], bool] = lambda: False,
    used_by_server: Callable[[], float] = lambda: 0.0,
    used_by_database: Callable[[], float] = lambda: 0.0,
) -> Load:
    """Load a server on loopback for some seconds, after a short warm-up that does not count.

    Args:
        requests: each is sent once, so that what must be unique can be.
        status: what every answer must have.
        stop: asked all the time; True ends it before its time.
        used_by_server: the seconds of processor that the server has used so far.
        used_by_database: the same of a database's own processes.

    Raises:
        AssertionError: an answer has another status, or none comes.
    """
    lanes = _Lanes(port, status, connections)
    try:
        lanes.run(requests, WARM_UP_S, lambda: False)
        databases = used_by_database()
        began, own, servers = perf_counter(), process_time(), used_by_server()
        lanes.run(requests, seconds, stop)
        took = perf_counter() - began
        return lanes.load(
            busy=(process_time() - own) / took,
            server_s=used_by_server() - servers,
            database=(used_by_database() - databases) / took,
        )
    finally:
        lanes.close()


class _Lanes:
    """The connections of one load."""

    def __init__(self, port: int, status: int, connections: int) -> None:
        self._start_of_head = b"HTTP/1.1 %d " % status
        self._length_of_head: dict[bytes, int] = {}
        self._parts: dict[int, bytes] = {}
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        for _ in range(connections):
            lane = socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S)
            lane.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            lane.setblocking(False)
            self._sockets[lane.fileno()] = lane
            self._epoll.register(lane.fileno(), select.EPOLLIN)

    def run(self, requests: Iterator[bytes], seconds: float, stop: Callable[[], bool]) -> None:
        """Keep every connection busy, then wait for the last answers: none is left under way."""
        self._sent, self._answered = array("d"), array("d")
        self._sent_at: dict[int, float] = {}
        send = {fd: lane.send for fd, lane in self._sockets.items()}
        receive = {fd: lane.recv for fd, lane in self._sockets.items()}
        poll, sent_at, is_whole = self._epoll.poll, self._sent_at, self._is_whole
        note_sent, note_answered = self._sent.append, self._answered.append
        for fd in self._sockets:
            sent_at[fd] = perf_counter()
            send[fd](next(requests))
        ends = perf_counter() + seconds
        is_over = False
        while sent_at:
            now = perf_counter()
            is_over = is_over or now > ends or stop()
            if is_over and now > ends + _ANSWER_S:
                raise AssertionError(f"{len(sent_at)} requests got no answer")
            for fd, _ in poll(_POLL_S):
                if is_whole(fd, receive[fd](_RECEIVE_BYTES)):
                    now = perf_counter()
                    note_sent(sent_at[fd])
                    note_answered(now)
                    if is_over:
                        del sent_at[fd]
                    else:
                        sent_at[fd] = now
                        send[fd](next(requests))

    def load(self, *, busy: float, server_s: float, database: float) -> Load:
        """What came of the last run."""
        return Load(self._sent, self._answered, busy, server_s, database)

    def close(self) -> None:
        """Hang up."""
        self._epoll.close()
        for lane in self._sockets.values():
            lane.close()

    def _is_whole(self, fd: int, data: bytes) -> bool:
        if not data:
            raise AssertionError("the server hung up")
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
                raise AssertionError(f"more came than the head says: {data!r}")
        self._parts[fd] = data
        return False

    def _read_head(self, head: bytes, body: bytes) -> int:
        if not head.startswith(self._start_of_head):
            raise AssertionError(f"expected {self._start_of_head!r}, got {head!r} {body!r}")
        before, found, after = head.partition(_LENGTH)
        if not found:
            raise AssertionError(f"an answer without its length: {before!r}")
        length = int(after.partition(b"\r\n")[0])
        if len(self._length_of_head) < 10_000:
            self._length_of_head[head] = length
        return length
