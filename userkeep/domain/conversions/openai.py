"""Messages of OpenAI's Chat Completions API."""

import re
from typing import Any

from userkeep.domain.conversions.parts import (
    Image,
    JsonObject,
    Other,
    Part,
    Text,
    ToolCall,
    ToolResult,
    Turn,
    Unsupported,
    dicts_in,
    join_texts,
    replace_texts,
    result_text,
    text_in,
    with_texts,
)

ROLES = ("system", "developer", "user", "assistant", "tool", "function")

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""The names that the API accepts."""

KEYS = {"tool_calls", "tool_call_id", "function_call", "refusal", "annotations", "audio"}
"""Keys of messages that other formats do not have."""

CALL_KEYS = {"tool_calls", "tool_call_id"}
"""Keys of tool calls, and of their results."""

PARTS = {"text", "image_url", "input_audio", "file", "refusal"}
"""The types of parts."""

_TEXTS = (("text", "text"), ("refusal", "refusal"))
_NOT_FOR_NAMES = re.compile(r"[^a-zA-Z0-9_-]+")


def is_valid(message: JsonObject) -> bool:
    """Return whether a value can be read as a message."""
    content = message.get("content")
    is_content = content is None or isinstance(content, str | list)
    return message.get("role") in ROLES and is_content


def role_of(message: JsonObject) -> str:
    """Return the role."""
    return str(message["role"])


def parts_of(message: JsonObject) -> list[Part]:
    """Return the parts of a message."""
    content = _content_parts(message)
    if message["role"] == "tool" and text_in(message, "tool_call_id"):
        return [ToolResult(message["tool_call_id"], tuple(content))]
    if message["role"] in {"tool", "function"}:
        kind = f"{message['role']} result without the id of its call"
        return [Other(kind, join_texts(content, "tool"))]
    return content + _calls(message)


def _content_parts(message: JsonObject) -> list[Part]:
    content = message.get("content")
    parts: list[Part] = [Text(content)] if isinstance(content, str) and content else []
    parts += [_part(each) for each in dicts_in(content)]
    if text_in(message, "refusal"):
        parts.append(Text(message["refusal"]))
    audio = message.get("audio")
    if isinstance(audio, dict):
        transcript = text_in(audio, "transcript")
        parts.append(Text(transcript) if transcript else Other("audio"))
    return parts


def _part(part: JsonObject) -> Part:
    kind = text_in(part, "type")
    if kind in dict(_TEXTS) and isinstance(part.get(kind), str):
        return Text(part[kind])
    image = part.get("image_url")
    if kind == "image_url" and isinstance(image, dict) and text_in(image, "url"):
        return Image(image["url"], text_in(image, "detail") or None)
    return Other(kind or "part without a type")


def _calls(message: JsonObject) -> list[Part]:
    calls: list[Part] = [_call(each) for each in dicts_in(message.get("tool_calls"))]
    if isinstance(message.get("function_call"), dict):
        calls.append(Other("function_call"))
    return calls


def _call(call: JsonObject) -> Part:
    function, custom = call.get("function"), call.get("custom")
    if text_in(call, "id") and isinstance(function, dict):
        return ToolCall(call["id"], text_in(function, "name"), text_in(function, "arguments"))
    if text_in(call, "id") and isinstance(custom, dict):
        return ToolCall(call["id"], text_in(custom, "name"), text_in(custom, "input"), True)
    return Other(f"tool call of type {text_in(call, 'type') or 'unknown'}")


def set_text(message: JsonObject, text: str) -> None:
    """Change the text of a message: the first text part gets it, the others are removed."""
    content, audio = message.get("content"), message.get("audio")
    if text_in(message, "refusal"):
        message["refusal"] = None
    if isinstance(audio, dict) and text_in(audio, "transcript"):
        del message["audio"]
    if not isinstance(content, list) or not content:
        is_call = message.get("tool_calls") or message.get("function_call")
        message["content"] = None if not text and is_call else text
    elif not replace_texts(content, _TEXTS, text) and text:
        content.append({"type": "text", "text": text})


def set_name(message: JsonObject, name: str | None) -> None:
    """Change the name of a message."""
    message.pop("name", None)
    if name and (clean := clean_name(name)):
        message["name"] = clean


def clean_name(name: str) -> str:
    """Return a name as the API accepts it: other characters become `_`."""
    return _NOT_FOR_NAMES.sub("_", name)[:64].strip("_") if not NAME.fullmatch(name) else name


def write(turn: Turn, unsupported: Unsupported) -> list[JsonObject]:
    """Return the messages for a turn: one for each tool result, and one for the rest."""
    messages = [_result(part, unsupported) for part in turn.parts if isinstance(part, ToolResult)]
    rest: list[Part] = [part for part in turn.parts if not isinstance(part, ToolResult)]
    role = "user" if turn.role in {"norole", "tool", "function"} else turn.role
    if turn.role == "function" and turn.name and turn.of_kind(Text):
        role = "function"
    message: JsonObject = {"role": role}
    set_name(message, turn.name)
    if role == "assistant":
        message |= _assistant(rest, unsupported)
    elif role == "user":
        message["content"] = _user(with_texts(rest, (Text, Image), unsupported))
    else:
        message["content"] = join_texts(
            with_texts(rest, (Text,), unsupported, f" of role {role}"), role
        )
    if message["content"] or message.get("tool_calls"):
        messages.append(message)
    return messages


def _result(result: ToolResult, unsupported: Unsupported) -> JsonObject:
    parts = with_texts(result.parts, (Text,), unsupported, " in a tool result")
    text = result_text(result._replace(parts=tuple(parts)))
    return {"role": "tool", "tool_call_id": result.id, "content": text}


def _assistant(parts: list[Part], unsupported: Unsupported) -> JsonObject:
    parts = with_texts(parts, (Text, ToolCall), unsupported, " of role assistant")
    fields: JsonObject = {"content": join_texts(parts, "assistant") or None}
    calls = [_call_object(part) for part in parts if isinstance(part, ToolCall)]
    return fields | ({"tool_calls": calls} if calls else {})


def _call_object(call: ToolCall) -> JsonObject:
    if call.is_custom:
        custom = {"name": call.name, "input": call.arguments}
        return {"id": call.id, "type": "custom", "custom": custom}
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _user(parts: list[Part]) -> Any:
    if not any(isinstance(part, Image) for part in parts):
        return join_texts(parts, "user")
    return [_user_part(part) for part in parts]


def _user_part(part: Part) -> JsonObject:
    if isinstance(part, Image):
        detail = {"detail": part.detail} if part.detail else {}
        return {"type": "image_url", "image_url": {"url": part.url, **detail}}
    return {"type": "text", "text": join_texts([part], "user")}
