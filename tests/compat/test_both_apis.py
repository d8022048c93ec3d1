"""The native API and `/api/v1` work on the same data."""

import pytest

from tests.compat.steps import append, messages_of, ok
from tests.http.clients import InProcessClient


def test_a_user_created_with_one_api_is_visible_in_the_other(client: InProcessClient) -> None:
    old = ok(client.send("POST", "/api/v1/user", {"user_id": "a/b", "email": "e", "metadata": {}}))
    new = ok(client.send("POST", "/v1/users", {"user_id": "c d", "metadata": {"n": None}}))
    assert ok(client.send("GET", "/v1/users/a%2Fb"))["uuid"] == old["uuid"]
    assert ok(client.send("GET", "/v1/users/a%2Fb"))["metadata"] == {}
    received = ok(client.send("GET", "/api/v1/user/c%20d"))
    assert (received["uuid"], received["metadata"]) == (new["uuid"], {"n": None})
    assert "email" not in received
    listed = ok(client.send("GET", "/v1/users"))["items"]
    assert [user["user_id"] for user in listed] == ["a/b", "c d"]
    assert [user["user_id"] for user in ok(client.send("GET", "/api/v1/user"))] == ["a/b", "c d"]


def test_both_apis_return_the_same_times_in_their_formats(client: InProcessClient) -> None:
    old = ok(client.send("POST", "/api/v1/user", {"user_id": "jane"}))
    new = ok(client.send("GET", "/v1/users/jane"))
    assert old["created_at"].rstrip("Z0").rstrip(".") == new["created_at"].rstrip("Z0").rstrip(".")


def test_an_update_with_the_zep_api_increments_the_native_revision(client: InProcessClient) -> None:
    client.send("POST", "/v1/users", {"user_id": "jane", "metadata": {"a": {"b": 1}, "c": 1}})
    client.send("PATCH", "/api/v1/user/jane", {"metadata": {"a": {"d": None}, "c": None}})
    received = ok(client.send("GET", "/v1/users/jane"))
    assert received["metadata"] == {"a": {"b": 1, "d": None}, "c": None}
    assert received["revision"] == 2
    stale = client.send("PATCH", "/v1/users/jane", {"email": "e"}, headers={"If-Match": '"1"'})
    assert stale.status == 412
    client.send("PATCH", "/v1/users/jane", {"metadata": {"c": None}})
    assert ok(client.send("GET", "/api/v1/user/jane"))["metadata"] == {"a": {"b": 1, "d": None}}


def test_sessions_are_the_same_and_keep_null_metadata(client: InProcessClient) -> None:
    client.send("POST", "/v1/users", {"user_id": "jane"})
    client.send("POST", "/v1/sessions", {"session_id": "new", "user_id": "jane"})
    client.send("POST", "/api/v1/sessions", {"session_id": "old", "metadata": {}})
    received = ok(client.send("GET", "/api/v1/sessions/new"))
    assert (received["user_id"], received["metadata"]) == ("jane", None)
    received = ok(client.send("GET", "/v1/sessions/old"))
    assert (received["user_id"], received["metadata"], received["message_count"]) == (None, {}, 0)


@pytest.mark.parametrize(
    ("zep_role", "role"),
    [
        ("user", "user"),
        ("Human", "user"),
        ("ai", "assistant"),
        ("ASSISTANT", "assistant"),
        ("bot", "assistant"),
        ("system", "system"),
        ("function", "function"),
        ("Tool", "tool"),
        ("pirate", "norole"),
        ("", "norole"),
    ],
)
def test_the_role_of_a_zep_client_is_the_name_and_gives_the_role(
    client: InProcessClient, zep_role: str, role: str
) -> None:
    messages = [{"role": zep_role, "content": "x"}]
    client.send("POST", "/api/v1/sessions/s/memory", {"messages": messages})
    (received,) = ok(client.send("GET", "/v1/sessions/s/messages"))["items"]
    assert (received["name"], received["role"]) == (zep_role or None, role)
    assert received["token_count"] is None
    assert [message["role"] for message in messages_of(client, "s")] == [zep_role]


def test_an_empty_message_of_a_zep_client_is_stored(client: InProcessClient) -> None:
    client.send("POST", "/api/v1/sessions/s/memory", {"messages": [{}]})
    (received,) = ok(client.send("GET", "/v1/sessions/s/messages"))["items"]
    assert (received["role"], received["name"], received["content"]) == ("norole", None, "")
    path = f"/v1/sessions/s/messages/{received['id']}"
    assert ok(client.send("PATCH", path, {"role": "user"}))["role"] == "user"


