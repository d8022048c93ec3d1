"""Deletion with `/api/v1`: immediate, complete and final."""

from collections.abc import Callable

import pytest

from tests.compat.steps import Row, append, messages_of, ok
from tests.http.clients import InProcessClient
from userkeep.domain.transaction import scoped
from userkeep.services import erasures


@pytest.fixture
def jane(client: InProcessClient) -> str:
    """A user with the sessions `s0`, `s1` and `s2`, each with messages."""
    client.send("POST", "/api/v1/user", {"user_id": "jane", "email": "jane@example.com"})
    for number in range(3):
        client.send("POST", "/api/v1/sessions", {"session_id": f"s{number}", "user_id": "jane"})
        append(client, f"s{number}", "I wear size 9 shoes", "Noted")
    return "jane"


def delete(client: InProcessClient, path: str) -> None:
    response = client.send("DELETE", f"/api/v1/{path}")
    assert (response.status, response.text, response.content_type) == (200, "OK", "text/plain")


def test_a_deleted_user_is_gone_with_sessions_and_messages(
    client: InProcessClient, jane: str
) -> None:
    uuid = messages_of(client, "s1")[0]["uuid"]
    delete(client, "user/jane")
    for path in ("user/jane", "sessions/s0", "sessions/s1", f"sessions/s1/messages/{uuid}"):
        assert client.send("GET", f"/api/v1/{path}").status == 404
    assert ok(client.send("GET", "/api/v1/user/jane/sessions")) == []
    assert ok(client.send("GET", "/api/v1/user")) == []
    assert ok(client.send("GET", "/api/v1/sessions")) == []
    assert ok(client.send("GET", "/api/v1/sessions/s1/memory"))["messages"] == []
    assert messages_of(client, "s1") == []
    assert client.send("DELETE", "/api/v1/user/jane").status == 404
    assert client.send("DELETE", "/api/v1/sessions/s1/memory").status == 404


def test_data_of_other_users_remains(client: InProcessClient, jane: str) -> None:
    client.send("POST", "/api/v1/user", {"user_id": "joe"})
    client.send("POST", "/api/v1/sessions", {"session_id": "joes", "user_id": "joe"})
    append(client, "joes", "Hello")
    append(client, "unowned", "Hello")
    delete(client, "user/jane")
    assert len(messages_of(client, "joes")) == len(messages_of(client, "unowned")) == 1
    assert [user["user_id"] for user in ok(client.send("GET", "/api/v1/user"))] == ["joe"]


def test_a_late_append_does_not_recreate_a_session_of_a_deleted_user(
    client: InProcessClient, jane: str
) -> None:
    delete(client, "user/jane")
    late: list[Row] = [{"messages": [{"content": "late write"}]}, {"messages": []}, {}]
    for session_id in ("s0", "s1", "s2"):
        for body in late:
            response = client.send("POST", f"/api/v1/sessions/{session_id}/memory", body)
            assert (response.status, response.content_type) == (404, "text/plain")
        assert client.send("GET", f"/api/v1/sessions/{session_id}").status == 404
    assert ok(client.send("GET", "/api/v1/sessions")) == []


def test_a_user_created_again_is_a_new_user(client: InProcessClient, jane: str) -> None:
    before = ok(client.send("GET", "/api/v1/user/jane"))
    delete(client, "user/jane")
    after = ok(client.send("POST", "/api/v1/user", {"user_id": "jane"}))
    assert after["uuid"] != before["uuid"]
    assert after["id"] > before["id"]
    assert "email" not in after
    assert ok(client.send("GET", "/api/v1/user/jane/sessions")) == []


def test_only_creating_a_session_again_allows_appends_to_it(
    client: InProcessClient, jane: str
) -> None:
    delete(client, "user/jane")
    client.send("POST", "/api/v1/user", {"user_id": "jane"})
    late = {"messages": [{"role": "user", "content": "late write"}]}
    assert client.send("POST", "/api/v1/sessions/s1/memory", late).status == 404
    created = client.send("POST", "/api/v1/sessions", {"session_id": "s1", "user_id": "jane"})
    assert created.status == 201
    append(client, "s1", "Hello again")
    assert [message["content"] for message in messages_of(client, "s1")] == ["Hello again"]
    assert client.send("POST", "/api/v1/sessions/s2/memory", late).status == 404


