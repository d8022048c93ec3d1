"""Clients that are slow, too many, or gone: time limits, the number of connections, memory."""

import asyncio
import json
import select
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.http.raw import (
    QUICK,
    RawConnection,
    RawServer,
    chunked,
    request,
    serve_application,
    serve_raw,
)
from tests.serving import serving
from userkeep.domain.errors import Unavailable
from userkeep.http.requests import BodyMemory, Request
from userkeep.http.responses import RawResponse

MIB = 1024 * 1024
HEALTH = request("GET", "/healthz")


def half_sent(server: RawServer, size: int, target: str = "/v1/users") -> RawConnection:
    """Return a connection that has sent this much of a body of 5 MiB."""
    connection = server.connect()
    connection.send(request("POST", target, None, f"Content-Length: {5 * MIB}"))
    connection.send(b'{"metadata": "' + b"x" * size)
    return connection


# Time limits.


def test_a_head_that_does_not_end_is_rejected_after_its_time() -> None:
    with serve_raw(QUICK._replace(head_s=0.05)) as server, server.connect() as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        response = connection.read()
        assert response.status == 408
        assert response.json["detail"] == "The request did not arrive within 0.05 s."
        assert connection.is_closed()


def test_a_byte_now_and_then_does_not_keep_a_head_alive() -> None:
    with serve_raw(QUICK._replace(head_s=0.05)) as server, server.connect() as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\nx: ")
        assert trickle(connection).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("target", ["/v1/users", "/api/v1/user"])
def test_a_body_that_does_not_arrive_is_rejected_after_its_time(target: str) -> None:
    with (
        serve_raw(QUICK._replace(transfer_s=0.05)) as server,
        half_sent(server, MIB, target) as connection,
    ):
        response = connection.read()
        assert response.status == 408
        assert connection.is_closed()


def test_a_byte_now_and_then_does_not_keep_a_body_alive() -> None:
    with (
        serve_raw(QUICK._replace(transfer_s=0.05)) as server,
        half_sent(server, MIB) as connection,
    ):
        assert trickle(connection).startswith(b"HTTP/1.1 408 ")


def test_a_slow_but_steady_body_is_received() -> None:
    with serve_raw(QUICK._replace(transfer_s=0.5)) as server, server.connect() as connection:
        body = b'{"metadata": {"x": "%s"}}' % (b"x" * 60_000)
        connection.send(request("PUT", "/v1/users/slow", body)[: -len(body)])
        for at in range(0, len(body), 1000):
            connection.send(body[at : at + 1000])
        assert connection.read().status == 201


def test_a_request_whose_body_came_too_late_is_not_performed() -> None:
    with serve_raw(QUICK._replace(transfer_s=0.05)) as server, server.connect() as connection:
        server.send(request("PUT", "/v1/users/kept", b"{}"))
        connection.send(request("DELETE", "/v1/users/kept", None, "Content-Length: 10"))
        assert connection.read().status == 408
        assert server.send(request("GET", "/v1/users/kept")).status == 200


def test_an_idle_connection_is_closed_after_its_time() -> None:
    limits = QUICK._replace(keep_alive_s=0.05)
    with serve_raw(limits) as server, server.connect() as fresh, server.connect() as used:
        used.send(HEALTH)
        assert used.read().status == 200
        assert used.is_closed()
        assert fresh.is_closed()


def test_a_client_that_does_not_read_its_response_is_ended() -> None:
    with serve_raw(QUICK._replace(transfer_s=0.1)) as server, server.connect() as connection:
        fill_pages(server)
        connection.send(PAGES)
        assert was_reset(connection)


def test_a_client_that_reads_slowly_gets_its_response() -> None:
    with serve_raw(QUICK._replace(transfer_s=0.3)) as server, server.connect() as connection:
        fill_pages(server)
        connection.send(PAGES)
        time.sleep(0.1)
        assert len(connection.read().body) > 6 * MIB


