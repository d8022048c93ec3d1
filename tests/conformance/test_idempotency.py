"""Idempotency keys: a repeated request is performed once."""

from typing import Any, NamedTuple

import pytest

from tests.conformance.steps import (
    END,
    ERASURES,
    GONE,
    MESSAGE,
    MESSAGES,
    NOT_FOUND,
    SESSION,
    SESSIONS,
    USER,
    USERS,
    ErrorSummary,
    add_user,
    append,
    append_text,
    contents,
    delete,
    error_of,
    get_messages,
    get_session,
    get_user,
    invalid,
    open_session,
)
from tests.ways import Reply, Way

MISMATCH: ErrorSummary = (409, "idempotency_mismatch", [])
HELLO = {"messages": [{"role": "user", "content": "Hello"}, {"role": "user", "content": "again"}]}


class Request(NamedTuple):
    """A POST request that can be repeated."""

    way: Way
    path: str
    ids: tuple[str, ...]
    body: Any

    def send(self, key: str) -> Reply:
        """Send it with a key."""
        headers = {"Idempotency-Key": key}
        return self.way.request("POST", self.path, *self.ids, json=self.body, headers=headers)


@pytest.fixture(params=["add_a_user", "open_a_session", "end_a_session", "append"])
def request_(request: pytest.FixtureRequest, way: Way, fresh: str) -> Request:
    """Each kind of POST request, with ids that no other test uses."""
    if request.param == "add_a_user":
        return Request(way, USERS, (), {"user_id": fresh, "metadata": {"a": 1}})
    if request.param == "open_a_session":
        return Request(way, SESSIONS, (), {"metadata": {"a": 1}})
    open_session(way, fresh)
    if request.param == "end_a_session":
        return Request(way, END, (fresh,), None)
    return Request(way, MESSAGES, (fresh,), HELLO)


def is_replayed(reply: Reply) -> bool:
    return reply.headers.get("idempotent-replayed") == "true"


def test_a_repeated_request_gets_the_first_response(request_: Request, fresh: str) -> None:
    first = request_.send(fresh)
    assert first.status in {200, 201}
    for _ in range(2):
        again = request_.send(fresh)
        assert (again.status, again.json) == (first.status, first.json)


@pytest.mark.wire("a header of the response")
def test_a_replayed_response_has_a_header(request_: Request, fresh: str) -> None:
    assert "idempotent-replayed" not in request_.send(fresh).headers
    for _ in range(2):
        assert is_replayed(request_.send(fresh))


def test_another_request_with_the_same_key_is_rejected(request_: Request, fresh: str) -> None:
    first = request_.send(fresh)
    other = Request(request_.way, USERS, (), {"user_id": f"other {fresh}"})
    assert error_of(other.send(fresh)) == MISMATCH
    assert error_of(request_.way.request("GET", USER, f"other {fresh}")) == NOT_FOUND
    assert request_.send(fresh).json == first.json


