"""Which tool calls a message makes, and which it has the results of."""

import json
from typing import Any

import pytest
from hypothesis import given

from tests.domain.conversions.legal import shapes, words
from userkeep.domain.conversions.tool_ids import tool_call_ids, tool_result_ids

CALLS: list[tuple[str, Any, tuple[str, ...]]] = [
    ("assistant", {"role": "assistant", "tool_calls": [{"id": "a"}, {"id": "b"}]}, ("a", "b")),
    ("assistant", {"role": "assistant", "function_call": {"name": "f"}}, ("f",)),
    ("assistant", {"type": "function_call", "call_id": "a"}, ("a",)),
    ("assistant", {"type": "computer_call", "id": "x", "call_id": "a"}, ("a",)),
    ("assistant", {"type": "mcp_approval_request", "id": "a"}, ("a",)),
    ("assistant", {"type": "program", "call_id": "a"}, ("a",)),
    ("assistant", {"type": "web_search_call", "id": "a"}, ()),
    (
        "assistant",
        {"role": "assistant", "content": [{"type": "text"}, {"type": "tool_use", "id": "a"}]},
        ("a",),
    ),
    ("assistant", {"role": "assistant", "tool_calls": [{"id": 5}, "x", None]}, ()),
    ("assistant", {"role": "assistant", "tool_calls": None, "function_call": None}, ()),
    ("assistant", ["tool_calls"], ()),
]

RESULTS: list[tuple[str, Any, tuple[str, ...]]] = [
    ("tool", {"role": "tool", "tool_call_id": "a"}, ("a",)),
    ("tool", {"tool_call_id": "a", "content": [1, "x", None, [{}], {"type": "text"}]}, ("a",)),
    ("tool", {"tool_call_id": "a", "content": "[", "output": [{"id": "b"}, 1.5]}, ("a",)),
    ("user", {"content": [{"type": "tool_result", "tool_use_id": "a", "content": [{}]}]}, ("a",)),
    ("function", {"role": "function", "name": "f"}, ("f",)),
    ("tool", {"type": "function_call_output", "call_id": "a"}, ("a",)),
    ("tool", {"type": "local_shell_call_output", "id": "a"}, ("a",)),
    ("user", {"type": "mcp_approval_response", "approval_request_id": "a"}, ("a",)),
    (
        "user",
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a"},
                {"type": "tool_result", "tool_use_id": "b"},
                {"type": "text", "text": "c"},
            ],
        },
        ("a", "b"),
    ),
    ("tool", {"role": "tool", "tool_call_id": None}, ()),
    ("tool", "tool_call_id", ()),
]


@pytest.mark.parametrize(("role", "data", "ids"), CALLS)
def test_calls_are_found_in_every_format(role: str, data: Any, ids: tuple[str, ...]) -> None:
    assert tool_call_ids(role, json.dumps(data)) == ids
    assert tool_result_ids(role, json.dumps(data)) == ()


@pytest.mark.parametrize(("role", "data", "ids"), RESULTS)
def test_results_are_found_in_every_format(role: str, data: Any, ids: tuple[str, ...]) -> None:
    assert tool_result_ids(role, json.dumps(data)) == ids
    assert tool_call_ids(role, json.dumps(data)) == ()


def test_a_number_that_few_decoders_read_does_not_hide_a_call() -> None:
    data = '{"role": "assistant", "tool_calls": [{"id": "a"}], "x": ' + "9" * 5_000 + "}"
    assert tool_call_ids("assistant", data) == ("a",)


@pytest.mark.parametrize("data", [None, "", "tool_calls", '{"tool_calls":', '{"type": "_output"}'])
def test_there_are_no_calls_in_other_data(data: str | None) -> None:
    for role in ("user", "assistant", "tool"):
        assert tool_call_ids(role, data) == ()
        assert tool_result_ids(role, data) == ()


@given(role=words, data=shapes)
def test_no_json_is_an_error(role: str, data: Any) -> None:
    for find in (tool_call_ids, tool_result_ids):
        assert all(isinstance(each, str) for each in find(role, json.dumps(data)))
