"""What each format becomes, in the fields of a message and in the other formats."""

from typing import Any

import pytest

from userkeep.domain.conversions.prompts import to_anthropic, to_openai, to_openai_responses
from userkeep.domain.conversions.reading import (
    MessageFields,
    from_anthropic,
    from_openai,
    from_openai_responses,
)
from userkeep.domain.errors import InvalidField

PNG = "data:image/png;base64,iVBORw0KGgo="
WEATHER = {"name": "weather", "arguments": '{"city": "Paris"}'}

OPENAI: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Where is this?"},
            {"type": "image_url", "image_url": {"url": PNG}},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": WEATHER},
            {"id": "call_2", "type": "function", "function": WEATHER},
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "18 degrees"},
    {"role": "tool", "tool_call_id": "call_2", "content": "19 degrees"},
    {"role": "assistant", "content": "In Paris."},
]

RESPONSES: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Where is this?"},
            {"type": "input_image", "image_url": PNG, "detail": "auto"},
        ],
    },
    {"type": "function_call", "call_id": "call_1", **WEATHER},
    {"type": "function_call", "call_id": "call_2", **WEATHER},
    {"type": "function_call_output", "call_id": "call_1", "output": "18 degrees"},
    {"type": "function_call_output", "call_id": "call_2", "output": "19 degrees"},
    {"role": "assistant", "content": "In Paris."},
]

ANTHROPIC: list[Any] = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Where is this?"},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
            },
        ],
    },
    {
        "role": "assistant",
        "content": [
            {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Paris"}},
            {"type": "tool_use", "id": "call_2", "name": "weather", "input": {"city": "Paris"}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "18 degrees"},
            {"type": "tool_result", "tool_use_id": "call_2", "content": "19 degrees"},
        ],
    },
    {"role": "assistant", "content": "In Paris."},
]

SYSTEM = MessageFields(role="system", content="Be brief.")

SOURCES: dict[str, list[MessageFields]] = {
    "openai": [from_openai(each) for each in OPENAI],
    "responses": [from_openai_responses(each) for each in RESPONSES],
    "anthropic": [SYSTEM, *(from_anthropic(each) for each in ANTHROPIC)],
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_conversation_with_an_image_and_tools_can_be_written_in_each_format(source: str) -> None:
    messages = SOURCES[source]
    detail = {"detail": "auto"} if source == "responses" else {}
    expected = [*OPENAI]
    image = {"type": "image_url", "image_url": {"url": PNG, **detail}}
    expected[1] = {"role": "user", "content": [OPENAI[1]["content"][0], image]}
    assert to_openai(messages) == expected
    assert to_openai_responses(messages) == RESPONSES
    assert to_anthropic(messages) == {"system": "Be brief.", "messages": ANTHROPIC}


@pytest.mark.parametrize("source", SOURCES)
def test_what_was_said_is_the_content_and_its_role_is_the_role(source: str) -> None:
    said = [(each.role, each.content) for each in SOURCES[source]]
    assert said[:2] == [("system", "Be brief."), ("user", "Where is this?")]
    assert said[-1] == ("assistant", "In Paris.")
    results = [content for role, content in said if role == "tool"]
    assert "\n".join(results) == "18 degrees\n19 degrees"
    assert ("assistant", "") in said


def test_text_alone_needs_no_data() -> None:
    plain = {"role": "user", "content": "Hello"}
    for read in (from_openai, from_openai_responses, from_anthropic):
        assert read(plain) == MessageFields(role="user", content="Hello")
    named = from_openai({**plain, "name": "jane"})
    assert named == MessageFields(role="user", name="jane", content="Hello")


def test_the_original_is_the_data() -> None:
    assert from_openai(OPENAI[2]).data == OPENAI[2]
    assert from_openai_responses(RESPONSES[2]).data == RESPONSES[2]
    assert from_anthropic(ANTHROPIC[1]).data == ANTHROPIC[1]


def test_a_mark_names_the_format_where_the_shape_does_not_show_it() -> None:
    text = {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}}]}
    assert from_anthropic(text).data_format == "anthropic"
    assert from_openai(text).data_format == "openai"
    assert to_openai([from_anthropic(text)]) == [{"role": "user", "content": "a"}]
    assert from_openai(OPENAI[2]).data_format is None


@pytest.mark.parametrize("write", [to_openai, to_openai_responses])
def test_a_message_without_a_mark_that_fits_the_format_is_written_as_it_is(write: Any) -> None:
    original = {"role": "user", "content": "Hello", "x": 1}
    assert write([MessageFields(role="user", content="Hello", data=original)]) == [original]


def test_consecutive_texts_of_a_model_are_one_text() -> None:
    blocks = [{"type": "text", "text": "It is "}, {"type": "text", "text": "18 degrees."}]
    assert from_anthropic({"role": "assistant", "content": blocks}).content == "It is 18 degrees."
    assert from_anthropic({"role": "user", "content": blocks}).content == "It is \n18 degrees."


