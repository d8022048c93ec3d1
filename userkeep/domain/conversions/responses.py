"""Items of OpenAI's Responses API: what `input` takes, and what `output` has."""

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

ROLES = ("system", "developer", "user", "assistant")

PARTS = {
    "computer_screenshot",
    "input_audio",
    "input_file",
    "input_image",
    "input_text",
    "output_text",
    "reasoning_text",
    "refusal",
    "summary_text",
}
"""The types of parts."""

ITEMS = {
    "additional_tools",
    "apply_patch_call",
    "apply_patch_call_output",
    "code_interpreter_call",
    "compaction",
    "compaction_trigger",
    "computer_call",
    "computer_call_output",
    "configuration_update",
    "custom_tool_call",
    "custom_tool_call_output",
    "file_search_call",
    "function_call",
    "function_call_output",
    "image_generation_call",
    "item_reference",
    "local_shell_call",
    "local_shell_call_output",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
    "mcp_list_tools",
    "program",
    "program_output",
    "reasoning",
    "shell_call",
    "shell_call_output",
    "tool_search_call",
    "tool_search_output",
    "web_search_call",
}
"""The types of items other than messages."""

_TEXTS = (
    ("input_text", "text"),
    ("output_text", "text"),
    ("text", "text"),
    ("refusal", "refusal"),
)
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_RESULTS = {"function_call_output", "custom_tool_call_output"}


def is_valid(item: JsonObject) -> bool:
    """Return whether a value can be read as an item, of any type."""
    if item.get("type", "message") != "message":
        return bool(text_in(item, "type"))
    return item.get("role") in ROLES and isinstance(item.get("content"), str | list)


def is_message(item: JsonObject) -> bool:
    """Return whether an item is a message."""
    return bool(item.get("type", "message") == "message")


def role_of(item: JsonObject) -> str:
    """Return the role: of calls and reasoning `assistant`, of results `tool`."""
    kind = text_in(item, "type")
    if is_message(item):
        return str(item["role"])
    if kind == "mcp_approval_response":
        return "user"
    return "tool" if kind.endswith("_output") else "assistant"


def parts_of(item: JsonObject) -> list[Part]:
    """Return the parts of an item."""
    kind, call_id = text_in(item, "type"), text_in(item, "call_id")
    if is_message(item):
        return _content_parts(item["content"])
    if kind in _CALLS and call_id:
        arguments = text_in(item, _CALLS[kind])
        return [ToolCall(call_id, text_in(item, "name"), arguments, kind == "custom_tool_call")]
    if kind in _RESULTS and call_id:
        return [ToolResult(call_id, tuple(_content_parts(item.get("output"))))]
    return [Other(kind)]


def _content_parts(content: object) -> list[Part]:
    if isinstance(content, str):
        return [Text(content)] if content else []
    return [_part(each) for each in dicts_in(content)]


def _part(part: JsonObject) -> Part:
    kind = text_in(part, "type")
    key = dict(_TEXTS).get(kind)
    if key is not None and isinstance(part.get(key), str):
        return Text(part[key])
    if kind == "input_image" and text_in(part, "image_url"):
        return Image(part["image_url"], text_in(part, "detail") or None)
    return Other(kind or "part without a type")


def set_text(item: JsonObject, text: str) -> JsonObject | None:
    """Change the text of an item: the first text part gets it, the others are removed.

    Returns:
        A message with the text, if the item has no place for it.
    """
    kind = text_in(item, "type")
    if not is_message(item) and kind not in _RESULTS:
        return {"role": _message_role(role_of(item)), "content": text} if text else None
    key = "content" if is_message(item) else "output"
    content = item.get(key)
    if not isinstance(content, list):
        item[key] = text
    elif not replace_texts(content, _TEXTS, text) and text:
        is_output = is_message(item) and item["role"] == "assistant"
        content.append({"type": "output_text" if is_output else "input_text", "text": text})
    return None


def write(turn: Turn, unsupported: Unsupported, custom_ids: set[str]) -> list[JsonObject]:
    """Return the items for a turn: results, then a message, then calls.

    Args:
        custom_ids: the ids of calls of custom tools before; those of this turn are added.
    """
    role = _message_role(turn.role)
    supports = (Text, Image) if role == "user" else (Text,)
    results = [part for part in turn.parts if isinstance(part, ToolResult)]
    calls = [part for part in turn.parts if isinstance(part, ToolCall)]
    rest = [part for part in turn.parts if not isinstance(part, ToolResult | ToolCall)]
    custom_ids.update(call.id for call in calls if call.is_custom)
    items = [_result(part, unsupported, part.id in custom_ids) for part in results]
    items += _message(role, with_texts(rest, supports, unsupported, f" of role {role}"))
    return items + [_call(part) for part in calls]


def _message_role(role: str) -> str:
    return role if role in ROLES else "user"


def _message(role: str, parts: list[Part]) -> list[JsonObject]:
    if any(isinstance(part, Image) for part in parts):
        return [{"role": role, "content": [_part_object(part) for part in parts]}]
    text = join_texts(parts, role)
    return [{"role": role, "content": text}] if text else []


def _result(result: ToolResult, unsupported: Unsupported, is_custom: bool) -> JsonObject:
    parts = with_texts(result.parts, (Text, Image), unsupported, " in a tool result")
    output: object = result_text(result._replace(parts=tuple(parts)))
    if any(isinstance(part, Image) for part in parts):
        output = [_part_object(part) for part in parts]
    kind = "custom_tool_call_output" if is_custom else "function_call_output"
    return {"type": kind, "call_id": result.id, "output": output}


def _part_object(part: Part) -> JsonObject:
    if isinstance(part, Image):
        return {"type": "input_image", "image_url": part.url, "detail": part.detail or "auto"}
    return {"type": "input_text", "text": join_texts([part], "user")}


def _call(call: ToolCall) -> JsonObject:
    kind = "custom_tool_call" if call.is_custom else "function_call"
    return {"type": kind, "call_id": call.id, "name": call.name, _CALLS[kind]: call.arguments}
