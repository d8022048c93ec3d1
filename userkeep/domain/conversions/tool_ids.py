"""Which tool calls a stored message makes, and which it has the results of.

A window of messages uses this to keep results with their calls. It reads the formats of `reading`,
and never raises: of other JSON there are no calls. It runs on the event loop, and data may have a
MiB, so only what can name a call is decoded.
"""

import json
from typing import Any

import msgspec

from userkeep.domain.conversions.parts import JsonObject, dicts_in, text_in


class _Parts(msgspec.Struct):
    """The values of a message, or of a block of its content, that can name tool calls."""

    type: Any = None
    role: Any = None
    id: Any = None
    call_id: Any = None
    tool_call_id: Any = None
    tool_use_id: Any = None
    approval_request_id: Any = None
    name: Any = None
    tool_calls: Any = None
    function_call: Any = None
    content: msgspec.Raw = msgspec.Raw(b"null")


_decode_parts = msgspec.json.Decoder(_Parts).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def tool_call_ids(role: str, data: str | None) -> tuple[str, ...]:
    """Return the ids of the tool calls that a message makes, in order.

    Args:
        role: the role of the message.
        data: its data, as JSON text.
    """
    message = _object(data) if role in {"assistant", "norole"} else None
    if message is None:
        return ()
    kind = text_in(message, "type")
    if kind == "mcp_approval_request":
        return _ids(message, "id")
    if kind.endswith("_call") or kind == "program":
        return _ids(message, "call_id")
    return (
        *(found for call in dicts_in(message.get("tool_calls")) for found in _ids(call, "id")),
        *_function_name(message.get("function_call")),
        *_ids_of_blocks(message, "tool_use", "id"),
    )


def tool_result_ids(role: str, data: str | None) -> tuple[str, ...]:
    """Return the ids of the tool calls of which a message has the results, in order.

    Args:
        role: the role of the message.
        data: its data, as JSON text.
    """
    message = None if role == "assistant" else _object(data)
    if message is None:
        return ()
    kind = text_in(message, "type")
    if kind == "mcp_approval_response":
        return _ids(message, "approval_request_id")
    if kind.endswith("_output"):
        return _ids(message, "call_id") or _ids(message, "id")
    if message.get("role") == "function":
        return _ids(message, "name")
    return _ids(message, "tool_call_id") + _ids_of_blocks(message, "tool_result", "tool_use_id")


def _object(data: str | None) -> JsonObject | None:
    if data is None or not data.lstrip().startswith("{"):
        return None
    value = _decoded(data)
    return value if isinstance(value, dict) else None


def _decoded(data: str) -> Any:
    try:
        parts = _decode_parts(data)
        return msgspec.structs.asdict(parts) | {"content": _blocks(parts.content)}
    except (msgspec.DecodeError, ValueError, RecursionError):
        pass
    try:
        # Python decodes any number, if it does not have to compute it.
        return json.loads(data, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None


def _blocks(content: msgspec.Raw) -> list[JsonObject]:
    """Return the blocks of a message's content, if it is a list."""
    if not bytes(content).startswith(b"["):
        return []
    blocks = (each for each in _decode_list(content) if bytes(each).startswith(b"{"))
    return [msgspec.structs.asdict(_decode_parts(each)) for each in blocks]


def _ids(value: JsonObject, key: str) -> tuple[str, ...]:
    found = text_in(value, key)
    return (found,) if found else ()


def _function_name(call: Any) -> tuple[str, ...]:
    # Calls of functions, which tool calls have replaced, have no id: the name is in the result too.
    return _ids(call, "name") if isinstance(call, dict) else ()


def _ids_of_blocks(message: JsonObject, kind: str, key: str) -> tuple[str, ...]:
    blocks = [part for part in dicts_in(message.get("content")) if part.get("type") == kind]
    return tuple(found for part in blocks for found in _ids(part, key))
