"""Find what is wrong in a JSON text before it is parsed: too many values, too deep nesting, half
surrogate pairs.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

MAX_VALUES = 200_000
"""How many values a request may have: texts, numbers, arrays, objects …"""

TOO_MANY_VALUES = (
    f"The body has more than {MAX_VALUES:,} JSON values. Split it into several requests."
)

_TOKEN = re.compile(rb'("(?:[^"\\]|\\.)*")(\s*:)?|[\[\]{},]')
_NAMED_PARTS = 3
_CHUNK_BYTES = 64 * 1024
_STRING = re.compile(rb'"[^"]*"')
_NOT_STRUCTURAL = bytes(set(range(256)) - set(b'",[{'))


def has_more_values(text: bytes, limit: int) -> bool:
    """Return whether a JSON text has more than `limit` values, without parsing it.

    It counts the commas, and the arrays and objects that begin, outside strings. It works in chunks
    and stops at the limit, so that other threads can run between.
    """
    if len(text) <= limit or sum(map(text.count, (b",", b"[", b"{"))) <= limit:
        return False
    # Without escaped backslashes and quotes, each quote that is left begins or ends a string.
    structure = text.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NOT_STRUCTURAL)
    count, is_in_string = 0, False
    for start in range(0, len(structure), _CHUNK_BYTES):
        chunk = structure[start : start + _CHUNK_BYTES]
        if is_in_string:
            chunk = b'"' + chunk
        is_in_string = chunk.count(b'"') % 2 == 1
        if is_in_string:
            chunk += b'"'
        outside = _STRING.sub(b"", chunk)
        count += len(outside)
        if count > limit:
            return True
    return False


def find_too_deep(text: bytes, limit: int) -> str | None:
    """Return where arrays and objects are nested deeper than `limit` levels, or None.

    The result is the start of a path, such as `messages[3].metadata`.
    """
    if text.count(b"[") + text.count(b"{") <= limit:
        return None
    path: list[str | int] = []  # for each open object the key, for each open array the index
    for token in _TOKEN.finditer(text):
        if token[0] in {b"[", b"{"}:
            if len(path) == limit:
                return _path_text(path[:_NAMED_PARTS])
            path.append(0 if token[0] == b"[" else "")
        elif token[0] in {b"]", b"}"}:
            del path[-1:]
        elif path:
            _step(path, token)
    return None


def _step(path: list[str | int], token: re.Match[bytes]) -> None:
    """Move the path to the next item of an array, or the next key of an object."""
    last = path[-1]
    if token[0] == b"," and isinstance(last, int):
        path[-1] = last + 1
    elif token[2]:
        path[-1] = token[1][1:-1].decode("utf-8", "replace")


def _path_text(path: Sequence[str | int]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


def find_half_surrogate(text: bytes) -> str | None:
    """Return the path (`messages[3].content`) of a text with half a surrogate pair, or None."""
    if b"\\u" not in text:
        return None
    path = _find_half_surrogate(json.loads(text))
    return None if path is None else _path_text(path)


def _find_half_surrogate(value: Any) -> list[str | int] | None:
    """Return the keys and indexes of the path; made only once there is something at its end."""
    if isinstance(value, str):
        return None if _is_text(value) else []
    if isinstance(value, dict):
        if not all(map(_is_text, value)):
            return []
        children: Iterable[tuple[str | int, Any]] = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    else:
        return None
    for place, child in children:
        found = _find_half_surrogate(child)
        if found is not None:
            return [place, *found]
    return None


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_same_json(existing: Any, given: Any) -> bool:
    """Compare two JSON values: numbers by value, and true is not 1."""
    if isinstance(existing, dict) and isinstance(given, dict):
        return existing.keys() == given.keys() and all(
            is_same_json(value, given[name]) for name, value in existing.items()
        )
    if isinstance(existing, list) and isinstance(given, list):
        return len(existing) == len(given) and all(map(is_same_json, existing, given))
    return isinstance(existing, bool) == isinstance(given, bool) and bool(existing == given)
