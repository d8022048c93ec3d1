"""Each request has one line in the log and an id; the line has nothing personal."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.http.clients import InProcessClient, serve_in_process
from tests.http.raw import QUICK, RawServer, chunked, request, serve_raw
from tests.http.request_logs import logged
from userkeep.config import Settings

KEY = "the-key-of-an-operator"
GENERATED = re.compile("[0-9a-f]{16}")
REQUEST_IDS = ["a", "0193-ab/c:~!", "x" * 128]
INVALID_IDS = ["", "x" * 129, "two words", "caf\xe9", "tab\tbed", "\x7f"]


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """The records of requests."""
    with logged() as lines:
        yield lines


@pytest.mark.parametrize(
    ("method", "target", "route", "status"),
    [
        ("GET", "/v1/users?limit=3", "/v1/users", 200),
        ("GET", "/v1/users/jane", "/v1/users/{user_id}", 404),
        ("GET", "/v1/users/jane%40example.com?x=oslo", "/v1/users/{user_id}", 422),
        ("PUT", "/v1/users/jane/shoes", "", 404),
        ("PUT", "/v1/sessions/jane/messages", "/v1/sessions/{session_id}/messages", 405),
        ("GET", "/v1/sessions/jane/memory", "/v1/sessions/{session_id}/memory", 404),
        ("GET", "/api/v1/user/jane", "/api/v1/user/{user_id}", 404),
        ("GET", "/api/v1/user//jane/", "/api/v1/user/{user_id}", 404),
        ("GET", "/api/v1/jane", "", 404),
        ("GET", "/api/v1/collection/jane", "/api/v1/collection/{name}", 404),
        ("GET", "/healthz", "/healthz", 200),
        ("HEAD", "/docs", "/docs", 200),
        ("GET", "//OpenAPI.json", "/openapi.json", 200),
        ("GET", "/jane", "", 404),
    ],
)
def test_a_request_is_logged_with_its_route_and_without_its_path(
    client: InProcessClient, lines: list[Any], method: str, target: str, route: str, status: int
) -> None:
    response = client.send(method, target)
    assert response.status == status
    [line] = lines
    assert list(line) == [
        *("time", "level", "logger", "message"),
        *("method", "route", "status", "duration_ms", "bytes", "request_id", "key_id"),
    ]
    assert (line["method"], line["route"], line["status"]) == (method, route, status)
    assert line["bytes"] == len(response.body)
    assert line["request_id"] == response.headers["x-request-id"]
    assert 0 <= line["duration_ms"] < 60_000
    assert not re.search("jane|shoes|oslo|127", str(line | {"request_id": "", "duration_ms": 0}))


def test_the_line_names_the_key_and_a_rejected_request_has_none(lines: list[Any]) -> None:
    with serve_in_process(Settings(database_url="sqlite:///:memory:", api_key=KEY)) as client:
        for key, status in (("wrong", 401), (KEY, 404)):
            headers = {"Authorization": f"Bearer {key}"}
            assert client.send("GET", "/v1/users/jane", headers=headers).status == status
    assert [line["status"] for line in lines] == [401, 404]
    assert [line["route"] for line in lines] == ["/v1/users/{user_id}"] * 2
    assert lines[0]["key_id"] is None
    assert lines[1]["key_id"].startswith("static-")
    assert KEY not in str(lines)


def test_a_list_in_pieces_is_logged_with_all_its_bytes(
    client: InProcessClient, fresh: str, lines: list[Any]
) -> None:
    messages = [{"role": "user", "content": "shoes " * 40} for _ in range(1000)]
    body = {"user_id": fresh, "messages": messages}
    assert client.send("POST", f"/v1/sessions/{fresh}/messages", body).status == 201
    response = client.send("GET", f"/api/v1/sessions/{fresh}/messages?limit=2000")
    assert response.pieces > 1
    assert lines[-1]["bytes"] == len(response.body)
    assert lines[-1]["route"] == "/api/v1/sessions/{session_id}/messages"
    assert "aborted" not in lines[-1]


# Failures.


@pytest.mark.parametrize("target", ["/v1/users/jane", "/api/v1/user/jane", "/docs"])
def test_an_unexpected_error_is_logged_twice_with_its_request_id(
    client: InProcessClient, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr("userkeep.http.access.is_loopback", fail)
    with logged("userkeep") as lines:
        response = client.send("GET", target, headers={"Host": "never-seen.example"})
    assert response.status == 500
    error, line = lines
    assert error["level"] == line["level"] == "error"
    assert error["request_id"] == line["request_id"] == response.headers["x-request-id"]
    assert error["route"] == line["route"] != ""
    assert error["traceback"].endswith("RuntimeError")
    assert (line["status"], line["bytes"]) == (500, len(response.body))


def test_the_log_of_an_error_has_its_place_and_its_reason_but_not_its_text(
    client: InProcessClient, monkeypatch: pytest.MonkeyPatch, fresh: str
) -> None:
    def fail(*_: object) -> None:
        try:
            raise OSError(28, "No space left on device", fresh)
        except OSError:
            int(fresh)

    monkeypatch.setattr("userkeep.http.access.is_loopback", fail)
    with logged("userkeep") as lines:
        client.send("GET", "/v1/users/jane", headers={"Host": "never-seen.example"})
    shown = lines[0]["traceback"]
    assert "in fail" in shown
    assert "OSError: No space left on device\n\nThe error above led to this one:" in shown
    assert shown.endswith("\nValueError")
    assert fresh not in shown


def test_the_log_of_an_error_beside_the_requests_has_neither_its_text_nor_arguments(
    client: InProcessClient, fresh: str
) -> None:
    async def fail_beside() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(int, fresh)
        loop.create_future().set_exception(KeyError(fresh))
        await asyncio.sleep(0.01)

    with logged("asyncio") as lines:
        client.run(fail_beside())
    messages = ["Future exception was never retrieved", "Exception in callback int"]
    assert [line["message"] for line in lines] == messages
    assert [line["traceback"].splitlines()[-1] for line in lines] == ["KeyError", "ValueError"]
    assert fresh not in str(lines)


def test_a_slow_request_is_a_warning(
    client: InProcessClient, lines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("app", "request_log"):
        monkeypatch.setattr(f"userkeep.http.{module}.SLOW_MS", 0.0)
    client.send("GET", "/healthz")
    assert lines[-1]["level"] == "warning"


def wait_for(lines: list[Any], number: int = 1) -> None:
    ends = time.monotonic() + 60
    while len(lines) < number and time.monotonic() < ends:
        time.sleep(0.005)
    assert len(lines) == number, lines


@pytest.fixture
def server() -> Iterator[RawServer]:
    """A server on a socket, with short times."""
    with serve_raw(QUICK._replace(head_s=0.05)) as server:
        yield server


def test_a_client_that_leaves_before_the_end_of_its_body_is_logged_as_499(
    server: RawServer, lines: list[Any]
) -> None:
    with server.connect() as connection:
        connection.send(request("POST", "/v1/users", None, "Transfer-Encoding: chunked"))
        connection.send(chunked(b'{"user_id": "jane"'))
    wait_for(lines)
    assert (lines[0]["route"], lines[0]["status"]) == ("/v1/users", 499)


def test_a_response_in_pieces_that_is_not_read_is_logged_as_aborted(
    server: RawServer, lines: list[Any]
) -> None:
    # More than the buffers of both sockets hold: the system lets each grow to some megabytes.
    messages = [{"role": "user", "content": "x" * 4000} for _ in range(1000)]
    body = json.dumps({"user_id": "jane", "messages": messages}).encode()
    for _ in range(5):
        assert server.send(request("POST", "/v1/sessions/s/messages", body)).status == 201
    with server.connect() as connection:
        connection.send(request("GET", "/api/v1/sessions/s/messages?limit=5000"))
        connection.socket.recv(1000)
        connection.reset()
    wait_for(lines, 6)
    assert (lines[5]["status"], lines[5]["aborted"]) == (200, True)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET /v1/users/jane HTTP/1.1\r\nHost: localhost\r\nX: ", 408),
        (request("GET", "/" + "x" * 70_000), 414),
    ],
)
def test_a_request_that_is_not_valid_http_is_logged_with_an_id(
    server: RawServer, lines: list[Any], sent: bytes, status: int
) -> None:
    response = server.send(sent)
    wait_for(lines)
    assert response.status == lines[0]["status"] == status
    assert lines[0]["route"] == lines[0]["method"] == ""
    assert response.json["request_id"] == lines[0]["request_id"]
    assert response.headers["x-request-id"] == lines[0]["request_id"]


# Request ids.


@pytest.mark.parametrize("request_id", REQUEST_IDS)
@pytest.mark.parametrize("target", ["/v1/users", "/v1/users/unknown", "/api/v1/user", "/nothing"])
def test_a_request_id_is_returned_and_logged(
    client: InProcessClient, lines: list[Any], request_id: str, target: str
) -> None:
    response = client.send("GET", target, headers={"X-Request-Id": request_id})
    assert response.headers["x-request-id"] == lines[-1]["request_id"] == request_id


@pytest.mark.parametrize("request_id", INVALID_IDS)
def test_an_invalid_request_id_is_replaced(client: InProcessClient, request_id: str) -> None:
    response = client.send("GET", "/v1/users/unknown", headers={"X-Request-Id": request_id})
    assert GENERATED.fullmatch(response.headers["x-request-id"])
    assert response.json["request_id"] == response.headers["x-request-id"]


def test_requests_without_an_id_get_different_ones(client: InProcessClient) -> None:
    found = {client.send("GET", "/healthz").headers["x-request-id"] for _ in range(20)}
    assert len(found) == 20
    assert all(map(GENERATED.fullmatch, found))


def test_the_errors_of_the_zep_api_have_the_id_in_the_header_alone(client: InProcessClient) -> None:
    response = client.send("GET", "/api/v1/user/unknown", headers={"X-Request-Id": "abc"})
    assert response.headers["x-request-id"] == "abc"
    assert response.text == "not found\n"