def test_a_response_of_anthropic_is_kept_and_written_as_a_message() -> None:
    response = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "text", "text": "Hello"},
        ],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }
    fields = from_anthropic(response)
    assert fields.data == response
    assert fields.content == "Hello"
    message = {"role": "assistant", "content": response["content"]}
    assert to_anthropic([fields]) == {"messages": [message]}
    assert to_openai([fields], unsupported="omit") == [{"role": "assistant", "content": "Hello"}]


class Dumped:
    """Like an object of a provider's package."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    def model_dump(self, *, mode: str, exclude_unset: bool) -> dict[str, Any]:
        assert (mode, exclude_unset) == ("json", True)
        return self.fields


def test_objects_of_the_packages_are_taken_also_inside_of_dicts() -> None:
    block = {"type": "tool_use", "id": "a", "name": "b", "input": {}}
    message = {"role": "assistant", "content": [Dumped(**block)]}
    expected = {"role": "assistant", "content": [block]}
    assert from_anthropic(message).data == expected
    assert from_anthropic(Dumped(**message)).data == expected


def test_a_part_without_a_counterpart_is_an_error_unless_asked_otherwise() -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    text = {"type": "text", "text": "Hello"}
    messages = [SYSTEM, from_anthropic({"role": "assistant", "content": [thinking, text]})]
    with pytest.raises(InvalidField) as error:
        to_openai(messages)
    assert error.value.detail == (
        "messages[1] has a part that OpenAI's chat messages cannot express: thinking. Pass "
        'unsupported="text" to write text in its place, or unsupported="omit" to leave it out.'
    )
    assert error.value.fields == ("messages[1]",)
    system = {"role": "system", "content": "Be brief."}
    assert to_openai(messages, unsupported="omit") == [
        system,
        {"role": "assistant", "content": "Hello"},
    ]
    assert to_openai(messages, unsupported="text") == [
        system,
        {"role": "assistant", "content": "[thinking]\nHello"},
    ]


def test_an_unknown_mode_is_an_error() -> None:
    with pytest.raises(InvalidField, match="must be one of error, text, omit; got 'no'"):
        to_openai([], unsupported="no")  # type: ignore[arg-type]


def test_a_tool_result_without_the_id_of_its_call_is_an_error() -> None:
    with pytest.raises(InvalidField, match="tool result without the id of its call"):
        to_openai([MessageFields(role="tool", content="18 degrees")])


def test_data_of_the_app_is_not_part_of_a_prompt() -> None:
    message = MessageFields(role="user", content="Hello", data={"type": "card", "id": 3})
    said = {"role": "user", "content": "Hello"}
    assert to_openai([message]) == [said]
    assert to_openai_responses([message]) == [said]
    assert to_anthropic([message]) == {"messages": [said]}


def test_data_with_only_the_calls_or_the_id_of_a_call_is_completed() -> None:
    calls = OPENAI[2]["tool_calls"]
    messages = [
        MessageFields(role="assistant", content="", data={"tool_calls": calls}),
        MessageFields(role="tool", content="18 degrees", data={"tool_call_id": "call_1"}),
        MessageFields(role="tool", content="19 degrees", data={"tool_call_id": "call_2"}),
    ]
    assert to_openai(messages) == OPENAI[2:5]
    assert to_anthropic(messages) == {"messages": ANTHROPIC[1:3]}


def test_an_original_is_written_as_it_is_if_its_message_was_never_changed() -> None:
    message = MessageFields(role="user", content="", data=OPENAI[1], is_edited=False)
    assert to_openai([message]) == [OPENAI[1]]
    assert to_anthropic([message]) == {"messages": [ANTHROPIC[0]]}


def test_changed_texts_replace_those_of_the_original() -> None:
    fields = from_openai(OPENAI[1])
    fields.content = "What is this?"
    text, image = OPENAI[1]["content"]
    changed = {"role": "user", "content": [{**text, "text": "What is this?"}, image]}
    assert to_openai([fields]) == [changed]
    fields = from_anthropic(ANTHROPIC[1])
    fields.content = "Let me see."
    said = {"type": "text", "text": "Let me see."}
    blocks = [said, *ANTHROPIC[1]["content"]]
    assert to_anthropic([fields]) == {"messages": [{"role": "assistant", "content": blocks}]}
    fields = from_openai_responses(RESPONSES[2])
    fields.content = "Let me see."
    said = {"role": "assistant", "content": "Let me see."}
    assert to_openai_responses([fields]) == [said, RESPONSES[2]]


def test_a_changed_name_or_role_replaces_that_of_the_original() -> None:
    fields = from_openai({"role": "user", "content": "Hi", "name": "jane", "x": 1})
    fields.name = "Jane Doe"
    expected = {"role": "user", "content": "Hi", "name": "Jane_Doe", "x": 1}
    assert to_openai([fields]) == [expected]
    fields.role = "assistant"
    assert to_openai([fields]) == [{"role": "assistant", "content": "Hi", "name": "Jane_Doe"}]


def test_a_prompt_can_be_changed_without_changing_the_message() -> None:
    fields = from_openai(OPENAI[1])
    to_openai([fields])[0]["content"].clear()
    assert fields.data == OPENAI[1]


def test_custom_tools_become_tools_with_one_text_as_input() -> None:
    custom = {"name": "sql", "input": "SELECT 1"}
    call = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "custom", "custom": custom}],
    }
    messages = [
        from_openai(call),
        from_openai({"role": "tool", "tool_call_id": "c", "content": "1"}),
    ]
    assert to_openai_responses(messages) == [
        {"type": "custom_tool_call", "call_id": "c", **custom},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "1"},
    ]
    use = {"type": "tool_use", "id": "c", "name": "sql", "input": {"input": "SELECT 1"}}
    assert to_anthropic(messages)["messages"][0]["content"] == [use]


def test_a_failed_result_is_marked_in_the_text_where_there_is_no_field() -> None:
    result = {"type": "tool_result", "tool_use_id": "a", "content": "No.", "is_error": True}
    messages = [from_anthropic({"role": "user", "content": [result]})]
    said = {"role": "tool", "tool_call_id": "a", "content": "Error: No."}
    assert to_openai(messages) == [said]


def test_the_first_system_messages_of_a_prompt_for_anthropic_are_joined() -> None:
    cached = [{"type": "text", "text": "A", "cache_control": {"type": "ephemeral"}}]
    messages = [
        from_anthropic({"role": "system", "content": cached}),
        MessageFields(role="developer", content="B"),
    ]
    system = [*cached, {"type": "text", "text": "B"}]
    assert to_anthropic(messages) == {"system": system, "messages": []}
    said = MessageFields(role="user", content="Hello")
    later = MessageFields(role="developer", content="C")
    assert to_anthropic([*messages, said, later]) == {
        "system": system,
        "messages": [{"role": "user", "content": "Hello"}, {"role": "system", "content": "C"}],
    }


def test_norole_is_written_as_user() -> None:
    message = MessageFields(role="norole", name="Jane", content="Hi")
    assert to_openai([message]) == [{"role": "user", "content": "Hi", "name": "Jane"}]
    assert to_anthropic([message]) == {"messages": [{"role": "user", "content": "Hi"}]}


def test_a_text_and_the_calls_after_it_become_one_message() -> None:
    items = [{"role": "assistant", "content": "Let me see."}, RESPONSES[2], RESPONSES[3]]
    messages = [from_openai_responses(each) for each in items]
    calls = OPENAI[2]["tool_calls"]
    said = {"role": "assistant", "content": "Let me see.", "tool_calls": calls}
    assert to_openai(messages) == [said]


@pytest.mark.parametrize(
    ("read", "message", "detail"),
    [
        (
            from_openai,
            "Hello",
            "message must be a dict, or an object of the provider; got str.",
        ),
        (
            from_openai,
            {"role": "human", "content": "a"},
            "message.role must be one of system, developer, user, assistant, tool, function; "
            "got 'human'.",
        ),
        (
            from_openai,
            {"role": "user", "content": 5},
            "message.content must be a str, a list of parts or None; got int.",
        ),
        (
            from_openai_responses,
            {"role": "user"},
            "item.content must be a str or a list of parts; got NoneType.",
        ),
        (from_openai_responses, {"type": 5}, "item.type must be a str that is not empty; got 5."),
        (
            from_anthropic,
            {"role": "tool", "content": "a"},
            "message.role must be one of user, assistant, system; got 'tool'.",
        ),
        (
            from_anthropic,
            {"role": "user", "content": None},
            "message.content must be a str or a list of content blocks; got NoneType.",
        ),
    ],
)
def test_what_is_not_a_message_is_an_error(read: Any, message: Any, detail: str) -> None:
    with pytest.raises(InvalidField) as error:
        read(message)
    assert error.value.detail == detail


def test_deep_nesting_is_an_error() -> None:
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(InvalidField, match="message is nested deeper than 64 levels"):
        from_openai({"role": "user", "content": deep})


@pytest.mark.parametrize("encoded", ["A" * 1_100_000, "é" * 600_000])
def test_an_image_that_is_too_large_is_an_error_that_says_what_to_do(encoded: str) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}}
    message = {"role": "user", "content": [{"type": "text", "text": "Look"}, image]}
    with pytest.raises(InvalidField) as error:
        from_openai(message)
    assert error.value.fields == ("message.content[1].image_url.url",)
    size = f"{len(encoded.encode()) + 22:,}"
    assert error.value.detail == (
        f"message.content[1].image_url.url has {size} bytes, and a message has room for 1 MiB of "
        "data. Store large images and files elsewhere, such as in object storage, and send their "
        "URLs."
    )
