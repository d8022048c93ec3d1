"""Paths, methods and headers of `/api/v1`."""

import re

import pytest

from tests.compat.steps import append, ok
from tests.http.clients import InProcessClient, Response

UUID = "0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10"


@pytest.mark.parametrize(
    ("status", "method", "target", "body"),
    [
        (200, "GET", "/healthz", None),
        (200, "HEAD", "/healthz", None),
        (200, "GET", "//healthz", None),
        (200, "GET", "/api/v1/user", None),
        (201, "POST", "/api/v1/user", {"user_id": "new"}),
        (200, "GET", "/api/v1/user/jane", None),
        (200, "PATCH", "/api/v1/user/jane", {}),
        (200, "GET", "/api/v1/user/jane/sessions", None),
        (200, "GET", "/api/v1/sessions/s/memory", None),
        (200, "GET", "/api/v1/sessions/s/messages", None),
        (200, "POST", "/api/v1/sessions/s/memory", {}),
        (200, "POST", "/api/v1/sessions/s/search", {"text": "x"}),
        (200, "DELETE", "/api/v1/sessions/s/memory", None),
        (200, "DELETE", "/api/v1/user/jane", None),
        (400, "POST", "/api/v1/user", b""),
        (400, "POST", "/api/v1/user", {"user_id": "jane"}),
        (400, "GET", "/api/v1/user?limit=x", None),
        (404, "GET", "/api/v1/user/nobody", None),
        (404, "GET", "/api/v1/nothing", None),
        (404, "GET", "/api/v1", None),
        (404, "GET", "/api/v1/", None),
        (405, "PUT", "/api/v1/user", {}),
        (405, "DELETE", "/api/v1/user/", None),
        (413, "POST", "/api/v1/user", b" " * (5 * 1024 * 1024 + 1)),
        (200, "GET", "/api/v1/collection", None),
        (404, "POST", "/api/v1/collection/papers/document", []),
    ],
)
def test_every_response_has_the_version_header(
    client: InProcessClient, status: int, method: str, target: str, body: object
) -> None:
    client.send("POST", "/api/v1/user", {"user_id": "jane"})
    append(client, "s", "Hello")
    response = client.send(method, target, body)
    assert response.status == status
    assert_version(response)


def test_streamed_and_forbidden_responses_have_the_version_header(client: InProcessClient) -> None:
    append(client, "long", *map(str, range(1_500)))
    assert_version(client.send("GET", "/api/v1/sessions/long/messages"))
    forbidden = client.send("GET", "/api/v1/user", headers={"Origin": "http://evil.example"})
    assert forbidden.status == 403
    assert_version(forbidden)


def assert_version(response: Response) -> None:
    # Clients parse the text before the first hyphen, require 0.21.0, and warn about `dev`.
    version = response.headers["x-zep-version"]
    number = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)-(?!.*dev).+", version)
    assert number, version
    assert tuple(map(int, number.groups())) >= (0, 21, 0)


def test_an_empty_id_is_the_path_of_the_list(client: InProcessClient) -> None:
    client.send("POST", "/api/v1/user", {"user_id": "jane"})
    append(client, "s", "Hello")
    for target in ("/api/v1/user/", "/api/v1//user", "/api/v1/user//", "/api/v1/./user/."):
        assert [user["user_id"] for user in ok(client.send("GET", target))] == ["jane"]
    for target in ("/api/v1/sessions/", "/api/v1/sessions//"):
        assert [each["session_id"] for each in ok(client.send("GET", target))] == ["s"]


@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
def test_a_list_cannot_be_deleted_or_updated(client: InProcessClient, method: str) -> None:
    client.send("POST", "/api/v1/user", {"user_id": "jane"})
    for target in ("/api/v1/user/", "/api/v1/user", "/api/v1/sessions/"):
        response = client.send(method, target, {})
        assert (response.status, response.body) == (405, b"")
    assert client.send("GET", "/api/v1/user/jane").status == 200


