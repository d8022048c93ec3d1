"""Doing a thing once, however often it is asked for, by every way in."""

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
    Refusal,
    add_user,
    append,
    contents,
    delete,
    get_messages,
    get_session,
    get_user,
    invalid,
    open_session,
    refusal,
    say,
)
from tests.ways import Reply, Way

MISMATCH: Refusal = (409, "idempotency_mismatch", [])
HELLO = {"messages": [{"content": "Hello"}, {"content": "again"}]}


class Request(NamedTuple):
    """A POST that may be sent again."""

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
    """Each kind of POST, about something of this test's own."""
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


def test_the_same_request_gets_the_first_answer(request_: Request, fresh: str) -> None:
    first = request_.send(fresh)
    assert first.status in {200, 201}
    for _ in range(2):
        again = request_.send(fresh)
        assert (again.status, again.json) == (first.status, first.json)


@pytest.mark.wire("a header of the answer")
def test_an_answer_that_is_given_again_says_so(request_: Request, fresh: str) -> None:
    assert "idempotent-replayed" not in request_.send(fresh).headers
    for _ in range(2):
        assert is_replayed(request_.send(fresh))


def test_another_request_with_the_same_key_is_refused(request_: Request, fresh: str) -> None:
    first = request_.send(fresh)
    other = Request(request_.way, USERS, (), {"user_id": f"other {fresh}"})
    assert refusal(other.send(fresh)) == MISMATCH
    assert refusal(request_.way.request("GET", USER, f"other {fresh}")) == NOT_FOUND
    assert request_.send(fresh).json == first.json


