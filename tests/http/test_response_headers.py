"""Responses are neither stored by caches nor interpreted by browsers."""

import pytest

from tests.http.clients import InProcessClient

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
