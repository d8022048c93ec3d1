"""Lenient parsing of `/api/v1`: bodies, names, types, content types, sizes."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.compat.steps import append, messages_of, ok
from tests.http.clients import InProcessClient

UUID = "0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10"
MIB = 1024 * 1024


def add(client: InProcessClient, raw: bytes) -> dict[str, Any]:
    """Create a user with a raw body."""
    user: dict[str, Any] = ok(client.send("POST", "/api/v1/user", raw))
    return user


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "image/png",
        "invalid",
        "",
        None,
    ],
)
def test_the_content_type_is_ignored(client: InProcessClient, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = client.send("POST", "/api/v1/user", b'{"user_id": "jane"}', headers=headers)
    assert ok(response)["user_id"] == "jane"
    for path, change in (("/api/v1/user/jane", {"metadata": {"a": 1}}),):
        assert ok(client.send("PATCH", path, change, headers=headers))["metadata"] == {"a": 1}


def test_field_names_match_in_any_case(client: InProcessClient) -> None:
    user = add(client, b'{"USER_ID": "u", "Email": "E", "firstName": "no", "First_Name": "F"}')
    assert (user["user_id"], user["email"], user["first_name"]) == ("u", "E", "F")
    session = {"Session_ID": "s", "User_Id": "u", "METADATA": {"A": 1}}
    assert ok(client.send("POST", "/api/v1/sessions", session))["metadata"] == {"A": 1}
    messages = {"Messages": [{"ROLE": "r", "Content": "c", "Token_Count": 3, "UUID": UUID}]}
    client.send("POST", "/api/v1/sessions/s/memory", messages)
    (message,) = messages_of(client, "s")
    assert (message["role"], message["content"], message["token_count"], message["uuid"]) == (
        "r",
        "c",
        3,
        UUID,
    )


@pytest.mark.parametrize("junk", [" junk", "}", "{", '{"user_id": "other"}', "\x00\x01", ",", "é"])
def test_text_after_the_first_json_value_is_ignored(client: InProcessClient, junk: str) -> None:
    assert add(client, b'{"user_id": "jane"}' + junk.encode())["user_id"] == "jane"


def test_bytes_after_the_first_json_value_are_ignored(client: InProcessClient) -> None:
    assert add(client, b' \r\n\t{"user_id": "jane"}\xff\xfe')["user_id"] == "jane"


def test_a_null_body_is_an_empty_object(client: InProcessClient) -> None:
    client.send("POST", "/api/v1/user", {"user_id": "jane", "metadata": {"a": 1}})
    assert ok(client.send("PATCH", "/api/v1/user/jane", b"null"))["metadata"] == {"a": 1}
    assert client.send("POST", "/api/v1/user", b"null").status == 400


def test_null_means_absent(client: InProcessClient) -> None:
    user = {"user_id": "jane", "email": None, "first_name": None, "metadata": None, "uuid": None}
    assert ok(client.send("POST", "/api/v1/user", user)).keys() == {
        "uuid",
        "id",
        "created_at",
        "updated_at",
        "deleted_at",
        "user_id",
    }
    client.send("PATCH", "/api/v1/user/jane", {"email": "e", "metadata": {"a": 1}})
    changed = ok(client.send("PATCH", "/api/v1/user/jane", {"email": None, "metadata": None}))
    assert (changed["email"], changed["metadata"]) == ("e", {"a": 1})
    message = dict.fromkeys(("role", "content", "uuid", "created_at", "token_count", "metadata"))
    response = client.send("POST", "/api/v1/sessions/s/memory", {"messages": [message]})
    assert response.status == 200


def test_unknown_fields_are_ignored(
    client: InProcessClient,
) -> None:
    user = ok(client.send("POST", "/api/v1/user", {"user_id": "jane", "session_count": 3}))
    assert ok(client.send("PATCH", "/api/v1/user/jane", user))["uuid"] == user["uuid"]
    echoed = user | {"user_id": "joe", "id": "x", "created_at": "yesterday", "deleted_at": []}
    assert ok(client.send("POST", "/api/v1/user", echoed))["uuid"] != user["uuid"]
    session = ok(client.send("POST", "/api/v1/sessions", {"session_id": "s", "user_id": "jane"}))
    assert ok(client.send("PATCH", "/api/v1/sessions/s", session))["user_id"] == "jane"


def test_an_update_changes_no_id_and_no_owner(
    client: InProcessClient,
) -> None:
    for user_id in ("jane", "joe"):
        client.send("POST", "/api/v1/user", {"user_id": user_id})
    client.send("POST", "/api/v1/sessions", {"session_id": "s", "user_id": "jane"})
    assert ok(client.send("PATCH", "/api/v1/user/jane", {"user_id": "x"}))["user_id"] == "jane"
    change = {"user_id": "joe", "session_id": "t"}
    received = ok(client.send("PATCH", "/api/v1/sessions/s", change))
    assert (received["session_id"], received["user_id"]) == ("s", "jane")


def test_an_empty_text_changes_nothing(client: InProcessClient) -> None:
    user = {"user_id": "jane", "email": "e", "first_name": "f", "last_name": "l"}
    client.send("POST", "/api/v1/user", user)
    received = ok(client.send("PATCH", "/api/v1/user/jane", {"email": "", "last_name": "L"}))
    assert (received["email"], received["first_name"], received["last_name"]) == ("e", "f", "L")


def test_metadata_is_merged_deeply_and_keeps_nulls(client: InProcessClient) -> None:
    first = {"a": {"x": 1, "y": [1, 2]}, "b": {"c": 1}, "d": 1, "system": {"s": 1}}
    change = {"a": {"y": [3], "z": None}, "b": 0, "d": {"e": False}, "n": None, "system": {"t": ""}}
    merged = {"a": {"x": 1, "y": [3], "z": None}, "b": 0, "d": {"e": False}, "n": None}
    client.send("POST", "/api/v1/user", {"user_id": "jane", "metadata": first})
    received = ok(client.send("PATCH", "/api/v1/user/jane", {"metadata": change}))
    assert received["metadata"] == merged | {"system": {"s": 1, "t": ""}}
    client.send("POST", "/api/v1/sessions", {"session_id": "s", "metadata": first})
    received = ok(client.send("PATCH", "/api/v1/sessions/s", {"metadata": change}))
    assert received["metadata"] == merged | {"system": {"s": 1}}, (
        "system is reserved for the server"
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"{bad",
        b"[1]",
        b"[]",
        b'"text"',
        b"7",
        b"true",
        b"NaN",
        b'{"user_id": NaN}',
        b'{"user_id": "a}',
        b"\xff",
        b'\xef\xbb\xbf{"user_id": "a"}',
        b'{"user_id": "a",}',
        b"{'user_id': 'a'}",
        b'{"user_id": "line\nbreak"}',
        '{"user_id": "a"}'.encode("utf-16"),
        b"[" * 5_000,
        b'{"a":' * 5_000,
    ],
)
def test_a_body_that_is_not_a_json_object_is_rejected(shared: InProcessClient, raw: bytes) -> None:
    append(shared, "s", "Hello")
    for method, path in (
        ("POST", "/api/v1/user"),
        ("POST", "/api/v1/sessions"),
        ("PATCH", "/api/v1/sessions/s"),
        ("POST", "/api/v1/sessions/s/memory"),
    ):
        assert shared.send(method, path, raw).status == 400


NOT_TEXTS: list[Any] = [7, True, [], {}, 1.5]
NOT_OBJECTS: list[Any] = ["text", [1], True, 0, "", False, []]
INVALID_USERS = [
    *({"user_id": value} for value in NOT_TEXTS),
    *({"user_id": "u", name: 1} for name in ("email", "first_name", "last_name")),
    *({"user_id": "u", "metadata": value} for value in NOT_OBJECTS),
]


@pytest.mark.parametrize("body", INVALID_USERS, ids=json.dumps)
def test_a_user_with_a_field_of_a_wrong_type_is_rejected(
    shared: InProcessClient, body: object
) -> None:
    assert shared.send("POST", "/api/v1/user", body).status == 400
    for user_id in ("u", "7"):
        assert shared.send("GET", f"/api/v1/user/{user_id}").status == 404


@pytest.mark.parametrize(
    "messages",
    [
        "text",
        {},
        7,
        False,
        "",
        [7],
        ["text"],
        [[1]],
        [True],
        [0],
        [""],
        [[]],
        [False],
        [{"role": 7}],
        [{"content": ["a"]}],
        [{"content": {}}],
        [{"metadata": "text"}],
        [{"metadata": []}],
        [{"token_count": "7"}],
        [{"token_count": 1.5}],
        [{"token_count": True}],
        [{"uuid": ""}],
        [{"uuid": "nope"}],
        [{"uuid": 7}],
        [{"created_at": ""}],
        [{"created_at": "yesterday"}],
        [{"created_at": 7}],
        [{"created_at": "2020-01-01"}],
        [{"created_at": "2020-13-01T00:00:00Z"}],
        [{"updated_at": "nope"}],
        [{"content": "fine"}, {"content": 7}],
    ],
    ids=json.dumps,
)
def test_messages_of_a_wrong_type_are_rejected_together(
    shared: InProcessClient, fresh: str, messages: object
) -> None:
    session_id = quote(fresh, safe="")
    path = f"/api/v1/sessions/{session_id}/memory"
    assert shared.send("POST", path, {"messages": messages}).status == 400
    assert messages_of(shared, session_id) == []


@pytest.mark.parametrize(
    "memory",
    [{"metadata": "text"}, {"metadata": []}, {"summary": 7}, {"summary": {"uuid": "nope"}}],
    ids=json.dumps,
)
def test_ignored_fields_must_have_the_right_type(shared: InProcessClient, memory: object) -> None:
    assert shared.send("POST", "/api/v1/sessions/s/memory", memory).status == 400


@pytest.mark.parametrize("change", [{"uuid": ""}, {"uuid": "nope"}, {"email": 7}, {"metadata": []}])
def test_an_update_with_a_wrong_type_is_rejected(shared: InProcessClient, change: object) -> None:
    shared.send("POST", "/api/v1/user", {"user_id": "jane"})
    assert shared.send("PATCH", "/api/v1/user/jane", change).status == 400


def test_unpaired_surrogates_are_replaced(client: InProcessClient) -> None:
    user = add(client, b'{"user_id": "u", "email": "a\\ud800b", "first_name": "\\ud83d\\ude00"}')
    assert (user["email"], user["first_name"]) == ("a\N{REPLACEMENT CHARACTER}b", "😀")
    client.send("POST", "/api/v1/sessions/s/memory", b'{"messages": [{"content": "\\udfff"}]}')
    assert messages_of(client, "s")[0]["content"] == "\N{REPLACEMENT CHARACTER}"


def test_invalid_utf8_is_replaced(client: InProcessClient) -> None:
    user = add(client, b'{"user_id": "u", "email": "a\xffb"}')
    assert user["email"] == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize(
    "metadata",
    [
        b'{"a": 1e999}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": "\\u0000"}',
        b'{"\\u0000": 1}',
        b'{"a": 123456789012345678901234567890}',
        b'{"a": ' + b"9" * 5_000 + b"}",
        b'{"a": ' + b"[" * 64 + b"]" * 64 + b"}",
        b'{"a": ' + b'{"a": ' * 900 + b"1" + b"}" * 901,
        b'{"a": "' + b"x" * 64 * 1024 + b'"}',
    ],
    ids=lambda raw: raw[:24].decode(),
)
def test_metadata_that_cannot_be_stored_is_rejected(
    client: InProcessClient, metadata: bytes
) -> None:
    append(client, "s", "Hello")
    (message,) = messages_of(client, "s")
    client.send("POST", "/api/v1/user", {"user_id": "jane", "metadata": {"a": {"a": {}}}})
    client.send("PATCH", "/api/v1/sessions/s", {"metadata": {"a": {"a": {}}}})
    for method, path in (
        ("POST", "/api/v1/user"),
        ("PATCH", "/api/v1/user/jane"),
        ("POST", "/api/v1/sessions"),
        ("PATCH", "/api/v1/sessions/s"),
        ("PATCH", f"/api/v1/sessions/s/messages/{message['uuid']}"),
    ):
        raw = b'{"user_id": "new", "session_id": "new", "metadata": ' + metadata + b"}"
        if path == "/api/v1/sessions":
            raw = raw.replace(b'"user_id": "new", ', b"")
        assert client.send(method, path, raw).status == 400, (method, path)


def test_names_and_roles_have_at_most_512_characters(client: InProcessClient) -> None:
    longest = "é" * 512
    user = {"user_id": longest, "email": longest, "first_name": longest, "last_name": longest}
    assert ok(client.send("POST", "/api/v1/user", user))["email"] == longest
    for name in user:
        long = {"user_id": "u"} | {name: longest + "x"}
        assert client.send("POST", "/api/v1/user", long).status == 400
    for role, status in ((longest, 200), (longest + "x", 400)):
        body = {"messages": [{"role": role}]}
        assert client.send("POST", "/api/v1/sessions/s/memory", body).status == status


def test_content_has_at_most_1_mib(client: InProcessClient) -> None:
    for content, status in (("x" * MIB, 200), ("x" * (MIB + 1), 400), ("é" * (MIB // 2 + 1), 400)):
        body = {"messages": [{"content": content}]}
        assert client.send("POST", "/api/v1/sessions/s/memory", body).status == status


def test_a_body_has_at_most_5_mib(client: InProcessClient) -> None:
    messages = [{"role": "user", "content": "x" * MIB} for _ in range(4)]
    raw = json.dumps({"messages": messages}).encode()
    limit = 5 * MIB
    fits = raw + b" " * (limit - len(raw))
    response = client.send("POST", "/api/v1/sessions/s/memory", fits)
    assert (len(fits), response.status) == (limit, 200)
    assert len(messages_of(client, "s")) == 4
    assert client.send("POST", "/api/v1/sessions/s/memory", fits + b" ").status == 413
    in_pieces = [fits[start : start + 65_536] for start in range(0, limit, 65_536)]
    assert client.send("POST", "/api/v1/sessions/t/memory", pieces=in_pieces).status == 200
    more = [*in_pieces, b" "]
    assert client.send("POST", "/api/v1/sessions/u/memory", pieces=more).status == 413
    assert client.send("GET", "/api/v1/sessions/u").status == 404


def test_5_mib_of_5000_messages_are_appended(client: InProcessClient) -> None:
    count = 5_000
    messages = [{"role": "u", "content": f"{number:01000}"} for number in range(count)]
    raw = json.dumps({"messages": messages}, separators=(",", ":")).encode()
    assert 4.8 * MIB < len(raw) < 5 * MIB
    assert client.send("POST", "/api/v1/sessions/s/memory", raw).status == 200
    received = ok(client.send("GET", f"/api/v1/sessions/s/messages?limit=1&cursor={count}"))
    assert int(received["messages"][0]["content"]) == count - 1
    assert received["total_count"] == count


@pytest.mark.parametrize("value", ["0" * 30 + "9" * 30, "0" * 25 + "9" * 5_000, "%2B" + "0" * 30])
@pytest.mark.parametrize(
    "path", ["user?limit", "user?cursor", "sessions?cursor", "sessions/s/memory?lastn"]
)
def test_leading_zeros_do_not_change_an_integer(
    shared: InProcessClient, path: str, value: str
) -> None:
    status = 400 if "9" in value else 200
    assert shared.send("GET", f"/api/v1/{path}={value}").status == status


def test_a_query_that_is_not_utf8_is_rejected(shared: InProcessClient) -> None:
    for query in (b"limit=%ff", b"%ff=1", b"limit=\xff", b"cursor=%c3%28"):
        for path in (b"/api/v1/user?", b"/api/v1/sessions/s/memory?"):
            assert shared.send("GET", path + query).status == 400
