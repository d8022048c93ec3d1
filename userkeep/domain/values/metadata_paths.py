"""Paths into metadata, as filters and addresses write them: `address.city`, `"a.b".c`.

Keys are separated by dots. A key in double quotes is a JSON string, so that it can contain dots,
quotes (`\\"`), backslashes (`\\\\`) and any other character, or be empty.
"""

import re

import msgspec

from userkeep.domain.errors import InvalidField
from userkeep.domain.values.metadata import MAX_DEPTH, decode_json
from userkeep.domain.values.text import check_characters

_PLAIN_KEY = re.compile(r'[^."\\]+')
_QUOTED_KEY = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_HINT = 'Write a key that contains one of . " \\ in double quotes, as in JSON: "a.b".'


def parse_path(path: str, at: str) -> tuple[str, ...]:
    """Return the keys of a path.

    Args:
        path: without `metadata.` before it.
        at: the name of its field, for errors.

    Raises:
        InvalidField: naming `at`, with the character of the path that is wrong.
    """
    keys: list[str] = []
    start = 0
    while True:
        key, start = _key(path, start, at)
        keys.append(key)
        if start == len(path):
            break
        if path[start] != ".":
            raise _invalid(f"needs a dot at character {start + 1} of the path", at)
        start += 1
    # No stored value is nested deeper, and databases limit the length of a path.
    return tuple(keys[: MAX_DEPTH + 1])


def _key(path: str, start: int, at: str) -> tuple[str, int]:
    """Return the key that begins at a character, and where it ends."""
    if path.startswith('"', start):
        return _quoted_key(path, start, at)
    found = _PLAIN_KEY.match(path, start)
    if found is None:
        raise _invalid(f"needs a key at character {start + 1} of the path", at)
    return check_characters(found[0], at), found.end()


def _quoted_key(path: str, start: int, at: str) -> tuple[str, int]:
    found = _QUOTED_KEY.match(path, start)
    if found is None:
        raise _invalid(f"has no end of the quotes at character {start + 1} of the path", at)
    try:
        key = decode_json(found[0])
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise _invalid(f"has no JSON string at character {start + 1} of the path", at) from error
    return check_characters(key, at), found.end()


def _invalid(problem: str, at: str) -> InvalidField:
    return InvalidField(f"{at} {problem}. {_HINT}", at)
