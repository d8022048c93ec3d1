"""JSON texts that no parser should be given, or that no reader could parse: where they go wrong."""

import json
import re
from typing import Any

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def is_deeper_than(text: bytes, limit: int) -> bool:
    """Whether arrays and objects are nested deeper than `limit` levels."""
    if text.count(b"[") + text.count(b"{") <= limit:
        return False
    depth = 0
    for token in _TOKEN.finditer(text):
        if token[0] in b"[{":
            depth += 1
            if depth > limit:
                return True
        elif token[0] in b"]}":
            depth -= 1
    return False


def half_surrogate_at(text: bytes) -> str | None:
    """The path (`messages[3].content`) of a text with half a surrogate pair in it, or None."""
    if b"\\u" not in text:
        return None
    return _find_half_surrogate(json.loads(text), "")


def _find_half_surrogate(value: Any, path: str) -> str | None:
    if isinstance(value, str):
        return None if _is_text(value) else path
    if isinstance(value, list):
        places = ((f"{path}[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, dict):
        for key in value:
            if not _is_text(key):
                return path
        places = ((f"{path}.{key}" if path else key, item) for key, item in value.items())
    else:
        return None
    return next(filter(None, (_find_half_surrogate(item, at) for at, item in places)), None)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
