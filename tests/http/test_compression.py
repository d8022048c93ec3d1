"""Responses of 1 KiB and more are compressed for clients that accept gzip."""

import gzip
import json
from typing import Any

import pytest

from tests.http.clients import InProcessClient, Response, serve_in_process
from userkeep.config import Settings

GZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture
def session(client: InProcessClient, fresh: str) -> str:
    """The id of a session with 20 messages."""
    messages = [{"role": "user", "content": f"message {n} " * 20} for n in range(20)]
    body = {"user_id": fresh, "messages": messages}
    assert client.send("POST", f"/v1/sessions/{fresh}/messages", body).status == 201
    return fresh


def is_compressed(response: Response) -> bool:
    """Return whether a response is compressed, and its headers fit its body."""
    encoding = response.headers.get("content-encoding")
    assert encoding in {None, "gzip"}
    if "content-length" in response.headers:
        assert int(response.headers["content-length"]) == len(response.body)
    return encoding == "gzip"


def unpacked(response: Response) -> Any:
    """Return the JSON of a compressed response."""
    assert is_compressed(response)
    return json.loads(gzip.decompress(response.body))


@pytest.mark.parametrize(
    "path",
    ["/v1/sessions/{}/messages", "/v1/sessions/{}/memory", "/api/v1/sessions/{}/messages?limit=20"],
)
def test_a_long_response_is_compressed(client: InProcessClient, session: str, path: str) -> None:
    target = path.format(session)
    plain = client.send("GET", target)
    assert not is_compressed(plain)
    compressed = client.send("GET", target, headers=GZIP)
    assert unpacked(compressed) == plain.json
    assert len(compressed.body) * 3 < len(plain.body)
    for response in (plain, compressed):
        assert response.headers["vary"] == "Accept-Encoding"
        assert response.headers["cache-control"] == "no-store"


ACCEPTED = {
    "gzip": True,
    "GZIP": True,
    "x-gzip": True,
    "gzip, deflate, br, zstd": True,
    "br;q=1.0, gzip;q=0.8, *;q=0.1": True,
    "deflate, gzip ; q=0.5": True,
    "*": True,
    "identity;q=0.5, gzip;q=0.5": True,
    "gzip;q=0": False,
    "gzip;q=0.000, *": False,
    "*;q=0": False,
    "identity": False,
    "identity, gzip;q=0.5": False,
    "br, deflate": False,
    "gzip;q=high": False,
    "gzipped": False,
    ";;,": False,
    "": False,
}


def test_accept_encoding_decides(client: InProcessClient, session: str) -> None:
    target = f"/v1/sessions/{session}/memory"
    found = {
        accepted: is_compressed(client.send("GET", target, headers={"Accept-Encoding": accepted}))
        for accepted in ACCEPTED
    }
    assert found == ACCEPTED


def test_a_short_response_is_not_compressed(client: InProcessClient, session: str) -> None:
    for target in (f"/v1/sessions/{session}", f"/v1/sessions/{session}/messages?limit=1"):
        response = client.send("GET", target, headers=GZIP)
        assert len(response.body) < 1024
        assert not is_compressed(response)
        assert "vary" not in response.headers


def test_a_response_from_1_kib_on_is_compressed(client: InProcessClient, fresh: str) -> None:
    user = {"user_id": fresh, "metadata": {"a": ""}}
    rest = len(client.send("POST", "/v1/users", user).body)
    for size in (1023, 1024):
        change = {"metadata": {"a": "x" * (size - rest)}}
        client.send("PATCH", f"/v1/users/{fresh}", change)
        plain = client.send("GET", f"/v1/users/{fresh}")
        assert len(plain.body) == size
        response = client.send("GET", f"/v1/users/{fresh}", headers=GZIP)
        assert is_compressed(response) == (size == 1024)
        assert response.headers["etag"] == plain.headers["etag"]


def test_a_compressed_response_has_a_revision_for_updates(
    client: InProcessClient, fresh: str
) -> None:
    user = {"user_id": fresh, "metadata": {"a": "x" * 2000}}
    added = client.send("POST", "/v1/users", user, headers=GZIP)
    assert unpacked(added)["user_id"] == fresh
    headers = {**GZIP, "If-Match": added.headers["etag"]}
    changed = client.send("PATCH", f"/v1/users/{fresh}", {"email": "a@b"}, headers=headers)
    assert (changed.status, unpacked(changed)["email"]) == (200, "a@b")
    rejected = client.send("PATCH", f"/v1/users/{fresh}", {"email": "c@d"}, headers=headers)
    assert rejected.status == 412


def test_head_has_the_headers_of_get(client: InProcessClient, session: str) -> None:
    target = f"/v1/sessions/{session}/messages"
    got = client.send("GET", target, headers=GZIP)
    head = client.send("HEAD", target, headers=GZIP)
    for name in ("content-encoding", "content-length", "vary"):
        assert head.headers[name] == got.headers[name]


def test_long_pages_errors_and_documents_are_compressed(
    client: InProcessClient, fresh: str
) -> None:
    messages = [{"role": "user", "content": f"{n}" * 100} for n in range(1000)]
    for _ in range(2):
        body = {"user_id": fresh, "messages": messages}
        client.send("POST", f"/v1/sessions/{fresh}/messages", body)
    listed = client.send("GET", f"/v1/sessions/{fresh}/messages?limit=1000", headers=GZIP)
    assert len(unpacked(listed)["items"]) == 1000
    in_pieces = client.send("GET", f"/api/v1/sessions/{fresh}/messages?limit=2000", headers=GZIP)
    assert in_pieces.pieces > 1
    assert len(unpacked(in_pieces)["messages"]) == 2000
    error = client.send("GET", f"/v1/users/{'%E2%82%AC' * 512}", headers=GZIP)
    assert (error.status, unpacked(error)["code"]) == (404, "not_found")
    assert unpacked(client.send("GET", "/openapi.json", headers=GZIP))["openapi"]
    assert is_compressed(client.send("GET", "/docs/swagger-ui-bundle.js", headers=GZIP))


def test_compression_can_be_turned_off() -> None:
    settings = Settings(database_url="sqlite:///:memory:", compression="none")
    with serve_in_process(settings) as client:
        response = client.send("GET", "/openapi.json", headers=GZIP)
        assert not is_compressed(response)
        assert "vary" not in response.headers
