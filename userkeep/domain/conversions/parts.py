"""What the formats have in common: the parts of a message."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

JsonObject: TypeAlias = dict[str, Any]

Format = Literal["openai", "openai_responses", "anthropic"]

_DATA_URL = re.compile(r"data:([^;,]+);base64,(.*)", re.DOTALL)


def _reject(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


class Text(NamedTuple):
    """Text that was written or spoken."""

    text: str


class Placeholder(Text):
    """Text in place of a part that the format cannot express."""


class Image(NamedTuple):
    """An image, by an http(s) URL or a `data:` URL."""

    url: str
    detail: str | None = None


class ToolCall(NamedTuple):
    """A call of a tool. The arguments are JSON, those of a custom tool any text."""

    id: str
    name: str
    arguments: str
    is_custom: bool = False

    @property
    def input(self) -> JsonObject:
        """The arguments as an object; what is not one is under the name `input`."""
        if self.is_custom:
            return {"input": self.arguments}
        try:
            value = json.loads(self.arguments or "{}", parse_constant=_reject)
        except (ValueError, RecursionError):
            value = None
        return value if isinstance(value, dict) else {"input": self.arguments}


class ToolResult(NamedTuple):
    """The result of a tool call."""

    id: str
    parts: "tuple[Part, ...]"
    is_error: bool = False


class Other(NamedTuple):
    """A part that other formats cannot express.

    Attributes:
        kind: what it is, for the error.
        text: its text, if it has one.
    """

    kind: str
    text: str | None = None


Part: TypeAlias = Text | Image | ToolCall | ToolResult | Other

Unsupported = Callable[[str, str | None], list[Placeholder]]
"""Handles a part without a counterpart: raises, or returns what is written instead of it."""


class Turn(NamedTuple):
    """A message between two formats.

    Attributes:
        place: where it was, for errors: `messages[3]`.
        role: a role of a message.
        name: who speaks.
    """

    place: str
    role: str
    name: str | None
    parts: list[Part]

    def of_kind(self, *kinds: type) -> bool:
        """Return whether there are parts, and all are of these kinds."""
        return bool(self.parts) and all(isinstance(part, kinds) for part in self.parts)


def join_texts(parts: Iterable[Part], role: str) -> str:
    """Return the text of parts, with that of tool results.

    A model's consecutive text parts are one text that was cut, such as at citations, so nothing is
    put between them. All others are joined by a line break.
    """
    text = ""
    is_continued = False
    for part in parts:
        piece = _text_of(part)
        is_model_text = role == "assistant" and type(part) is Text
        if piece:
            needs_break = text and not (is_continued and is_model_text)
            text += f"\n{piece}" if needs_break else piece
        is_continued = is_model_text
    return text


def _text_of(part: Part) -> str:
    if isinstance(part, Text):
        return part.text
    if isinstance(part, Other):
        return part.text or ""
    return join_texts(part.parts, "tool") if isinstance(part, ToolResult) else ""


def result_text(result: ToolResult) -> str:
    """Return the text of a result for a format that has no field for errors."""
    text = join_texts(result.parts, "tool")
    needs_prefix = result.is_error and not text.lower().startswith("error")
    return f"Error: {text}" if needs_prefix else text


def with_texts(
    parts: Iterable[Part], supported: tuple[type, ...], unsupported: Unsupported, where: str = ""
) -> list[Part]:
    """Return the parts, with those that are not supported handled by `unsupported`."""
    kept: list[Part] = []
    for part in parts:
        if isinstance(part, supported):
            kept.append(part)
        elif isinstance(part, Other):
            kept += unsupported(part.kind, part.text)
        else:
            kept += unsupported(f"{_KINDS[type(part)]}{where}", None)
    return kept


_KINDS: dict[type, str] = {
    Text: "text",
    Image: "image",
    ToolCall: "tool call",
    ToolResult: "tool result",
}


def split_data_url(url: str) -> tuple[str, str] | None:
    """Return the media type and the base64 text of a `data:` URL, or None."""
    match = _DATA_URL.match(url)
    return None if match is None else (match[1], match[2])


def is_web_url(url: str) -> bool:
    """Return whether a URL is an http(s) URL."""
    return url.lower().startswith(("http://", "https://"))


def dicts_in(value: Any) -> Iterator[JsonObject]:
    """Return the objects of an array; of anything else, none."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def text_in(value: Mapping[str, Any], key: str) -> str:
    """Return the text of a key; of anything else, an empty one."""
    found = value.get(key)
    return found if isinstance(found, str) else ""


def types_in(value: Any) -> set[str]:
    """Return the types of the parts of a content."""
    return {text_in(part, "type") for part in dicts_in(value)}


def replace_texts(parts: list[Any], places: Sequence[tuple[str, str]], text: str) -> bool:
    """Put a text into the first text part of a list, and remove the others.

    Args:
        parts: changed in place.
        places: the types of text parts, each with the key of its text.

    Returns:
        Whether there was a text part.
    """
    keys = dict(places)
    found = [part for part in dicts_in(parts) if text_in(part, "type") in keys]
    if found and text:
        found[0][keys[found[0]["type"]]] = text
    removed = {id(part) for part in (found[1:] if text else found)}
    parts[:] = [each for each in parts if id(each) not in removed]
    return bool(found)
