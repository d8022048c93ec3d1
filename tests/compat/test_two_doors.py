"""The native interface and `/api/v1` are two doors of one house."""

import pytest

from tests.compat.steps import append, messages_of, ok
from tests.http.doors import InProcess


def test_a_user_added_through_one_door_is_seen_through_the_other(doors: InProcess) -> None:
    old = ok(doors.send("POST", "/api/v1/user", {"user_id": "a/b", "email": "e", "metadata": {}}))
    new = ok(doors.send("POST", "/v1/users", {"user_id": "c d", "metadata": {"n": None}}))
    assert ok(doors.send("GET", "/v1/users/a%2Fb"))["uuid"] == old["uuid"]
    assert ok(doors.send("GET", "/v1/users/a%2Fb"))["metadata"] == {}
    told = ok(doors.send("GET", "/api/v1/user/c%20d"))
    assert (told["uuid"], told["metadata"]) == (new["uuid"], {"n": None})
    assert "email" not in told
    listed = ok(doors.send("GET", "/v1/users"))["items"]
    assert [user["user_id"] for user in listed] == ["a/b", "c d"]
    assert [user["user_id"] for user in ok(doors.send("GET", "/api/v1/user"))] == ["a/b", "c d"]


def test_times_are_the_same_instants_in_each_doors_way(doors: InProcess) -> None:
    old = ok(doors.send("POST", "/api/v1/user", {"user_id": "jane"}))
    new = ok(doors.send("GET", "/v1/users/jane"))
    assert old["created_at"].rstrip("Z0").rstrip(".") == new["created_at"].rstrip("Z0").rstrip(".")


def test_a_change_through_one_door_is_a_revision_for_the_other(doors: InProcess) -> None:
    doors.send("POST", "/v1/users", {"user_id": "jane", "metadata": {"a": {"b": 1}, "c": 1}})
    doors.send("PATCH", "/api/v1/user/jane", {"metadata": {"a": {"d": None}, "c": None}})
    told = ok(doors.send("GET", "/v1/users/jane"))
    assert told["metadata"] == {"a": {"b": 1, "d": None}, "c": None}
    assert told["revision"] == 2
    stale = doors.send("PATCH", "/v1/users/jane", {"email": "e"}, headers={"If-Match": '"1"'})
    assert stale.status == 412
    doors.send("PATCH", "/v1/users/jane", {"metadata": {"c": None}})
    assert ok(doors.send("GET", "/api/v1/user/jane"))["metadata"] == {"a": {"b": 1, "d": None}}


def test_sessions_are_the_same_and_null_metadata_stays_null(doors: InProcess) -> None:
    doors.send("POST", "/v1/users", {"user_id": "jane"})
    doors.send("POST", "/v1/sessions", {"session_id": "new", "user_id": "jane"})
    doors.send("POST", "/api/v1/sessions", {"session_id": "old", "metadata": {}})
    told = ok(doors.send("GET", "/api/v1/sessions/new"))
    assert (told["user_id"], told["metadata"]) == ("jane", None)
    told = ok(doors.send("GET", "/v1/sessions/old"))
    assert (told["user_id"], told["metadata"], told["message_count"]) == (None, {}, 0)


@pytest.mark.parametrize(
    ("role", "role_type"),
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
def test_the_role_of_an_old_client_has_its_type(
    doors: InProcess, role: str, role_type: str
) -> None:
    doors.send("POST", "/api/v1/sessions/s/memory", {"messages": [{"role": role, "content": "x"}]})
    (told,) = ok(doors.send("GET", "/v1/sessions/s/messages"))["items"]
    assert (told["role"], told["role_type"], told["token_count"]) == (role, role_type, None)


def test_messages_of_both_doors_have_one_order(doors: InProcess) -> None:
    append(doors, "s", "one")
    two = {"content": "two", "role": "r", "data": {"a": 1}, "token_count": 5, "metadata": {"m": 1}}
    doors.send("POST", "/v1/sessions/s/messages", {"messages": [two]})
    append(doors, "s", "three")
    native = ok(doors.send("GET", "/v1/sessions/s/messages"))["items"]
    assert [(message["seq"], message["content"]) for message in native] == [
        (1, "one"),
        (2, "two"),
        (3, "three"),
    ]
    old = messages_of(doors, "s")
    assert [message["content"] for message in old] == ["one", "two", "three"]
    assert [message["uuid"] for message in old] == [message["uuid"] for message in native]
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
    memory = ok(doors.send("GET", "/v1/sessions/s/memory?last=2"))
    assert [message["content"] for message in memory["messages"]] == ["two", "three"]


def test_a_message_deleted_natively_is_in_no_page_of_the_old_door(doors: InProcess) -> None:
    append(doors, "s", "one", "two", "three")
    uuid = messages_of(doors, "s")[1]["uuid"]
    assert doors.send("DELETE", f"/v1/sessions/s/messages/{uuid}").status == 200
    page = ok(doors.send("GET", "/api/v1/sessions/s/messages?limit=2&cursor=1"))
    assert [message["content"] for message in page["messages"]] == ["one", "three"]
    assert (page["total_count"], page["row_count"]) == (2, 2)
    assert doors.send("GET", f"/api/v1/sessions/s/messages/{uuid}").status == 404


def test_an_ended_session_takes_nothing_from_old_clients_either(doors: InProcess) -> None:
    append(doors, "s", "one")
    assert doors.send("POST", "/v1/sessions/s/end").status == 200
    late = {"messages": [{"role": "user", "content": "two"}]}
    assert doors.send("POST", "/api/v1/sessions/s/memory", late).status == 409
    assert [message["content"] for message in messages_of(doors, "s")] == ["one"]


@pytest.mark.parametrize("path", ["/v1/users/jane", "/api/v1/user/jane"])
def test_who_is_deleted_through_one_door_is_gone_from_both(doors: InProcess, path: str) -> None:
    doors.send("POST", "/v1/users", {"user_id": "jane"})
    doors.send("POST", "/v1/sessions", {"session_id": "s", "user_id": "jane"})
    append(doors, "s", "Hello")
    assert doors.send("DELETE", path).status == 200
    for gone in ("/v1/users/jane", "/api/v1/user/jane", "/v1/sessions/s", "/api/v1/sessions/s"):
        assert doors.send("GET", gone).status == 404
    late = {"messages": [{"content": "late"}]}
    assert doors.send("POST", "/api/v1/sessions/s/memory", late).status == 404
    for_jane = late | {"user_id": "jane"}
    assert doors.send("POST", "/v1/sessions/s/messages", for_jane).status == 410
    (erasure,) = ok(doors.send("GET", "/v1/erasures"))["items"]
    assert (erasure["subject"], erasure["state"]) == ("user", "deleted")
    assert erasure["counts"] == {"users": 1, "sessions": 1, "messages": 1}


def test_the_native_door_is_as_strict_as_the_old_one_is_lenient(doors: InProcess) -> None:
    for raw in (b'{"USER_ID": "a"}', b'{"user_id": "b"} junk', b"null", b'{"user_id":"c","x":1}'):
        assert doors.send("POST", "/v1/users", raw).status in {400, 422}
    assert "x-zep-version" not in doors.send("GET", "/v1/users").headers