def test_double_and_trailing_slashes_and_dots_are_ignored(client: InProcessClient) -> None:
    client.send("POST", "/api/v1/user/", {"user_id": "jane"})
    append(client, "s/", "Hello")
    for target in (
        "/api/v1/user/jane/",
        "/api/v1//user///jane",
        "/api/v1/user/./jane",
        "/api/v1/sessions/../user/jane",
        "/api/v1/user/joe/../jane",
    ):
        assert ok(client.send("GET", target))["user_id"] == "jane"
    assert len(ok(client.send("GET", "/api/v1/sessions/s/memory/"))["messages"]) == 1


def test_dots_do_not_leave_the_prefix(client: InProcessClient) -> None:
    for target in ("/api/v1/../healthz", "/api/v1/../../healthz", "/api/v1/user/../../v1/users"):
        assert client.send("GET", target).status == 404


@pytest.mark.parametrize("dots", ["%2e", "%2e%2e", "%2E%2E"])
def test_encoded_dots_are_an_unknown_id(client: InProcessClient, dots: str) -> None:
    client.send("POST", "/api/v1/user", {"user_id": "jane"})
    assert client.send("GET", f"/api/v1/user/{dots}").status == 404
    assert client.send("DELETE", f"/api/v1/user/{dots}").status == 404
    assert client.send("GET", f"/api/v1/user/{dots}/jane").status == 404


def test_an_unencoded_slash_is_a_separator(client: InProcessClient) -> None:
    client.send("POST", "/api/v1/user", {"user_id": "a/b"})
    assert client.send("GET", "/api/v1/user/a/b").status == 404


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", "/api/v1/user/jane"),
        ("POST", "/api/v1/user/jane"),
        ("POST", "/api/v1/user/jane/sessions"),
        ("DELETE", "/api/v1/sessions/s"),
        ("PUT", "/api/v1/sessions/s/memory"),
        ("PATCH", "/api/v1/sessions/s/memory"),
        ("POST", "/api/v1/sessions/s/messages"),
        ("DELETE", f"/api/v1/sessions/s/messages/{UUID}"),
        ("GET", "/api/v1/sessions/s/search"),
        ("TRACE", "/api/v1/user"),
        ("PUT", "/api/v1/collection/papers"),
    ],
)
def test_a_wrong_method_is_405_without_a_body(
    shared: InProcessClient, method: str, target: str
) -> None:
    response = shared.send(method, target)
    assert (response.status, response.body) == (405, b"")
    assert method not in response.headers["allow"].split(", ")


def test_no_response_is_a_redirect(client: InProcessClient) -> None:
    for target in ("/api/v1/user/", "/api/v1", "/api/v1/", "//healthz", "/api/v1//user"):
        assert client.send("GET", target).status in {200, 404}


def test_an_error_is_a_line_of_plain_text(client: InProcessClient) -> None:
    for method, target, body in (
        ("GET", "/api/v1/user/nobody", None),
        ("POST", "/api/v1/user", {"user_id": ""}),
        ("POST", "/api/v1/user", b"{bad"),
        ("GET", "/api/v1/nothing", None),
        ("GET", "/api/v1/collection/papers", None),
    ):
        response = client.send(method, target, body)
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert re.fullmatch(r"[^\n]+\n", response.text)
        assert int(response.headers["content-length"]) == len(response.body)


def test_ids_that_are_not_utf8_are_rejected_or_not_found(client: InProcessClient) -> None:
    for target in (b"/api/v1/user/%ff", b"/api/v1/user/%c3%28", b"/api/v1/sessions/%ed%a0%80"):
        assert client.send("GET", target).status in {400, 404}
        assert client.send("PATCH", target, {}).status in {400, 404}


def test_credentials_are_ignored(
    client: InProcessClient,
) -> None:
    for value in ("Bearer anything", "bearer x.y.z", "Api-Key k", "invalid"):
        assert client.send("GET", "/api/v1/user", headers={"Authorization": value}).status == 200
        assert client.send("GET", "/healthz", headers={"Authorization": value}).status == 200