def test_unread_responses_have_a_limit_together() -> None:
    with serve_raw(QUICK._replace(waiting_bytes=MIB)) as server, server.connect() as connection:
        fill_pages(server)
        connection.send(PAGES)
        assert was_reset(connection)


def test_a_body_behind_its_response_is_not_received_for_ever() -> None:
    with serve_raw(QUICK._replace(linger_s=0.05)) as server, server.connect() as connection:
        connection.send(request("GET", "/healthz", None, "Transfer-Encoding: chunked"))
        assert connection.read().status == 200
        connection.send_endlessly(chunked(b"x" * 10_000), most=2**40)


# The number of connections.


def test_an_idle_connection_makes_room_for_a_new_one() -> None:
    with serve_raw(QUICK._replace(connections=2)) as server, ExitStack() as stack:
        first, second, third = (stack.enter_context(server.connect()) for _ in range(3))
        for connection in (second, third):
            connection.send(HEALTH)
            assert connection.read().status == 200
        assert first.is_closed()


def test_a_connection_too_many_is_rejected() -> None:
    with serve_raw(QUICK._replace(connections=2)) as server:
        with half_sent(server, 10), half_sent(server, 10):
            for _ in range(3):
                response = server.send(HEALTH)
                assert response.status == 503
                assert response.headers["retry-after"]
                assert response.headers["connection"] == "close"
                assert response.json["detail"] == "The server has too many connections; retry."
        wait_until_served(server)


def test_connections_too_many_that_send_nothing_are_closed() -> None:
    limits = QUICK._replace(connections=1, head_s=0.05)
    with serve_raw(limits) as server, half_sent(server, 10), ExitStack() as stack:
        surplus = [stack.enter_context(server.connect()) for _ in range(200)]
        assert all(connection.is_closed() for connection in surplus)


# The memory of bodies.


def test_large_bodies_have_a_limit_together() -> None:
    large = b'{"metadata": "%s"}' % (b"x" * 2 * MIB)
    small = b'{"metadata": {"x": "%s"}}' % (b"x" * 60_000)
    with serve_raw(body_memory_mib=6) as server:
        with hoarding(server, large) as hoarder:
            response = server.send(request("PUT", "/v1/users/large", large))
            assert response.status == 503
            assert response.json["code"] == "unavailable"
            assert response.headers["retry-after"]
            assert server.send(request("POST", "/api/v1/user", large)).status == 503
            assert server.send(request("PUT", "/v1/users/small", small)).status == 201
            hoarder.close()
        for _ in range(10):  # what was taken is given back, however the request ends
            wait_until_accepted(server, large)
            assert server.send(request("PUT", "/v1/users/large", large)).status == 422
        assert server.send(request("POST", "/v1/users", b"x" * (5 * MIB + 1))).status == 413
        wait_until_accepted(server, large)


# Clients that are gone.


def test_a_client_that_resets_leaves_no_error_in_the_log(tmp_path: Path) -> None:
    with serving(tmp_path) as process:
        server = RawServer(process.port)
        body = b'{"user_id": "jane", "messages": [{"role": "user", "content": "x"}]}'
        for _ in range(50):
            for sent in (HEALTH * 20, request("POST", "/v1/sessions/s/messages", body) * 20):
                connection = server.connect()
                connection.send(sent)
                connection.reset()
        assert server.send(HEALTH).status == 200
        assert process.stop() == 0
        log = process.log.read_text()
        assert "Traceback" not in log
        assert "ERROR" not in log


def test_a_stop_that_cancels_requests_leaves_no_error_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with ExitStack() as clients, serve_raw() as server:
        clients.enter_context(half_sent(server, MIB))
        connection = clients.enter_context(server.connect())
        fill_pages(server)
        connection.send(PAGES * 2)
        time.sleep(0.5)  # until the second response waits for its client
    assert not [record for record in caplog.records if record.exc_info]


