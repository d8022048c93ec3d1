"""Read a provider's message into the fields of a message to append."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from userkeep.domain.conversions import anthropic, openai, responses
from userkeep.domain.conversions.parts import Format, JsonObject, join_texts
from userkeep.domain.conversions.shapes import name_of, recognize
from userkeep.domain.errors import InvalidField
from userkeep.domain.values.metadata import MAX_DEPTH
from userkeep.domain.values.text import (
    MAX_CONTENT_BYTES,
    MAX_NAME_LENGTH,
    STORE_ELSEWHERE,
    utf8_bytes,
)

_ROLES_WITH_IDS = {"tool", "function"}
_NOT_STORABLE = "\0"
_SHOWN = 100


class MessageFields(msgspec.Struct, kw_only=True):
    """The fields of a message that its formats are about.

    Attributes:
        role, name, content: as in a message.
        data: the original message; None if role, name and content say everything.
        data_format: the format of `data` where its shape does not show it.
        place: where the message is, for errors.
        is_edited: whether the message was changed since it was appended. Only then can role, name
            and content be newer than `data`.
    """

    role: str
    name: str | None = None
    content: str
    data: Any = None
    data_format: Any = None
    place: str = ""
    is_edited: bool = True


def from_openai(message: Any) -> MessageFields:
    """Return the fields of a chat message of OpenAI.

    Raises:
        InvalidField: it is not one, or is larger than 1 MiB.
    """
    original = _object(message, "message")
    _check_role(original, openai.ROLES, "message")
    if not openai.is_valid(original):
        raise _invalid_content(original, "a str, a list of parts or None")
    return _fields(original, "openai", _is_simple(original, {"role", "content", "name"}))


def from_openai_responses(item: Any) -> MessageFields:
    """Return the fields of an item of OpenAI's Responses API.

    Raises:
        InvalidField: it is not one, or is larger than 1 MiB.
    """
    original = _object(item, "item")
    if not responses.is_message(original):
        if not responses.is_valid(original):
            kind = _shown(original["type"])
            raise InvalidField(f"item.type must be a str that is not empty; got {kind}.", "item")
    else:
        _check_role(original, responses.ROLES, "item")
        if not responses.is_valid(original):
            raise _invalid_content(original, "a str or a list of parts", "item")
    return _fields(original, "openai_responses", _is_simple(original, {"role", "content"}))


def from_anthropic(message: Any) -> MessageFields:
    """Return the fields of a message, or of a response, of Anthropic.

    Raises:
        InvalidField: it is not one, or is larger than 1 MiB.
    """
    original = _object(message, "message")
    _check_role(original, anthropic.ROLES, "message")
    if not anthropic.is_valid(original):
        raise _invalid_content(original, "a str or a list of content blocks")
    return _fields(original, "anthropic", _is_simple(original, {"role", "content"}))


_ROLE_AND_PARTS: dict[Format, tuple[Callable[..., str], Callable[..., Any]]] = {
    "openai": (openai.role_of, openai.parts_of),
    "openai_responses": (responses.role_of, responses.parts_of),
    "anthropic": (anthropic.role_of, anthropic.parts_of),
}


def role_of(data: JsonObject, source: Format) -> str:
    """Return the role of a message."""
    return _ROLE_AND_PARTS[source][0](data)


def content_of(data: JsonObject, source: Format) -> str:
    """Return the text of a message as it is stored, without NUL characters."""
    text = join_texts(_ROLE_AND_PARTS[source][1](data), role_of(data, source))
    return text.replace(_NOT_STORABLE, "\ufffd")


def storable_name(data: JsonObject, source: Format) -> str | None:
    """Return the name of who speaks, if it can be stored."""
    name = name_of(data, source)
    is_storable = name is None or (len(name) <= MAX_NAME_LENGTH and _NOT_STORABLE not in name)
    return name if is_storable else None


def _fields(original: JsonObject, source: Format, is_simple: bool) -> MessageFields:
    if not is_simple:
        _check_size(original)
    return MessageFields(
        role=role_of(original, source),
        name=storable_name(original, source),
        content=content_of(original, source),
        data=None if is_simple else original,
        data_format=None if is_simple or recognize(original) == source else source,
    )


def _is_simple(message: JsonObject, keys: set[str]) -> bool:
    """Return whether role, name and content say everything."""
    content = message.get("content")
    has_text = isinstance(content, str) and bool(content) and _NOT_STORABLE not in content
    if not has_text or not keys.issuperset(message) or message["role"] in _ROLES_WITH_IDS:
        return False
    name = message.get("name", "-")
    return isinstance(name, str) and openai.NAME.fullmatch(name) is not None


def _object(value: Any, field: str) -> JsonObject:
    plain = _plain(value, field, 1)
    if isinstance(plain, dict):
        return plain
    kind = type(value).__name__
    raise InvalidField(f"{field} must be a dict, or an object of the provider; got {kind}.", field)


def _plain(value: Any, field: str, depth: int) -> Any:
    """Return a copy of JSON, with the objects of the providers' packages in it as dicts."""
    if not isinstance(value, Mapping | list | tuple):
        dump = getattr(value, "model_dump", None)
        if dump is None or isinstance(value, type):
            return value
        value = dump(mode="json", exclude_unset=True)
    if depth > MAX_DEPTH:
        raise InvalidField(f"{field} is nested deeper than {MAX_DEPTH} levels.", field)
    if isinstance(value, Mapping):
        return {key: _plain(item, field, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, field, depth + 1) for item in value]
    return value


def _check_role(message: JsonObject, roles: tuple[str, ...], field: str) -> None:
    role = message.get("role")
    if role not in roles:
        names = ", ".join(roles)
        detail = f"{field}.role must be one of {names}; got {_shown(role)}."
        raise InvalidField(detail, f"{field}.role")


def _invalid_content(message: JsonObject, expected: str, field: str = "message") -> InvalidField:
    kind = type(message.get("content")).__name__
    detail = f"{field}.content must be {expected}; got {kind}."
    return InvalidField(detail, f"{field}.content")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _check_size(original: JsonObject) -> None:
    size = _json_bytes(original)
    if size <= MAX_CONTENT_BYTES:
        return
    texts = [("message", ""), *_texts_in(original, "message")]
    path, longest = max(texts, key=lambda found: len(found[1]))
    raise InvalidField(
        f"{path} has {utf8_bytes(longest):,} bytes, and a message has room for 1 MiB of data. "
        f"{STORE_ELSEWHERE}",
        path,
    )


def _json_bytes(value: Any) -> int:
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError):
        return 0  # it is rejected, with a better reason, when it is sent
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def _texts_in(value: Any, path: str) -> list[tuple[str, str]]:
    """Return every text in a value, with its path."""
    if isinstance(value, str):
        return [(path, value)]
    children: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        children = ((f"{path}.{str(key)[:_SHOWN]}", item) for key, item in value.items())
    elif isinstance(value, list):
        children = ((f"{path}[{index}]", item) for index, item in enumerate(value))
    return [found for place, child in children for found in _texts_in(child, place)]