def test_a_zep_client_sees_the_name_or_else_the_role(client: InProcessClient) -> None:
    append(client, "s", "one")
    named = {"role": "user", "name": "Jane", "content": "two", "id": "msg_1"}
    unnamed = {"role": "ai", "content": "three"}
    client.send("POST", "/v1/sessions/s/messages", {"messages": [named, unnamed]})
    received = messages_of(client, "s")[1:]
    assert [message["role"] for message in received] == ["Jane", "assistant"]
    assert received[0]["uuid"] == "msg_1"


def test_a_used_uuid_is_rejected_by_both_apis(client: InProcessClient) -> None:
    append(client, "s", "one")
    uuid = messages_of(client, "s")[0]["uuid"]
    again = {"messages": [{"role": "user", "content": "x", "uuid": uuid.upper()}]}
    rejected = client.send("POST", "/api/v1/sessions/s/memory", again)
    assert rejected.status == 400
    assert rejected.text.startswith("bad request: A message with one of these uuids is already")
    again = {"messages": [{"role": "user", "content": "x", "id": uuid}]}
    assert client.send("POST", "/v1/sessions/s/messages", again).status == 409


def test_messages_of_both_apis_have_one_order(client: InProcessClient) -> None:
    append(client, "s", "one")
    two = {
        "content": "two",
        "role": "user",
        "data": {"a": 1},
        "token_count": 5,
        "metadata": {"m": 1},
    }
    client.send("POST", "/v1/sessions/s/messages", {"messages": [two]})
    append(client, "s", "three")
    native = ok(client.send("GET", "/v1/sessions/s/messages"))["items"]
    assert [(message["seq"], message["content"]) for message in native] == [
        (1, "one"),
        (2, "two"),
        (3, "three"),
    ]
    old = messages_of(client, "s")
    assert [message["content"] for message in old] == ["one", "two", "three"]
    assert [message["uuid"] for message in old] == [message["id"] for message in native]
    assert old[1].keys() == {
        "uuid",
        "created_at",
        "updated_at",
        "role",
        "content",
        "metadata",
        "token_count",
    }
    assert (old[0]["token_count"], old[1]["token_count"]) == (0, 5)
    memory = ok(client.send("GET", "/v1/sessions/s/memory?last=2"))
    assert [message["content"] for message in memory["messages"]] == ["two", "three"]


def test_a_message_deleted_natively_is_in_no_page_of_the_zep_api(client: InProcessClient) -> None:
    append(client, "s", "one", "two", "three")
    uuid = messages_of(client, "s")[1]["uuid"]
    assert client.send("DELETE", f"/v1/sessions/s/messages/{uuid}").status == 200
    page = ok(client.send("GET", "/api/v1/sessions/s/messages?limit=2&cursor=1"))
    assert [message["content"] for message in page["messages"]] == ["one", "three"]
    assert (page["total_count"], page["row_count"]) == (2, 2)
    assert client.send("GET", f"/api/v1/sessions/s/messages/{uuid}").status == 404


def test_an_ended_session_rejects_messages_of_zep_clients(client: InProcessClient) -> None:
    append(client, "s", "one")
    assert client.send("POST", "/v1/sessions/s/end").status == 200
    late = {"messages": [{"role": "user", "content": "two"}]}
    assert client.send("POST", "/api/v1/sessions/s/memory", late).status == 409
    assert [message["content"] for message in messages_of(client, "s")] == ["one"]


@pytest.mark.parametrize("path", ["/v1/users/jane", "/api/v1/user/jane"])
def test_a_user_deleted_with_one_api_is_gone_from_both(client: InProcessClient, path: str) -> None:
    client.send("POST", "/v1/users", {"user_id": "jane"})
    client.send("POST", "/v1/sessions", {"session_id": "s", "user_id": "jane"})
    append(client, "s", "Hello")
    assert client.send("DELETE", path).status == 200
    for gone in ("/v1/users/jane", "/api/v1/user/jane", "/v1/sessions/s", "/api/v1/sessions/s"):
        assert client.send("GET", gone).status == 404
    late = {"messages": [{"role": "user", "content": "late"}]}
    assert client.send("POST", "/api/v1/sessions/s/memory", late).status == 404
    for_jane = late | {"user_id": "jane"}
    assert client.send("POST", "/v1/sessions/s/messages", for_jane).status == 410
    (erasure,) = ok(client.send("GET", "/v1/erasures"))["items"]
    assert (erasure["subject"], erasure["state"]) == ("user", "deleted")
    assert erasure["counts"] == {"users": 1, "sessions": 1, "messages": 1, "documents": 0}


def test_the_native_api_is_strict(client: InProcessClient) -> None:
    for raw in (b'{"USER_ID": "a"}', b'{"user_id": "b"} junk', b"null", b'{"user_id":"c","x":1}'):
        assert client.send("POST", "/v1/users", raw).status in {400, 422}
    assert "x-zep-version" not in client.send("GET", "/v1/users").headers
