"""What a client may send: the head, trailers, requests ahead of responses, and whole requests."""

import time
from collections.abc import Iterator

import pytest

from tests.http.raw import RawServer, chunked, request, serve_raw
from userkeep.http.limits import MAX_FRAMING_BYTES, MAX_HEAD_BYTES, MAX_HEADERS

KIB = 1024
USER = b'{"user_id": "%s"}'


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    """A server with the usual limits."""
    with serve_raw() as server:
        yield server


def head_of(size: int) -> bytes:
    """Return the head of a request with exactly this size."""
    head = request("GET", "/healthz", None, "X: ")
    return head.replace(b"X: ", b"X: " + b"x" * (size - len(head)))


# The head.


def test_a_head_at_the_limit_is_accepted(server: RawServer) -> None:
    assert server.send(head_of(MAX_HEAD_BYTES)).status == 200


def test_a_head_above_the_limit_is_rejected(server: RawServer) -> None:
    response = server.send(head_of(MAX_HEAD_BYTES + 1))
    assert response.status == 431
    assert response.json["status"] == 431
    assert response.json["code"] == "too_large"
    assert response.headers["connection"] == "close"


def test_a_head_that_arrives_in_pieces_has_the_same_limit(server: RawServer) -> None:
    for size, status in ((MAX_HEAD_BYTES, 200), (MAX_HEAD_BYTES + 1, 431)):
        head = head_of(size)
        with server.connect() as connection:
            for at in range(0, len(head), 1000):
                connection.send(head[at : at + 1000])
            assert connection.read().status == status


def test_a_head_whose_end_is_split_is_accepted(server: RawServer) -> None:
    head = request("GET", "/healthz")
    for at in range(1, len(head)):
        with server.connect() as connection:
            connection.send(head[:at])
            connection.send(head[at:] + head)
            assert connection.read().status == 200
            assert connection.read().status == 200


def test_the_number_of_headers_is_limited(server: RawServer) -> None:
    names = [f"x-{n}: y" for n in range(MAX_HEADERS)]
    assert server.send(request("GET", "/healthz", None, *names[1:])).status == 200
    assert server.send(request("GET", "/healthz", None, *names)).status == 431


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"a:b\r\n" * 13_000),
        (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nx: ", b"x" * 64 * KIB),
        (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"x" * 64 * KIB),
        (b"", b"\r\n" * 32 * KIB),
        (b"GET ", b" " * 64 * KIB),
    ],
    ids=["headers", "value", "name", "empty lines", "spaces"],
)
def test_an_endless_head_is_rejected(server: RawServer, start: bytes, more: bytes) -> None:
    with server.connect() as connection:
        connection.send(start + more)
        assert connection.read().status in {400, 431}
        assert connection.send_endlessly(more) < 20 * KIB * KIB


def test_an_endless_url_is_rejected(server: RawServer) -> None:
    with server.connect() as connection:
        connection.send(b"GET /" + b"x" * 100 * KIB)
        response = connection.read()
        assert response.status == 414
        assert response.json["detail"] == "The URL is too long."


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\nHost: 127.0.0.1\n\n",
        request("POST", "/v1/users", b"{}", "Content-Length: 2"),
        request("POST", "/v1/users", b"{}", "Transfer-Encoding: chunked"),
        request("POST", "/v1/users", None, "Content-Length: -1"),
        request("POST", "/v1/users", None, "Transfer-Encoding: chunked") + b"x\r\n",
        request("GET", "/healthz", None, "Host : 127.0.0.1"),
        request("GET", "/healthz", None, " folded: 1"),
    ],
)
def test_invalid_http_is_rejected_with_a_problem(server: RawServer, sent: bytes) -> None:
    with server.connect() as connection:
        connection.send(sent)
        response = connection.read()
        assert response.status == 400
        assert response.content_type == "application/problem+json"
        assert response.json["code"] == "bad_request"
        assert connection.is_closed()


# Upgrades.


def test_a_request_to_upgrade_is_performed_as_it_is(server: RawServer) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: h2c")
    with server.connect() as connection:
        connection.send(request("GET", "/healthz", None, *upgrade) + request("GET", "/readyz"))
        assert connection.read().body == b"."
        assert connection.read().json["status"] == "ok"


