"""Write messages as a prompt in the format of a provider."""

from collections.abc import Iterable
from itertools import takewhile
from typing import Any, Literal, get_args

import msgspec

from userkeep.domain.conversions import anthropic, openai, responses
from userkeep.domain.conversions.parts import (
    Format,
    JsonObject,
    Other,
    Part,
    Placeholder,
    Text,
    ToolResult,
    Turn,
    Unsupported,
)
from userkeep.domain.conversions.reading import (
    MessageFields,
    content_of,
    role_of,
    storable_name,
)
from userkeep.domain.conversions.shapes import MODULES, format_of
from userkeep.domain.errors import InvalidField

UnsupportedMode = Literal["error", "text", "omit"]

_TITLES: dict[Format, str] = {
    "openai": "OpenAI's chat messages",
    "openai_responses": "OpenAI's Responses items",
    "anthropic": "Anthropic's messages",
}


def to_openai(
    messages: Iterable[MessageFields], unsupported: UnsupportedMode = "error"
) -> list[JsonObject]:
    """Return messages as the `messages` of OpenAI's Chat Completions API.

    Raises:
        InvalidField: a part has no counterpart, and `unsupported` is "error".
    """
    prompt: list[JsonObject] = []
    for entry in _entries(messages, "openai", unsupported):
        if isinstance(entry, Turn):
            prompt += openai.write(entry, _handler(entry.place, "openai", unsupported))
        else:
            prompt.append(entry)
    return prompt


def to_openai_responses(
    messages: Iterable[MessageFields], unsupported: UnsupportedMode = "error"
) -> list[JsonObject]:
    """Return messages as the `input` of OpenAI's Responses API.

    Raises:
        InvalidField: a part has no counterpart, and `unsupported` is "error".
    """
    items: list[JsonObject] = []
    custom_ids: set[str] = set()
    for entry in _entries(messages, "openai_responses", unsupported):
        if isinstance(entry, Turn):
            handler = _handler(entry.place, "openai_responses", unsupported)
            items += responses.write(entry, handler, custom_ids)
            continue
        if entry.get("type") == "custom_tool_call" and isinstance(entry.get("call_id"), str):
            custom_ids.add(entry["call_id"])
        items.append(entry)
    return items


def to_anthropic(
    messages: Iterable[MessageFields], unsupported: UnsupportedMode = "error"
) -> JsonObject:
    """Return messages as the `messages` of Anthropic's Messages API, and the `system`.

    `system` has the system messages at the beginning. Later ones stay at their place.

    Raises:
        InvalidField: a part has no counterpart, and `unsupported` is "error".
    """
    written: list[JsonObject] = []
    for entry in _entries(messages, "anthropic", unsupported):
        if isinstance(entry, Turn):
            written += anthropic.write(entry, _handler(entry.place, "anthropic", unsupported))
        else:
            written.append(anthropic.as_input(entry))
    leading = list(takewhile(lambda each: each["role"] == "system", written))
    prompt: JsonObject = {"messages": written[len(leading) :]}
    if not leading:
        return prompt
    return {"system": anthropic.system_blocks([each["content"] for each in leading]), **prompt}


def _entries(
    messages: Iterable[MessageFields], target: Format, unsupported: UnsupportedMode
) -> list[Turn | JsonObject]:
    """Return the messages in order: originals of this format as they are, others as turns."""
    if unsupported not in get_args(UnsupportedMode):
        modes = ", ".join(get_args(UnsupportedMode))
        raise InvalidField(f"unsupported must be one of {modes}; got {unsupported!r}.")
    entries: list[Turn | JsonObject] = []
    for index, message in enumerate(messages):
        for entry in _entry(message.place or f"messages[{index}]", message, target):
            last = entries[-1] if entries else None
            if isinstance(last, Turn) and isinstance(entry, Turn) and _belong_together(last, entry):
                last.parts.extend(entry.parts)
            else:
                entries.append(entry)
    return entries


def _belong_together(turn: Turn, following: Turn) -> bool:
    """Return whether two turns are one message: calls of a model, results of such calls.

    APIs want the calls of a turn in one message, and Anthropic's also their results.
    """
    if turn.of_kind(ToolResult) and following.of_kind(ToolResult):
        return True
    if turn.role != "assistant" or following.role != "assistant":
        return False
    has_text = any(isinstance(part, Text) for part in following.parts)
    return not has_text or turn.of_kind(Other)


def _entry(place: str, message: MessageFields, target: Format) -> list[Turn | JsonObject]:
    message = _completed(message)
    source = format_of(message.data, message.data_format, target)
    if source is None:
        return [Turn(place, message.role, message.name, _own_parts(message, target))]
    restored = restore(message, source)
    if source == target and _has_role_of_data(message, source):
        return list(restored)
    parts: list[Part] = [part for each in restored for part in MODULES[source].parts_of(each)]
    return [Turn(place, message.role, message.name, parts)]


def _has_role_of_data(message: MessageFields, source: Format) -> bool:
    if not message.is_edited or not isinstance(message.data.get("role"), str):
        return True  # the item of a call or a result has no role to change
    return message.role in {message.data["role"], role_of(message.data, source)}


def _completed(message: MessageFields) -> MessageFields:
    """Return the message; if its data has only tool calls or their id, with the rest added."""
    data = message.data
    if not isinstance(data, dict) or "role" in data or openai.CALL_KEYS.isdisjoint(data):
        return message
    fields = {"role": message.role, "content": message.content or None}
    return msgspec.structs.replace(message, data={**fields, **data})


def _own_parts(message: MessageFields, target: Format) -> list[Part]:
    """Return the parts of a message whose data is of no format."""
    if not message.content:
        return [Other("message without content")]
    is_function = message.role == "function" and target == "openai" and message.name
    if message.role in {"tool", "function"} and not is_function:
        return [Other(f"{message.role} result without the id of its call", message.content)]
    return [Text(message.content)]


def restore(message: MessageFields, source: Format) -> list[JsonObject]:
    """Return the original of a message, with the changes that were made to the message since.

    Returns:
        One message, or two, if the original has no place for the content.
    """
    original: JsonObject = _copy(message.data)
    if not message.is_edited:
        return [original]
    extra = None
    if content_of(original, source) != message.content:
        extra = MODULES[source].set_text(original, message.content)
    if source == "openai" and storable_name(original, source) != message.name:
        openai.set_name(original, message.name)
    return [original] if extra is None else [extra, original]


def _copy(value: Any) -> Any:
    # So that a change of the prompt does not change the message.
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _handler(place: str, target: Format, mode: UnsupportedMode) -> Unsupported:
    def handle(kind: str, text: str | None) -> list[Placeholder]:
        if mode == "error":
            raise InvalidField(
                f"{place} has a part that {_TITLES[target]} cannot express: {kind}. "
                'Pass unsupported="text" to write text in its place, or unsupported="omit" to '
                "leave it out.",
                place,
            )
        return [Placeholder(text or f"[{kind}]")] if mode == "text" else []

    return handle
