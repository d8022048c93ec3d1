"""Where Zep 0.27.2 was broken, the door is kind."""

import pytest

from tests.compat.steps import Row, append, messages_of, ok
from tests.http.doors import InProcess

UUID = "0b9f2f6e-5c1d-4e8a-9a57-2d3c1f7b6a10"


def test_empty_metadata_changes_nothing_and_is_welcome(doors: InProcess) -> None:
    doors.send("POST", "/api/v1/user", {"user_id": "jane", "metadata": {"a": 1}})
    doors.send("POST", "/api/v1/sessions", {"session_id": "s", "metadata": {"b": 2}})
    message = {"uuid": UUID, "content": "Hello", "metadata": {"c": 3}}
    doors.send("POST", "/api/v1/sessions/s/memory", {"messages": [message]})
    for path, metadata in (
        ("/api/v1/user/jane", {"a": 1}),
        ("/api/v1/sessions/s", {"b": 2}),
        (f"/api/v1/sessions/s/messages/{UUID}", {"c": 3}),
    ):
        assert ok(doors.send("PATCH", path, {"metadata": {}}))["metadata"] == metadata
        assert ok(doors.send("PATCH", path, {}))["metadata"] == metadata


def test_a_session_without_metadata_keeps_none_whatever_changes_nothing(doors: InProcess) -> None:
    doors.send("POST", "/api/v1/sessions", {"session_id": "s"})
    changes: list[Row] = [{"metadata": {}}, {"metadata": None}, {}, {"metadata": {"system": 1}}]
    for change in changes:
        assert ok(doors.send("PATCH", "/api/v1/sessions/s", change))["metadata"] is None


def test_a_message_that_is_not_there_is_not_found(doors: InProcess) -> None:
    append(doors, "s", "Hello")
    for session_id in ("s", "unknown"):
        path = f"/api/v1/sessions/{session_id}/messages/{UUID}"
        for method, body in (("GET", None), ("PATCH", {"metadata": {"a": 1}}), ("PATCH", {})):
            assert doors.send(method, path, body).status == 404


def test_a_message_uuid_that_is_taken_is_refused_and_nothing_is_appended(doors: InProcess) -> None:
    append(doors, "s", "before")
    first = {"uuid": UUID, "content": "first"}
    path = "/api/v1/sessions/s/memory"
    assert doors.send("POST", path, {"messages": [first]}).status == 200
    again = {"messages": [{"content": "other"}, {"uuid": UUID, "content": "again"}]}
    assert doors.send("POST", path, again).status == 400
    twice = {"messages": [{"uuid": UUID.replace("0b", "1b")}, {"uuid": UUID.replace("0b", "1b")}]}
    assert doors.send("POST", path, twice).status == 400
    assert [message["content"] for message in messages_of(doors, "s")] == ["before", "first"]


@pytest.mark.parametrize("body", [{}, {"session_id": ""}, {"session_id": None}])
def test_a_session_without_an_id_is_the_requests_fault(doors: InProcess, body: object) -> None:
    assert doors.send("POST", "/api/v1/sessions", body).status == 400


def test_a_session_for_an_unknown_user_is_refused_and_not_opened(doors: InProcess) -> None:
    for user_id in ("nobody", ""):
        body = {"session_id": "s", "user_id": user_id}
        assert doors.send("POST", "/api/v1/sessions", body).status == 400
    assert doors.send("GET", "/api/v1/sessions/s").status == 404


def test_a_change_keeps_the_token_count(doors: InProcess) -> None:
    message = {"uuid": UUID, "content": "Hello", "token_count": 7}
    doors.send("POST", "/api/v1/sessions/s/memory", {"messages": [message]})
    changed = doors.send("PATCH", f"/api/v1/sessions/s/messages/{UUID}", {"metadata": {"a": 1}})
    assert ok(changed)["token_count"] == 7


def test_a_negative_lastn_is_the_requests_fault(doors: InProcess) -> None:
    for session_id in ("unknown", "s"):
        assert doors.send("GET", f"/api/v1/sessions/{session_id}/memory?lastn=-1").status == 400
        append(doors, "s", "Hello")


def test_segments_of_a_path_are_decoded(doors: InProcess) -> None:
    for user_id, path in (
        ("jane", "j%61ne"),
        ("a@b.co", "a%40b.co"),
        ("a/b", "a%2Fb"),
        ("a b é", "a%20b%20%C3%A9"),
        ("100%", "100%25"),
        ("a?b#c", "a%3Fb%23c"),
        ("\\", "%5C"),
    ):
        doors.send("POST", "/api/v1/user", {"user_id": user_id})
        assert ok(doors.send("GET", f"/api/v1/user/{path}"))["user_id"] == user_id


def test_where_nothing_is_found_under_it_the_raw_segment_counts(doors: InProcess) -> None:
    for raw in ("a%2Fb", "j%61ne", "%zz", "%ff", "50%"):
        doors.send("POST", "/api/v1/user", {"user_id": raw})
        doors.send("POST", "/api/v1/sessions", {"session_id": raw, "user_id": raw})
        assert ok(doors.send("GET", f"/api/v1/user/{raw}"))["user_id"] == raw
        assert ok(doors.send("PATCH", f"/api/v1/user/{raw}", {"email": "e"}))["email"] == "e"
        assert ok(doors.send("GET", f"/api/v1/sessions/{raw}"))["session_id"] == raw
        append(doors, raw, "Hello")
        assert len(messages_of(doors, raw)) == 1
        assert len(ok(doors.send("GET", f"/api/v1/user/{raw}/sessions"))) == 1
        assert doors.send("DELETE", f"/api/v1/sessions/{raw}/memory").status == 200
        assert doors.send("DELETE", f"/api/v1/user/{raw}").status == 200
    assert ok(doors.send("GET", "/api/v1/user")) == []
    assert ok(doors.send("GET", "/api/v1/sessions")) == []


def test_where_both_are_there_the_decoded_id_wins_and_the_other_has_an_address_too(
    doors: InProcess,
) -> None:
    for user_id in ("a/b", "a%2Fb"):
        doors.send("POST", "/api/v1/user", {"user_id": user_id})
    assert ok(doors.send("GET", "/api/v1/user/a%2Fb"))["user_id"] == "a/b"
    assert ok(doors.send("GET", "/api/v1/user/a%252Fb"))["user_id"] == "a%2Fb"


def test_health_may_have_a_doubled_slash_and_any_case(doors: InProcess) -> None:
    for target in ("/healthz", "//healthz", "/HealthZ", "/healthz?x=1"):
        answer = doors.send("GET", target)
        assert (answer.status, answer.body, answer.content_type) == (200, b".", "text/plain")
