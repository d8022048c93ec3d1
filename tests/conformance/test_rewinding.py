"""Deleting the messages that follow one: all of them disappear in one call."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.steps import (
    ERASURE,
    ERASURES,
    MEMORY,
    MESSAGE,
    MESSAGES,
    NOT_FOUND,
    SESSION,
    add_user,
    append,
    append_text,
    concurrently,
    contents,
    delete,
    error_of,
    get_messages,
    get_session,
    invalid,
    open_session,
    search,
)
from tests.ways import Way


@pytest.fixture
def session(way: Way, fresh: str) -> str:
    """A session of the user `fresh` with the messages one, two, three, four, five."""
    add_user(way, fresh)
    open_session(way, fresh, user_id=fresh, metadata={"topic": "numbers"})
    append_text(way, fresh, "one", "two", "three", "four", "five")
    return fresh


def delete_after(way: Way, session_id: str, seq: Any, **params: Any) -> Any:
    """Delete what follows, and return the erasure."""
    reply = way.request("DELETE", MESSAGES, session_id, params={"after_seq": seq, **params})
    assert (reply.status, reply.json["state"]) == (200, "deleted"), reply
    return reply.json


@pytest.mark.parametrize(
    ("seq", "left"),
    [
        (0, []),
        (1, ["one"]),
        (4, ["one", "two", "three", "four"]),
        (5, ["one", "two", "three", "four", "five"]),
        (2**63 - 1, ["one", "two", "three", "four", "five"]),
    ],
)
def test_messages_after_a_seq_are_deleted(
    way: Way, session: str, seq: int, left: list[str]
) -> None:
    erasure = delete_after(way, session, seq)
    assert contents(way, session) == left
    assert erasure["counts"] == {
        "users": 0,
        "sessions": 0,
        "messages": 5 - len(left),
        "documents": 0,
    }
    assert get_session(way, session)["message_count"] == len(left)
    memory = way.request("GET", MEMORY, session).json["messages"]
    assert [message["content"] for message in memory] == left


def test_the_session_stays_with_its_fields(way: Way, session: str) -> None:
    before = get_session(way, session)
    delete_after(way, session, 0)
    after = get_session(way, session)
    for field in ("uuid", "user_id", "metadata", "ended_at", "created_at"):
        assert after[field] == before[field]


def test_new_messages_get_numbers_that_were_not_used(way: Way, session: str) -> None:
    delete_after(way, session, 2)
    append_text(way, session, "another three")
    assert [(each["seq"], each["content"]) for each in get_messages(way, session)] == [
        (1, "one"),
        (2, "two"),
        (6, "another three"),
    ]


def test_deleted_messages_are_not_found(way: Way, session: str) -> None:
    last = get_messages(way, session)[-1]
    delete_after(way, session, 1)
    assert error_of(way.request("GET", MESSAGE, session, last["id"])) == NOT_FOUND
    assert error_of(way.request("PATCH", MESSAGE, session, last["id"], json={})) == NOT_FOUND
    assert search(way, "five", user_id=session) == []
    assert search(way, "two three four", session_id=session) == []
    assert [hit["message"]["content"] for hit in search(way, user_id=session)] == ["one"]


def test_the_id_of_a_deleted_message_can_be_used_again(way: Way, session: str) -> None:
    append(way, session, {"role": "user", "content": "six", "id": "msg_6"})
    delete_after(way, session, 5)
    append(way, session, {"role": "user", "content": "another six", "id": "msg_6"})
    assert way.request("GET", MESSAGE, session, "msg_6").json["content"] == "another six"


def test_one_call_leaves_one_record(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    append_text(way, fresh, *map(str, range(300)))
    erasure = delete_after(way, fresh, 0)
    assert (erasure["subject"], erasure["counts"]["messages"]) == ("message", 300)
    assert way.request("GET", ERASURE, erasure["id"]).json["counts"]["messages"] == 300
    newest = way.request("GET", ERASURES, params={"limit": 1, "order": "-created"}).json["items"]
    assert newest[0]["id"] == erasure["id"]


def test_going_back_again_and_again_counts_each_message_once(way: Way, session: str) -> None:
    counts = [delete_after(way, session, seq)["counts"]["messages"] for seq in (4, 4, 2, 0, 0)]
    assert counts == [1, 0, 2, 2, 0]


def test_a_session_is_deleted_after_going_back(way: Way, session: str) -> None:
    delete_after(way, session, 2)
    assert delete(way, SESSION, session)["counts"]["messages"] == 2


def test_it_can_be_purged_at_once(way: Way, session: str) -> None:
    reply = way.request("DELETE", MESSAGES, session, params={"after_seq": 0, "purge": "now"})
    assert reply.status in {200, 202}
    assert reply.json["state"] in {"deleted", "purged"}
    assert reply.json["purge"]["requested_at"] or reply.json["purged_at"]


@pytest.mark.parametrize("seq", [-1, "", "last", "1.5", 2**63, None])
def test_an_invalid_seq_deletes_nothing(way: Way, session: str, seq: Any) -> None:
    params = {} if seq is None else {"after_seq": seq}
    reply = way.request("DELETE", MESSAGES, session, params=params)
    assert error_of(reply) == invalid("after_seq")
    assert len(contents(way, session)) == 5


def test_another_users_messages_are_not_deleted(way: Way, session: str) -> None:
    add_user(way, f"{session} 2")
    params = {"after_seq": 0, "user_id": f"{session} 2"}
    assert error_of(way.request("DELETE", MESSAGES, session, params=params)) == NOT_FOUND
    assert len(contents(way, session)) == 5
    delete_after(way, session, 0, user_id=session)
    assert contents(way, session) == []


def test_an_unknown_session_is_not_found(way: Way, fresh: str) -> None:
    reply = way.request("DELETE", MESSAGES, fresh, params={"after_seq": 0})
    assert error_of(reply) == NOT_FOUND


def test_readers_see_all_of_the_messages_or_those_that_are_left(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    append_text(way, fresh, *[f"number {number}" for number in range(600)])

    def read() -> Iterator[int]:
        for _ in range(8):
            yield len(contents(way, fresh))

    def go_back() -> list[int]:
        delete_after(way, fresh, 1)
        return []

    *seen, _ = concurrently(*[lambda: list(read())] * 3, go_back)
    assert {count for counts in seen for count in counts} <= {1, 600}
    assert contents(way, fresh) == ["number 0"]
