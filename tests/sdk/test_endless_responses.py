"""Responses that do not end, or that grow: a client gives up, with bounded memory."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import pytest

from tests.cli.running import userkeep
from tests.sdk.fake_server import USER
from userkeep import AsyncUserkeep, Userkeep
from userkeep.sdk.errors import TimedOut, UnexpectedAnswer

MIB = 1024 * 1024
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
Send = Callable[[socket.socket], None]


def endless_chunks(connection: socket.socket) -> None:
    connection.sendall(CHUNKED)
    while True:
        connection.sendall(b"100000\r\n" + b" " * MIB + b"\r\n")


def large_length(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 99999999999\r\n\r\n")
    while True:
        connection.sendall(b" " * MIB)


def gzip_bomb(connection: socket.socket) -> None:
    body = gzip.compress(b" " * (128 * MIB))
    length = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    connection.sendall(HEAD + length + body)


def drops(connection: socket.socket) -> None:
    connection.sendall(CHUNKED)
    while True:
        connection.sendall(b"1\r\n \r\n")
        time.sleep(0.02)


def in_many_parts(connection: socket.socket) -> None:
    connection.sendall(CHUNKED)
    for byte in json.dumps(USER).encode():
        connection.sendall(b"1\r\n%c\r\n" % byte)
    connection.sendall(b"0\r\n\r\n")


@contextmanager
def server(send: Send) -> Iterator[str]:
    """Run a server that sends the same to every connection; yield its URL."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.recv(65_536)
                send(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


async def get_asynchronously(url: str, timeout_s: float) -> None:
    async with AsyncUserkeep(url, timeout_s=timeout_s, attempts=1) as client:
        await client.user.get("jane")


def get(url: str, mode: str, timeout_s: float = 5.0) -> None:
    if mode == "sync":
        with Userkeep(url, timeout_s=timeout_s, attempts=1) as client:
            client.user.get("jane")
    else:
        anyio.run(get_asynchronously, url, timeout_s, backend=mode)


MODES = pytest.mark.parametrize("mode", ["sync", "asyncio", "trio"])


@MODES
@pytest.mark.parametrize("send", [endless_chunks, large_length, gzip_bomb])
def test_a_response_that_grows_without_end_is_an_error(send: Send, mode: str) -> None:
    with server(send) as url, pytest.raises(UnexpectedAnswer, match="larger than 64 MiB"):
        get(url, mode)


@MODES
def test_a_response_that_comes_in_drops_without_end_is_an_error(mode: str) -> None:
    with server(drops) as url, pytest.raises(TimedOut, match=r"did not end within 0\.5 s"):
        get(url, mode, timeout_s=0.05)


@MODES
def test_a_response_may_come_in_many_parts(mode: str) -> None:
    with server(in_many_parts) as url:
        get(url, mode)


def test_a_command_reports_a_response_without_end(tmp_path: Path) -> None:
    with server(endless_chunks) as url:
        result = userkeep("users", "list", "--url", url, folder=tmp_path)
    assert result.returncode == 5
    assert "larger than 64 MiB" in result.stderr