def test_a_deleted_session_loses_its_messages_and_frees_its_id(
    client: InProcessClient, jane: str
) -> None:
    before = ok(client.send("GET", "/api/v1/sessions/s1"))
    delete(client, "sessions/s1/memory")
    assert client.send("GET", "/api/v1/sessions/s1").status == 404
    assert messages_of(client, "s1") == []
    assert client.send("DELETE", "/api/v1/sessions/s1/memory").status == 404
    left = [each["session_id"] for each in ok(client.send("GET", "/api/v1/user/jane/sessions"))]
    assert left == ["s0", "s2"]
    append(client, "s1", "cleared, then appended: as frameworks do")
    after = ok(client.send("GET", "/api/v1/sessions/s1"))
    assert after["uuid"] != before["uuid"]
    assert after["user_id"] is None
    assert len(messages_of(client, "s1")) == 1


def test_a_session_with_many_messages_is_deleted_completely(client: InProcessClient) -> None:
    append(client, "long", *map(str, range(5_000)))
    delete(client, "sessions/long/memory")
    assert messages_of(client, "long") == []
    append(client, "long", "again")
    assert [message["content"] for message in messages_of(client, "long")] == ["again"]


@pytest.fixture
def start_deletion(client: InProcessClient, jane: str) -> Callable[[str], None]:
    """Start a deletion and leave it unfinished, as a server does that stops there."""

    def start_deletion(id_: str) -> None:
        operation = erasures.begin_user if id_ == "jane" else erasures.begin_session
        instance = client.instance
        instance.engine.write(scoped(instance.scope, operation, id_))

    return start_deletion


def test_the_id_of_a_user_is_not_free_during_deletion(
    client: InProcessClient, start_deletion: Callable[[str], None]
) -> None:
    start_deletion("jane")
    assert client.send("POST", "/api/v1/user", {"user_id": "jane"}).status == 400
    session = {"session_id": "new", "user_id": "jane"}
    assert client.send("POST", "/api/v1/sessions", session).status == 400
    assert client.send("GET", "/api/v1/sessions/new").status == 404


def test_a_user_is_not_found_during_deletion(
    client: InProcessClient, start_deletion: Callable[[str], None]
) -> None:
    start_deletion("jane")
    assert client.send("GET", "/api/v1/user/jane").status == 404
    assert client.send("PATCH", "/api/v1/user/jane", {"email": "x"}).status == 404
    assert ok(client.send("GET", "/api/v1/user")) == []


def test_deleting_a_user_again_completes_the_deletion(
    client: InProcessClient, start_deletion: Callable[[str], None]
) -> None:
    start_deletion("jane")
    delete(client, "user/jane")
    assert client.send("DELETE", "/api/v1/user/jane").status == 404
    assert client.send("POST", "/api/v1/user", {"user_id": "jane"}).status == 201


def test_a_session_is_not_found_during_deletion(
    client: InProcessClient, start_deletion: Callable[[str], None]
) -> None:
    uuid = messages_of(client, "s1")[0]["uuid"]
    start_deletion("s1")
    message = {"messages": [{"role": "user", "content": "late"}]}
    assert client.send("GET", "/api/v1/sessions/s1").status == 404
    assert client.send("PATCH", "/api/v1/sessions/s1", {"metadata": {"a": 1}}).status == 404
    assert client.send("POST", "/api/v1/sessions/s1/memory", message).status == 404
    assert client.send("GET", f"/api/v1/sessions/s1/messages/{uuid}").status == 404
    assert ok(client.send("GET", "/api/v1/sessions/s1/memory"))["messages"] == []
    assert messages_of(client, "s1") == []
    listed = [each["session_id"] for each in ok(client.send("GET", "/api/v1/sessions"))]
    assert listed == ["s0", "s2"]


def test_the_id_of_a_session_is_not_free_during_deletion(
    client: InProcessClient, start_deletion: Callable[[str], None]
) -> None:
    start_deletion("s1")
    assert client.send("POST", "/api/v1/sessions", {"session_id": "s1"}).status == 400
    delete(client, "sessions/s1/memory")
    assert client.send("POST", "/api/v1/sessions", {"session_id": "s1"}).status == 201
