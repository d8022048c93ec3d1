"""Which format `data` has: by the mark in the metadata, else by its shape."""

from typing import Any

from userkeep.domain.conversions import anthropic, openai, responses
from userkeep.domain.conversions.parts import Format, JsonObject, text_in, types_in

MARK = "data_format"
"""The key of metadata that names the format where the shape of `data` does not show it."""

MODULES: dict[Format, Any] = {
    "openai": openai,
    "openai_responses": responses,
    "anthropic": anthropic,
}

_OWN_PARTS: dict[Format, set[str]] = {
    "openai": openai.PARTS - responses.PARTS - anthropic.PARTS,
    "openai_responses": responses.PARTS - openai.PARTS - anthropic.PARTS,
    "anthropic": anthropic.PARTS - openai.PARTS - responses.PARTS,
}


def recognize(data: Any) -> Format | None:
    """Return the format of which a value has something that no other format has, or None."""
    if not isinstance(data, dict):
        return None
    if data.get("type", "message") != "message":
        return "openai_responses" if text_in(data, "type") in responses.ITEMS else None
    if anthropic.is_response(data):
        return "anthropic" if anthropic.is_valid(data) else None
    types = types_in(data.get("content"))
    found: set[Format] = {
        name
        for name, module in MODULES.items()
        if module.is_valid(data) and not types.isdisjoint(_OWN_PARTS[name])
    }
    if data.get("type") == "message" and responses.is_valid(data):
        found.add("openai_responses")
    if openai.is_valid(data) and _has_openai_fields(data):
        found.add("openai")
    return found.pop() if len(found) == 1 else None


def _has_openai_fields(data: JsonObject) -> bool:
    return data["role"] in {"tool", "function"} or not openai.KEYS.isdisjoint(data)


def format_of(data: Any, mark: Any, target: Format) -> Format | None:
    """Return the format as which `data` is read for a prompt, or None: it is the app's own.

    Args:
        data: the data of a message.
        mark: what its metadata has under `data_format`.
        target: the format of the prompt. A message that fits several formats, and has no mark, is
            read as one of this format.
    """
    if not isinstance(data, dict):
        return None
    if isinstance(mark, str) and mark in MODULES and MODULES[mark].is_valid(data):
        return mark
    return recognize(data) or _fallback(data, target)


def _fallback(data: JsonObject, target: Format) -> Format | None:
    content = data.get("content")
    if "type" in data or not isinstance(content, str | list) or not openai.is_valid(data):
        return None
    is_taken = data["role"] in MODULES[target].ROLES
    # The Responses API calls a text part input_text or output_text.
    has_chat_text = target == "openai_responses" and "text" in types_in(content)
    return target if is_taken and not has_chat_text else "openai"


def name_of(data: JsonObject, source: Format) -> str | None:
    """Return the name of who speaks, which only OpenAI's chat messages have."""
    return text_in(data, "name") or None if source == "openai" else None
