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
    assert set(memory) == {"messages", "summary", "facts", "token_count", "truncated"}
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


# Limits of tokens.


def _of_tokens(*counts: int | None) -> list[dict[str, Any]]:
    """Return messages with these token counts; the content of each is its number, from 1."""
    return [
        {"role": "user", "content": str(number), "token_count": count}
        for number, count in enumerate(counts, 1)
    ]


def _window(way: Way, session: str, **params: Any) -> tuple[str, int, bool]:
    """Return the contents of the memory, joined, its tokens, and whether it is truncated."""
    memory = way.request("GET", MEMORY, session, params=params)
    assert memory.status == 200, memory
    joined = " ".join(message["content"] for message in memory.json["messages"])
    return joined, memory.json["token_count"], memory.json["truncated"]


@pytest.mark.parametrize(
    ("max_tokens", "expected"),
    [
        (1, ("", 0, True)),
        (3, ("4", 3, True)),
        (22, ("4", 3, True)),
        (23, ("3 4", 23, True)),
        (123, ("2 3 4", 123, True)),
        (124, ("1 2 3 4", 124, False)),
        (2**31 - 1, ("1 2 3 4", 124, False)),
    ],
)
def test_memory_has_the_newest_messages_that_fit_a_number_of_tokens(
    way: Way, fresh: str, max_tokens: int, expected: tuple[str, int, bool]
) -> None:
    open_session(way, fresh)
    append(way, fresh, *_of_tokens(1, 100, 20, 3))
    assert _window(way, fresh, max_tokens=max_tokens) == expected


@pytest.mark.parametrize(("last", "expected"), [(1, "4"), (2, "3 4"), (3, "3 4")])
def test_memory_keeps_to_both_limits(way: Way, fresh: str, last: int, expected: str) -> None:
    open_session(way, fresh)
    append(way, fresh, *_of_tokens(1, 100, 20, 3))
    assert _window(way, fresh, last=last, max_tokens=50)[0] == expected


def test_with_a_number_of_tokens_the_default_number_of_messages_does_not_count(
    way: Way, fresh: str
) -> None:
    open_session(way, fresh)
    append(way, fresh, *_of_tokens(*[1] * 130))
    joined, tokens, truncated = _window(way, fresh, max_tokens=120)
    assert (joined.split(), tokens, truncated) == ([str(n) for n in range(11, 131)], 120, True)


def test_a_message_larger_than_the_limit_is_not_skipped_for_older_ones(
    way: Way, fresh: str
) -> None:
    open_session(way, fresh)
    append(way, fresh, *_of_tokens(1, 1, 1000))
    assert _window(way, fresh, max_tokens=999) == ("", 0, True)


def test_memory_of_all_messages_is_not_truncated(way: Way, session: str) -> None:
    assert _window(way, session)[2]
    assert not _window(way, session, last=15)[2]


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        ({"content": "12345678"}, 2),
        ({"content": "123456789"}, 3),
        ({"content": "ééé"}, 2),  # six bytes
        ({"content": "12345678", "data": {"long": "x" * 100}}, 2),
        ({"content": "", "data": "123456"}, 2),  # eight bytes with its quotes
        ({"content": "12345678", "token_count": 0}, 0),
        ({"content": "1", "token_count": 70}, 70),
    ],
)
def test_a_message_counts_its_tokens_or_a_quarter_of_its_bytes(
    way: Way, fresh: str, message: dict[str, Any], tokens: int
) -> None:
    open_session(way, fresh)
    append(way, fresh, {"role": "user", **message})
    assert _window(way, fresh)[1] == tokens


@pytest.mark.parametrize("max_tokens", [0, -1, 2**31, "many", "1.5"])
def test_an_invalid_number_of_tokens_is_rejected(way: Way, fresh: str, max_tokens: Any) -> None:
    open_session(way, fresh)
    reply = way.request("GET", MEMORY, fresh, params={"max_tokens": max_tokens})
    assert error_of(reply) == invalid("max_tokens")


def test_the_memory_of_an_unknown_session_with_a_number_of_tokens_is_not_found(
    way: Way, fresh: str
) -> None:
    reply = way.request("GET", MEMORY, fresh, params={"max_tokens": 10})
    assert error_of(reply) == NOT_FOUND


# Tool calls and their results.


def _calls(*ids: str) -> dict[str, Any]:
    calls = [{"id": id_, "type": "function", "function": {"name": "f"}} for id_ in ids]
    data = {"role": "assistant", "content": None, "tool_calls": calls}
    return {"role": "assistant", "data": data, "token_count": 1}


def _result(id_: str) -> dict[str, Any]:
    data = {"role": "tool", "content": id_, "tool_call_id": id_}
    return {"role": "tool", "content": id_, "data": data, "token_count": 1}


def _said(content: str) -> dict[str, Any]:
    return {"role": "user", "content": content, "token_count": 1}