def test_another_body_is_another_request(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    Request(way, MESSAGES, (fresh,), HELLO).send(fresh)
    other = Request(way, MESSAGES, (fresh,), {"messages": [{"content": "Goodbye"}]})
    assert refusal(other.send(fresh)) == MISMATCH
    assert contents(way, fresh) == ["Hello", "again"]


def test_another_address_is_another_request(way: Way, fresh: str) -> None:
    for name in ("one", "other"):
        open_session(way, f"{name} {fresh}")
    assert Request(way, MESSAGES, (f"one {fresh}",), HELLO).send(fresh).status == 201
    assert refusal(Request(way, MESSAGES, (f"other {fresh}",), HELLO).send(fresh)) == MISMATCH
    assert contents(way, f"other {fresh}") == []


def test_messages_are_appended_once(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    request = Request(way, MESSAGES, (fresh,), HELLO)
    first = request.send(fresh)
    append(way, fresh, {"content": "in between"})
    assert request.send(fresh).json == first.json
    assert contents(way, fresh) == ["Hello", "again", "in between"]
    assert get_session(way, fresh)["message_count"] == 3


def test_one_session_is_opened_under_an_id_of_the_servers(way: Way, fresh: str) -> None:
    add_user(way, fresh)
    request = Request(way, SESSIONS, (), {"user_id": fresh})
    ids = {request.send(fresh).json["session_id"] for _ in range(3)}
    listed = way.request("GET", SESSIONS, params={"user_id": fresh})
    assert [session["session_id"] for session in listed.json["items"]] == list(ids)


def test_without_a_key_every_request_counts(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    assert [append(way, fresh, {"content": "Hello"})[0]["seq"] for _ in range(2)] == [1, 2]


def test_another_key_is_another_request(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    request = Request(way, MESSAGES, (fresh,), HELLO)
    for key in (fresh, fresh.upper(), f"{fresh}!"):
        assert request.send(key).status == 201
    assert get_session(way, fresh)["message_count"] == 6


def test_refusals_are_not_remembered(way: Way, fresh: str) -> None:
    request = Request(way, MESSAGES, (fresh,), HELLO)
    assert refusal(request.send(fresh)) == NOT_FOUND
    open_session(way, fresh)
    appended = request.send(fresh)
    assert appended.status == 201
    assert request.send(fresh).json == appended.json
    assert contents(way, fresh) == ["Hello", "again"]


def test_a_key_that_was_refused_may_serve_for_another_request(way: Way, fresh: str) -> None:
    taken = add_user(way, fresh)
    refused = Request(way, USERS, (), {"user_id": fresh}).send(fresh)
    assert refusal(refused) == (409, "already_exists", ["user_id"])
    other = Request(way, USERS, (), {"user_id": f"other {fresh}"}).send(fresh)
    assert other.status == 201
    assert get_user(way, fresh) == taken


def test_what_went_wrong_later_does_not_matter(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    request = Request(way, MESSAGES, (fresh,), HELLO)
    first = request.send(fresh)
    way.request("POST", END, fresh)
    again = request.send(fresh)
    assert (again.status, again.json) == (201, first.json)


@pytest.mark.parametrize("place", [0, 1], ids=["first", "last"])
def test_of_a_batch_with_a_message_that_is_gone_there_is_no_answer(
    way: Way, fresh: str, place: int
) -> None:
    open_session(way, fresh)
    request = Request(way, MESSAGES, (fresh,), HELLO)
    messages = request.send(fresh).json["messages"]
    append(way, fresh, {"content": "after"})
    delete(way, MESSAGE, fresh, messages[place]["uuid"])
    assert refusal(request.send(fresh)) == GONE
    assert len(get_messages(way, fresh)) == 2


def test_a_retry_brings_nobody_back(way: Way, fresh: str) -> None:
    request = Request(way, MESSAGES, (fresh,), {**HELLO, "user_id": fresh})
    assert request.send(fresh).status == 201
    delete(way, USER, fresh)
    assert refusal(request.send(fresh)) == GONE
    assert refusal(way.request("GET", USER, fresh)) == NOT_FOUND
    assert refusal(way.request("GET", SESSION, fresh)) == NOT_FOUND


def test_keys_are_deleted_with_the_user(way: Way, fresh: str) -> None:
    Request(way, USERS, (), {"user_id": fresh}).send(f"{fresh} user")
    Request(way, SESSIONS, (), {"session_id": fresh, "user_id": fresh}).send(f"{fresh} session")
    Request(way, MESSAGES, (fresh,), HELLO).send(f"{fresh} messages")
    Request(way, END, (fresh,), None).send(f"{fresh} end")
    delete(way, USER, fresh)
    for noun in ("user", "session", "messages", "end"):
        other = Request(way, USERS, (), {"user_id": f"{noun} {fresh}"})
        added = other.send(f"{fresh} {noun}")
        assert (added.status, added.json["user_id"]) == (201, f"{noun} {fresh}")


def test_keys_are_deleted_with_the_session(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    Request(way, MESSAGES, (fresh,), HELLO).send(fresh)
    delete(way, SESSION, fresh)
    open_session(way, fresh)
    appended = Request(way, MESSAGES, (fresh,), {"messages": [{"content": "Hi"}]}).send(fresh)
    assert appended.status == 201
    assert contents(way, fresh) == ["Hi"]


@pytest.mark.wire("a header where no method has the argument")
def test_a_key_does_nothing_where_nothing_is_posted(way: Way, fresh: str) -> None:
    key = {"Idempotency-Key": fresh}
    way.request("PUT", USER, fresh, json={}, headers=key)
    for name in ("Jane", "Joan"):
        changed = way.request("PATCH", USER, fresh, json={"first_name": name}, headers=key)
        assert (changed.json["first_name"], is_replayed(changed)) == (name, False)
    assert way.request("DELETE", USER, fresh, headers=key).status == 200
    assert refusal(way.request("DELETE", USER, fresh, headers=key)) == NOT_FOUND
    assert way.request("GET", ERASURES, headers=key).status == 200


def test_a_key_has_up_to_512_characters(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    request = Request(way, MESSAGES, (fresh,), HELLO)
    longest = fresh.ljust(512, "x")
    assert request.send(longest).status == 201
    assert request.send(longest).status == 201
    assert contents(way, fresh) == ["Hello", "again"]
    for bad in (longest + "x", ""):
        assert refusal(request.send(bad)) == invalid("Idempotency-Key")


def test_a_key_with_an_append_that_opens_a_session(way: Way, fresh: str) -> None:
    request = Request(way, MESSAGES, (fresh,), {**HELLO, "user_id": fresh})
    first, again = request.send(fresh), request.send(fresh)
    assert (again.status, again.json) == (201, first.json)
    assert say(way, fresh, "more", user_id=fresh).json["messages"][0]["seq"] == 3
