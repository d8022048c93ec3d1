"""Messages of Anthropic's Messages API."""

import json
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
    is_web_url,
    join_texts,
    replace_texts,
    split_data_url,
    text_in,
    types_in,
    with_texts,
)

ROLES = ("user", "assistant", "system")

PARTS = {
    "advisor_tool_result",
    "bash_code_execution_tool_result",
    "code_execution_tool_result",
    "compaction",
    "container_upload",
    "document",
    "fallback",
    "image",
    "mcp_tool_listing",
    "mcp_tool_result",
    "mcp_tool_use",
    "redacted_thinking",
    "search_result",
    "server_tool_use",
    "text",
    "text_editor_code_execution_tool_result",
    "thinking",
    "tool_addition",
    "tool_reference",
    "tool_removal",
    "tool_result",
    "tool_search_tool_result",
    "tool_use",
    "web_fetch_tool_result",
    "web_search_tool_result",
}
"""The types of content blocks."""

_TEXTS = (("text", "text"),)
_RESPONSE_KEYS = {"stop_reason", "stop_sequence", "usage", "model"}


def is_response(value: JsonObject) -> bool:
    """Return whether a value is a response of the API, which has more than a message takes."""
    return value.get("type") == "message" and not _RESPONSE_KEYS.isdisjoint(value)


def as_input(message: JsonObject) -> JsonObject:
    """Return a message as the API takes it: of a response, the role and the content."""
    if not is_response(message):
        return message
    return {"role": message["role"], "content": message["content"]}


def is_valid(message: JsonObject) -> bool:
    """Return whether a value can be read as a message."""
    return message.get("role") in ROLES and isinstance(message.get("content"), str | list)


def role_of(message: JsonObject) -> str:
    """Return the role. A message of tool results alone has the role `tool`."""
    content = message["content"]
    is_result = isinstance(content, list) and bool(content) and types_in(content) == {"tool_result"}
    is_tool = message["role"] == "user" and is_result
    return "tool" if is_tool else str(message["role"])


def parts_of(message: JsonObject) -> list[Part]:
    """Return the parts of a message."""
    return _content_parts(message["content"])


def _content_parts(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [Text(content)] if content else []
    return [_part(each) for each in dicts_in(content)]


def _part(part: JsonObject) -> Part:
    kind = text_in(part, "type")
    if kind == "text" and isinstance(part.get("text"), str):
        return Text(part["text"])
    if kind == "tool_use" and text_in(part, "id"):
        arguments = json.dumps(part.get("input", {}), ensure_ascii=False)
        return ToolCall(part["id"], text_in(part, "name"), arguments)
    if kind == "tool_result" and text_in(part, "tool_use_id"):
        inner = tuple(_content_parts(part.get("content")))
        return ToolResult(part["tool_use_id"], inner, part.get("is_error") is True)
    url = _image_url(part.get("source")) if kind == "image" else None
    return Image(url) if url else Other(kind or "part without a type")


def _image_url(source: Any) -> str | None:
    if not isinstance(source, dict):
        return None
    if source.get("type") == "base64" and text_in(source, "data"):
        return f"data:{text_in(source, 'media_type')};base64,{source['data']}"
    return text_in(source, "url") or None


def set_text(message: JsonObject, text: str) -> None:
    """Change the text of a message: the first text gets it, the others are removed."""
    content = message["content"]
    if not isinstance(content, list):
        message["content"] = text
        return
    had_text = replace_texts(content, _TEXTS, text)
    for result in dicts_in(content):
        if result.get("type") == "tool_result":
            _set_result_text(result, "" if had_text else text)
            had_text = True
    if text and not had_text:
        content.insert(_text_index(content, message["role"]), {"type": "text", "text": text})


def _set_result_text(result: JsonObject, text: str) -> None:
    content = result.get("content")
    if not isinstance(content, list):
        result["content"] = text
    elif not replace_texts(content, _TEXTS, text) and text:
        content.append({"type": "text", "text": text})


def _text_index(content: list[Any], role: str) -> int:
    # Of a model, thinking comes first and tool calls last.
    if role != "assistant":
        return len(content)
    kinds = [text_in(part, "type") if isinstance(part, dict) else "" for part in content]
    return kinds.index("tool_use") if "tool_use" in kinds else len(content)


def write(turn: Turn, unsupported: Unsupported) -> list[JsonObject]:
    """Return the message for a turn, or none if nothing is left of it."""
    role = turn.role if turn.role in {"assistant", "system"} else "user"
    role = "system" if turn.role == "developer" else role
    if role == "assistant":
        parts = with_texts(turn.parts, (Text, ToolCall), unsupported, " of role assistant")
        # The API takes no text after a tool call.
        parts.sort(key=lambda part: isinstance(part, ToolCall))
    elif role == "user":
        parts = with_texts(turn.parts, (Text, Image, ToolResult), unsupported, " of role user")
        # The API takes tool results first.
        parts.sort(key=lambda part: not isinstance(part, ToolResult))
    else:
        parts = with_texts(turn.parts, (Text,), unsupported, " of role system")
    content = _content(parts, role, unsupported)
    return [{"role": role, "content": content}] if content else []


def _content(parts: list[Part], role: str, unsupported: Unsupported) -> Any:
    if all(isinstance(part, Text) for part in parts):
        return join_texts(parts, role)
    blocks = [_block(part, unsupported) for part in parts]
    return [block for block in blocks if block is not None]


def _block(part: Part, unsupported: Unsupported) -> JsonObject | None:
    if isinstance(part, ToolCall):
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.input}
    if isinstance(part, ToolResult):
        inner = with_texts(part.parts, (Text, Image), unsupported, " in a tool result")
        failed = {"is_error": True} if part.is_error else {}
        content = _content(inner, "tool", unsupported)
        return {"type": "tool_result", "tool_use_id": part.id, "content": content, **failed}
    if isinstance(part, Image):
        return _image(part, unsupported)
    text = join_texts([part], "user")
    return {"type": "text", "text": text} if text else None


def _image(image: Image, unsupported: Unsupported) -> JsonObject | None:
    encoded = split_data_url(image.url)
    if encoded is not None:
        media_type, data = encoded
        source = {"type": "base64", "media_type": media_type, "data": data}
        return {"type": "image", "source": source}
    if is_web_url(image.url):
        return {"type": "image", "source": {"type": "url", "url": image.url}}
    written = unsupported("image with a URL that is neither http(s) nor base64", None)
    return {"type": "text", "text": written[0].text} if written else None


def system_blocks(contents: list[Any]) -> str | list[Any]:
    """Return the contents of system messages as the `system` of a request."""
    if all(isinstance(content, str) for content in contents):
        return "\n\n".join(contents)
    blocks: list[Any] = []
    for content in contents:
        blocks += [{"type": "text", "text": content}] if isinstance(content, str) else content
    return blocks