def _blocks(kind: str, name: str, *ids: str) -> dict[str, Any]:
    """Return a message of Anthropic's API with calls, or with results."""
    role = "assistant" if kind == "tool_use" else "user"
    blocks = [{"type": kind, name: id_} for id_ in ids]
    content = "" if kind == "tool_use" else ids[0]
    data = {"role": role, "content": blocks}
    return {"role": role, "content": content, "data": data, "token_count": 1}


_FORMATS: dict[str, list[dict[str, Any]]] = {
    "OpenAI": [_said("?"), _calls("a", "b"), _result("a"), _result("b"), _said("!")],
    "Anthropic": [
        _said("?"),
        _blocks("tool_use", "id", "a", "b"),
        _blocks("tool_result", "tool_use_id", "a"),
        _blocks("tool_result", "tool_use_id", "b"),
        _said("!"),
    ],
    "no data": [
        _said("?"),
        {"role": "assistant", "content": "Calling.", "token_count": 1},
        {"role": "tool", "content": "a", "token_count": 1},
        {"role": "function", "content": "b", "token_count": 1},
        _said("!"),
    ],
}


@pytest.mark.parametrize("limit", ["last", "max_tokens"])
@pytest.mark.parametrize("form", list(_FORMATS))
def test_a_window_never_begins_with_a_result_whose_call_was_cut_off(
    way: Way, fresh: str, form: str, limit: str
) -> None:
    open_session(way, fresh)
    append(way, fresh, *_FORMATS[form])
    first = {size: _first_seq(way, fresh, **{limit: size}) for size in range(1, 6)}
    assert first == {1: 5, 2: 5, 3: 5, 4: 2, 5: 1}


def _first_seq(way: Way, session: str, **params: Any) -> int:
    memory = way.request("GET", MEMORY, session, params=params).json
    assert memory["truncated"] == (memory["messages"][0]["seq"] > 1)
    assert memory["token_count"] == len(memory["messages"])
    return int(memory["messages"][0]["seq"])


def test_results_whose_separate_calls_were_cut_off_are_left_out_too(way: Way, fresh: str) -> None:
    def item(kind: str, id_: str) -> dict[str, Any]:
        data = {"type": kind, "call_id": id_, "output": id_}
        role = "assistant" if kind == "function_call" else "tool"
        return {"role": role, "content": id_, "data": data, "token_count": 1}

    open_session(way, fresh)
    calls = [item("function_call", id_) for id_ in "ab"]
    results = [item("function_call_output", id_) for id_ in "ab"]
    append(way, fresh, _said("?"), *calls, *results, _said("!"))
    assert {size: _first_seq(way, fresh, last=size) for size in range(1, 7)} == {
        1: 6,
        2: 6,
        3: 6,
        4: 6,
        5: 2,
        6: 1,
    }


def test_a_window_does_not_end_with_some_of_the_results_of_a_message(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    append(way, fresh, _said("?"), _calls("a", "b"), _result("a"))
    assert _window(way, fresh) == ("?", 1, True)
    append(way, fresh, _result("b"))
    assert _window(way, fresh) == ("?  a b", 4, False)


def test_a_window_begins_with_a_call_also_where_incomplete_results_are_left_out(
    way: Way, fresh: str
) -> None:
    open_session(way, fresh)
    append(way, fresh, *_FORMATS["OpenAI"], _calls("c", "d"), _result("c"))
    windows = {last: _window(way, fresh, last=last)[0] for last in range(1, 6)}
    assert windows == {1: "!", 2: "!", 3: "!", 4: " a b !", 5: "?  a b !"}


def test_a_window_is_found_behind_many_incomplete_results(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    ids = [str(number) for number in range(99)]
    append(way, fresh, _said("?"), _said("!"), _calls("a", *ids), *map(_result, ids))
    assert _window(way, fresh, last=1) == ("!", 1, True)
    assert _window(way, fresh, last=5) == ("? !", 2, True)
    assert _window(way, fresh, max_tokens=5) == ("? !", 2, True)


def test_a_window_is_empty_behind_more_results_than_a_call_reads(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    ids = [str(number) for number in range(102)]
    append(way, fresh, _said("!"), _calls("a", *ids), *map(_result, ids))
    assert _window(way, fresh, last=1) == ("", 0, True)
    assert _window(way, fresh, max_tokens=5) == ("!", 1, True)


def test_calls_without_any_result_are_the_end_of_a_window(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    append(way, fresh, _said("?"), _calls("a", "b"))
    assert _window(way, fresh) == ("? ", 2, False)


def test_a_result_at_the_beginning_of_a_session_is_kept(way: Way, fresh: str) -> None:
    open_session(way, fresh)
    append(way, fresh, _result("a"), _said("!"))
    assert _window(way, fresh) == ("a !", 2, False)
