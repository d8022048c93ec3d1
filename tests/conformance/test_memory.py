"""Memory, by every way in: what a reader gets for the next prompt."""

from typing import Any

import pytest

from tests.conformance.steps import (
    END,
    MEMORY,
    MESSAGE,
    NOT_FOUND,
    append,
    delete,
    get_messages,
    invalid,
    open_session,
    refusal,
)
from tests.ways import Way


@pytest.fixture
def session(way: Way, fresh: str) -> str:
    """The id of a session with fifteen messages: 1, 2, 3 …"""
    open_session(way, fresh)
    append(way, fresh, *({"content": str(number)} for number in range(1, 16)))
    return fresh


def remembered(way: Way, session: str, **params: Any) -> list[str]:
    memory = way.request("GET", MEMORY, session, params=params)
    assert memory.status == 200
    return [message["content"] for message in memory.json["messages"]]


def test_memory_is_the_newest_twelve_messages_oldest_first(way: Way, session: str) -> None:
    assert remembered(way, session) == [str(number) for number in range(4, 16)]


@pytest.mark.parametrize("last", [1, 2, 14, 15])
def test_a_reader_may_say_how_many(way: Way, session: str, last: int) -> None:
    assert remembered(way, session, last=last) == [str(n) for n in range(16 - last, 16)]


@pytest.mark.parametrize("last", [16, 1000])
def test_memory_is_all_there_is_where_there_is_less(way: Way, session: str, last: int) -> None:
    assert remembered(way, session, last=last) == [str(number) for number in range(1, 16)]


def test_memory_holds_whole_messages(way: Way, session: str) -> None:
    memory = way.request("GET", MEMORY, session, params={"last": 15})
    assert memory.json["messages"] == get_messages(way, session)


def test_there_are_no_summary_and_no_facts_yet(way: Way, session: str) -> None:
    memory = way.request("GET", MEMORY, session).json
    assert set(memory) == {"messages", "summary", "facts"}
    assert (memory["summary"], memory["facts"]) == (None, [])


def test_the_memory_of_an_empty_session_is_empty(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    memory = way.request("GET", MEMORY, fresh)
    assert (memory.status, memory.json["messages"]) == (200, [])


def test_an_unknown_session_has_no_memory(way: Way, fresh: str) -> None:
    assert refusal(way.request("GET", MEMORY, fresh)) == NOT_FOUND


def test_an_ended_session_is_remembered(way: Way, session: str) -> None:
    way.request("POST", END, session)
    assert remembered(way, session, last=2) == ["14", "15"]


def test_an_deleted_message_is_not_remembered(way: Way, session: str) -> None:
    messages = get_messages(way, session)
    delete(way, MESSAGE, session, messages[13]["uuid"])
    assert remembered(way, session, last=3) == ["12", "13", "15"]


def test_an_edited_message_is_remembered_as_it_is_now(way: Way, session: str) -> None:
    newest = get_messages(way, session)[-1]
    way.request("PATCH", MESSAGE, session, newest["uuid"], json={"content": "fifteen"})
    assert remembered(way, session, last=2) == ["14", "fifteen"]


@pytest.mark.parametrize("last", ["0", "-1", "1001", "all", "1.5", "", "null"])
def test_a_reader_may_say_from_1_to_1000(way: Way, session: str, last: str) -> None:
    refused = way.request("GET", MEMORY, session, params={"last": last})
    assert refusal(refused) == invalid("last")


@pytest.mark.wire("parameters that no method has")
def test_memory_takes_no_other_parameter(way: Way, session: str) -> None:
    for name in ("limit", "cursor", "lastn"):
        refused = way.request("GET", MEMORY, session, params={name: "5"})
        assert refusal(refused) == invalid(name)