class Waiting:
    """An application whose requests wait until the client is gone, or until they are released."""

    def __init__(self) -> None:
        self.is_waiting = threading.Event()
        self.was_cancelled = threading.Event()
        self.released = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Respond once `released` is set."""
        request = Request(scope, receive, BodyMemory(MIB))
        try:
            body = await request.while_connected(self._work())
        except Unavailable:
            return
        await RawResponse(body)(scope, receive, send)

    async def _work(self) -> bytes:
        self.is_waiting.set()
        try:
            while not self.released.is_set():
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.was_cancelled.set()
            raise
        return b"done"


@pytest.fixture
def waiting() -> Waiting:
    """An application whose requests wait."""
    return Waiting()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_work_ends_when_its_client_is_gone(waiting: Waiting, how: str) -> None:
    with serve_application(waiting) as server:
        connection = server.connect()
        connection.send(HEALTH)
        assert waiting.is_waiting.wait(10)
        getattr(connection, how)()
        assert waiting.was_cancelled.wait(10)


def test_work_continues_for_a_client_that_sends_no_more_but_waits(waiting: Waiting) -> None:
    with serve_application(waiting) as server, server.connect() as connection:
        connection.send(HEALTH)
        assert waiting.is_waiting.wait(10)
        connection.half_close()
        assert not waiting.was_cancelled.wait(0.2)  # twenty checks
        waiting.released.set()
        assert connection.read().body == b"done"
        assert connection.is_closed()


def test_a_client_of_http_1_0_gets_no_interim_response(waiting: Waiting) -> None:
    with serve_application(waiting) as server, server.connect() as connection:
        connection.send(b"GET / HTTP/1.0\r\n\r\n")
        assert waiting.is_waiting.wait(10)
        connection.half_close()
        assert not waiting.was_cancelled.wait(0.2)
        waiting.released.set()
        assert connection.socket.recv(12) == b"HTTP/1.1 200"


# What these tests share.

PAGES = request("GET", "/v1/sessions/pages/messages?limit=100")


def fill_pages(server: RawServer) -> None:
    """Add messages of 7 MiB: more than the system buffers for one connection."""
    message = {"role": "user", "content": "x" * (MIB - 1000)}
    body = json.dumps({"user_id": "u", "messages": [message]}).encode()
    for _ in range(7):
        assert server.send(request("POST", "/v1/sessions/pages/messages", body)).status == 201


def trickle(connection: RawConnection) -> bytes:
    """Send a byte now and then until there is a response; return its start."""
    connection.socket.settimeout(0.005)
    for _ in range(10_000):
        connection.send(b"x")
        try:
            return connection.socket.recv(1024)
        except TimeoutError:
            continue
    raise AssertionError("the request is still received")


def was_reset(connection: RawConnection) -> bool:
    """Wait until the server has reset a connection, without reading from it."""
    poll = select.poll()
    poll.register(connection.socket, 0)
    return bool(poll.poll(20_000))


def wait_until_served(server: RawServer) -> None:
    """Wait until the server knows that other connections are closed."""
    wait_for(lambda: server.send(HEALTH).status == 200)


def hoarding(server: RawServer, large: bytes) -> RawConnection:
    """Return a connection whose body leaves no memory for a large one."""
    while True:
        connection = half_sent(server, int(4.9 * MIB))
        while not select.select([connection.socket], [], [], 0)[0]:
            if server.send(request("PUT", "/v1/users/large", large)).status == 503:
                return connection
        # The large one was first, and this one was rejected.
        connection.close()


def wait_until_accepted(server: RawServer, body: bytes) -> None:
    wait_for(lambda: server.send(request("PUT", "/v1/users/large", body)).status == 422)


def wait_for(is_so: Callable[[], bool]) -> None:
    for _ in range(1000):
        if is_so():
            return
        time.sleep(0.01)
    raise AssertionError("it does not happen")
