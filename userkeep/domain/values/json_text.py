"""Find what is wrong in a JSON text before it is parsed: too deep nesting, half surrogate pairs."""

import json
import re
from collections.abc import Sequence
from typing import Any

_TOKEN = re.compile(rb'("(?:[^"\\]|\\.)*")(\s*:)?|[\[\]{},]')
_NAMED_PARTS = 3


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
    return _find_half_surrogate(json.loads(text), "")


def _find_half_surrogate(value: Any, path: str) -> str | None:
    if isinstance(value, str):
        return None if _is_text(value) else path
    if isinstance(value, list):
        children = ((f"{path}[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, dict):
        for key in value:
            if not _is_text(key):
                return path
        children = ((f"{path}.{key}" if path else key, item) for key, item in value.items())
    else:
        return None
    return next(filter(None, (_find_half_surrogate(item, child) for child, item in children)), None)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
