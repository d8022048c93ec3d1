"""Connections that behave badly, and how each of them ended.

Requests are bytes, as `bench.harness.requests` makes them, sent in pieces: a server may respond
before it has read all of them, and a client that never stops must notice that.
"""

import json
import select
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

ANSWERED, CLOSED, WAITING, LEFT = "answered", "closed", "waiting", "left"
_PIECE_BYTES = 1 << 16
_POLL_S = 0.02
_IS_ESTABLISHED = "01"


class Answer(NamedTuple):
    """How one connection ended.

    Attributes:
        how: the server responded, or closed it; the client was still waiting when its time was up,
            or left on purpose.
        took_s: seconds until then.
        status: of the response, or 0.
        detail: the start of the response.
    """

    how: str
    took_s: float
    status: int = 0
    detail: str = ""


Attack = Callable[["Target"], list[Answer]]


class Target(NamedTuple):
    """The server that is attacked.

    Attributes:
        bound_s: how long a client waits at most.
        words: what is named otherwise on this server: a path's segment, or a field.
    """

    port: int
    bound_s: float
    words: dict[str, str]

    def translated(self, text: str) -> str:
        for word, other in self.words.items():
            text = text.replace(word, other)
        return text

    def call(self, method: str, path: str, value: Any = None) -> Answer:
        """Send a request that must succeed."""
        answer = exchange(self, [head_and_body(method, self.translated(path), encoded(value))])
        assert answer.how == ANSWERED, (method, path, answer)
        assert answer.status < 300, (method, path, answer)
        return answer


def encoded(value: Any) -> bytes:
    """Return JSON, halves of surrogate pairs as escapes; bytes are returned as they are.

    Args:
        value: or what makes it: all large bodies together are hundreds of MiB.
    """
    if callable(value):
        return encoded(value())
    if value is None or isinstance(value, bytes):
        return value or b""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=not _is_utf8(value)).encode()


