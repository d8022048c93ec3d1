"""Every legal message of a format comes back as it was, and can be given to the other formats."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.domain.conversions.legal import (
    anthropic_messages,
    openai_messages,
    response_items,
    shapes,
    texts,
    words,
)
from userkeep.domain.conversions.prompts import to_anthropic, to_openai, to_openai_responses
from userkeep.domain.conversions.reading import (
    MessageFields,
    from_anthropic,
    from_openai,
    from_openai_responses,
)
from userkeep.domain.conversions.tool_ids import tool_call_ids, tool_result_ids


def stored(fields: MessageFields) -> MessageFields:
    """Return the fields as they are read from a database, where data is JSON."""
    assert "\0" not in fields.content
    assert fields.content or fields.data is not None
    text = json.dumps(fields.data)
    assert (fields.name or "").find("\0") == -1
    return MessageFields(
        role=fields.role,
        name=fields.name,
        content=fields.content,
        data=json.loads(text),
        data_format=fields.data_format,
        is_edited=fields.is_edited,
    )


def openai(messages: Iterable[Any]) -> list[MessageFields]:
    return [stored(from_openai(each)) for each in messages]


def responses(items: Iterable[Any]) -> list[MessageFields]:
    return [stored(from_openai_responses(each)) for each in items]


def anthropic(messages: Iterable[Any]) -> list[MessageFields]:
    return [stored(from_anthropic(each)) for each in messages]


any_messages = st.lists(
    st.one_of(
        openai_messages.map(from_openai),
        response_items.map(from_openai_responses),
        anthropic_messages.map(from_anthropic),
    ),
    max_size=4,
)


@given(messages=st.lists(openai_messages, max_size=3))
@example(
    messages=[{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": 1}]}]
)
@example(messages=[{"role": "assistant", "content": None, "refusal": "No."}])
@example(messages=[{"role": "user", "content": "nul \0"}])
@example(messages=[{"role": "user", "content": "a", "name": "Jane Doe"}])
def test_openai_messages_come_back_as_they_were(messages: list[Any]) -> None:
    assert to_openai(openai(messages)) == messages


@given(items=st.lists(response_items, max_size=3))
@example(items=[{"type": "message", "role": "user", "content": "a"}])
@example(items=[{"type": "x", "content": "a", "role": 7}])
def test_responses_items_come_back_as_they_were(items: list[Any]) -> None:
    assert to_openai_responses(responses(items)) == items


@given(messages=st.lists(anthropic_messages, max_size=3))
@example(messages=[{"role": "user", "content": [{"type": "text", "text": "a"}]}])
@example(messages=[{"role": "user", "content": []}])
def test_anthropic_messages_come_back_as_they_were(messages: list[Any]) -> None:
    messages = [{"role": "user", "content": "Hello"}, *messages]  # before it is the system prompt
    assert to_anthropic(anthropic(messages)) == {"messages": messages}


@pytest.mark.parametrize("mode", ["text", "omit"])
@given(messages=any_messages)
def test_every_message_can_be_written_in_every_format(
    mode: Any, messages: list[MessageFields]
) -> None:
    for write in (to_openai, to_openai_responses, to_anthropic):
        json.dumps(write(map(stored, messages), unsupported=mode), allow_nan=False)


any_data = st.builds(
    MessageFields,
    role=st.sampled_from(["system", "developer", "user", "assistant", "tool", "norole"]),
    name=st.none() | texts,
    content=texts,
    data=st.fixed_dictionaries({"role": words, "content": shapes}, optional={"type": words})
    | shapes,
    data_format=st.sampled_from([None, "openai", "openai_responses", "anthropic"]) | shapes,
    is_edited=st.booleans(),
)


@given(messages=st.lists(any_data, max_size=3))
def test_any_data_can_be_written_in_every_format(messages: list[MessageFields]) -> None:
    before = json.dumps([each.data for each in messages])
    for write in (to_openai, to_openai_responses, to_anthropic):
        write(messages, unsupported="text")
    assert json.dumps([each.data for each in messages]) == before


@given(messages=any_messages)
def test_calls_and_results_keep_their_ids_in_every_format(messages: list[MessageFields]) -> None:
    calls, results = ids_of([(each.role, each.data) for each in messages])
    is_old = any(
        isinstance(each.data, dict)
        and (each.data.get("role") == "function" or each.data.get("function_call"))
        for each in messages
    )
    if is_old:
        return
    for again in (
        map(from_openai, to_openai(messages, unsupported="omit")),
        map(from_openai_responses, to_openai_responses(messages, unsupported="omit")),
        map(from_anthropic, to_anthropic(messages, unsupported="omit")["messages"]),
    ):
        assert ids_of([(each.role, each.data) for each in again]) == (calls, results)


def ids_of(messages: Iterable[tuple[str, Any]]) -> tuple[list[str], list[str]]:
    """Return the ids of calls and of results, sorted."""
    encoded = [(role, json.dumps(data)) for role, data in messages]
    calls = [found for each in encoded for found in tool_call_ids(*each)]
    results = [found for each in encoded for found in tool_result_ids(*each)]
    return sorted(calls), sorted(results)


@given(message=openai_messages, content=texts)
def test_a_changed_content_is_the_text_of_an_openai_message(message: Any, content: str) -> None:
    fields = changed(from_openai(message), content)
    written = to_openai([fields], unsupported="omit")
    assert "\n".join(from_openai(each).content for each in written) == fields.content


@given(item=response_items, content=texts)
def test_a_changed_content_is_the_text_of_responses_items(item: Any, content: str) -> None:
    fields = changed(from_openai_responses(item), content)
    written = to_openai_responses([fields], unsupported="omit")
    found = [from_openai_responses(each).content for each in written]
    assert "".join(found) == fields.content
    is_message = item.get("type", "message") == "message"
    assert is_message or written[-1] == item or item["type"].endswith("_output")


@given(message=anthropic_messages, content=texts)
def test_a_changed_content_is_the_text_of_an_anthropic_message(message: Any, content: str) -> None:
    fields = changed(from_anthropic(message), content)
    hello = MessageFields(role="user", content="Hello")
    written = to_anthropic([hello, fields], unsupported="omit")["messages"][1:]
    assert "".join(from_anthropic(each).content for each in written) == fields.content


def changed(fields: MessageFields, content: str) -> MessageFields:
    """Return the stored message after an update of its content."""
    fields.content = content.replace("\0", "")
    return stored(fields) if fields.content or fields.data is not None else fields
