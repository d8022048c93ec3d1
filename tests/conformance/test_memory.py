"""Memory: the newest messages of a session, for the next prompt."""

from typing import Any

import pytest

from tests.conformance.steps import (
    END,
    MEMORY,
    MESSAGE,
    NOT_FOUND,
    append,
    delete,
    error_of,
    get_messages,
    invalid,
    open_session,
)
from tests.ways import Way


@pytest.fixture
def session(way: Way, fresh: str) -> str:
    """The id of a session with fifteen messages: 1, 2, 3 …"""
    open_session(way, fresh)
    append(way, fresh, *({"role": "user", "content": str(number)} for number in range(1, 16)))
    return fresh


def memory_contents(way: Way, session: str, **params: Any) -> list[str]:
    memory = way.request("GET", MEMORY, session, params=params)
    assert memory.status == 200
    return [message["content"] for message in memory.json["messages"]]


def test_memory_is_the_newest_twelve_messages_oldest_first(way: Way, session: str) -> None:
    assert memory_contents(way, session) == [str(number) for number in range(4, 16)]


@pytest.mark.parametrize("last", [1, 2, 14, 15])
def test_last_sets_the_number_of_messages(way: Way, session: str, last: int) -> None:
    assert memory_contents(way, session, last=last) == [str(n) for n in range(16 - last, 16)]


@pytest.mark.parametrize("last", [16, 1000])
def test_memory_has_all_messages_if_there_are_fewer_than_last(
    way: Way, session: str, last: int
) -> None:
    assert memory_contents(way, session, last=last) == [str(number) for number in range(1, 16)]


def test_memory_contains_complete_messages(way: Way, session: str) -> None:
    memory = way.request("GET", MEMORY, session, params={"last": 15})
    assert memory.json["messages"] == get_messages(way, session)


def test_summary_and_facts_are_empty(way: Way, session: str) -> None:
    memory = way.request("GET", MEMORY, session).json
    assert set(memory) == {"messages", "summary", "facts"}
    assert (memory["summary"], memory["facts"]) == (None, [])


def test_the_memory_of_an_empty_session_is_empty(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    memory = way.request("GET", MEMORY, fresh)
    assert (memory.status, memory.json["messages"]) == (200, [])


def test_memory_of_an_unknown_session_is_not_found(way: Way, fresh: str) -> None:
    assert error_of(way.request("GET", MEMORY, fresh)) == NOT_FOUND


def test_an_ended_session_has_memory(way: Way, session: str) -> None:
    way.request("POST", END, session)
    assert memory_contents(way, session, last=2) == ["14", "15"]


def test_a_deleted_message_is_not_in_memory(way: Way, session: str) -> None:
    messages = get_messages(way, session)
    delete(way, MESSAGE, session, messages[13]["id"])
    assert memory_contents(way, session, last=3) == ["12", "13", "15"]


def test_memory_has_the_current_content_of_an_edited_message(way: Way, session: str) -> None:
    newest = get_messages(way, session)[-1]
    way.request("PATCH", MESSAGE, session, newest["id"], json={"content": "fifteen"})
    assert memory_contents(way, session, last=2) == ["14", "fifteen"]


@pytest.mark.parametrize("last", ["0", "-1", "1001", "all", "1.5", "", "null"])
def test_last_must_be_from_1_to_1000(way: Way, session: str, last: str) -> None:
    rejected = way.request("GET", MEMORY, session, params={"last": last})
    assert error_of(rejected) == invalid("last")


@pytest.mark.wire("parameters that no method has")
def test_memory_rejects_other_parameters(way: Way, session: str) -> None:
    for name in ("limit", "cursor", "lastn"):
        rejected = way.request("GET", MEMORY, session, params={name: "5"})
        assert error_of(rejected) == invalid(name)
