"""What the native interface has of HTTP: addresses, methods, headers, problems."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import engine_id, fresh_settings
from tests.http.conftest import DOOR_ENGINES
from tests.http.doors import Answer, InProcess, OverSocket, in_process
from userkeep.services import erasures
from userkeep.worker.timers import Timers


@pytest.fixture
def doors(doors_on_engines: InProcess) -> InProcess:
    """All doors of a server, on several engines."""
    return doors_on_engines


PROBLEM = {"status", "code", "detail", "fields"}


def assert_problem(answer: Answer, status: int, code: str, *fields: str) -> None:
    assert answer.status == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert problem.keys() == PROBLEM
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["fields"] == list(fields)
    assert problem["detail"][0].isupper() or fields, "a sentence, or one that begins with its field"
    assert problem["detail"].endswith(".")


@pytest.mark.parametrize(
    ("body", "status", "code", "fields"),
    [
        (b"", 400, "bad_request", ()),
        (b"{", 400, "bad_request", ()),
        (b"nonsense", 400, "bad_request", ()),
        (b'{"user_id": "a"} junk', 400, "bad_request", ()),
        (b"null", 422, "invalid_field", ()),
        (b"[]", 422, "invalid_field", ()),
        (b"7", 422, "invalid_field", ()),
        ({}, 422, "invalid_field", ("user_id",)),
        ({"user_id": None}, 422, "invalid_field", ("user_id",)),
        ({"user_id": 7}, 422, "invalid_field", ("user_id",)),
        ({"user_id": ""}, 422, "invalid_field", ("user_id",)),
        ({"user_id": ".."}, 422, "invalid_field", ("user_id",)),
        ({"user_id": "a\0"}, 422, "invalid_field", ("user_id",)),
        ({"user_id": "x" * 513}, 422, "invalid_field", ("user_id",)),
        ({"user_id": "a", "name": "b"}, 422, "invalid_field", ("name",)),
        ({"user_id": "a", "email": "x" * 513}, 422, "invalid_field", ("email",)),
        ({"user_id": "a", "metadata": []}, 422, "invalid_field", ("metadata",)),
        ({"user_id": "a", "metadata": {"a": {"b": "\0"}}}, 422, "invalid_field", ("metadata.a.b",)),
        (b'{"user_id": "a", "email": "\\ud800"}', 422, "invalid_field", ("email",)),
    ],
)
def test_a_bad_body_is_a_problem_that_names_its_fields(
    doors: InProcess, body: Any, status: int, code: str, fields: tuple[str, ...]
) -> None:
    assert_problem(doors.send("POST", "/v1/users", body), status, code, *fields)


def test_a_name_with_half_a_surrogate_pair_is_told_in_a_whole_sentence(doors: InProcess) -> None:
    problem = doors.send("POST", "/v1/users", b'{"user_id": "a", "\\ud800": 1}').json
    assert problem["status"] in {400, 422}
    assert "" not in problem["fields"]
    assert problem["detail"] == problem["detail"].strip()


@pytest.mark.parametrize(
    ("query", "status", "code", "field"),
    [
        ("limit=0", 422, "invalid_field", "limit"),
        ("limit=1001", 422, "invalid_field", "limit"),
        ("limit=x", 422, "invalid_field", "limit"),
        ("limit=", 422, "invalid_field", "limit"),
        ("limit=1&limit=2", 422, "invalid_field", "limit"),
        ("order=up", 422, "invalid_field", "order"),
        ("page=2", 422, "invalid_field", "page"),
        ("created_after=yesterday", 422, "invalid_field", "created_after"),
        ("metadata=1", 422, "invalid_field", "metadata"),
        ("metadata.=1", 422, "invalid_field", "metadata."),
        ("metadata.a..b=1", 422, "invalid_field", "metadata.a..b"),
        ("metadata.a=[]", 422, "invalid_field", "metadata.a"),
        ("cursor=x", 400, "bad_request", "cursor"),
        ("cursor=", 400, "bad_request", "cursor"),
    ],
)
def test_a_bad_query_is_a_problem_that_names_its_parameter(
    doors: InProcess, query: str, status: int, code: str, field: str
) -> None:
    assert_problem(doors.send("GET", f"/v1/users?{query}"), status, code, field)


def test_a_parameter_where_there_is_none_is_a_problem(doors: InProcess, fresh: str) -> None:
    doors.send("PUT", f"/v1/users/{fresh}", {})
    assert_problem(doors.send("GET", f"/v1/users/{fresh}?x=1"), 422, "invalid_field", "x")


def test_each_status_has_its_code(doors: InProcess, fresh: str) -> None:
    path = f"/v1/users/{fresh}"
    assert_problem(doors.send("GET", path), 404, "not_found")
    doors.send("POST", "/v1/users", {"user_id": fresh})
    again = doors.send("POST", "/v1/users", {"user_id": fresh})
    assert_problem(again, 409, "already_exists", "user_id")
    stale = doors.send("PATCH", path, {}, headers={"If-Match": '"9"'})
    assert_problem(stale, 412, "revision_mismatch")
    evil = doors.send("GET", path, headers={"Origin": "null"})
    assert_problem(evil, 403, "forbidden")
    for_user = {"user_id": fresh, "messages": [{"content": "x"}]}
    doors.send("POST", f"/v1/sessions/{fresh}/messages", for_user)
    doors.send("POST", f"/v1/sessions/{fresh}/end")
    late = doors.send("POST", f"/v1/sessions/{fresh}/messages", for_user)
    assert_problem(late, 409, "conflict")
    doors.send("DELETE", path)
    ghost = doors.send("POST", f"/v1/sessions/{fresh}/messages", for_user)
    assert_problem(ghost, 410, "gone")


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/v1",
        "/v1/",
        "/v2/users",
        "/V1/users",
        "/v1/nothing",
        "/v1//users",
        "/v1/users/",
        "/v1/users//sessions",
        "/v1/users/a/",
        "/v1/users/a/nothing",
        "/v1/./users",
        "/v1/x/../users",
        "//v1/users",
        "/api",
        "/api/v1x",
        "/api/v3/user",
        "/docs/x",
        "/favicon.ico",
    ],
)
def test_what_has_no_address_is_not_found(doors: InProcess, target: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert_problem(doors.send(method, target), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("DELETE", "/v1/users", "GET, POST"),
        ("PUT", "/v1/users", "GET, POST"),
        ("OPTIONS", "/v1/users", "GET, POST"),
        ("TRACE", "/v1/users", "GET, POST"),
        ("get", "/v1/users", "GET, POST"),
        ("FROBNICATE", "/v1/users", "GET, POST"),
        ("POST", "/v1/users/a", "DELETE, GET, PATCH, PUT"),
        ("PUT", "/v1/sessions/a", "DELETE, GET, PATCH"),
        ("GET", "/v1/sessions/a/end", "POST"),
        ("PUT", "/v1/sessions/a/messages", "GET, POST"),
        ("DELETE", "/v1/erasures/a", "GET"),
    ],
)
def test_a_wrong_method_is_405_with_those_that_are_right(
    doors: InProcess, method: str, target: str, allowed: str
) -> None:
    answer = doors.send(method, target)
    assert answer.status == 405
    assert answer.headers["allow"] == allowed
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_405_says_the_same_in_its_body(doors: InProcess) -> None:
    assert doors.send("DELETE", "/v1/users").json["status"] == 405


@pytest.mark.parametrize(
    ("segment", "user_id"),
    [
        ("a%2Fb", "a/b"),
        ("a%2fb", "a/b"),
        ("a%252Fb", "a%2Fb"),
        ("%6a%61ne", "jane"),
        ("a%3Fb%23c", "a?b#c"),
        ("a+b", "a+b"),
        ("a%20b", "a b"),
        ("100%25", "100%"),
        ("100%", "100%"),
        ("%zz", "%zz"),
        ("%C3%A9%F0%9F%98%80", "é😀"),
        ("...", "..."),
        ("a;b=c,d:e@f!$&'()*", "a;b=c,d:e@f!$&'()*"),
        ("sessions", "sessions"),
    ],
)
def test_a_segment_is_decoded_once(doors: InProcess, segment: str, user_id: str) -> None:
    path = f"/v1/users/{segment}"
    added = doors.send("PUT", path, {})
    try:
        assert (added.status, added.json["user_id"]) == (201, user_id)
        assert doors.send("GET", path).json["user_id"] == user_id
        assert doors.send("GET", f"{path}/sessions").json == {"items": [], "next": None}
    finally:
        assert doors.send("DELETE", path).status == 200


@pytest.mark.parametrize("dots", ["%2e", "%2e%2e", "%2E%2e", ".", ".."])
def test_dots_are_no_id(doors: InProcess, dots: str) -> None:
    assert_problem(doors.send("GET", f"/v1/users/{dots}"), 404, "not_found")
    assert_problem(doors.send("PUT", f"/v1/users/{dots}", {}), 422, "invalid_field", "user_id")


@pytest.mark.parametrize("segment", [b"%ff", b"%c3%28", b"%ed%a0%80", b"%f5%80%80%80", b"\xff"])
def test_an_id_that_is_no_utf8_is_refused(doors: InProcess, segment: bytes) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = doors.send(method, b"/v1/users/" + segment, {})
        assert_problem(answer, 400, "bad_request")


@pytest.mark.parametrize("segment", ["%00", "a%00b", "%0a", "%7f", "%c2%80", "x" * 513])
def test_an_id_that_cannot_be_is_never_made(doors: InProcess, segment: str) -> None:
    path = f"/v1/users/{segment}"
    assert_problem(doors.send("PUT", path, {}), 422, "invalid_field", "user_id")
    assert_problem(doors.send("GET", path), 404, "not_found")
    assert doors.send("DELETE", path).status == 404


def test_the_revision_is_the_etag(doors: InProcess, fresh: str) -> None:
    path = f"/v1/users/{fresh}"
    answers = [
        doors.send("PUT", path, {}),
        doors.send("GET", path),
        doors.send("PATCH", path, {"email": "a"}, headers={"If-Match": '"1"'}),
        doors.send("PUT", path, {"email": "b"}, headers={"If-Match": '"2"'}),
        doors.send("GET", path),
    ]
    assert [answer.status for answer in answers] == [201, 200, 200, 200, 200]
    assert [answer.headers["etag"] for answer in answers] == ['"1"', '"1"', '"2"', '"3"', '"3"']
    for answer in answers:
        assert answer.headers["etag"] == f'"{answer.json["revision"]}"'


def test_a_session_has_an_etag_too(doors: InProcess, fresh: str) -> None:
    path = f"/v1/sessions/{fresh}"
    answers = [
        doors.send("POST", "/v1/sessions", {"session_id": fresh}),
        doors.send("PATCH", path, {"metadata": {"a": 1}}, headers={"If-Match": '"1"'}),
        doors.send("POST", f"{path}/end"),
        doors.send("GET", path),
    ]
    assert [answer.headers["etag"] for answer in answers] == ['"1"', '"2"', '"3"', '"3"']


def test_lists_messages_and_problems_have_no_etag(doors: InProcess, fresh: str) -> None:
    doors.send("POST", "/v1/sessions", {"session_id": fresh})
    path = f"/v1/sessions/{fresh}/messages"
    appended = doors.send("POST", path, {"messages": [{"content": "x"}]})
    uuid = appended.json["messages"][0]["uuid"]
    for answer in (
        appended,
        doors.send("GET", path),
        doors.send("GET", f"{path}/{uuid}"),
        doors.send("GET", "/v1/users"),
        doors.send("GET", "/v1/users/nobody-at-all"),
    ):
        assert "etag" not in answer.headers


@pytest.mark.parametrize(
    "value", ["1", "", '"x"', '""', '"-1"', '"1.0"', 'W/"1"', '"1', "é", '"²"']
)
def test_a_condition_that_is_no_revision_is_refused(
    doors: InProcess, fresh: str, value: str
) -> None:
    path = f"/v1/users/{fresh}"
    doors.send("PUT", path, {})
    refused = doors.send("PATCH", path, {"email": "x"}, headers={"If-Match": value})
    assert_problem(refused, 400, "bad_request", "If-Match")
    assert doors.send("GET", path).json["email"] is None


def test_a_condition_is_refused_where_nothing_could_keep_it(doors: InProcess, fresh: str) -> None:
    path = f"/v1/users/{fresh}"
    doors.send("PUT", path, {})
    refused = doors.send("DELETE", path, headers={"If-Match": '"1"'})
    assert_problem(refused, 400, "bad_request", "If-Match")
    assert doors.send("GET", path).status == 200


def test_an_answer_given_again_says_so(doors: InProcess, fresh: str) -> None:
    headers = {"Idempotency-Key": fresh}
    first = doors.send("POST", "/v1/users", {"user_id": fresh}, headers=headers)
    again = doors.send("POST", "/v1/users", {"user_id": fresh}, headers=headers)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status, again.json) == (first.status, first.json)
    assert again.headers["etag"] == first.headers["etag"]
    other = doors.send("POST", "/v1/users", {"user_id": f"{fresh} 2"}, headers=headers)
    assert_problem(other, 409, "idempotency_mismatch")


@pytest.mark.parametrize("key", ["", "\t", "\x7f", "x" * 513])
def test_a_key_that_cannot_be_kept_is_refused(doors: InProcess, fresh: str, key: str) -> None:
    headers = {"Idempotency-Key": key}
    answer = doors.send("POST", "/v1/users", {"user_id": fresh}, headers=headers)
    assert_problem(answer, 422, "invalid_field", "Idempotency-Key")
    assert doors.send("GET", f"/v1/users/{fresh}").status == 404


@pytest.fixture(params=DOOR_ENGINES, ids=engine_id)
def impatient_doors(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InProcess]:
    """All doors of a server that responds to a deletion without waiting for its end."""
    with in_process(fresh_settings(request.param, tmp_path), Timers(respond_after_s=0.0)) as doors:
        yield doors


def test_an_erasure_that_goes_on_is_202_with_its_address(
    impatient_doors: InProcess, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    doors = impatient_doors
    monkeypatch.setattr(erasures, "BATCH_MS", 0.0)
    messages = [{"content": str(number)} for number in range(1_000)]
    doors.send("POST", f"/api/v1/sessions/{fresh}/memory", {"messages": messages})
    answer = doors.send("DELETE", f"/v1/sessions/{fresh}")
    assert answer.status == 202
    assert answer.headers["location"] == f"/v1/erasures/{answer.json['id']}"
    assert answer.json["state"] == "deleting"
    assert answer.json["subject_id"] == fresh
    assert doors.send("GET", f"/v1/sessions/{fresh}").status in {404, 410}
    finished = wait_until_deleted(doors, answer.headers["location"])
    assert finished["subject_id"] is None
    assert finished["counts"] == {"users": 0, "sessions": 1, "messages": 1_000}
    assert_problem(doors.send("GET", f"/v1/sessions/{fresh}"), 404, "not_found")


def wait_until_deleted(doors: InProcess, location: str) -> Any:
    """The erasure, once it is finished; the loop runs on meanwhile."""
    for _ in range(3_000):
        erasure = doors.send("GET", location).json
        if erasure["state"] == "deleted":
            return erasure
        doors.run(asyncio.sleep(0.01))
    raise AssertionError("the erasure never ended")


def test_a_finished_erasure_is_200_without_an_address(doors: InProcess, fresh: str) -> None:
    doors.send("PUT", f"/v1/users/{fresh}", {})
    answer = doors.send("DELETE", f"/v1/users/{fresh}")
    assert (answer.status, answer.json["state"]) == (200, "deleted")
    assert "location" not in answer.headers
    assert doors.send("GET", f"/v1/erasures/{answer.json['id']}").json == answer.json


def test_every_answer_says_how_long_it_is_and_what(doors: InProcess) -> None:
    for target in (
        "/v1/users",
        "/v1/users/nobody-at-all",
        "/openapi.json",
        "/docs",
        "/readyz",
        "/x",
    ):
        answer = doors.send("GET", target)
        assert int(answer.headers["content-length"]) == len(answer.body) > 0
        assert answer.content_type


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_and_readiness_are_plain(doors: InProcess, method: str) -> None:
    health = doors.send(method, "/healthz")
    assert (health.status, health.content_type) == (200, "text/plain")
    assert health.headers["content-length"] == "1"
    ready = doors.send(method, "/readyz")
    assert (ready.status, ready.content_type) == (200, "text/plain")
    if method == "GET":
        assert (health.body, ready.text.strip()) == (b".", "ready")


def test_head_has_no_body_over_a_socket(socket_doors: OverSocket) -> None:
    for target in ("/healthz", "/readyz", "/docs", "/openapi.json"):
        answer = socket_doors.send("HEAD", target)
        assert (answer.status, answer.body) == (200, b"")


def test_bytes_of_a_path_come_through_a_real_server(socket_doors: OverSocket) -> None:
    for segment, user_id in (("a%2Fb", "a/b"), ("%C3%A9", "é"), ("x%25", "x%"), ("y%", "y%")):
        assert socket_doors.send("PUT", f"/v1/users/{segment}", {}).json["user_id"] == user_id
    assert socket_doors.send("GET", "//healthz").status == 200
    for segment in ("%ff", "%c3%28"):
        assert socket_doors.send("GET", f"/v1/users/{segment}").status == 400
    assert socket_doors.send("GET", "/v1/users/%2e%2e").status == 404
    assert socket_doors.send("GET", "/v1/users/../users").status == 404


@pytest.mark.parametrize(
    "head",
    [
        b"OPTIONS * HTTP/1.1",
        b"GET v1/users HTTP/1.1",
        b"GET /v1/users/\xff HTTP/1.1",
        b"GET /v1/users/\xc3\xa9 HTTP/1.1",
        b"GET /v1/users HTTP/9.9",
        b"G@T /v1/users HTTP/1.1",
        b"CONNECT evil.example:443 HTTP/1.1",
        b"GET http://evil.example/v1/users/nobody HTTP/1.1",
        b"POST /v1/users HTTP/1.1\r\ncontent-length: -1",
        b"POST /v1/users HTTP/1.1\r\ncontent-length: 99999999999999999999999999",
        b"POST /v1/users HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 3",
        b"POST /v1/users HTTP/1.1\r\ncontent-length: 2\r\ntransfer-encoding: chunked",
        b"POST /v1/users HTTP/1.1\r\ntransfer-encoding: nonsense",
        b"GET /v1/users HTTP/1.1\r\nbroken header",
        b"GET /v1/users HTTP/1.1\r\nx: \x00",
    ],
)
def test_what_is_no_http_is_the_clients_fault(socket_doors: OverSocket, head: bytes) -> None:
    rest = b"\r\nhost: localhost\r\nconnection: close\r\n\r\n{}"
    answer = socket_doors.send_bytes([head, rest])
    assert 400 <= answer.status < 500, answer
