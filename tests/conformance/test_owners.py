"""Calls for one user: a session of another user does not exist for them."""

from typing import Any

import pytest

from tests.conformance.steps import (
    END,
    MEMORY,
    MESSAGE,
    MESSAGES,
    NOT_FOUND,
    REOPEN,
    SESSION,
    SESSIONS,
    USER,
    add_user,
    append_text,
    contents,
    delete,
    error_of,
    get_session,
    invalid,
    open_session,
)
from tests.ways import Way
from userkeep.api.operations import OPERATIONS

_OF_SESSION = [
    ("GET", SESSION, None),
    ("PATCH", SESSION, {"metadata": {"topic": "ships"}}),
    ("POST", END, None),
    ("POST", REOPEN, None),
    ("DELETE", SESSION, None),
    ("GET", MESSAGES, None),
    ("GET", MEMORY, None),
]
_OF_MESSAGE = [
    ("GET", MESSAGE, None),
    ("PATCH", MESSAGE, {"metadata": {"topic": "ships"}}),
    ("DELETE", MESSAGE, None),
]


def _request(way: Way, call: tuple[str, str, Any], user_id: str, *ids: str) -> Any:
    method, path, body = call
    params = {"user_id": user_id}
    if body is not None and path == SESSION:  # the SDK has one argument for both
        return way.request(method, path, *ids, json={**body, **params})
    return way.request(method, path, *ids, json=body, params=params)


@pytest.fixture
def session_id(way: Way, fresh: str) -> str:
    """A session of the user `fresh`, with one message; the user `{fresh} 2` has none."""
    for user_id in (fresh, f"{fresh} 2"):
        add_user(way, user_id)
    open_session(way, fresh, user_id=fresh)
    append_text(way, fresh, "A secret.")
    return fresh


def _message_id(way: Way, session_id: str) -> str:
    [message] = way.request("GET", MESSAGES, session_id).json["items"]
    return str(message["id"])


@pytest.mark.parametrize("call", _OF_SESSION, ids=lambda call: f"{call[0]} {call[1]}")
def test_a_session_of_another_user_is_not_found(
    way: Way, session_id: str, call: tuple[str, str, Any]
) -> None:
    before = get_session(way, session_id)
    reply = _request(way, call, f"{session_id} 2", session_id)
    assert error_of(reply) == NOT_FOUND
    assert get_session(way, session_id) == before
    assert contents(way, session_id) == ["A secret."]


@pytest.mark.parametrize("call", _OF_MESSAGE, ids=lambda call: call[0])
def test_a_message_of_another_user_is_not_found(
    way: Way, session_id: str, call: tuple[str, str, Any]
) -> None:
    reply = _request(way, call, f"{session_id} 2", session_id, _message_id(way, session_id))
    assert error_of(reply) == NOT_FOUND
    assert contents(way, session_id) == ["A secret."]


@pytest.mark.parametrize("call", _OF_SESSION, ids=lambda call: f"{call[0]} {call[1]}")
def test_the_owner_of_a_session_can_call_it(
    way: Way, session_id: str, call: tuple[str, str, Any]
) -> None:
    assert _request(way, call, session_id, session_id).status == 200


@pytest.mark.parametrize("call", _OF_MESSAGE, ids=lambda call: call[0])
def test_the_owner_of_a_message_can_call_it(
    way: Way, session_id: str, call: tuple[str, str, Any]
) -> None:
    reply = _request(way, call, session_id, session_id, _message_id(way, session_id))
    assert reply.status == 200


@pytest.mark.parametrize("call", _OF_SESSION[:1] + _OF_SESSION[2:], ids=lambda call: call[1])
def test_a_session_without_an_owner_is_not_found_for_a_user(
    way: Way, fresh: str, call: tuple[str, str, Any]
) -> None:
    add_user(way, fresh)
    open_session(way, fresh)
    append_text(way, fresh, "Whose?")
    assert error_of(_request(way, call, fresh, fresh)) == NOT_FOUND
    assert contents(way, fresh) == ["Whose?"]


@pytest.mark.parametrize("path", [END, REOPEN])
def test_a_request_for_another_user_is_another_request_to_its_idempotency_key(
    way: Way, session_id: str, path: str
) -> None:
    replies = [
        way.request(
            "POST",
            path,
            session_id,
            params={"user_id": user_id},
            headers={"Idempotency-Key": session_id},
        )
        for user_id in (session_id, f"{session_id} 2", session_id)
    ]
    assert [reply.status for reply in replies] == [200, 409, 200]
    assert replies[1].json["code"] == "idempotency_mismatch"
    assert replies[2].json == replies[0].json