def _is_utf8(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def head_and_body(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def request(method: str, path: str, value: Any = None) -> Attack:
    """Send one request and wait for its response."""

    def attack(target: Target) -> list[Answer]:
        raw = head_and_body(method, target.translated(path), encoded(value))
        return [exchange(target, [raw])]

    return attack


def at_once(number: int, attack: Attack) -> Attack:
    """Do the same on several connections at the same time."""

    def attack_all(target: Target) -> list[Answer]:
        answers: list[list[Answer]] = [[] for _ in range(number)]

        def run(place: int) -> None:
            answers[place] = attack(target)

        threads = [threading.Thread(target=run, args=(place,)) for place in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [answer for each in answers for answer in each]

    return attack_all


def exchange(
    target: Target, pieces: Iterable[bytes], *, leaves_after_s: float | None = None
) -> Answer:
    """Send pieces until the server responds or closes, and read the whole response.

    Args:
        leaves_after_s: close the connection after this time, whatever happens.
    """
    ends_after_s = target.bound_s if leaves_after_s is None else leaves_after_s
    began = monotonic()
    with _connected(target) as connection:
        try:
            _send(connection, pieces, began + ends_after_s)
            left_s = began + ends_after_s - monotonic()
            connection.settimeout(max(left_s, _POLL_S))
            with HTTPResponse(connection) as response:
                response.begin()
                detail = _read_body(response).decode(errors="replace")
            return Answer(ANSWERED, monotonic() - began, response.status, detail)
        except TimeoutError:
            how = WAITING if leaves_after_s is None else LEFT
        except (OSError, HTTPException):
            how = CLOSED
    return Answer(how, monotonic() - began)


def pipelined(request_bytes: bytes, number: int, *, reads: bool) -> Attack:
    """Send the same request again and again on one connection, without waiting for responses.

    Args:
        reads: read the responses at the same time; otherwise the client reads nothing.
    """

    def attack(target: Target) -> list[Answer]:
        began = monotonic()
        with _connected(target) as connection:
            reader = threading.Thread(target=_read_all, args=(connection, number))
            if reads:
                reader.start()
            how = _send_copies(connection, request_bytes, number, began + target.bound_s)
            if reads:
                reader.join(max(began + target.bound_s - monotonic(), 0))
                how = WAITING if reader.is_alive() else how
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                reader.join()
            elif how == ANSWERED:
                how = _wait_for_close(connection, target.port, began + target.bound_s)
        return [Answer(how, monotonic() - began)]

    return attack


def held(raw: bytes | Callable[[], bytes]) -> Attack:
    """Send bytes and nothing more, read nothing, and wait until the server closes."""

    def attack(target: Target) -> list[Answer]:
        began = monotonic()
        data = raw() if callable(raw) else raw
        with _connected(target) as connection:
            try:
                _send(connection, [data], began + target.bound_s)
            except TimeoutError:
                return [Answer(WAITING, monotonic() - began)]
            except OSError:
                return [Answer(CLOSED, monotonic() - began)]
            how = _wait_for_close(connection, target.port, began + target.bound_s)
        return [Answer(how, monotonic() - began)]

    return attack


def endless(start: bytes, piece: bytes) -> Attack:
    """Send a start, and then the same piece for ever."""

    def pieces() -> Iterator[bytes]:
        yield start
        while True:
            yield piece

    return lambda target: [exchange(target, pieces())]


def _read_body(response: HTTPResponse) -> bytes:
    """Read all of a body, and return its start."""
    start = response.read(_PIECE_BYTES)
    while response.read(_PIECE_BYTES):
        pass
    return start


def _connected(target: Target) -> socket.socket:
    return socket.create_connection(("127.0.0.1", target.port), timeout=target.bound_s)


def _send(connection: socket.socket, pieces: Iterable[bytes], until: float) -> None:
    """Send pieces; stop as soon as the server has sent something, or has closed.

    Raises:
        TimeoutError: the time is up.
    """
    for piece in pieces:
        for start in range(0, len(piece), _PIECE_BYTES):
            _send_piece(connection, memoryview(piece)[start : start + _PIECE_BYTES], until)
            if select.select([connection], [], [], 0)[0]:
                return


def _send_piece(connection: socket.socket, piece: memoryview, until: float) -> None:
    while piece:
        left_s = until - monotonic()
        if left_s <= 0:
            raise TimeoutError
        readable, writable, _ = select.select([connection], [connection], [], left_s)
        if readable:
            return
        if writable:
            connection.setblocking(False)
            piece = piece[connection.send(piece) :]


def _send_copies(connection: socket.socket, raw: bytes, number: int, until: float) -> str:
    many = raw * 1_000
    try:
        for _ in range(number // 1_000):
            connection.settimeout(max(until - monotonic(), _POLL_S))
            connection.sendall(many)
    except TimeoutError:
        return WAITING
    except OSError:
        return CLOSED
    return ANSWERED


def _read_all(connection: socket.socket, number: int) -> None:
    """Read responses until all are there, or the connection ends."""
    count, tail = 0, b""
    with suppress(OSError):
        while count < number:
            data = connection.recv(1 << 18)
            if not data:
                return
            text = tail + data
            count += text.count(b"HTTP/1.1 ")
            tail = text[-8:]


def _wait_for_close(connection: socket.socket, port: int, until: float) -> str:
    """Wait until the server has closed a connection from which the client reads nothing."""
    own_port = connection.getsockname()[1]
    while monotonic() < until:
        if not _is_open(port, own_port):
            return CLOSED
        sleep(_POLL_S)
    return WAITING


def _is_open(port: int, peer_port: int) -> bool:
    """Return whether the server's end of a connection is open, as its system sees it.

    A client that reads nothing does not see the end: it comes after what was not read.
    """
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if (int(local[9:], 16), int(remote[9:], 16)) == (port, peer_port):
            return state == _IS_ESTABLISHED
    return False