@pytest.mark.parametrize(
    "inner", [request("PUT", "/v1/users/smuggled", b"{}"), b"x" * 100], ids=["request", "bytes"]
)
def test_the_body_of_a_request_to_upgrade_is_not_read_as_a_request(
    server: RawServer, inner: bytes
) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket")
    with server.connect() as connection:
        connection.send(request("POST", "/v1/users", inner, *upgrade)[: -len(inner)])
        response = connection.read()
        assert response.status == 400
        assert "Upgrade" in response.json["detail"]
        connection.send(inner)
        assert connection.is_closed()
    assert server.send(request("GET", "/v1/users/smuggled")).status == 404


# Hosts.


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.1/healthz", "HTTP://127.0.0.1/healthz", "http://127.0.0.1:80/healthz"],
)
def test_an_absolute_url_of_the_same_host_is_accepted(server: RawServer, target: str) -> None:
    assert server.send(request("GET", target)).status == 200


def test_an_absolute_url_replaces_a_missing_host(server: RawServer) -> None:
    assert server.send(b"GET http://localhost:8000/healthz HTTP/1.1\r\n\r\n").status == 200
    assert server.send(b"GET http://[::1]:8000/healthz HTTP/1.1\r\n\r\n").status == 200
    assert server.send(b"GET http://evil.example/healthz HTTP/1.1\r\n\r\n").status == 403


@pytest.mark.parametrize(
    "target",
    [
        "http://evil.example/v1/users",
        "http://127.0.0.1:8001/v1/users",
        "http://user:pass@127.0.0.1/v1/users",
        "http://evil.example",
    ],
)
def test_an_absolute_url_of_another_host_is_rejected(server: RawServer, target: str) -> None:
    assert server.send(request("GET", target)).status == 400


def test_two_hosts_are_rejected(server: RawServer) -> None:
    for other in ("evil.example", "127.0.0.1"):
        response = server.send(request("GET", "/v1/users", None, f"Host: {other}"))
        assert response.status == 400
        assert response.json["detail"] == "The header host must not be repeated."


# Trailers and chunks.


def test_trailers_are_not_headers(server: RawServer) -> None:
    head = request("PUT", "/v1/users/trailer", None, "Transfer-Encoding: chunked")
    trailers = b"Host: evil.example\r\nOrigin: null\r\nIf-Match: nonsense\r\n"
    response = server.send(head + chunked(b"{}") + b"0\r\n" + trailers + b"\r\n")
    assert response.status == 201
    head = request("GET", "/v1/users", None, "Transfer-Encoding: chunked", "Origin: null")
    assert server.send(head + b"0\r\nOrigin: http://127.0.0.1\r\n\r\n").status == 403


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"0\r\n", b"a:b\r\n" * 13_000),
        (b"0\r\na: ", b"x" * 64 * KIB),
        (b"0\r\n", b"x" * 64 * KIB),
        (b"2;", b"x" * 64 * KIB),
        (b"2;a=", b"x" * 64 * KIB),
        (b"0" * 10, b"0" * 64 * KIB),
    ],
    ids=["trailers", "trailer value", "trailer name", "extension", "extension value", "size"],
)
@pytest.mark.parametrize(("method", "target"), [("POST", "/v1/users"), ("GET", "/healthz")])
def test_an_endless_end_of_a_chunked_body_is_rejected(
    server: RawServer, method: str, target: str, start: bytes, more: bytes
) -> None:
    with server.connect() as connection:
        connection.send(request(method, target, None, "Transfer-Encoding: chunked") + start)
        assert connection.send_endlessly(more) < 20 * KIB * KIB


def test_too_long_trailers_are_rejected_before_anything_is_performed(server: RawServer) -> None:
    head = request("POST", "/v1/users", None, "Transfer-Encoding: chunked")
    trailers = b"a:" + b"x" * 2 * MAX_FRAMING_BYTES
    response = server.send(head + chunked(b'{"user_id": "late"}') + b"0\r\n" + trailers)
    assert response.status == 400
    assert server.send(request("GET", "/v1/users/late")).status == 404


def test_a_body_of_small_chunks_is_accepted(server: RawServer) -> None:
    body = b'{"metadata": {"x": "%s"}}' % (b"x" * 60_000)
    head = request("PUT", "/v1/users/chunks", None, "Transfer-Encoding: chunked")
    chunks = chunked(*(body[at : at + 1] for at in range(len(body))))
    with server.connect() as connection:
        connection.send(head + chunks + b"0\r\n\r\n" + request("GET", "/healthz"))
        assert connection.read().json["metadata"] == {"x": "x" * 60_000}
        assert connection.read().body == b"."


# Requests ahead of responses.


def test_requests_ahead_get_their_responses_in_order(server: RawServer) -> None:
    names = [f"ahead-{n}" for n in range(300)]
    with server.connect() as connection:
        connection.send(b"".join(request("PUT", f"/v1/users/{name}", b"{}") for name in names))
        assert [connection.read().json["user_id"] for _ in names] == names


