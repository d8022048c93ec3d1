"""Behind a reverse proxy: a prefix of all paths, and the client and scheme that the proxy names."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.http.clients import InProcessClient, serve_in_process
from tests.http.raw import request, serve_application
from userkeep.config import Settings
from userkeep.http.requests import BodyMemory, Request
from userkeep.http.responses import json_response
from userkeep.server import behind_proxies
from userkeep.services import erasures
from userkeep.worker.timers import Timers

MEMORY = "sqlite:///:memory:"

# The prefix of all paths.


@pytest.fixture(scope="module")
def client() -> Iterator[InProcessClient]:
    """A client of a server behind a proxy that serves it below /userkeep."""
    with serve_in_process(Settings(database_url=MEMORY, root_path="/userkeep")) as client:
        yield client


@pytest.mark.parametrize(
    "path", ["/v1/users", "/api/v1/user", "/healthz", "/readyz", "/openapi.json", "/docs"]
)
def test_a_proxy_may_keep_or_remove_the_prefix(client: InProcessClient, path: str) -> None:
    for target in (path, f"/userkeep{path}", f"{path}?limit=1"):
        assert client.send("GET", target).status == 200


@pytest.mark.parametrize(
    "target",
    [
        "/userkeepers/v1/users",
        "/other/v1/users",
        "/Userkeep/v1/users",
        "/userkeep/userkeep/v1/users",
        "/x/userkeep/v1/users",
        "/userkeepv1/users",
    ],
)
def test_no_other_prefix_is_accepted(client: InProcessClient, target: str) -> None:
    assert client.send("GET", target).status == 404


def test_ids_below_a_prefix_are_read_as_sent(client: InProcessClient) -> None:
    body = {"user_id": "/userkeep/a b"}
    assert client.send("POST", "/userkeep/v1/users", body).status == 201
    for prefix in ("", "/userkeep"):
        response = client.send("GET", f"{prefix}/v1/users/%2Fuserkeep%2Fa%20b")
        assert response.json["user_id"] == "/userkeep/a b"


def test_a_retry_on_the_other_path_has_the_same_idempotency_key(client: InProcessClient) -> None:
    headers = {"Idempotency-Key": "retry-1"}
    first, second = (
        client.send("POST", f"{prefix}/v1/users", {"user_id": "once"}, headers=headers)
        for prefix in ("", "/userkeep")
    )
    assert (first.status, second.status) == (201, 201)
    assert second.headers["idempotent-replayed"] == "true"


def test_the_document_and_its_page_know_the_prefix(client: InProcessClient) -> None:
    for target in ("/openapi.json", "/userkeep/openapi.json"):
        assert client.send("GET", target).json["servers"] == [{"url": "/userkeep"}]
    assert '"/openapi.json"' not in client.send("GET", "/userkeep/docs").text
    with serve_in_process(Settings(database_url=MEMORY)) as plain:
        assert "servers" not in plain.send("GET", "/openapi.json").json


def test_a_location_has_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasures, "BATCH_MS", 0.0)
    settings = Settings(database_url=MEMORY, root_path="/userkeep")
    with serve_in_process(settings, Timers(respond_after_s=0.0)) as client:
        messages = [{"role": "user", "content": str(number)} for number in range(1_000)]
        body = {"user_id": "jane", "messages": messages}
        client.send("POST", "/userkeep/v1/sessions/s1/messages", body)
        response = client.send("DELETE", "/userkeep/v1/sessions/s1")
        assert response.status == 202
        assert response.headers["location"] == f"/userkeep/v1/erasures/{response.json['id']}"
        assert client.send("GET", response.headers["location"]).status == 200


# X-Forwarded-For and X-Forwarded-Proto.


def seen(peers: tuple[str, ...], *headers: str) -> tuple[str, str]:
    """Return the client and the scheme of a request from 127.0.0.1 with these headers."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        read = Request(scope, receive, BodyMemory(0))
        await json_response([read.client, read.scheme])(scope, receive, send)

    wrapped = behind_proxies(application, Settings(forwarded_allow_ips=peers))
    with serve_application(wrapped) as server:
        client, scheme = json.loads(server.send(request("GET", "/", None, *headers)).body)
        return client, scheme


@pytest.mark.parametrize("peers", [(), ("10.0.0.1",), ("unix",), ("192.168.0.0/16", "::1")])
def test_forwarded_headers_of_others_are_ignored(peers: tuple[str, ...]) -> None:
    headers = ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https")
    assert seen(peers, *headers) == ("127.0.0.1", "http")


@pytest.mark.parametrize("peers", [("127.0.0.1",), ("127.0.0.0/8",), ("10.0.0.0/8", "127.0.0.1")])
def test_forwarded_headers_of_a_proxy_are_trusted(peers: tuple[str, ...]) -> None:
    headers = ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https")
    assert seen(peers, *headers) == ("192.0.2.1", "https")


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (["X-Forwarded-For: 198.51.100.9, 192.0.2.1"], "192.0.2.1"),
        (["X-Forwarded-For: 127.0.0.1, 192.0.2.1"], "192.0.2.1"),
        (["X-Forwarded-For: 198.51.100.9", "X-Forwarded-For: 192.0.2.1"], "192.0.2.1"),
        (["X-Forwarded-For: 198.51.100.9, 192.0.2.1, 10.1.2.3"], "192.0.2.1"),
        (["X-Forwarded-For: unix, 192.0.2.1"], "192.0.2.1"),
        (["X-Forwarded-For: [2001:db8::1]:50000"], "2001:db8::1"),
        ([f"X-Forwarded-For: {'x' * 1000}"], "x" * 45),
        (["X-Forwarded-For: "], "127.0.0.1"),
        ([], "127.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxy(forwarded: list[str], client: str) -> None:
    assert seen(("127.0.0.1", "10.0.0.0/8"), *forwarded)[0] == client


@pytest.mark.parametrize("value", ["ftp", "https, http", "", "HTTPS;x"])
def test_an_unknown_scheme_is_ignored(value: str) -> None:
    assert seen(("127.0.0.1",), f"X-Forwarded-Proto: {value}")[1] == "http"


@pytest.mark.parametrize(
    ("address", "forwarded", "origin", "status"),
    [
        ("127.0.0.1", "https", "https://localhost:8000", 200),
        ("127.0.0.1", "https", "http://localhost:8000", 403),
        ("127.0.0.1", "http", "https://localhost:8000", 403),
        ("127.0.0.2", "https", "https://localhost:8000", 403),
        ("127.0.0.2", "https", "http://localhost:8000", 200),
    ],
)
def test_the_scheme_of_a_proxy_counts_for_the_origin(
    address: str, forwarded: str, origin: str, status: int
) -> None:
    settings = Settings(database_url=MEMORY, forwarded_allow_ips=("127.0.0.1",))
    headers = {"Host": "localhost:8000", "Origin": origin, "X-Forwarded-Proto": forwarded}
    with serve_in_process(settings) as client:
        response = client.send("GET", "/v1/users", headers=headers, address=address)
        assert response.status == status


def test_a_proxy_in_front_of_a_prefix_is_trusted_too() -> None:
    settings = Settings(
        database_url=MEMORY, forwarded_allow_ips=("127.0.0.1",), root_path="/userkeep"
    )
    headers = {
        "Host": "localhost",
        "Origin": "https://localhost",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "192.0.2.1",
    }
    with serve_in_process(settings) as client:
        assert client.send("GET", "/userkeep/v1/users", headers=headers).status == 200
