"""Strategies of every legal message of each format, with fields and parts that we do not know."""

from typing import Any

from hypothesis import strategies as st

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ids = st.text("abcXYZ019_-", min_size=1, max_size=8)
names = st.one_of(ids, st.sampled_from(["Jane Doe", "京", "", "x" * 65, "x" * 600, "nul\0"]))

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), texts
)
finite = scalars.filter(lambda value: value not in (float("inf"), float("-inf")))
json_values: st.SearchStrategy[Any] = st.recursive(
    finite,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
objects = st.dictionaries(texts, json_values, max_size=2)


def with_unknown(
    strategy: st.SearchStrategy[dict[str, Any]], *known: str
) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects that may have fields beside."""
    keys = st.one_of(st.text(max_size=4).map("x_{}".format), st.sampled_from(["id", *known]))
    unknown = st.dictionaries(keys, json_values, max_size=2)
    return st.builds(lambda more, value: {**more, **value}, unknown, strategy)


def fixed(
    optional: dict[str, st.SearchStrategy[Any]] | None = None, /, **fields: Any
) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects with these fields; what is not a strategy is a constant."""
    needed = {
        name: value if isinstance(value, st.SearchStrategy) else st.just(value)
        for name, value in fields.items()
    }
    return st.fixed_dictionaries(needed, optional=optional or {})


def parts(*kinds: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Return lists of parts, of these kinds and of an unknown one."""
    unknown = fixed({"text": texts}, type=st.just("x_part"), value=json_values)
    return st.lists(with_unknown(st.one_of(*kinds, unknown), "cache_control"), max_size=3)


# Names that other formats have; the first one says what a Responses item is.
OF_OTHERS = ("type", "status", "model", "tool_calls", "refusal", "name", "call_id", "output")

# OpenAI's chat messages

text_part = fixed(type="text", text=texts)
image_url = fixed({"detail": st.sampled_from(["low", "high", "auto"])}, url=texts)
openai_parts = parts(
    text_part,
    fixed(type="image_url", image_url=image_url),
    fixed(type="input_audio", input_audio=fixed(data=texts, format="wav")),
    fixed(type="file", file=objects),
)
openai_content = st.one_of(texts, openai_parts)
function_calls = fixed(
    id=ids,
    type="function",
    function=fixed(name=ids, arguments=st.sampled_from(["", "{}", "[", "{}x"])),
)
custom_calls = fixed(id=ids, type="custom", custom=fixed(name=ids, input=texts))
assistant_fields = {
    "content": st.one_of(st.none(), texts, parts(text_part, fixed(type="refusal", refusal=texts))),
    "name": names,
    "refusal": st.one_of(st.none(), texts),
    "tool_calls": st.lists(st.one_of(function_calls, custom_calls), min_size=1, max_size=2),
    "function_call": st.one_of(st.none(), fixed(name=ids, arguments="{}")),
    "audio": st.one_of(st.none(), fixed({"transcript": texts}, id=ids)),
    "annotations": st.lists(objects, max_size=1),
}
openai_messages = st.one_of(
    with_unknown(
        fixed(
            {"name": names},
            role=st.sampled_from(["system", "developer", "user"]),
            content=openai_content,
        ),
        *OF_OTHERS,
    ),
    with_unknown(fixed(assistant_fields, role="assistant"), *OF_OTHERS),
    with_unknown(fixed(role="tool", tool_call_id=ids, content=st.one_of(texts, parts(text_part)))),
    fixed(role="function", name=ids, content=st.one_of(st.none(), texts)),
    fixed({"name": ids}, role=st.sampled_from(["user", "assistant"]), content=texts),
)

# OpenAI's Responses items

input_parts = parts(
    fixed(type="input_text", text=texts),
    fixed(type="input_image", image_url=texts, detail="auto"),
    fixed(type="input_file", file_id=ids),
)
output_parts = parts(
    fixed(type="output_text", text=texts, annotations=st.lists(objects, max_size=1)),
    fixed(type="refusal", refusal=texts),
)
response_items = st.one_of(
    with_unknown(
        fixed(
            {"type": st.just("message")},
            role=st.sampled_from(["system", "developer", "user", "assistant"]),
            content=st.one_of(texts, input_parts),
        ),
        *OF_OTHERS[1:],
    ),
    with_unknown(fixed(type="message", role="assistant", content=output_parts, id=ids), "status"),
    with_unknown(fixed(type="function_call", call_id=ids, name=ids, arguments=texts), "status"),
    with_unknown(fixed(type="custom_tool_call", call_id=ids, name=ids, input=texts)),
    with_unknown(
        fixed(
            type=st.sampled_from(["function_call_output", "custom_tool_call_output"]),
            call_id=ids,
            output=st.one_of(texts, input_parts),
        )
    ),
    with_unknown(
        fixed(type="reasoning", id=ids, summary=st.lists(objects, max_size=1)), "encrypted_content"
    ),
    with_unknown(fixed(type=st.sampled_from(["web_search_call", "item_reference", "x_item"]))),
)

# Anthropic's messages

images = fixed(
    type="image",
    source=st.one_of(
        fixed(type="base64", media_type="image/png", data=texts),
        fixed(type="url", url=texts),
        fixed(type="file", file_id=ids),
    ),
)
results = fixed(
    {
        "content": st.one_of(texts, parts(text_part, images)),
        "is_error": st.booleans(),
    },
    type="tool_result",
    tool_use_id=ids,
)
user_blocks = parts(text_part, images, results, fixed(type="document", source=objects))
assistant_blocks = parts(
    text_part,
    fixed(type="tool_use", id=ids, name=ids, input=objects),
    fixed(type="thinking", thinking=texts, signature=texts),
    fixed(type="redacted_thinking", data=texts),
    fixed(type="server_tool_use", id=ids, name=ids, input=objects),
)
anthropic_messages = st.one_of(
    with_unknown(fixed(role="user", content=st.one_of(texts, user_blocks)), "tool_calls", "name"),
    with_unknown(
        fixed(role="assistant", content=st.one_of(texts, assistant_blocks)), "refusal", "name"
    ),
    fixed(role="user", content=st.lists(results, min_size=1, max_size=3)),
    fixed(role="user", content=texts),
    fixed(role="system", content=st.one_of(texts, parts(text_part))),
)

# JSON that has the names of the formats, but seldom their shapes

keys = st.sampled_from(
    [
        "call_id",
        "content",
        "function",
        "function_call",
        "id",
        "image_url",
        "input",
        "output",
        "role",
        "source",
        "text",
        "tool_call_id",
        "tool_calls",
        "tool_use_id",
        "type",
        "url",
        "usage",
    ]
)
words = st.sampled_from(
    [
        "a",
        "assistant",
        "function_call",
        "function_call_output",
        "image",
        "image_url",
        "message",
        "system",
        "text",
        "tool",
        "tool_result",
        "tool_use",
        "user",
    ]
)
shapes = st.recursive(
    words | json_values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
