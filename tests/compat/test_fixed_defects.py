"""Where Zep 0.27.2 has defects, `/api/v1` works."""

import pytest

from tests.compat.steps import Row, append, messages_of, ok
from tests.http.clients import InProcessClient

UUID = "0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10"


def test_empty_metadata_is_accepted_and_changes_nothing(client: InProcessClient) -> None:
    client.send("POST", "/api/v1/user", {"user_id": "jane", "metadata": {"a": 1}})
    client.send("POST", "/api/v1/sessions", {"session_id": "s", "metadata": {"b": 2}})
    message = {"uuid": UUID, "content": "Hello", "metadata": {"c": 3}}
    client.send("POST", "/api/v1/sessions/s/memory", {"messages": [message]})
    for path, metadata in (
        ("/api/v1/user/jane", {"a": 1}),
        ("/api/v1/sessions/s", {"b": 2}),
        (f"/api/v1/sessions/s/messages/{UUID}", {"c": 3}),
    ):
        assert ok(client.send("PATCH", path, {"metadata": {}}))["metadata"] == metadata
        assert ok(client.send("PATCH", path, {}))["metadata"] == metadata


def test_updates_without_metadata_keep_null(
    client: InProcessClient,
) -> None:
    client.send("POST", "/api/v1/sessions", {"session_id": "s"})
    changes: list[Row] = [{"metadata": {}}, {"metadata": None}, {}, {"metadata": {"system": 1}}]
    for change in changes:
        assert ok(client.send("PATCH", "/api/v1/sessions/s", change))["metadata"] is None


def test_an_unknown_message_is_not_found(client: InProcessClient) -> None:
    append(client, "s", "Hello")
    for session_id in ("s", "unknown"):
        path = f"/api/v1/sessions/{session_id}/messages/{UUID}"
        for method, body in (("GET", None), ("PATCH", {"metadata": {"a": 1}}), ("PATCH", {})):
            assert client.send(method, path, body).status == 404


def test_an_existing_message_uuid_is_rejected_and_nothing_is_appended(
    client: InProcessClient,
) -> None:
    append(client, "s", "before")
    first = {"uuid": UUID, "content": "first"}
    path = "/api/v1/sessions/s/memory"
    assert client.send("POST", path, {"messages": [first]}).status == 200
    again = {"messages": [{"content": "other"}, {"uuid": UUID, "content": "again"}]}
    assert client.send("POST", path, again).status == 400
    twice = {"messages": [{"uuid": UUID.replace("0b", "1b")}, {"uuid": UUID.replace("0b", "1b")}]}
    assert client.send("POST", path, twice).status == 400
    assert [message["content"] for message in messages_of(client, "s")] == ["before", "first"]


@pytest.mark.parametrize("body", [{}, {"session_id": ""}, {"session_id": None}])
def test_a_session_without_an_id_is_a_bad_request(client: InProcessClient, body: object) -> None:
    assert client.send("POST", "/api/v1/sessions", body).status == 400


def test_a_session_of_an_unknown_user_is_rejected(client: InProcessClient) -> None:
    for user_id in ("nobody", ""):
        body = {"session_id": "s", "user_id": user_id}
        assert client.send("POST", "/api/v1/sessions", body).status == 400
    assert client.send("GET", "/api/v1/sessions/s").status == 404


def test_an_update_keeps_the_token_count(client: InProcessClient) -> None:
    message = {"uuid": UUID, "content": "Hello", "token_count": 7}
    client.send("POST", "/api/v1/sessions/s/memory", {"messages": [message]})
    changed = client.send("PATCH", f"/api/v1/sessions/s/messages/{UUID}", {"metadata": {"a": 1}})
    assert ok(changed)["token_count"] == 7


def test_a_negative_lastn_is_a_bad_request(client: InProcessClient) -> None:
    for session_id in ("unknown", "s"):
        assert client.send("GET", f"/api/v1/sessions/{session_id}/memory?lastn=-1").status == 400
        append(client, "s", "Hello")


def test_path_segments_are_decoded(client: InProcessClient) -> None:
    for user_id, path in (
        ("jane", "j%61ne"),
        ("a@b.co", "a%40b.co"),
        ("a/b", "a%2Fb"),
        ("a b é", "a%20b%20%C3%A9"),
        ("100%", "100%25"),
        ("a?b#c", "a%3Fb%23c"),
        ("\\", "%5C"),
    ):
        client.send("POST", "/api/v1/user", {"user_id": user_id})
        assert ok(client.send("GET", f"/api/v1/user/{path}"))["user_id"] == user_id


def test_the_raw_segment_is_the_id_if_the_decoded_one_is_unknown(client: InProcessClient) -> None:
    for raw in ("a%2Fb", "j%61ne", "%zz", "%ff", "50%"):
        client.send("POST", "/api/v1/user", {"user_id": raw})
        client.send("POST", "/api/v1/sessions", {"session_id": raw, "user_id": raw})
        assert ok(client.send("GET", f"/api/v1/user/{raw}"))["user_id"] == raw
        assert ok(client.send("PATCH", f"/api/v1/user/{raw}", {"email": "e"}))["email"] == "e"
        assert ok(client.send("GET", f"/api/v1/sessions/{raw}"))["session_id"] == raw
        append(client, raw, "Hello")
        assert len(messages_of(client, raw)) == 1
        assert len(ok(client.send("GET", f"/api/v1/user/{raw}/sessions"))) == 1
        assert client.send("DELETE", f"/api/v1/sessions/{raw}/memory").status == 200
        assert client.send("DELETE", f"/api/v1/user/{raw}").status == 200
    assert ok(client.send("GET", "/api/v1/user")) == []
    assert ok(client.send("GET", "/api/v1/sessions")) == []


def test_the_decoded_id_takes_precedence(
    client: InProcessClient,
) -> None:
    for user_id in ("a/b", "a%2Fb"):
        client.send("POST", "/api/v1/user", {"user_id": user_id})
    assert ok(client.send("GET", "/api/v1/user/a%2Fb"))["user_id"] == "a/b"
    assert ok(client.send("GET", "/api/v1/user/a%252Fb"))["user_id"] == "a%2Fb"


def test_healthz_accepts_double_slashes_and_any_case(client: InProcessClient) -> None:
    for target in ("/healthz", "//healthz", "/HealthZ", "/healthz?x=1"):
        response = client.send("GET", target)
        assert (response.status, response.body, response.content_type) == (200, b".", "text/plain")