def test_the_same_key_with_another_body_is_rejected(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    Request(way, MESSAGES, (fresh,), HELLO).send(fresh)
    other = Request(way, MESSAGES, (fresh,), {"messages": [{"role": "user", "content": "Goodbye"}]})
    assert error_of(other.send(fresh)) == MISMATCH
    assert contents(way, fresh) == ["Hello", "again"]


def test_the_same_key_with_another_path_is_rejected(way: Way, fresh: str) -> None:
    for name in ("one", "other"):
        open_session(way, f"{name} {fresh}")
    assert Request(way, MESSAGES, (f"one {fresh}",), HELLO).send(fresh).status == 201
    assert error_of(Request(way, MESSAGES, (f"other {fresh}",), HELLO).send(fresh)) == MISMATCH
    assert contents(way, f"other {fresh}") == []


def test_messages_are_appended_once(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    request = Request(way, MESSAGES, (fresh,), HELLO)
    first = request.send(fresh)
    append(way, fresh, {"role": "user", "content": "in between"})
    assert request.send(fresh).json == first.json
    assert contents(way, fresh) == ["Hello", "again", "in between"]
    assert get_session(way, fresh)["message_count"] == 3


def test_one_session_with_a_generated_id_is_opened(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    request = Request(way, SESSIONS, (), {"user_id": fresh})
    ids = {request.send(fresh).json["session_id"] for _ in range(3)}
    listed = way.request("GET", SESSIONS, params={"user_id": fresh})
    assert [session["session_id"] for session in listed.json["items"]] == list(ids)


def test_without_a_key_every_request_is_performed(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    assert [append(way, fresh, {"content": "Hello"})[0]["seq"] for _ in range(2)] == [1, 2]


def test_requests_with_different_keys_are_all_performed(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    request = Request(way, MESSAGES, (fresh,), HELLO)
    for key in (fresh, fresh.upper(), f"{fresh}!"):
        assert request.send(key).status == 201
    assert get_session(way, fresh)["message_count"] == 6


def test_errors_are_not_stored(way: Way, fresh: str) -> None:
    request = Request(way, MESSAGES, (fresh,), HELLO)
    assert error_of(request.send(fresh)) == NOT_FOUND
    open_session(way, fresh)
    appended = request.send(fresh)
    assert appended.status == 201
    assert request.send(fresh).json == appended.json
    assert contents(way, fresh) == ["Hello", "again"]


def test_the_key_of_a_rejected_request_can_be_reused(way: Way, fresh: str) -> None:
    taken = add_user(way, fresh)
    rejected = Request(way, USERS, (), {"user_id": fresh}).send(fresh)
    assert error_of(rejected) == (409, "already_exists", ["user_id"])
    other = Request(way, USERS, (), {"user_id": f"other {fresh}"}).send(fresh)
    assert other.status == 201
    assert get_user(way, fresh) == taken


def test_a_replay_succeeds_even_if_the_request_would_now_fail(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    request = Request(way, MESSAGES, (fresh,), HELLO)
    first = request.send(fresh)
    way.request("POST", END, fresh)
    again = request.send(fresh)
    assert (again.status, again.json) == (201, first.json)


@pytest.mark.parametrize("place", [0, 1], ids=["first", "last"])
def test_a_replay_is_gone_if_one_of_its_messages_was_deleted(
    way: Way, fresh: str, place: int
) -> None:
    open_session(way, fresh)
    request = Request(way, MESSAGES, (fresh,), HELLO)
    messages = request.send(fresh).json["messages"]
    append(way, fresh, {"role": "user", "content": "after"})
    delete(way, MESSAGE, fresh, messages[place]["id"])
    assert error_of(request.send(fresh)) == GONE
    assert len(get_messages(way, fresh)) == 2


def test_a_retry_does_not_recreate_a_deleted_user(way: Way, fresh: str) -> None:
    request = Request(way, MESSAGES, (fresh,), {**HELLO, "user_id": fresh})
    assert request.send(fresh).status == 201
    delete(way, USER, fresh)
    assert error_of(request.send(fresh)) == GONE
    assert error_of(way.request("GET", USER, fresh)) == NOT_FOUND
    assert error_of(way.request("GET", SESSION, fresh)) == NOT_FOUND


def test_no_repeated_request_brings_back_what_was_deleted_with_its_user(
    way: Way, fresh: str
) -> None:
    requests = [
        Request(way, USERS, (), {"user_id": fresh}),
        Request(way, SESSIONS, (), {"session_id": fresh, "user_id": fresh}),
        Request(way, SESSIONS, (), {"user_id": fresh}),
        Request(way, MESSAGES, (fresh,), {**HELLO, "user_id": fresh}),
        Request(way, END, (fresh,), None),
    ]
    for number, request in enumerate(requests):
        assert request.send(f"{fresh} {number}").status < 300
    delete(way, USER, fresh)
    for _ in range(2):
        for number, request in enumerate(requests):
            assert error_of(request.send(f"{fresh} {number}")) == GONE
    assert error_of(way.request("GET", USER, fresh)) == NOT_FOUND
    assert error_of(way.request("GET", SESSION, fresh)) == NOT_FOUND


def test_no_repeated_request_brings_back_what_was_deleted_with_its_session(
    way: Way, fresh: str
) -> None:
    requests = [
        Request(way, SESSIONS, (), {"session_id": fresh}),
        Request(way, MESSAGES, (fresh,), {**HELLO, "user_id": fresh}),
        Request(way, END, (fresh,), None),
    ]
    for number, request in enumerate(requests):
        assert request.send(f"{fresh} {number}").status < 300
    delete(way, SESSION, fresh)
    for number, request in enumerate(requests):
        assert error_of(request.send(f"{fresh} {number}")) == GONE
    assert error_of(way.request("GET", SESSION, fresh)) == NOT_FOUND


def test_a_repeated_request_is_gone_even_if_its_ids_are_used_again(way: Way, fresh: str) -> None:
    of_user = Request(way, USERS, (), {"user_id": fresh})
    of_session = Request(way, MESSAGES, (fresh,), {**HELLO, "user_id": fresh})
    assert of_user.send(f"{fresh} user").status == 201
    assert of_session.send(f"{fresh} append").status == 201
    delete(way, USER, fresh)
    add_user(way, fresh)
    open_session(way, fresh)
    assert error_of(of_user.send(f"{fresh} user")) == GONE
    assert error_of(of_session.send(f"{fresh} append")) == GONE
    assert contents(way, fresh) == []


def test_the_key_of_a_deleted_result_is_still_that_of_one_request(way: Way, fresh: str) -> None:
    Request(way, USERS, (), {"user_id": fresh}).send(fresh)
    delete(way, USER, fresh)
    other = Request(way, USERS, (), {"user_id": f"other {fresh}"})
    assert error_of(other.send(fresh)) == MISMATCH
    assert other.send(f"{fresh} new").status == 201


@pytest.mark.wire("a header where no method has the argument")
def test_a_key_is_ignored_except_with_post(way: Way, fresh: str) -> None:
    key = {"Idempotency-Key": fresh}
    way.request("PUT", USER, fresh, json={}, headers=key)
    for name in ("Jane", "Joan"):
        changed = way.request("PATCH", USER, fresh, json={"first_name": name}, headers=key)
        assert (changed.json["first_name"], is_replayed(changed)) == (name, False)
    assert way.request("DELETE", USER, fresh, headers=key).status == 200
    assert error_of(way.request("DELETE", USER, fresh, headers=key)) == NOT_FOUND
    assert way.request("GET", ERASURES, headers=key).status == 200


def test_a_key_can_have_up_to_512_characters(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    request = Request(way, MESSAGES, (fresh,), HELLO)
    longest = fresh.ljust(512, "x")
    assert request.send(longest).status == 201
    assert request.send(longest).status == 201
    assert contents(way, fresh) == ["Hello", "again"]
    for bad in (longest + "x", ""):
        assert error_of(request.send(bad)) == invalid("Idempotency-Key")


def test_an_append_that_opens_a_session_is_performed_once(way: Way, fresh: str) -> None:
    request = Request(way, MESSAGES, (fresh,), {**HELLO, "user_id": fresh})
    first, again = request.send(fresh), request.send(fresh)
    assert (again.status, again.json) == (201, first.json)
    assert append_text(way, fresh, "more", user_id=fresh).json["messages"][0]["seq"] == 3
