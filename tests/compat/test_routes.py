"""Addresses, methods and headers of the `/api/v1` door."""

import re

import pytest

from tests.compat.steps import append, ok
from tests.http.doors import Answer, InProcess

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
        (501, "GET", "/api/v1/collection", None),
        (501, "POST", "/api/v1/collection/papers/document", []),
    ],
)
def test_every_answer_says_which_zep_it_is_like(
    doors: InProcess, status: int, method: str, target: str, body: object
) -> None:
    doors.send("POST", "/api/v1/user", {"user_id": "jane"})
    append(doors, "s", "Hello")
    answer = doors.send(method, target, body)
    assert answer.status == status
    assert_version(answer)


def test_a_long_list_and_a_refused_web_page_hear_it_too(doors: InProcess) -> None:
    append(doors, "long", *map(str, range(1_500)))
    assert_version(doors.send("GET", "/api/v1/sessions/long/messages"))
    refused = doors.send("GET", "/api/v1/user", headers={"Origin": "http://evil.example"})
    assert refused.status == 403
    assert_version(refused)


def assert_version(answer: Answer) -> None:
    # Old clients parse what is before the first hyphen, want 0.21.0 at least, and warn of `dev`.
    version = answer.headers["x-zep-version"]
    number = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)-(?!.*dev).+", version)
    assert number, version
    assert tuple(map(int, number.groups())) >= (0, 21, 0)


def test_an_empty_id_makes_the_address_of_the_list(doors: InProcess) -> None:
    doors.send("POST", "/api/v1/user", {"user_id": "jane"})
    append(doors, "s", "Hello")
    for target in ("/api/v1/user/", "/api/v1//user", "/api/v1/user//", "/api/v1/./user/."):
        assert [user["user_id"] for user in ok(doors.send("GET", target))] == ["jane"]
    for target in ("/api/v1/sessions/", "/api/v1/sessions//"):
        assert [each["session_id"] for each in ok(doors.send("GET", target))] == ["s"]


@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
def test_the_list_can_be_neither_deleted_nor_changed(doors: InProcess, method: str) -> None:
    doors.send("POST", "/api/v1/user", {"user_id": "jane"})
    for target in ("/api/v1/user/", "/api/v1/user", "/api/v1/sessions/"):
        answer = doors.send(method, target, {})
        assert (answer.status, answer.body) == (405, b"")
    assert doors.send("GET", "/api/v1/user/jane").status == 200


def test_doubled_and_trailing_slashes_and_dots_do_not_count(doors: InProcess) -> None:
    doors.send("POST", "/api/v1/user/", {"user_id": "jane"})
    append(doors, "s/", "Hello")
    for target in (
        "/api/v1/user/jane/",
        "/api/v1//user///jane",
        "/api/v1/user/./jane",
        "/api/v1/sessions/../user/jane",
        "/api/v1/user/joe/../jane",
    ):
        assert ok(doors.send("GET", target))["user_id"] == "jane"
    assert len(ok(doors.send("GET", "/api/v1/sessions/s/memory/"))["messages"]) == 1


def test_dots_lead_out_of_no_door(doors: InProcess) -> None:
    for target in ("/api/v1/../healthz", "/api/v1/../../healthz", "/api/v1/user/../../v1/users"):
        assert doors.send("GET", target).status == 404


@pytest.mark.parametrize("dots", ["%2e", "%2e%2e", "%2E%2E"])
def test_encoded_dots_are_an_id_that_nobody_has(doors: InProcess, dots: str) -> None:
    doors.send("POST", "/api/v1/user", {"user_id": "jane"})
    assert doors.send("GET", f"/api/v1/user/{dots}").status == 404
    assert doors.send("DELETE", f"/api/v1/user/{dots}").status == 404
    assert doors.send("GET", f"/api/v1/user/{dots}/jane").status == 404


def test_a_slash_in_an_id_that_is_not_encoded_is_another_address(doors: InProcess) -> None:
    doors.send("POST", "/api/v1/user", {"user_id": "a/b"})
    assert doors.send("GET", "/api/v1/user/a/b").status == 404


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
        ("OPTIONS", "/api/v1/user"),
        ("PUT", "/api/v1/collection/papers"),
    ],
)
def test_a_wrong_method_is_answered_with_405_and_nothing(
    shared: InProcess, method: str, target: str
) -> None:
    answer = shared.send(method, target)
    assert (answer.status, answer.body) == (405, b"")
    assert method not in answer.headers["allow"].split(", ")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/api/v1/collection"),
        ("GET", "/api/v1/collection/papers"),
        ("POST", "/api/v1/collection/papers"),
        ("PATCH", "/api/v1/collection/papers"),
        ("DELETE", "/api/v1/collection/papers"),
        ("POST", "/api/v1/collection/papers/index/create?force=true"),
        ("POST", "/api/v1/collection/papers/search"),
        ("POST", "/api/v1/collection/papers/document"),
        ("GET", f"/api/v1/collection/papers/document/uuid/{UUID}"),
        ("PATCH", f"/api/v1/collection/papers/document/uuid/{UUID}"),
        ("DELETE", f"/api/v1/collection/papers/document/uuid/{UUID}"),
        ("GET", f"/api/v1/collection/papers/document/{UUID}"),
        ("PATCH", f"/api/v1/collection/papers/document/{UUID}"),
        ("POST", "/api/v1/collection/papers/document/list/get"),
        ("POST", "/api/v1/collection/papers/document/list/delete"),
        ("PATCH", "/api/v1/collection/papers/document/list/update"),
    ],
)
def test_what_is_not_there_yet_says_so(shared: InProcess, method: str, target: str) -> None:
    answer = shared.send(method, target, {"text": "x"})
    assert answer.status == 501
    assert answer.content_type == "text/plain"
    assert "not served" in answer.text


def test_no_answer_is_a_redirection(doors: InProcess) -> None:
    for target in ("/api/v1/user/", "/api/v1", "/api/v1/", "//healthz", "/api/v1//user"):
        assert doors.send("GET", target).status in {200, 404}


def test_an_error_is_a_line_of_plain_text(doors: InProcess) -> None:
    for method, target, body in (
        ("GET", "/api/v1/user/nobody", None),
        ("POST", "/api/v1/user", {"user_id": ""}),
        ("POST", "/api/v1/user", b"{bad"),
        ("GET", "/api/v1/nothing", None),
        ("GET", "/api/v1/collection", None),
    ):
        answer = doors.send(method, target, body)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert re.fullmatch(r"[^\n]+\n", answer.text)
        assert int(answer.headers["content-length"]) == len(answer.body)


def test_ids_that_are_no_utf8_are_refused_or_not_found(doors: InProcess) -> None:
    for target in (b"/api/v1/user/%ff", b"/api/v1/user/%c3%28", b"/api/v1/sessions/%ed%a0%80"):
        assert doors.send("GET", target).status in {400, 404}
        assert doors.send("PATCH", target, {}).status in {400, 404}


def test_a_credential_that_an_old_client_insists_on_sending_is_accepted(doors: InProcess) -> None:
    for value in ("Bearer anything", "bearer x.y.z", "Api-Key k", "nonsense"):
        assert doors.send("GET", "/api/v1/user", headers={"Authorization": value}).status == 200
        assert doors.send("GET", "/healthz", headers={"Authorization": value}).status == 200