def test_the_error_does_not_say_whether_the_session_exists(way: Way, session_id: str) -> None:
    params = {"user_id": f"{session_id} 2"}
    of_another = way.request("GET", SESSION, session_id, params=params)
    of_none = way.request("GET", SESSION, f"{session_id} missing", params=params)
    for reply, id_ in ((of_another, session_id), (of_none, f"{session_id} missing")):
        reply.json.pop("request_id", None)
        reply.json["detail"] = reply.json["detail"].replace(repr(id_), "the id")
    assert of_another.json == of_none.json


def test_nothing_is_appended_to_a_session_of_another_user(way: Way, session_id: str) -> None:
    reply = append_text(way, session_id, "Intruding.", user_id=f"{session_id} 2")
    assert error_of(reply) == NOT_FOUND
    assert contents(way, session_id) == ["A secret."]


def test_an_append_to_a_session_of_another_user_creates_no_user(way: Way, session_id: str) -> None:
    unknown = f"{session_id} 3"
    assert error_of(append_text(way, session_id, "Hi", user_id=unknown)) == NOT_FOUND
    assert error_of(way.request("GET", USER, unknown)) == NOT_FOUND


def test_a_deleted_session_of_another_user_is_not_found_either(way: Way, session_id: str) -> None:
    delete(way, SESSION, session_id)
    params = {"user_id": f"{session_id} 2"}
    assert error_of(way.request("GET", SESSION, session_id, params=params)) == NOT_FOUND


@pytest.mark.parametrize("user_id", ["", "x" * 513, "."])
def test_an_invalid_user_id_is_rejected_by_name(way: Way, session_id: str, user_id: str) -> None:
    reply = way.request("GET", SESSION, session_id, params={"user_id": user_id})
    assert error_of(reply) == invalid("user_id")


def test_every_operation_on_a_session_takes_the_user_it_must_belong_to() -> None:
    for operation in OPERATIONS:
        if operation.is_about_owned:
            kind = operation.body if operation.name == "messages.append" else operation.query
            assert "user_id" in kind.__struct_fields__, operation.name


def test_a_session_is_not_created_by_an_append_that_may_not(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    reply = append_text(way, fresh, "A late answer.", user_id=fresh, create=False)
    assert error_of(reply) == NOT_FOUND
    assert error_of(way.request("GET", SESSION, fresh)) == NOT_FOUND


def test_a_user_is_not_created_by_an_append_that_may_not(way: Way, fresh: str) -> None:
    reply = append_text(way, fresh, "A late answer.", user_id=fresh, create=False)
    assert (reply.status, reply.json["code"]) == (404, "not_found")
    assert error_of(way.request("GET", USER, fresh)) == NOT_FOUND


def test_an_append_that_may_not_create_reaches_an_existing_session(
    way: Way, session_id: str
) -> None:
    reply = append_text(way, session_id, "An answer.", user_id=session_id, create=False)
    assert reply.status == 201
    assert contents(way, session_id) == ["A secret.", "An answer."]


@pytest.mark.parametrize("user", [{}, {"user_id": "{}"}, {"user_id": "{}", "create": False}])
def test_a_late_answer_does_not_bring_a_deleted_session_back(
    way: Way, session_id: str, user: dict[str, Any]
) -> None:
    of_user = {name: session_id if name == "user_id" else value for name, value in user.items()}
    delete(way, SESSION, session_id)
    reply = append_text(way, session_id, "A late answer.", **of_user)
    assert (reply.status, reply.json["code"]) == (410, "gone")
    assert "POST /v1/sessions, session.add" in reply.json["detail"]
    assert error_of(way.request("GET", SESSION, session_id)) == NOT_FOUND


def test_a_deleted_session_that_is_added_again_begins_anew(way: Way, session_id: str) -> None:
    delete(way, SESSION, session_id)
    open_session(way, session_id, user_id=session_id)
    assert append_text(way, session_id, "A new one.", user_id=session_id).status == 201
    assert contents(way, session_id) == ["A new one."]


def test_old_sessions_of_a_user_who_was_added_again_say_until_when_and_what_helps(
    way: Way, session_id: str
) -> None:
    delete(way, USER, session_id)
    add_user(way, session_id)
    late = append_text(way, session_id, "A late answer.", user_id=session_id)
    assert (late.status, late.json["code"]) == (410, "gone")
    assert "Until 20" in late.json["detail"]
    opened = way.request("POST", SESSIONS, json={"session_id": session_id, "user_id": session_id})
    assert opened.status == 201
    assert append_text(way, session_id, "Welcome back.", user_id=session_id).status == 201