@pytest.mark.parametrize(
    "valid",
    [
        request("PUT", "/v1/users/first", b"{}"),
        request("PUT", "/v1/users/first", None, "Transfer-Encoding: chunked")
        + chunked(b"{", b"\r\n\r\n", b"}")
        + b"0\r\nx: y\r\n\r\n",
    ],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("invalid", [b"nonsense\r\n\r\n", b"x" * 70 * KIB], ids=["short", "long"])
def test_a_request_is_performed_whatever_follows_it(
    server: RawServer, valid: bytes, invalid: bytes
) -> None:
    for at in range(1, len(valid)):
        with server.connect() as connection:
            connection.send(valid[:at])
            if at % 2:  # the two parts may, or may not, arrive together
                time.sleep(0.001)
            connection.send(valid[at:] + invalid)
            assert connection.read().status in {200, 201}
            assert connection.read().status == 400


def test_requests_ahead_of_responses_that_nobody_reads_are_not_received(
    server: RawServer,
) -> None:
    metadata = b'{"metadata": {"x": "%s"}}' % (b"x" * 60_000)
    assert server.send(request("PUT", "/v1/users/big", metadata)).status == 201
    with server.connect() as connection:
        connection.socket.settimeout(0.5)
        requests = request("GET", "/v1/users/big") * 1000
        # It stops because the server does not read; see RawConnection.send_endlessly.
        assert connection.send_endlessly(requests) < 32 * KIB * KIB
        assert server.send(request("GET", "/healthz")).status == 200


def test_a_connection_with_many_requests_ahead_lets_others_in(server: RawServer) -> None:
    many = 1_000
    with server.connect() as busy, server.connect() as other:
        busy.send(request("PUT", "/v1/users/busy", b"{}") * many)
        assert busy.read().status == 201
        other.send(request("GET", "/v1/users/busy"))
        revision = other.read().json["revision"]
        assert revision < many
        for _ in range(many - 1):
            busy.read()


# Half-closed connections.


def test_a_client_that_sends_no_more_gets_its_response(server: RawServer) -> None:
    for sent in (
        request("GET", "/v1/users"),
        request("PUT", "/v1/users/half", b"{}"),
        request("PUT", "/v1/users/half", None, "Transfer-Encoding: chunked")
        + chunked(b"{}")
        + b"0\r\n\r\n",
    ):
        with server.connect() as connection:
            connection.send(sent)
            connection.half_close()
            assert connection.read().status in {200, 201}
            assert connection.is_closed()


def test_a_client_that_sends_no_more_gets_all_its_responses(server: RawServer) -> None:
    with server.connect() as connection:
        connection.send(request("PUT", "/v1/users/half", b"{}") * 500)
        connection.half_close()
        revisions = [connection.read().json["revision"] for _ in range(500)]
        assert revisions == list(range(revisions[0], revisions[0] + 500))
        assert connection.is_closed()


@pytest.mark.parametrize("sent", [b"", b"GET /heal", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_half_closed_connection_without_a_request_is_closed(
    server: RawServer, sent: bytes
) -> None:
    with server.connect() as connection:
        connection.send(sent)
        connection.half_close()
        assert connection.is_closed()


def test_a_request_whose_body_ends_too_early_is_not_performed(server: RawServer) -> None:
    assert server.send(request("PUT", "/v1/users/kept", b"{}")).status == 201
    for head in (
        request("DELETE", "/v1/users/kept", None, "Content-Length: 10"),
        request("DELETE", "/v1/users/kept", None, "Transfer-Encoding: chunked"),
        request("DELETE", "/v1/users/kept", None, "Transfer-Encoding: chunked") + b"0\r\n",
        request("DELETE", "/v1/users/kept", None, "Transfer-Encoding: chunked") + b"0\r\na: b",
    ):
        with server.connect() as connection:
            connection.send(head)
            connection.half_close()
            assert connection.is_closed()
        assert server.send(request("GET", "/v1/users/kept")).status == 200


def test_a_request_whose_body_becomes_invalid_is_not_performed(server: RawServer) -> None:
    assert server.send(request("PUT", "/v1/users/kept", b"{}")).status in {200, 201}
    head = request("DELETE", "/v1/users/kept", None, "Transfer-Encoding: chunked")
    assert server.send(head + chunked(b"ab") + b"nonsense\r\n").status == 400
    assert server.send(request("GET", "/v1/users/kept")).status == 200
