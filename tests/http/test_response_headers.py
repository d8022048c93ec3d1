"""Responses are neither stored by caches nor interpreted by browsers."""

import pytest

from tests.http.clients import InProcessClient
from tests.http.raw import QUICK, request, serve_raw

TARGETS = [
    ("GET", "/v1/users"),
    ("POST", "/v1/users"),
    ("GET", "/v1/users/unknown"),
    ("DELETE", "/v1/nothing"),
    ("PUT", "/v1/users"),
    ("POST", "/v1/search"),
    ("GET", "/api/v1/user"),
    ("GET", "/api/v1/user/unknown"),
    ("POST", "/api/v1/user"),
    ("PUT", "/api/v1/user"),
    ("GET", "/api/v1/sessions/unknown/memory"),
    ("GET", "/api/v1/collection"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/nothing"),
    ("HEAD", "/healthz"),
]


@pytest.mark.parametrize(("method", "target"), TARGETS)
def test_no_response_is_stored_or_guessed(
    client: InProcessClient, method: str, target: str
) -> None:
    for headers in ({}, {"Host": "evil.example"}):
        response = client.send(method, target, {"user_id": "jane"}, headers=headers)
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"


def test_nor_is_a_response_in_pieces(client: InProcessClient, fresh: str) -> None:
    messages = [{"role": "user", "content": str(n)} for n in range(1000)]
    for _ in range(2):
        body = {"user_id": fresh, "messages": messages}
        assert client.send("POST", f"/v1/sessions/{fresh}/messages", body).status == 201
    response = client.send("GET", f"/api/v1/sessions/{fresh}/messages?limit=2000")
    assert response.pieces > 1
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (request("GET", "http://other.example/"), 400),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ", 408),
        (request("POST", "/v1/users", None, f"Content-Length: {6 << 20}"), 413),
        (request("POST", "/api/v1/user", None, f"Content-Length: {6 << 20}"), 413),
        (request("GET", "/" + "x" * 70_000), 414),
        (request("GET", "/healthz", None, "X: " + "x" * 70_000), 431),
    ],
    ids=["400", "other host", "408", "413", "413 Zep", "414", "431"],
)
def test_nor_is_an_error_of_the_protocol(sent: bytes, status: int) -> None:
    with serve_raw(QUICK._replace(head_s=0.05)) as server:
        response = server.send(sent)
    assert response.status == status
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_nor_is_the_error_of_a_connection_too_many() -> None:
    with serve_raw(QUICK._replace(connections=1)) as server, server.connect() as first:
        first.send(b"GET /healthz HTTP/1.1\r\n")
        response = server.send(request("GET", "/healthz"))
    assert response.status == 503
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("target", ["/docs", "/openapi.json", "/v1/users"])
def test_nor_is_an_unexpected_error(
    client: InProcessClient, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr("userkeep.http.access.is_loopback", fail)
    response = client.send("GET", target, headers={"Host": "never-seen.example"})
    assert response.status == 500
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
