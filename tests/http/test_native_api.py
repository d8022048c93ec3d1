"""HTTP of the native API: paths, methods, headers, problems."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import engine_id, fresh_settings
from tests.http.clients import InProcessClient, Response, SocketClient, serve_in_process
from tests.http.conftest import HTTP_ENGINES
from userkeep.services import erasures
from userkeep.worker.timers import Timers


@pytest.fixture
def client(client_on_engines: InProcessClient) -> InProcessClient:
    """A client of a server on each engine."""
    return client_on_engines


PROBLEM = {"status", "code", "detail", "fields", "request_id"}


def assert_problem(response: Response, status: int, code: str, *fields: str) -> None:
    assert response.status == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json
    assert problem.keys() == PROBLEM
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["fields"] == list(fields)
    assert problem["detail"][0].isupper() or fields, "a sentence, or one that starts with its field"
    assert problem["detail"].endswith(".")


@pytest.mark.parametrize(
    ("body", "status", "code", "fields"),
    [
        (b"", 400, "bad_request", ()),
        (b"{", 400, "bad_request", ()),
        (b"invalid", 400, "bad_request", ()),
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
def test_an_invalid_body_is_a_problem_with_its_fields(
    client: InProcessClient, body: Any, status: int, code: str, fields: tuple[str, ...]
) -> None:
    assert_problem(client.send("POST", "/v1/users", body), status, code, *fields)


@pytest.mark.parametrize(
    ("target", "body", "field"),
    [
        ("/v1/users", {"user_id": "a", "created_at": 0}, "created_at"),
        ("/v1/users", {"user_id": "a", "created_at": "2027"}, "created_at"),
        ("/v1/users", {"user_id": "a", "created_at": []}, "created_at"),
        ("/v1/sessions", {"ended_at": 1e3}, "ended_at"),
        ("/v1/search", {"query": "x", "created_after": 2027}, "created_after"),
        (
            "/v1/sessions/s/messages",
            {"messages": [{"role": "user", "content": "x", "created_at": 253402300800}]},
            "messages[0].created_at",
        ),
    ],
)
def test_a_number_is_no_time_in_a_body(
    client: InProcessClient, target: str, body: Any, field: str
) -> None:
    response = client.send("POST", target, body)
    assert_problem(response, 422, "invalid_field", field)
    assert response.json["detail"].startswith(f"{field} must be a date or a time, such as")


def test_an_offset_that_is_not_encoded_in_an_address_is_named(client: InProcessClient) -> None:
    response = client.send("GET", "/v1/users?created_after=2027-01-01T11:30:00+02:00")
    assert_problem(response, 422, "invalid_field", "created_after")
    assert response.json["detail"].endswith(
        "got '2027-01-01T11:30:00 02:00'. In an address, write the + of its offset as %2B."
    )


def test_times_have_six_digits_after_the_point(client: InProcessClient, fresh: str) -> None:
    at, sent = "2020-02-29T12:00:00Z", "2020-02-29T12:00:00.000000Z"
    user = client.send("POST", "/v1/users", {"user_id": fresh, "created_at": at}).json
    new = {"session_id": fresh, "user_id": fresh, "created_at": at, "ended_at": at}
    session = client.send("POST", "/v1/sessions", new).json
    assert user["created_at"] == session["created_at"] == session["ended_at"] == sent
    assert session["active_at"] == sent
    client.send("POST", f"/v1/sessions/{fresh}/reopen")
    message = {"role": "user", "content": "shoes", "created_at": at}
    target = f"/v1/sessions/{fresh}/messages"
    [added] = client.send("POST", target, {"messages": [message]}).json["messages"]
    [listed] = client.send("GET", target).json["items"]
    search = {"query": "shoes", "session_id": fresh}
    [hit] = client.send("POST", "/v1/search", search).json["items"]
    session = client.send("GET", f"/v1/sessions?user_id={fresh}&include=last_message").json
    [last] = [each["last_message"] for each in session["items"]]
    assert {each["created_at"] for each in (added, listed, hit["message"], last)} == {sent}


@pytest.mark.parametrize("target", ["/v1/users", "/api/v1/user"])
@pytest.mark.parametrize(
    ("encoding", "detail"),
    [
        ("utf-8-sig", "The body begins with a byte order mark (U+FEFF). Send JSON without one."),
        ("utf-16", "The body is UTF-16. Send JSON as UTF-8."),
        ("utf-32", "The body is UTF-32. Send JSON as UTF-8."),
    ],
)
def test_a_body_with_a_byte_order_mark_is_an_error_that_names_it(
    client: InProcessClient, target: str, encoding: str, detail: str
) -> None:
    response = client.send("POST", target, '{"user_id": "marked"}'.encode(encoding))
    assert response.status == 400
    assert detail in response.text


@pytest.mark.parametrize(
    ("target", "detail"),
    [
        ("/v1/users/a%2Fb", "There is no user with the user_id 'a/b'."),
        ("/v1/users/none/sessions", "There is no user with the user_id 'none'."),
        ("/v1/sessions/none", "There is no session with the session_id 'none'."),
        ("/v1/sessions/none/memory", "There is no session with the session_id 'none'."),
        ("/v1/erasures/none", "There is no erasure with the id 'none'."),
        ("/v1/verifications/x", "There is no verification with the id 'x'."),
        ("/v1/keys/0123456789abcdef", "There is no key with the id '0123456789abcdef'."),
        ("/v1/keys/none", "There is no key with this id."),
        ("/v1/projects/none", "There is no project with the name or uuid 'none'."),
    ],
)
def test_a_not_found_error_names_the_id(client: InProcessClient, target: str, detail: str) -> None:
    response = client.send("GET", target)
    assert (response.status, response.json["detail"]) == (404, detail)


def test_an_error_does_not_say_whether_a_session_is_of_another_user(
    client: InProcessClient, fresh: str
) -> None:
    for user in (f"{fresh}-a", f"{fresh}-b"):
        client.send("PUT", f"/v1/users/{user}", {})
    client.send("POST", "/v1/sessions", {"session_id": fresh, "user_id": f"{fresh}-b"})
    details = {}
    for name in (fresh, "none"):
        response = client.send("GET", f"/v1/sessions/{name}?user_id={fresh}-a")
        details[name] = response.json["detail"].replace(name, "ID")
    assert details[fresh] == details["none"]
    assert f"{fresh}-b" not in details[fresh]


def test_a_field_name_with_an_unpaired_surrogate_is_a_complete_problem(
    client: InProcessClient,
) -> None:
    problem = client.send("POST", "/v1/users", b'{"user_id": "a", "\\ud800": 1}').json
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
        ("limit=5.0", 422, "invalid_field", "limit"),
        ("limit=1e1", 422, "invalid_field", "limit"),
        ("limit=null", 422, "invalid_field", "limit"),
        ("limit=9" + "9" * 5000, 422, "invalid_field", "limit"),
        ("count=yes", 422, "invalid_field", "count"),
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
def test_an_invalid_query_is_a_problem_with_its_parameter(
    client: InProcessClient, query: str, status: int, code: str, field: str
) -> None:
    assert_problem(client.send("GET", f"/v1/users?{query}"), status, code, field)


@pytest.mark.parametrize(
    ("target", "body", "detail"),
    [
        ("/v1/users", [], "The body must be an object, not a list."),
        ("/v1/users", {}, "user_id is missing."),
        ("/v1/users", {"user_id": 7}, "user_id must be a text, not a number."),
        ("/v1/users", {"user_id": "a", "x": 1}, "x is not a known field."),
        (
            "/v1/users",
            {"user_id": "a", "metadata": "x"},
            "metadata must be an object or null, not a text.",
        ),
        (
            "/v1/sessions/s/messages",
            {"messages": [{"role": "user", "content": "x", "token_count": 1.5}]},
            "messages[0].token_count must be a whole number or null, not a number with a fraction.",
        ),
        ("/v1/sessions/s/messages", {"messages": []}, "messages must have at least 1 item."),
        (
            "/v1/sessions/s/messages",
            {"messages": [{"content": "x"}]},
            "messages[0].role is missing.",
        ),
        ("/v1/search", {"limit": 0}, "limit must be at least 1."),
        ("/v1/search", {"syntax": 7}, "syntax must be one of plain, web; got a number."),
        (
            "/v1/search",
            {"role_weights": {"human": 1}},
            "a name in role_weights must be one of assistant, developer, function, norole, "
            "system, tool, user; got 'human'.",
        ),
        (
            "/v1/search",
            {"role_weights": {"user": -1}},
            "a value in role_weights must be at least 0.",
        ),
    ],
)
def test_an_error_about_a_body_has_the_words_of_json(
    client: InProcessClient, target: str, body: Any, detail: str
) -> None:
    assert client.send("POST", target, body).json["detail"] == detail


@pytest.mark.parametrize(
    ("target", "detail"),
    [
        ("/v1/users?page=1", "page is not a known parameter."),
        ("/v1/users?limit=1001", "limit must be at most 1000."),
        ("/v1/users?limit=1e1", "limit must be a whole number; got '1e1'."),
        ("/v1/users?count=yes", "count must be true or false; got 'yes'."),
    ],
)
def test_an_error_about_a_parameter_has_the_words_of_json(
    client: InProcessClient, target: str, detail: str
) -> None:
    assert client.send("GET", target).json["detail"] == detail


@pytest.mark.parametrize(
    ("method", "target", "body", "detail"),
    [
        (
            "GET",
            "/v1/sessions?order=updated",
            None,
            "order must be one of -active, -created, active, created; got 'updated'.",
        ),
        (
            "POST",
            "/v1/sessions/s/messages",
            {"messages": [{"role": "refund", "content": "x"}]},
            "messages[0].role must be one of ai, assistant, bot, developer, function, human, "
            "model, norole, system, tool, user; got 'refund'.",
        ),
        (
            "POST",
            "/v1/search",
            {"query": "x", "include": ["user"]},
            "include[0] must be one of session; got 'user'.",
        ),
        (
            "POST",
            "/v1/search",
            {"query": "x", "syntax": "web" * 1000},
            f"syntax must be one of plain, web; got '{'web' * 33}….",
        ),
    ],
)
def test_a_value_that_is_none_of_the_choices_is_rejected_with_the_choices(
    client: InProcessClient, method: str, target: str, body: Any, detail: str
) -> None:
    assert client.send(method, target, body).json["detail"] == detail


def test_a_parameter_of_an_operation_without_a_query_is_a_problem(
    client: InProcessClient, fresh: str
) -> None:
    client.send("PUT", f"/v1/users/{fresh}", {})
    assert_problem(client.send("GET", f"/v1/users/{fresh}?x=1"), 422, "invalid_field", "x")


def test_each_status_has_its_code(client: InProcessClient, fresh: str) -> None:
    path = f"/v1/users/{fresh}"
    assert_problem(client.send("GET", path), 404, "not_found")
    client.send("POST", "/v1/users", {"user_id": fresh})
    again = client.send("POST", "/v1/users", {"user_id": fresh})
    assert_problem(again, 409, "already_exists", "user_id")
    stale = client.send("PATCH", path, {}, headers={"If-Match": '"9"'})
    assert_problem(stale, 412, "revision_mismatch")
    evil = client.send("GET", path, headers={"Origin": "null"})
    assert_problem(evil, 403, "forbidden")
    for_user = {"user_id": fresh, "messages": [{"role": "user", "content": "x"}]}
    client.send("POST", f"/v1/sessions/{fresh}/messages", for_user)
    client.send("POST", f"/v1/sessions/{fresh}/end")
    late = client.send("POST", f"/v1/sessions/{fresh}/messages", for_user)
    assert_problem(late, 409, "conflict")
    client.send("DELETE", path)
    late_write = client.send("POST", f"/v1/sessions/{fresh}/messages", for_user)
    assert_problem(late_write, 410, "gone")


@pytest.mark.parametrize(
    "target",
    [
        "/v1",
        "/v1/",
        "/v2/users",
        "/V1/users",
        "/v1/nothing",
        "/v1//users",
        "/v1/users//sessions",
        "/v1/users/a/nothing",
        "/v1/./users",
        "/v1/x/../users",
        "//v1/users",
        "/api",
        "/api/v1x",
        "/api/v3/user",
        "/docs/x",
        "/v1/users//",
        "/v1/users/a//",
    ],
)
def test_an_unknown_path_is_not_found(client: InProcessClient, target: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert_problem(client.send(method, target), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("DELETE", "/v1/users", "GET, HEAD, OPTIONS, POST"),
        ("PUT", "/v1/users/", "GET, HEAD, OPTIONS, POST"),
        ("TRACE", "/v1/users", "GET, HEAD, OPTIONS, POST"),
        ("get", "/v1/users", "GET, HEAD, OPTIONS, POST"),
        ("FROBNICATE", "/v1/users", "GET, HEAD, OPTIONS, POST"),
        ("POST", "/v1/users/a", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("PUT", "/v1/sessions/a", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("GET", "/v1/sessions/a/end", "OPTIONS, POST"),
        ("HEAD", "/v1/sessions/a/end", "OPTIONS, POST"),
        ("PUT", "/v1/sessions/a/messages", "DELETE, GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/v1/erasures/a", "GET, HEAD, OPTIONS"),
        ("POST", "/docs", "GET, HEAD, OPTIONS"),
        ("DELETE", "/", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_wrong_method_is_405_with_the_allowed_methods(
    client: InProcessClient, method: str, target: str, allowed: str
) -> None:
    response = client.send(method, target)
    assert response.status == 405
    assert response.headers["allow"] == allowed
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ("/v1/users", "GET, HEAD, OPTIONS, POST"),
        ("/v1/users/a/", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("/v1/search", "OPTIONS, POST"),
        ("/api/v1/user", "GET, HEAD, OPTIONS, POST"),
        ("/docs", "GET, HEAD, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
    ],
)
def test_options_returns_the_methods_of_a_path(
    client: InProcessClient, target: str, allowed: str
) -> None:
    response = client.send("OPTIONS", target)
    assert (response.status, response.body) == (204, b"")
    assert response.headers["allow"] == allowed
    assert client.send("OPTIONS", "/v1/unknown").status == 404


def test_a_trailing_slash_is_ignored(client: InProcessClient, fresh: str) -> None:
    assert client.send("POST", "/v1/users/", {"user_id": f"{fresh}/"}).status == 201
    assert client.send("PUT", f"/v1/users/{fresh}/", {}).status == 201
    assert client.send("GET", f"/v1/users/{fresh}/").json["user_id"] == fresh
    assert client.send("GET", f"/v1/users/{fresh}%2F").json["user_id"] == f"{fresh}/"
    assert client.send("GET", f"/v1/users/{fresh}%2F/").json["user_id"] == f"{fresh}/"
    assert client.send("GET", f"/v1/users/{fresh}/sessions/?limit=1").json["items"] == []
    assert client.send("DELETE", f"/v1/users/{fresh}/").status == 200
    assert client.send("GET", f"/v1/users/{fresh}%2F").status == 200
    for page in ("/docs/", "/healthz/", "/readyz/", "/openapi.json/"):
        assert client.send("GET", page).status == 200


def test_a_retry_with_a_trailing_slash_is_the_same_request(
    client: InProcessClient, fresh: str
) -> None:
    key = {"Idempotency-Key": fresh}
    for target in ("/v1/users", "/v1/users/"):
        assert client.send("POST", target, {"user_id": fresh}, headers=key).status == 201


def test_the_root_names_the_apis_and_their_documentation(client: InProcessClient) -> None:
    root = client.send("GET", "/").json
    assert root["api"] == "/v1"
    for name in ("console", "documentation", "openapi", "health"):
        assert client.send("GET", root[name]).status == 200


def test_a_browser_gets_an_empty_icon(client: InProcessClient) -> None:
    response = client.send("GET", "/favicon.ico")
    assert (response.status, response.body) == (204, b"")


def test_a_405_has_its_status_in_the_body(client: InProcessClient) -> None:
    assert client.send("DELETE", "/v1/users").json["status"] == 405


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
def test_a_segment_is_decoded_once(client: InProcessClient, segment: str, user_id: str) -> None:
    path = f"/v1/users/{segment}"
    added = client.send("PUT", path, {})
    try:
        assert (added.status, added.json["user_id"]) == (201, user_id)
        assert client.send("GET", path).json["user_id"] == user_id
        assert client.send("GET", f"{path}/sessions").json == {"items": [], "next": None}
    finally:
        assert client.send("DELETE", path).status == 200


@pytest.mark.parametrize("dots", ["%2e", "%2e%2e", "%2E%2e", ".", ".."])
def test_dots_are_not_an_id(client: InProcessClient, dots: str) -> None:
    assert_problem(client.send("GET", f"/v1/users/{dots}"), 404, "not_found")
    assert_problem(client.send("PUT", f"/v1/users/{dots}", {}), 422, "invalid_field", "user_id")


@pytest.mark.parametrize("segment", [b"%ff", b"%c3%28", b"%ed%a0%80", b"%f5%80%80%80", b"\xff"])
def test_an_id_that_is_not_utf8_is_rejected(client: InProcessClient, segment: bytes) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        response = client.send(method, b"/v1/users/" + segment, {})
        assert_problem(response, 400, "bad_request")


@pytest.mark.parametrize("segment", ["%00", "a%00b", "%0a", "%7f", "%c2%80", "x" * 513])
def test_an_invalid_id_cannot_be_created(client: InProcessClient, segment: str) -> None:
    path = f"/v1/users/{segment}"
    assert_problem(client.send("PUT", path, {}), 422, "invalid_field", "user_id")
    assert_problem(client.send("GET", path), 404, "not_found")
    assert client.send("DELETE", path).status == 404


def test_the_revision_is_the_etag(client: InProcessClient, fresh: str) -> None:
    path = f"/v1/users/{fresh}"
    responses = [
        client.send("PUT", path, {}),
        client.send("GET", path),
        client.send("PATCH", path, {"email": "a"}, headers={"If-Match": '"1"'}),
        client.send("PUT", path, {"email": "b"}, headers={"If-Match": '"2"'}),
        client.send("GET", path),
    ]
    assert [response.status for response in responses] == [201, 200, 200, 200, 200]
    assert [response.headers["etag"] for response in responses] == [
        '"1"',
        '"1"',
        '"2"',
        '"3"',
        '"3"',
    ]
    for response in responses:
        assert response.headers["etag"] == f'"{response.json["revision"]}"'


def test_a_session_has_an_etag_too(client: InProcessClient, fresh: str) -> None:
    path = f"/v1/sessions/{fresh}"
    responses = [
        client.send("POST", "/v1/sessions", {"session_id": fresh}),
        client.send("PATCH", path, {"metadata": {"a": 1}}, headers={"If-Match": '"1"'}),
        client.send("POST", f"{path}/end"),
        client.send("GET", path),
    ]
    assert [response.headers["etag"] for response in responses] == ['"1"', '"2"', '"3"', '"3"']


def test_lists_and_problems_have_no_etag(client: InProcessClient, fresh: str) -> None:
    client.send("POST", "/v1/sessions", {"session_id": fresh})
    path = f"/v1/sessions/{fresh}/messages"
    appended = client.send("POST", path, {"messages": [{"role": "user", "content": "x"}]})
    for response in (
        appended,
        client.send("GET", path),
        client.send("GET", "/v1/users"),
        client.send("GET", "/v1/users/nobody-at-all"),
    ):
        assert "etag" not in response.headers


@pytest.mark.parametrize(
    "value", ["1", "", '"x"', '""', '"-1"', '"1.0"', 'W/"1"', '"1', "é", '"²"']
)
def test_if_match_without_a_revision_is_rejected(
    client: InProcessClient, fresh: str, value: str
) -> None:
    path = f"/v1/users/{fresh}"
    client.send("PUT", path, {})
    rejected = client.send("PATCH", path, {"email": "x"}, headers={"If-Match": value})
    assert_problem(rejected, 400, "bad_request", "If-Match")
    assert client.send("GET", path).json["email"] is None


def test_if_match_is_rejected_where_it_is_not_supported(
    client: InProcessClient, fresh: str
) -> None:
    path = f"/v1/users/{fresh}"
    client.send("PUT", path, {})
    rejected = client.send("DELETE", path, headers={"If-Match": '"1"'})
    assert_problem(rejected, 400, "bad_request", "If-Match")
    assert client.send("GET", path).status == 200


def test_a_replayed_response_has_a_header(client: InProcessClient, fresh: str) -> None:
    headers = {"Idempotency-Key": fresh}
    first = client.send("POST", "/v1/users", {"user_id": fresh}, headers=headers)
    again = client.send("POST", "/v1/users", {"user_id": fresh}, headers=headers)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status, again.json) == (first.status, first.json)
    assert again.headers["etag"] == first.headers["etag"]
    other = client.send("POST", "/v1/users", {"user_id": f"{fresh} 2"}, headers=headers)
    assert_problem(other, 409, "idempotency_mismatch")


@pytest.mark.parametrize("key", ["", "\t", "\x7f", "x" * 513])
def test_an_invalid_idempotency_key_is_rejected(
    client: InProcessClient, fresh: str, key: str
) -> None:
    headers = {"Idempotency-Key": key}
    response = client.send("POST", "/v1/users", {"user_id": fresh}, headers=headers)
    assert_problem(response, 422, "invalid_field", "Idempotency-Key")
    assert client.send("GET", f"/v1/users/{fresh}").status == 404


@pytest.fixture(params=HTTP_ENGINES, ids=engine_id)
def impatient_client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InProcessClient]:
    """A client of a server that responds to deletions before they finish."""
    with serve_in_process(
        fresh_settings(request.param, tmp_path), Timers(respond_after_s=0.0)
    ) as client:
        yield client


def test_an_unfinished_deletion_is_202_with_its_location(
    impatient_client: InProcessClient, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = impatient_client
    monkeypatch.setattr(erasures, "BATCH_MS", 0.0)
    messages = [{"role": "user", "content": str(number)} for number in range(1_000)]
    client.send("POST", f"/api/v1/sessions/{fresh}/memory", {"messages": messages})
    response = client.send("DELETE", f"/v1/sessions/{fresh}")
    assert response.status == 202
    assert response.headers["location"] == f"/v1/erasures/{response.json['id']}"
    assert response.json["state"] == "deleting"
    assert response.json["subject_id"] == fresh
    assert client.send("GET", f"/v1/sessions/{fresh}").status in {404, 410}
    finished = wait_until_deleted(client, response.headers["location"])
    assert finished["subject_id"] is None
    assert finished["counts"] == {"users": 0, "sessions": 1, "messages": 1_000, "documents": 0}
    assert_problem(client.send("GET", f"/v1/sessions/{fresh}"), 404, "not_found")


def wait_until_deleted(client: InProcessClient, location: str) -> Any:
    """Return the erasure once it is finished; the loop keeps running."""
    for _ in range(3_000):
        erasure = client.send("GET", location).json
        if erasure["state"] == "deleted":
            return erasure
        client.run(asyncio.sleep(0.01))
    raise AssertionError("the erasure did not finish")


def test_a_finished_deletion_is_200_without_a_location(client: InProcessClient, fresh: str) -> None:
    client.send("PUT", f"/v1/users/{fresh}", {})
    response = client.send("DELETE", f"/v1/users/{fresh}")
    assert (response.status, response.json["state"]) == (200, "deleted")
    assert "location" not in response.headers
    stored = client.send("GET", f"/v1/erasures/{response.json['id']}").json
    assert response.json == stored | {
        "sessions_without_user": response.json["sessions_without_user"]
    }


def test_every_response_has_a_length_and_a_type(client: InProcessClient) -> None:
    for target in (
        "/v1/users",
        "/v1/users/nobody-at-all",
        "/openapi.json",
        "/docs",
        "/readyz",
        "/x",
    ):
        response = client.send("GET", target)
        assert int(response.headers["content-length"]) == len(response.body) > 0
        assert response.content_type


def test_a_response_to_head_has_no_body_over_a_socket(socket_client: SocketClient) -> None:
    socket_client.send("PUT", "/v1/users/head", {})
    targets = ("/healthz", "/readyz", "/docs", "/openapi.json", "/", "/v1/users", "/v1/users/head")
    for target in (*targets, "/api/v1/user", "/api/v1/user/head"):
        response = socket_client.send("HEAD", target)
        assert (response.status, response.body) == (200, b"")
        length = len(socket_client.send("GET", target).body)
        assert response.headers.get("content-length", str(length)) == str(length)
    assert socket_client.send("HEAD", "/v1/users/unknown").status == 404
    assert socket_client.send("HEAD", "/v1/users/head").headers["etag"] == '"1"'


def test_bytes_of_a_path_pass_through_a_real_server(socket_client: SocketClient) -> None:
    for segment, user_id in (("a%2Fb", "a/b"), ("%C3%A9", "é"), ("x%25", "x%"), ("y%", "y%")):
        assert socket_client.send("PUT", f"/v1/users/{segment}", {}).json["user_id"] == user_id
    assert socket_client.send("GET", "//healthz").status == 200
    for segment in ("%ff", "%c3%28"):
        assert socket_client.send("GET", f"/v1/users/{segment}").status == 400
    assert socket_client.send("GET", "/v1/users/%2e%2e").status == 404
    assert socket_client.send("GET", "/v1/users/../users").status == 404


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
def test_malformed_http_is_a_client_error(socket_client: SocketClient, head: bytes) -> None:
    rest = b"\r\nhost: localhost\r\nconnection: close\r\n\r\n{}"
    response = socket_client.send_bytes([head, rest])
    assert 400 <= response.status < 500, response
