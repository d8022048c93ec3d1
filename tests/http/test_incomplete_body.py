"""A request that is cut off is not performed."""

import socket

import pytest

from tests.http.clients import SocketClient


@pytest.mark.parametrize(
    ("method", "target", "sent"),
    [
        ("DELETE", "/v1/users/jane-cut", b""),
        ("DELETE", "/api/v1/user/jane-cut", b""),
        ("DELETE", "/v1/sessions/cut", b""),
        ("DELETE", "/api/v1/sessions/cut/memory", b""),
        ("POST", "/v1/sessions/cut/end", b""),
        ("POST", "/v1/sessions/cut/messages", b'{"messages": [{"role": "user", "content": "Hi"}]}'),
        ("POST", "/api/v1/sessions/cut/memory", b'{"messages": [{"role": "u", "content": "Hi"}]}'),
    ],
)
def test_a_request_whose_body_was_cut_off_changes_nothing(
    socket_client: SocketClient, method: str, target: str, sent: bytes
) -> None:
    socket_client.send("PUT", "/v1/users/jane-cut", {})
    socket_client.send("POST", "/v1/sessions", {"session_id": "cut", "user_id": "jane-cut"})
    before = socket_client.send("GET", "/v1/sessions/cut").json
    head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", socket_client.port), timeout=10) as connection:
        connection.sendall(head.encode() + sent)
    # Served after it, by the same event loop.
    assert socket_client.send("GET", "/healthz").status == 200
    assert socket_client.send("GET", "/v1/users/jane-cut").status == 200
    assert socket_client.send("GET", "/v1/sessions/cut").json == before
