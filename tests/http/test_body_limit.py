"""A request body has at most 5 MiB on every API, with or without a Content-Length."""

from collections.abc import Iterator

import pytest

from tests.http.clients import Client, InProcessClient, Response, SocketClient

LIMIT = 5 * 1024 * 1024
PIECE = 64 * 1024
TRANSPORTS = ["in process", "over a socket"]
TARGETS = [
    ("POST", "/v1/users"),
    ("PUT", "/v1/users/a"),
    ("PATCH", "/v1/users/a"),
    ("POST", "/v1/sessions/a/messages"),
    ("POST", "/api/v1/user"),
    ("PATCH", "/api/v1/user/a"),
    ("POST", "/api/v1/sessions/a/memory"),
    ("PATCH", "/api/v1/sessions/a/messages/0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10"),
]


@pytest.fixture(params=TRANSPORTS)
def any_client(
    request: pytest.FixtureRequest, client: InProcessClient, socket_client: SocketClient
) -> Client:
    """A client in this process, and one over a socket."""
    return client if request.param == "in process" else socket_client


def pieces(size: int) -> Iterator[bytes]:
    """Yield a JSON text of `size` bytes in chunks."""
    yield b'{"x": "'
    left = size - 9
    while left > 0:
        yield b"x" * min(left, PIECE)
        left -= PIECE
    yield b'"}'


def assert_too_large(response: Response, target: str) -> None:
    assert response.status == 413
    if target.startswith("/api"):
        assert response.content_type == "text/plain"
        assert response.headers["x-zep-version"]
    else:
        assert response.json["code"] == "too_large"


@pytest.mark.parametrize(("method", "target"), TARGETS)
def test_a_body_with_too_large_a_content_length_is_rejected(
    any_client: Client, method: str, target: str
) -> None:
    body = b"".join(pieces(LIMIT + 1))
    assert len(body) == LIMIT + 1
    assert_too_large(any_client.send(method, target, body), target)


@pytest.mark.parametrize(("method", "target"), TARGETS)
def test_a_chunked_body_that_is_too_large_is_rejected(
    any_client: Client, method: str, target: str
) -> None:
    assert_too_large(any_client.send(method, target, pieces=pieces(LIMIT + 1)), target)


@pytest.mark.parametrize(("method", "target"), TARGETS)
def test_a_body_of_5_mib_is_accepted(any_client: Client, method: str, target: str) -> None:
    for response in (
        any_client.send(method, target, b"".join(pieces(LIMIT))),
        any_client.send(method, target, pieces=pieces(LIMIT)),
    ):
        assert response.status != 413
        assert response.status < 500


def test_one_large_chunk_is_rejected(client: InProcessClient) -> None:
    for method, target in TARGETS:
        whole = [b"".join(pieces(LIMIT + 1))]
        assert_too_large(client.send(method, target, pieces=whole), target)


def test_the_server_keeps_serving_after_a_rejected_body(socket_client: SocketClient) -> None:
    for size in (LIMIT + 1, 4 * LIMIT):
        response = socket_client.send("POST", "/v1/users", pieces=pieces(size))
        assert_too_large(response, "/v1/users")
    assert socket_client.send("GET", "/healthz").status == 200


def test_a_too_large_content_length_is_rejected_before_the_body_arrives(
    socket_client: SocketClient,
) -> None:
    head = b"POST /v1/users HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
    for length in (LIMIT + 1, 10**15):
        response = socket_client.send_bytes([head, b"content-length: %d\r\n\r\n" % length])
        assert_too_large(response, "/v1/users")


def test_the_body_of_a_get_is_ignored(client: InProcessClient) -> None:
    assert client.send("GET", "/v1/users", pieces=pieces(LIMIT + 1)).status == 200
    assert client.send("GET", "/api/v1/user", pieces=pieces(LIMIT + 1)).status == 200
